"""`ClipPoses`: how far a pose is from a clip's, in degrees of its joints: what an animator would correct.

Shapes: ``n`` characters, ``F`` features of a frame, ``J`` joints.
"""

from __future__ import annotations

import torch
from torch import Tensor

from envs.features import ROOT_COLUMNS, FeatureLayout
from envs.ways import clip_ways
from motions.library import MotionLibrary


class ClipPoses:
    """Args:
    library: the clips. layout: of the features. control_dt: seconds between the moments of a clip that are looked at.
    """

    def __init__(self, library: MotionLibrary, layout: FeatureLayout, control_dt: float):
        self.ways, self.weights = clip_ways(library, layout, control_dt), layout.tracking_weights().to(library.device)
        self.balls = sum(joint.kind == "ball" for joint in library.skeleton.joints)
        self.columns = slice(ROOT_COLUMNS, ROOT_COLUMNS + layout.num_joint_columns)

    def off_deg(self, frames: Tensor, clips: Tensor) -> Tensor:
        """Mean over the joints of the angle between their rotations in ``frames [n, F]`` and in that moment of clip ``clips [n]`` that is nearest (by
        `envs.features.FeatureLayout.tracking_weights`), ``[n]`` in degrees. When in its cycle a character is does not matter."""
        near = self.ways.frames[self.ways.nearest(clips, frames, self.weights)]
        ours, theirs = (joints[:, self.columns] for joints in (frames, near))
        turned = (_axes(ours[:, : 6 * self.balls]) - _axes(theirs[:, : 6 * self.balls])).square().sum((-2, -1))  # |R - R'|² = 8 sin²(angle / 2)
        balls = 2 * (turned / 8).clamp_max(1).sqrt().asin()
        hinges = (ours[:, 6 * self.balls :] - theirs[:, 6 * self.balls :]).abs()
        return torch.rad2deg(torch.cat((balls, hinges), dim=-1).mean(-1))


def _axes(columns: Tensor) -> Tensor:
    """The three rotated axes, one a row, ``[n, B, 3, 3]`` of ``B`` ball joints that are coded by their x and z axes (`envs.features.observe`), ``[n, B * 6]``."""
    x, z = columns.unflatten(-1, (-1, 2, 3)).unbind(-2)
    return torch.stack((x, torch.linalg.cross(z, x), z), dim=-2)

"""Smoothing of clips: a jump from one frame to the next, at a loop's seam or within, is motion that no body can follow.

Shapes: ``T`` frames.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from motions.clip import Clip
from motions.cycle import cycle_of
from motions.rotations import make_continuous, quat_mul, quat_rotate, yaw_quat


def smooth(clip: Clip, sigma_s: float) -> Clip:
    """The clip's positions and rotations averaged over time with Gaussian weights of standard deviation ``sigma_s`` seconds.

    A looping clip is smoothed around its seam too, and ends where its next cycle begins; a jump of the pose there is spread over the frames nearby. Swings of period
    ``P`` seconds shrink by the factor ``exp(-2 (π sigma_s / P)²)``. Other clips are held at their ends.
    """
    if not sigma_s:
        return clip
    sigma = sigma_s * clip.fps
    root_pos, root_quat, joint_quat = (torch.from_numpy(x) for x in (clip.root_pos, clip.root_quat, clip.joint_quat))
    if clip.loop == "wrap":
        n = clip.num_frames - 1
        cycles = [_moved(clip, root_pos[:-1], root_quat[:-1], k) for k in (-1, 0, 1)]
        positions, turns, joints = torch.cat([pos for pos, _ in cycles]), torch.cat([quat for _, quat in cycles]), joint_quat[:-1].repeat(3, 1, 1)
        keep = slice(n, 2 * n + 1)  # the last frame is the first of the next cycle
    else:
        positions, turns, joints, keep = root_pos, root_quat, joint_quat, slice(None)
    turns, joints = make_continuous(turns), make_continuous(joints)
    smoothed = [torch.from_numpy(gaussian_filter1d(x.numpy(), sigma, axis=0, mode="nearest"))[keep] for x in (positions, turns, joints)]
    quats = [make_continuous(q / q.norm(dim=-1, keepdim=True)).numpy() for q in smoothed[1:]]
    return replace(clip, root_pos=smoothed[0].numpy(), root_quat=quats[0], joint_quat=quats[1])


def _moved(clip: Clip, root_pos: Tensor, root_quat: Tensor, cycles: int) -> tuple[Tensor, Tensor]:
    """Root positions ``[T, 3]`` and rotations ``[T, 4]`` of another cycle: one later (1), one earlier (-1) or this one (0)."""
    yaw, x, y = cycle_of(clip)
    turn = yaw_quat(torch.tensor(cycles * yaw, dtype=root_pos.dtype))
    offset = torch.tensor([x, y, 0.0], dtype=root_pos.dtype)
    moved = quat_rotate(turn, root_pos - offset if cycles < 0 else root_pos)
    return moved + offset if cycles > 0 else moved, quat_mul(turn.expand_as(root_quat), root_quat)

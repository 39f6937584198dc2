"""The reflection of a character: what its observations and actions become in the mirror of its x-z plane.

Shapes: ``O`` policy observation (order as in `envs.features.observe`), ``A`` action.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from envs.character import Character
from motions.clip import other_side

POLAR, AXIAL = [1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]  # signs of lengths and axes, and of rotation vectors and angular velocities


@dataclass(frozen=True, eq=False)
class MirrorMap:
    """``mirrored[k] = sign[k] * x[index[k]]`` for observations ``[O]`` and actions ``[A]``; applied twice it is the identity."""

    obs_index: Tensor
    obs_sign: Tensor
    action_index: Tensor
    action_sign: Tensor


def mirror_map(character: Character) -> MirrorMap | None:
    """The character's reflection, pairing ``left_`` and ``right_`` in the names of bodies and joints.

    None if a name has no partner or a hinge does not turn about y (only such a hinge keeps its angle in the mirror).
    """
    skeleton = character.skeleton
    bodies, joints = skeleton.body_names, skeleton.joints
    names = skeleton.joint_names
    if any(other_side(name) not in (*bodies, *names) for name in (*bodies, *names)) or any(j.kind == "hinge" and (j.axis[0] or j.axis[2]) for j in joints):
        return None
    partner = [names.index(other_side(name)) for name in names]
    action_index = [skeleton.dof_slices[p].start + c for p, joint in zip(partner, joints, strict=True) for c in range(joint.dofs)]
    action_sign = [s for joint in joints for s in (AXIAL if joint.kind == "ball" else [1.0])]

    index, sign = list(range(13)), [1.0, *POLAR, *POLAR, *POLAR, *AXIAL]  # root: height, two axes, velocity, angular velocity
    for kind, signs in (("ball", POLAR * 2), ("hinge", [1.0])):
        members, first, width = [k for k, joint in enumerate(joints) if joint.kind == kind], len(index), len(signs)
        index += [first + width * members.index(partner[k]) + c for k in members for c in range(width)]
        sign += signs * len(members)
    first = len(index)
    index += [first + k for k in action_index]  # joint velocities stand in the order of actions
    sign += action_sign
    first = len(index)
    index += [first + 3 * (bodies.index(other_side(body)) - 1) + c for body in bodies[1:] for c in range(3)]
    sign += POLAR * (len(bodies) - 1)
    return MirrorMap(torch.tensor(index), torch.tensor(sign), torch.tensor(action_index), torch.tensor(action_sign))

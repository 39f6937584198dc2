"""The reflection of a character: what its observations and actions become in the mirror of its x-z plane.

Shapes: ``O`` policy observation (order as in `envs.features.observe`), ``A`` action.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from envs.character import Character
from motions.clip import other_side

SAME_M = 0.02  # as symmetric as measured people are
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

    None if a name has no partner, a hinge's axis is not the reflection of its partner's (or of its opposite), or the body is not its own mirror image to two centimetres.
    """
    skeleton = character.skeleton
    bodies, joints = skeleton.body_names, skeleton.joints
    names = skeleton.joint_names
    if any(other_side(name) not in (*bodies, *names) for name in (*bodies, *names)):
        return None
    image = skeleton.offsets[[bodies.index(other_side(name)) for name in bodies]] * torch.tensor(POLAR)
    partner = [names.index(other_side(name)) for name in names]
    turns = [_hinge_sign(joint.axis, joints[p].axis) if joint.kind == "hinge" else 1.0 for joint, p in zip(joints, partner, strict=True)]
    if (image - skeleton.offsets).abs().max() > SAME_M or not all(turns) or any(joints[p].kind != joint.kind for joint, p in zip(joints, partner, strict=True)):
        return None
    action_index = [skeleton.dof_slices[p].start + c for p, joint in zip(partner, joints, strict=True) for c in range(joint.dofs)]
    action_sign = [s for joint, turn in zip(joints, turns, strict=True) for s in (AXIAL if joint.kind == "ball" else [turn])]

    index, sign = list(range(13)), [1.0, *POLAR, *POLAR, *POLAR, *AXIAL]  # root: height, two axes, velocity, angular velocity
    for kind, width in (("ball", 6), ("hinge", 1)):
        members, first = [k for k, joint in enumerate(joints) if joint.kind == kind], len(index)
        index += [first + width * members.index(partner[k]) + c for k in members for c in range(width)]
        sign += [s for k in members for s in (POLAR * 2 if kind == "ball" else [turns[k]])]
    first = len(index)
    index += [first + k for k in action_index]  # joint velocities stand in the order of actions
    sign += action_sign
    first = len(index)
    index += [first + 3 * (bodies.index(other_side(body)) - 1) + c for body in bodies[1:] for c in range(3)]
    sign += POLAR * (len(bodies) - 1)
    return MirrorMap(torch.tensor(index), torch.tensor(sign), torch.tensor(action_index), torch.tensor(action_sign))


def _hinge_sign(axis: tuple[float, ...], partner: tuple[float, ...]) -> float:
    """What a hinge's angle is multiplied by in the mirror, given its axis ``[3]`` and its partner's: 1, -1, or 0 if they are no reflections of each other."""
    image = torch.tensor(axis) * torch.tensor(AXIAL)
    for sign in (1.0, -1.0):
        if torch.allclose(image, sign * torch.tensor(partner), atol=1e-4):
            return sign
    return 0.0

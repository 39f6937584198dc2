"""Knees and elbows: where they belong between hip and ankle, shoulder and hand.

Shapes: ``T`` frames, ``P`` bodies. World frame z up, metres.

A limb's middle lies on a circle about the line between its ends. The source says on which side of that line it is; the ends' distance and the character's bones say how far
from it (law of cosines). So a pole never argues with its limb's ends about how far the limb is stretched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from motions import ik
from motions.match import Match
from motions.rotations import quat_rotate
from motions.skeleton import Skeleton
from motions.targets import Targets

STRAIGHT = 0.999  # cosine between the bones of a limb that is straight in the rest pose
SIDE_M = 0.02  # a middle nearer to the line than this is pulled to the side to which the joint bends


@dataclass(frozen=True, eq=False)
class Limb:
    """Three nodes, the middle one a hinge, in a row in the rest pose.

    Attributes:
        joint: name of the hinge. upper, middle, lower: body indices. upper_m, lower_m: bone lengths.
        side: ``[3]`` unit vector in the rest pose to which the middle moves when the hinge bends the way its range goes. sign: of the hinge's angle then.
    """

    joint: str
    upper: int
    middle: int
    lower: int
    upper_m: float
    lower_m: float
    side: Tensor
    sign: float


def find_limbs(model: ik.Model, skeleton: Skeleton, match: Match) -> list[Limb]:
    """The limbs of a match whose middle is a hinge across a straight row."""
    found = []
    for joint in skeleton.joints:
        above, below = match.parents.get(joint.body, -1), match.children(joint.body)
        if joint.kind != "hinge" or above < 0 or len(below) != 1 or joint.body not in match.joints:
            continue
        upper, lower = match.rest_pos[joint.body] - match.rest_pos[above], match.rest_pos[below[0]] - match.rest_pos[joint.body]
        a, b = float(upper.norm()), float(lower.norm())
        if float(upper @ lower) < STRAIGHT * a * b:
            continue
        sign = ik.bending_sign(model, joint.name)
        side = -sign * torch.linalg.cross(torch.tensor(joint.axis, dtype=torch.float64), lower / b)
        found.append(Limb(joint.name, above, joint.body, below[0], a, b, side, sign))
    return found


def angles(limb: Limb, pos: Tensor) -> np.ndarray:
    """The hinge's angle ``[T]`` in radians at which the limb's ends are as far apart as in ``pos [T, P, 3]``."""
    apart = (pos[:, limb.lower] - pos[:, limb.upper]).norm(dim=-1)
    cos = (apart.square() - limb.upper_m**2 - limb.lower_m**2) / (2 * limb.upper_m * limb.lower_m)
    return (limb.sign * torch.acos(cos.clamp(-1.0, 1.0))).numpy()


def place_poles(limbs: list[Limb], match: Match, targets: Targets) -> Targets:
    """Targets with each limb's middle between its ends' targets, on the side that ``targets.bends`` says."""
    pos = targets.pos.clone()
    for limb in limbs:
        line = pos[:, limb.lower] - pos[:, limb.upper]
        apart = line.norm(dim=-1, keepdim=True).clamp_min(1e-9)
        along = line / apart
        body = limb.upper if not targets.quat[0, limb.upper].isnan().any() else match.parents[limb.upper]
        bend = targets.bends[:, limb.middle] + SIDE_M * quat_rotate(targets.quat[:, body], limb.side.expand_as(line))
        bend = bend - (bend * along).sum(-1, keepdim=True) * along
        share = ((limb.upper_m**2 - limb.lower_m**2 + apart.square()) / (2 * apart)).clamp(-limb.upper_m, limb.upper_m)
        out = (limb.upper_m**2 - share.square()).clamp_min(0.0).sqrt()
        pos[:, limb.middle] = pos[:, limb.upper] + share * along + out * bend / bend.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    return replace(targets, pos=pos)

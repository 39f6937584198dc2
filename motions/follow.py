"""Poses of a character that follow targets, in two passes of inverse kinematics.

The first pass finds poses, from which floor and contacts are read; the second repeats them on a level floor, with feet that hold where they rest.

Shapes: ``T`` frames, ``P`` bodies, ``J`` joints, ``B`` bodies with a target.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from motions import ik
from motions.contacts import Floor, find_contacts, find_floor, hold, lift, sole_points
from motions.match import Match, mat_quat
from motions.poles import angles, find_limbs, place_poles
from motions.rotations import quat_rotate
from motions.skeleton import Skeleton
from motions.targets import Costs, Targets

FIRST_PASS, SECOND_PASS = ik.IkSettings(), ik.IkSettings(first_iterations=20, iterations=3)
REACH, MAX_DROP_M = 0.998, 0.05
HELD_FOOT = (5.0, 1.0)  # cost of place and orientation in the second pass: the orientation is one that the first pass reached


@dataclass(frozen=True, eq=False)
class Followed:
    """Poses of a character and what was done for them.

    Attributes:
        qpos: ``[T, nq]`` of the character's model, all joints within their limits.
        targets: where bodies should have been, on the level floor.
        floor: of the recording.
        soles: sole points ``[T, S, 3]`` of each foot before it was held.
    """

    qpos: np.ndarray
    targets: Targets
    floor: Floor
    soles: list[Tensor]


def follow(model: ik.Model, skeleton: Skeleton, match: Match, targets: Targets, fps: float, ground: bool = True, foot_lock: bool = True, costs: Costs | None = None) -> Followed:
    """Follows targets within joint limits.

    Args:
        ground: move the motion onto the floor, level it, and lift what is below. foot_lock: hold feet where they rest.
    """
    costs = costs or Costs()
    feet = [leg[0] for leg in match.legs]
    nodes = [b for b in match.parents if not (targets.pos[0, b].isnan().any() and targets.quat[0, b].isnan().any())]
    cost = {b: costs.of(b, match) for b in nodes}
    still = np.zeros((1, len(skeleton.joints), 4))
    still[..., 0] = 1.0
    start = ik.pack(model, skeleton, targets.pos[:1, 0].numpy(), targets.quat[:1, 0].numpy(), still)[0]
    limbs = find_limbs(model, skeleton, match)
    targets = place_poles(limbs, match, targets)
    first = place_poles(limbs, match, _within_reach(match, targets, fps))
    qpos = _solve(model, skeleton, first, cost, start, FIRST_PASS, {limb.joint: angles(limb, first.pos) for limb in limbs})
    if not ground and not foot_lock:
        return Followed(qpos, targets, Floor(0.0), _soles(model, skeleton, feet, qpos)[0])
    soles, pos, mat = _soles(model, skeleton, feet, qpos)
    floor = find_floor(soles, skeleton.lowest_point(pos, mat), fps) if ground else Floor(0.0)
    level = replace(targets, pos=floor.level(targets.pos))
    qpos[:, :3] = floor.level(torch.from_numpy(qpos[:, :3])).numpy()
    soles, pos, mat = _soles(model, skeleton, feet, qpos)
    wanted = replace(level, pos=level.pos.clone(), quat=level.quat.clone())
    for foot, points in zip(feet, soles, strict=True):
        if foot_lock:
            wanted.pos[:, foot] = pos[:, foot] + hold(points, find_contacts(points, fps), fps)
            wanted.quat[:, foot] = mat_quat(mat[:, foot])
            cost[foot] = HELD_FOOT
    wanted = _within_reach(match, wanted, fps)
    if ground:
        _lift_others(skeleton, match, feet, wanted, pos, mat, fps)
    wanted = place_poles(limbs, match, wanted)
    return Followed(_solve(model, skeleton, wanted, cost, qpos, SECOND_PASS), level, floor, soles)


def _soles(model: ik.Model, skeleton: Skeleton, feet: list[int], qpos: np.ndarray) -> tuple[list[Tensor], Tensor, Tensor]:
    """Sole points of each foot, and the poses ``[T, P, 3]``, ``[T, P, 3, 3]`` of all bodies."""
    pos, mat = skeleton.forward_kinematics(*(torch.from_numpy(part) for part in ik.unpack(model, skeleton, qpos)))
    return [sole_points(skeleton, foot, pos, mat) for foot in feet], pos, mat


def _solve(
    model: ik.Model,
    skeleton: Skeleton,
    targets: Targets,
    cost: dict[int, tuple[float, float]],
    start: np.ndarray,
    settings: ik.IkSettings,
    hinges: dict[str, np.ndarray] | None = None,
) -> np.ndarray:
    """One pass over all frames, ``[T, nq]``; parts of targets that are NaN cost nothing."""
    bodies, ids = list(cost), ik.body_ids(model, skeleton)
    place, turn = np.array([cost[b] for b in bodies]).T
    pos, quat = targets.pos[:, bodies].numpy(), targets.quat[:, bodies].numpy()
    place, turn = np.where(np.isnan(pos[0, :, 0]), 0.0, place), np.where(np.isnan(quat[0, :, 0]), 0.0, turn)
    task = ik.BodyPoses(model, [ids[b] for b in bodies], place, turn)
    return ik.solve(model, task, np.nan_to_num(pos), np.nan_to_num(quat, nan=0.5), start, settings, hinges)


def _within_reach(match: Match, wanted: Targets, fps: float) -> Targets:
    """Targets with everything but the feet lowered, smoothly, where a foot would be further from its hip than `REACH` of the leg: a stretched leg jerks at the knee."""
    root = match.root
    short = torch.zeros(len(wanted.pos), dtype=wanted.pos.dtype)
    for leg in match.legs:
        length = sum(float((match.rest_pos[a] - match.rest_pos[b]).norm()) for a, b in pairwise(leg))
        hip = wanted.pos[:, root] + quat_rotate(wanted.quat[:, root], match.rest_pos[leg[-1]].expand(len(wanted.pos), 3))
        apart = hip - wanted.pos[:, leg[0]]
        height = ((REACH * length) ** 2 - apart[:, :2].square().sum(-1)).clamp_min(0.0).sqrt()
        short = torch.maximum(short, (apart[:, 2] - height).clamp(0.0, MAX_DROP_M))
    drop = lift(-short, fps, 0.1)
    others = [b for b in range(wanted.pos.shape[1]) if b not in {leg[0] for leg in match.legs}]
    pos = wanted.pos.clone()
    pos[:, others, 2] -= drop[:, None]
    return replace(wanted, pos=pos)


def _lift_others(skeleton: Skeleton, match: Match, feet: list[int], wanted: Targets, pos: Tensor, mat: Tensor, fps: float) -> None:
    """Raises the targets of bodies other than feet whose geometry would be below the floor, and those of the body at the far end of a limb with them."""
    for body in match.parents:
        if body in feet or body not in skeleton.point_bodies:
            continue
        low = sole_points(skeleton, body, pos, mat)[..., 2].amin(-1)
        if float(low.min()) < 0:
            rise = lift(low, fps)
            for raised in (body, *(b for b in match.children(body) if match.is_limb(body) and b not in feet)):
                wanted.pos[:, raised, 2] = torch.maximum(wanted.pos[:, raised, 2], pos[:, raised, 2] + rise)

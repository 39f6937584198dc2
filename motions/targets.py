"""Where the bodies of a character should be so that it moves like a source.

Shapes: ``T`` frames, ``P`` bodies. World frame z up, metres, quaternions ``wxyz``, float64.

The source is scaled by leg length about the origin. From it follow, node by node (see `motions.match`):

- the root: turned like the source's, and where its hips are those of the source on average;
- a body below the root or another parting (chest, shoulder, hip, neck): the character's own rest offset, turned like the body it hangs on;
- a body below a limb (knee, elbow, hand): along the source's limb, at the character's own length;
- a foot: where the scaled source has its ankle, so that a foot that rests in the source rests here.

Key bodies are the root and the ends of chains (head, hands, feet); the distance of the result from these targets is the *key-body error*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from motions.match import Match, frame_quat, mat_quat
from motions.rotations import make_continuous, quat_conj, quat_mul, quat_rotate, quat_to_mat
from motions.skeleton import Skeleton
from motions.source_motion import SourceMotion


@dataclass(frozen=True, eq=False)
class Targets:
    """Wanted poses of bodies.

    Attributes:
        pos: ``[T, P, 3]``; NaN for bodies without a wanted place.
        quat: ``[T, P, 4]``; NaN for bodies without a wanted orientation.
        bends: ``[T, P, 3]`` for a body in the middle of a limb, its place beside the line between the limb's ends, with the character's bones along the source's; else 0.
        key_bodies: indices of the bodies by which the result is judged.
    """

    pos: Tensor
    quat: Tensor
    bends: Tensor
    key_bodies: tuple[int, ...]


def world_quats(source: SourceMotion) -> Tensor | None:
    """Orientation of every joint in the world, ``[T, J, 4]``; None for keypoints."""
    if source.local_quat is None:
        return None
    local = torch.from_numpy(source.local_quat).double()
    out: list[Tensor] = []
    for joint, above in enumerate(source.parents):
        out.append(local[:, joint] if above < 0 else quat_mul(out[above], local[:, joint]))
    return torch.stack(out, dim=1)


def make_targets(source: SourceMotion, match: Match, skeleton: Skeleton, scale: float) -> Targets:
    """Targets of a source that is scaled by ``scale``."""
    places = torch.from_numpy(source.world_pos).double() * scale
    num_frames, num_bodies = len(places), len(skeleton.parents)
    pos, quat = torch.full((num_frames, num_bodies, 3), torch.nan, dtype=torch.float64), torch.full((num_frames, num_bodies, 4), torch.nan, dtype=torch.float64)
    _set_orientations(quat, source, match, places)
    feet = {leg[0] for leg in match.legs}
    for body, above in match.parents.items():
        if above < 0:
            hips = [leg[-1] for leg in match.legs]
            pos[:, body] = sum(places[:, match.joints[hip]] - quat_rotate(quat[:, body], match.rest_pos[hip].expand(num_frames, 3)) for hip in hips) / len(hips)
            continue
        offset = match.rest_pos[body] - match.rest_pos[above]
        if body in feet:
            pos[:, body] = places[:, match.joints[body]]
        elif match.is_limb(above) and body in match.joints and above in match.joints:
            along = places[:, match.joints[body]] - places[:, match.joints[above]]
            pos[:, body] = pos[:, above] + offset.norm() * _unit(along)
        else:
            pos[:, body] = pos[:, above] + quat_rotate(quat[:, above], offset.expand(num_frames, 3))
    welded = [b for b in range(1, num_bodies) if b not in {j.body for j in skeleton.joints}]
    quat[:, welded] = torch.nan
    key = [match.root, *(b for b in match.leaves if b in match.joints)]
    return Targets(pos, make_continuous(quat), _bends(match, places, num_bodies), tuple(key))


def _bends(match: Match, places: Tensor, num_bodies: int) -> Tensor:
    bends = places.new_zeros(len(places), num_bodies, 3)
    for body in (b for b in match.joints if match.is_limb(b)):
        chain = (match.parents[body], body, match.children(body)[0])
        if all(b in match.joints for b in chain):
            joints = [places[:, match.joints[b]] for b in chain]
            bones = [float((match.rest_pos[b] - match.rest_pos[a]).norm()) for a, b in pairwise(chain)]
            upper, lower = (length * _unit(b - a) for length, (a, b) in zip(bones, pairwise(joints), strict=True))
            along = _unit(upper + lower)
            bends[:, body] = upper - (upper * along).sum(-1, keepdim=True) * along
    return bends


def _unit(v: Tensor) -> Tensor:
    return v / v.norm(dim=-1, keepdim=True).clamp_min(1e-9)


def _set_orientations(quat: Tensor, source: SourceMotion, match: Match, places: Tensor) -> None:
    """Fills in ``quat [T, P, 4]``: from rotations where the rest poses tell how, otherwise from places."""
    world = world_quats(source)
    if world is not None:
        for body, turn in match.turns.items():
            quat[:, body] = quat_mul(world[:, match.joints[body]], turn.expand(len(world), 4))
    partings = [b for b in match.parents if len(match.children(b)) > 1 or match.parents[b] < 0]
    for body in partings:
        if quat[0, body].isnan().any():
            quat[:, body] = _frame_of_places(body, match, places)
    for body in (b for b in match.leaves if quat[0, b].isnan().any() and b in match.joints):
        if world is not None:  # the rest pose does not say what is neutral: the mean pose does
            own, like = world[:, match.joints[body]], quat[:, match.root]
            quat[:, body] = quat_mul(own, _mean_rotation(quat_mul(quat_conj(own), like)).expand_as(own))
        elif body in {leg[0] for leg in match.legs}:
            _set_foot(quat, body, source, match, places)


def _frame_of_places(body: int, match: Match, places: Tensor) -> Tensor:
    """Orientation of a parting from where the joints beside it are: left along the line of both sides, up from the hips to the parting's other end, ``[T, 4]``."""
    left, right = match.sides(body)
    line = _middle(left, match, places) - _middle(right, match, places)
    hips = _middle([leg[-1] for leg in match.legs], match, places)
    others = [b for b in match.parents if match.parents[b] >= 0 and len(match.children(b)) > 1]
    ends = [b for b in match.children(others[-1]) if b in match.joints] if others else [b for b in match.leaves if match.rest_pos[b, 2] > 0]
    up = _middle(ends, match, places) - hips
    return frame_quat(torch.linalg.cross(line, up), line)


def _middle(bodies: list[int], match: Match, places: Tensor) -> Tensor:
    return torch.stack([places[:, match.joints[b]] for b in bodies if b in match.joints], dim=0).mean(0)


def _mean_rotation(quat: Tensor) -> Tensor:
    """The rotation nearest to all of ``quat [T, 4]`` (of their matrices, in the least squares), ``[4]``."""
    u, _, vh = torch.linalg.svd(quat_to_mat(quat).mean(0))
    u = u * torch.tensor([1.0, 1.0, float(torch.sign(torch.linalg.det(u @ vh)))], dtype=u.dtype)
    return mat_quat(u @ vh)


def _set_foot(quat: Tensor, foot: int, source: SourceMotion, match: Match, places: Tensor) -> None:
    """A foot of keypoints: towards the joint ahead of the ankle that hangs on it, level in the median and not rolled; unknown without such a toe."""
    ahead = quat_rotate(quat[:, match.root], torch.tensor([1.0, 0.0, 0.0], dtype=quat.dtype).expand(len(quat), 3))
    below = {j: places[:, j] - places[:, match.joints[foot]] for j, above in enumerate(source.parents) if above == match.joints[foot]}
    reach = {j: float((d * ahead).sum(-1).mean()) for j, d in below.items()}
    if not reach or max(reach.values()) <= 0:
        return
    along = below[max(reach, key=lambda j: reach[j])]
    flat = along[:, :2].norm(dim=-1, keepdim=True)
    side = quat_rotate(quat[:, match.root], torch.tensor([0.0, 1.0, 0.0], dtype=quat.dtype).expand(len(quat), 3))
    level = torch.stack((-along[:, 1], along[:, 0], torch.zeros_like(along[:, 0])), dim=-1)
    level = level * torch.where((level * side).sum(-1, keepdim=True) < 0, -1.0, 1.0)  # toes beyond straight down still have their left side left
    pitch = torch.atan2(along[:, 2:], flat).median()
    down = torch.tensor([math.cos(float(pitch) / 2), 0.0, math.sin(float(pitch) / 2), 0.0], dtype=quat.dtype)
    quat[:, foot] = quat_mul(frame_quat(along, level + 0.1 * along.norm(dim=-1, keepdim=True) * side), down.expand(len(quat), 4))


@dataclass(frozen=True)
class Costs:
    """What a body's distance from its target costs, per metre, and its turn, per radian: by how a body is used."""

    root: tuple[float, float] = (2.0, 0.5)
    parting: tuple[float, float] = (0.0, 0.5)
    foot: tuple[float, float] = (5.0, 0.3)
    end: tuple[float, float] = (3.0, 0.2)
    limb: tuple[float, float] = (1.0, 0.01)  # poles: elbows and knees

    def of(self, body: int, match: Match) -> tuple[float, float]:
        """Cost of place and of orientation of a node."""
        if body == match.root:
            return self.root
        if body in {leg[0] for leg in match.legs}:
            return self.foot
        below = len(match.children(body))
        return self.parting if below > 1 else self.limb if below else self.end

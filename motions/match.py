"""How a recorded skeleton sits on a character: which of its joints move which bodies, how their rest poses lie to each other, and how large one is beside the other.

Shapes: ``T`` frames, ``P`` bodies of the character, ``J`` joints of the source. Quaternions ``wxyz``; all tensors are float64.

A *node* is a body that a joint of the source is mapped to, or one from which chains of such bodies part (a chest without a joint of its own). A *limb* is a node between two
others in a chain that leaves a parting: thigh, shin, upper arm, lower arm. Bodies on the left have y > 0 in the character's rest pose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
from torch import Tensor

from motions.rotations import quat_conj, quat_exp, quat_mul, quat_normalize, quat_rotate
from motions.skeleton import Skeleton
from motions.source_motion import SourceMotion

UPRIGHT = 0.7  # cosine: thighs of a rest pose that stands hang within 45 degrees of straight down


@dataclass(frozen=True, eq=False)
class Match:
    """A source laid on a character.

    Attributes:
        joints: source joint by body, both as indices.
        parents: node above each node by body index (-1: the root), in depth-first order.
        legs: for each foot the nodes from foot to thigh.
        rest_pos: ``[P, 3]`` body origins of the character's rest pose, metres from the root.
        turns: by body, rotation ``[4]`` from the body's frame to its joint's frame where their rest poses tell it; empty for keypoints.
        align: rotation ``[4]`` from the character's rest axes to the axes of the source's rest pose; None for keypoints.
        rest_source: ``[J, 3]`` joints of the source's rest pose in the character's rest axes, from its root; None for keypoints.
        source_leg_m, leg_m: leg length from hip to ankle, mean of both sides.
    """

    joints: dict[int, int]
    parents: dict[int, int]
    legs: tuple[tuple[int, ...], ...]
    rest_pos: Tensor
    source_leg_m: float
    leg_m: float
    turns: dict[int, Tensor] = field(default_factory=dict)
    align: Tensor | None = None
    rest_source: Tensor | None = None

    @property
    def root(self) -> int:
        return next(iter(self.parents))

    def children(self, body: int) -> list[int]:
        """Nodes directly below a node."""
        return [b for b, above in self.parents.items() if above == body]

    def is_limb(self, body: int) -> bool:
        return self.parents[body] >= 0 and len(self.children(body)) == 1

    @property
    def leaves(self) -> list[int]:
        """Nodes at the ends of chains: feet, hands, head."""
        return [b for b in self.parents if not self.children(b)]

    def sides(self, body: int) -> tuple[list[int], list[int]]:
        """Nodes below a parting that lie to its left and to its right in the rest pose."""
        y = {b: float(self.rest_pos[b, 1] - self.rest_pos[body, 1]) for b in self.children(body)}
        return [b for b, v in y.items() if v > 1e-3], [b for b, v in y.items() if v < -1e-3]


def match_skeletons(source: SourceMotion, joint_map: Mapping[str, str], skeleton: Skeleton, foot_bodies: Sequence[str]) -> Match:
    """Lays a source on a character.

    Args:
        joint_map: source joint by body. foot_bodies: names of the character's feet, left or right by their place.

    Raises:
        ValueError: a body or joint that is not there, the root or a foot without a joint, or legs without length; the message lists the choices.
    """
    joints = _indices(source, joint_map, skeleton, foot_bodies)
    parents = _nodes(joints, skeleton)
    rest_pos = torch.zeros(len(skeleton.parents), 3, dtype=torch.float64)
    for body, above in enumerate(skeleton.parents):
        if above >= 0:
            rest_pos[body] = rest_pos[above] + skeleton.offsets[body].double()
    legs = tuple(_chain(skeleton.body_names.index(foot), parents) for foot in foot_bodies)
    for leg in legs:
        if len(leg) < 2:
            foot = skeleton.body_names[leg[0]]
            raise ValueError(f"joint map of {source.name}: got no joint between {foot} and the root; expected hip and ankle at least. Available: {', '.join(skeleton.body_names)}")
    world = torch.from_numpy(source.world_pos)
    source_leg = [float((world[:, joints[a]] - world[:, joints[b]]).norm(dim=-1).median()) for leg in legs for a, b in pairwise(leg)]
    leg_m = sum(float((rest_pos[a] - rest_pos[b]).norm()) for leg in legs for a, b in pairwise(leg)) / len(legs)
    if sum(source_leg) < 1e-3:
        raise ValueError(f"source {source.name}: leg length: got {sum(source_leg):g} m; expected hip, knee and ankle apart from each other")
    match = Match(joints, parents, legs, rest_pos, sum(source_leg) / len(legs), leg_m)
    if source.local_quat is None:
        return match
    rest_source = torch.zeros(len(source.names), 3, dtype=torch.float64)
    for joint, above in enumerate(source.parents):
        if above >= 0:
            rest_source[joint] = rest_source[above] + torch.as_tensor(source.offsets[joint]).double()
    align = _align(source, match, rest_source)
    match = replace(match, align=align, rest_source=quat_rotate(quat_conj(align).expand(len(rest_source), 4), rest_source))
    return replace(match, turns=_rest_turns(match) if _stands(match) else {match.root: align})


def _indices(source: SourceMotion, joint_map: Mapping[str, str], skeleton: Skeleton, foot_bodies: Sequence[str]) -> dict[int, int]:
    """Source joint by body as indices, checked, in depth-first order."""
    for body, joint in joint_map.items():
        if body not in skeleton.body_names:
            raise ValueError(f"joint map of {source.name}: body {body}: not in the character. Available: {', '.join(skeleton.body_names)}")
        if joint not in source.names:
            raise ValueError(f"joint map of {source.name}: body {body}: got joint {joint}; expected one of the source. Available: {', '.join(source.names)}")
    for foot in foot_bodies:
        if foot not in skeleton.body_names:
            raise ValueError(f"foot body {foot}: not in the character. Available: {', '.join(skeleton.body_names)}")
    for body in (skeleton.body_names[0], *foot_bodies):
        if body not in joint_map:
            raise ValueError(f"joint map of {source.name}: body {body}: got no joint; expected the root and both feet. Available: {', '.join(source.names)}")
    return {k: source.names.index(joint_map[body]) for k, body in enumerate(skeleton.body_names) if body in joint_map}


def _nodes(joints: Mapping[int, int], skeleton: Skeleton) -> dict[int, int]:
    """Nodes and the node above each."""
    busy = set(joints)  # bodies that are mapped or above one that is
    for body in joints:
        while (body := skeleton.parents[body]) >= 0:
            busy.add(body)
    nodes = [b for b in sorted(busy) if b in joints or sum(skeleton.parents[c] == b for c in busy) > 1]
    parents = {}
    for node in nodes:
        above = skeleton.parents[node]
        while above >= 0 and above not in nodes:
            above = skeleton.parents[above]
        parents[node] = above
    return parents


def _chain(foot: int, parents: Mapping[int, int]) -> tuple[int, ...]:
    """Nodes from a foot up to the last one below the root."""
    chain = [foot]
    while parents[chain[-1]] > 0:
        chain.append(parents[chain[-1]])
    return tuple(chain)


def _align(source: SourceMotion, match: Match, rest_source: Tensor) -> Tensor:
    """Rotation from the character's rest axes (x forward, y left) to the source's: forward as the source says, left along the line of its hips, ``[4]``."""
    hips = [leg[-1] for leg in match.legs]
    weight = [1.0 if float(match.rest_pos[hip, 1]) > 0 else -1.0 for hip in hips]
    left = sum(w * rest_source[match.joints[hip]] for w, hip in zip(weight, hips, strict=True))
    x = torch.as_tensor(source.forward).double()
    x = x / x.norm()
    return frame_quat(x, torch.as_tensor(left))


def frame_quat(x: Tensor, left: Tensor) -> Tensor:
    """Rotation whose x axis is ``x [..., 3]`` and whose y axis lies nearest to ``left [..., 3]``, ``[..., 4]``."""
    x = x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    y = left - (left * x).sum(-1, keepdim=True) * x
    y = y / y.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return mat_quat(torch.stack((x, y, torch.linalg.cross(x, y)), dim=-1))


def mat_quat(mat: Tensor) -> Tensor:
    """Quaternions of rotation matrices, ``[..., 3, 3] -> [..., 4]``, ``w >= 0``."""
    m = mat
    d = m.diagonal(dim1=-2, dim2=-1)
    trace = d.sum(-1, keepdim=True)
    # Row k of the symmetric matrix 4 q q^T; the row of the largest diagonal element is the best conditioned.
    off = torch.stack((m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]), dim=-1)
    rows = [torch.cat((1 + trace, off), dim=-1)]
    for k in range(3):
        row = [m[..., k, j] + m[..., j, k] for j in range(3)]
        row[k] = 1 + 2 * d[..., k] - trace[..., 0]
        rows.append(torch.cat((off[..., k : k + 1], torch.stack(row, dim=-1)), dim=-1))
    best = torch.cat((trace, 2 * d - trace), dim=-1).argmax(-1)
    q = quat_normalize(torch.stack(rows, dim=-2).gather(-2, best[..., None, None].expand(*best.shape, 1, 4)).squeeze(-2))
    return torch.where(q[..., :1] < 0, -q, q)


def swing(a: Tensor, b: Tensor) -> Tensor:
    """The smallest rotation that turns direction ``a [3]`` into ``b [3]``, ``[4]``; directions must not be opposite."""
    a, b = a / a.norm(), b / b.norm()
    axis = torch.linalg.cross(a, b)
    sin = axis.norm()
    return quat_exp(axis / sin.clamp_min(1e-12) * torch.atan2(sin, a @ b))


def _stands(match: Match) -> bool:
    """Whether the source's rest pose stands: thighs hang down, and ends of chains that are above our hips are above its own."""
    assert match.rest_source is not None
    rest = {body: match.rest_source[joint] for body, joint in match.joints.items()}
    for leg in match.legs:
        thigh = rest[leg[-2]] - rest[leg[-1]]
        if -thigh[2] < UPRIGHT * thigh.norm():
            return False
    hip = match.legs[0][-1]
    return all(bool(rest[b][2] > rest[hip][2]) for b in match.leaves if b in rest and match.rest_pos[b, 2] > match.rest_pos[hip, 2])


def _rest_turns(match: Match) -> dict[int, Tensor]:
    """Rotation from each body's frame to its joint's frame if both rest poses stand: the axes aligned, and limbs swung onto the source's (arms of a T-pose)."""
    assert match.rest_source is not None
    assert match.align is not None
    turns: dict[int, Tensor] = {}
    for body, joint in match.joints.items():
        turn, above, below = match.align, match.parents[body], match.children(body)
        if match.is_limb(body) and below[0] in match.joints:
            ours, theirs = match.rest_pos[below[0]] - match.rest_pos[body], match.rest_source[match.joints[below[0]]] - match.rest_source[joint]
            if float(theirs.norm()) > 1e-6:
                turn = quat_mul(turn, swing(ours, theirs))
        elif above >= 0 and match.is_limb(above) and above in turns:
            turn = turns[above]  # a foot keeps its angle to the shin
        turns[body] = turn
    return turns

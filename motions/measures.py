"""Numbers that say how good a clip is: pure functions of poses.

Shapes: ``T`` frames, ``J`` joints, ``P`` bodies, ``K`` points. World frame z up, the floor at z = 0; metres, seconds, radians; quaternions ``wxyz``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from motions.clip import Clip
from motions.contacts import find_contacts, runs, slip, sole_points
from motions.rotations import quat_conj, quat_log, quat_mul, quat_slerp, twist_angle
from motions.skeleton import Skeleton

BETWEEN = 3  # spheres put between two points of the same body and radius: a capsule's ends
COMPARE_HZ = 10.0


def joint_excess(joint_quat: Tensor, skeleton: Skeleton, limits: Mapping[str, tuple[float, float]]) -> Tensor:
    """How far each joint is outside its limits, ``[T, J]`` radians, 0 inside or without limits.

    A ball: rotation angle minus the cone (the limits' upper number). A hinge: signed angle above the upper or below the lower.

    Args:
        joint_quat: ``[T, J, 4]`` in the skeleton's order. limits: lower and upper by joint name.
    """
    out = joint_quat.new_zeros(joint_quat.shape[:2])
    for k, joint in enumerate(skeleton.joints):
        if joint.name not in limits:
            continue
        low, high = limits[joint.name]
        if joint.kind == "ball":
            out[:, k] = quat_log(joint_quat[:, k]).norm(dim=-1) - high
        else:
            turn = twist_angle(joint_quat[:, k], torch.tensor(joint.axis, dtype=joint_quat.dtype))
            out[:, k] = torch.maximum(turn - high, low - turn)
    return out.clamp_min(0.0)


def foot_skate(skeleton: Skeleton, feet: Sequence[int], body_pos_w: Tensor, body_mat_w: Tensor, fps: float) -> float:
    """Mean horizontal speed in m/s at which feet slide while they rest on the floor (see `motions.contacts`); 0 if none rests for two frames."""
    speeds = [torch.zeros(0, dtype=body_pos_w.dtype)]
    for foot in feet:
        points = sole_points(skeleton, foot, body_pos_w, body_mat_w)
        rests = find_contacts(points, fps)
        speeds.append(slip(points, fps).norm(dim=-1)[rests[1:] & rests[:-1]])
    return float(torch.cat(speeds).mean()) if len(torch.cat(speeds)) else 0.0


def self_penetration(skeleton: Skeleton, body_pos_w: Tensor, body_mat_w: Tensor) -> Tensor:
    """How deep the two most overlapping parts of the body are in each other, ``[T]`` metres.

    Parts are the skeleton's spheres, and `BETWEEN` more on the line between neighbouring ones of equal radius on a body. The depth of a pair is the sum of radii minus the
    distance of centres. Left out are pairs on one body, on a body and its parent, and those that overlap in the rest pose.
    """
    bodies, offsets, radii = _spheres(skeleton)
    rest_pos, rest_mat = skeleton.forward_kinematics(*(v.double() for v in _rest(skeleton)))
    parents = torch.tensor(skeleton.parents)
    a, b = torch.triu_indices(len(bodies), len(bodies), 1)
    apart = (bodies[a] != bodies[b]) & (parents[bodies[a]] != bodies[b]) & (parents[bodies[b]] != bodies[a])

    def depth(pos: Tensor, mat: Tensor) -> Tensor:
        centres = pos[:, bodies] + (mat[:, bodies] @ offsets.unsqueeze(-1)).squeeze(-1)
        return radii[a] + radii[b] - (centres[:, a] - centres[:, b]).norm(dim=-1)

    counts = apart & (depth(rest_pos, rest_mat)[0] <= 0)
    a, b = a[counts], b[counts]
    if not len(a):
        return body_pos_w.new_zeros(len(body_pos_w))
    return torch.cat([depth(p.double(), m.double()).amax(-1) for p, m in zip(body_pos_w.split(256), body_mat_w.split(256), strict=True)]).clamp_min(0.0)


def _spheres(skeleton: Skeleton) -> tuple[Tensor, Tensor, Tensor]:
    """Bodies ``[K]``, offsets ``[K, 3]`` and radii ``[K]`` of the spheres that stand for the geometry."""
    bodies, offsets, radii = skeleton.point_bodies, skeleton.point_offsets.double(), skeleton.point_radii.double()
    pair = ((bodies[1:] == bodies[:-1]) & (radii[1:] == radii[:-1]) & (radii[1:] > 0)).nonzero().flatten()
    inner = [torch.lerp(offsets[pair], offsets[pair + 1], (k + 1) / (BETWEEN + 1)) for k in range(BETWEEN)]
    return torch.cat((bodies, bodies[pair].repeat(BETWEEN))), torch.cat((offsets, *inner)), torch.cat((radii, radii[pair].repeat(BETWEEN)))


def _rest(skeleton: Skeleton) -> tuple[Tensor, Tensor, Tensor]:
    """The rest pose as one frame of root position, root quaternion and joint quaternions."""
    quat = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    return torch.zeros(1, 3), quat, quat.repeat(1, len(skeleton.joints), 1)


def fallen(skeleton: Skeleton, body_pos_w: Tensor, fall_heights: Mapping[str, float]) -> Tensor:
    """Frames ``[T]`` in which the origin of a body in ``fall_heights`` (metres by body name) is below its height."""
    bodies = [skeleton.body_names.index(name) for name in fall_heights]
    return (body_pos_w[:, bodies, 2] < torch.tensor(list(fall_heights.values()), dtype=body_pos_w.dtype)).any(-1)


def spike_count(spikes: Tensor) -> int:
    """How many separate glitches frames ``spikes [T]`` hold: runs of them."""
    return len(runs(spikes))


def clip_distance(a: Clip, b: Clip, skeleton: Skeleton) -> float:
    """How different two clips are: the root mean square over time and joints of the angle in radians between their joint rotations and between their root's tilts, where
    the shorter lies best on the longer. Where a clip is in the world, and which way it heads, does not matter.

    Compared at `COMPARE_HZ`; a clip that is a piece of the other has distance 0.
    """
    short, long = sorted((_sampled(clip, skeleton) for clip in (a, b)), key=len)
    shifts = long.unfold(0, len(short), 1).permute(0, 3, 1, 2)  # [shifts, T, 1 + J, 4]
    cos = (shifts * short).sum(-1).abs().clamp(max=1.0)
    return math.sqrt(float((2 * torch.acos(cos)).square().mean(dim=(1, 2)).min()))


def _sampled(clip: Clip, skeleton: Skeleton) -> Tensor:
    """Joint rotations and root tilt ``[T, 1 + J, 4]`` at `COMPARE_HZ`."""
    _, root, joints = clip.poses_on(skeleton)
    # The tilt: the root's rotation without its turn about the vertical.
    yaw = 0.5 * twist_angle(root, torch.tensor([0.0, 0.0, 1.0], dtype=root.dtype))
    zero = torch.zeros_like(yaw)
    quats = torch.cat((quat_mul(quat_conj(torch.stack((yaw.cos(), zero, zero, yaw.sin()), dim=-1)), root).unsqueeze(1), joints), dim=1)
    frame = (torch.arange(int(clip.duration_s * COMPARE_HZ + 1e-6) + 1) * clip.fps / COMPARE_HZ).clamp(max=clip.num_frames - 1)
    lower = frame.long().clamp(max=clip.num_frames - 2)
    blend = (frame - lower)[:, None, None].to(quats).expand(-1, quats.shape[1], 1)
    return quat_slerp(quats[lower], quats[lower + 1], blend)

"""Motion that needs no solver: resampling, and copying rotations between skeletons that are the same but for names and size.

Shapes: ``T`` frames, ``J`` joints. Quaternions ``wxyz``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from motions.match import Match
from motions.rotations import make_continuous, quat_conj, quat_log, quat_mul, quat_slerp
from motions.skeleton import Skeleton
from motions.source_motion import SourceMotion
from motions.targets import world_quats

SAME_DIRECTION = 1e-4  # 1 - cosine between bones of rest poses that are the same: 0.8 degrees
HINGE_RAD = 0.02  # a source's knee may turn this much about other axes and still be copied to a hinge


def resample(source: SourceMotion, fps: float) -> SourceMotion:
    """The source at another rate, from its first frame on: places along straight lines, rotations along the sphere."""
    last = len(source.root_pos) - 1
    frame = torch.arange(int(last * fps / source.fps + 1e-6) + 1, dtype=torch.float64) * source.fps / fps
    lower = frame.long().clamp_max(max(last - 1, 0))
    upper, blend = (lower + 1).clamp_max(last), (frame - lower)[:, None]

    def line(values: np.ndarray) -> np.ndarray:
        v = torch.from_numpy(values).double().flatten(1)
        return torch.lerp(v[lower], v[upper], blend).reshape(len(frame), *values.shape[1:]).numpy()

    quat = None
    if source.local_quat is not None:
        q = torch.from_numpy(source.local_quat).double()
        quat = quat_slerp(q[lower], q[upper], blend[:, None].expand(-1, q.shape[1], 1)).numpy()
    return replace(source, fps=fps, root_pos=line(source.root_pos), world_pos=line(source.world_pos), local_quat=quat)


def same_skeleton(source: SourceMotion, match: Match, skeleton: Skeleton) -> bool:
    """Whether a source's rest pose is the character's but for names and lengths: every body with a joint is mapped, below the same body, in the same direction."""
    if match.rest_source is None or any(joint.body not in match.joints for joint in skeleton.joints):
        return False
    bodies = {joint: body for body, joint in match.joints.items()}
    for body, above in match.parents.items():
        if above < 0 or body not in match.joints:
            continue
        joint = source.parents[match.joints[body]]
        while joint >= 0 and joint not in bodies:
            joint = source.parents[joint]
        if bodies.get(joint) != above:
            return False
        ours, theirs = match.rest_pos[body] - match.rest_pos[above], match.rest_source[match.joints[body]] - match.rest_source[match.joints[above]]
        if float(ours.norm()) < 1e-6:
            continue  # it lies where the body above it does: no direction to compare
        if float(ours @ theirs) < (1 - SAME_DIRECTION) * float(ours.norm() * theirs.norm()) or float(theirs.norm()) < 1e-6:
            return False
    return True


def copy_rotations(source: SourceMotion, match: Match, skeleton: Skeleton) -> Tensor | None:
    """Joint rotations ``[T, J, 4]`` of the character, copied; None where skeletons differ or a hinge would have to turn about another axis."""
    world = world_quats(source)
    if world is None or match.align is None or not same_skeleton(source, match, skeleton):
        return None
    jointed = {joint.body for joint in skeleton.joints} | {0}
    turned = {body: quat_mul(world[:, joint], match.align.expand(len(world), 4)) for body, joint in match.joints.items()}
    local = []
    for joint in skeleton.joints:
        above = skeleton.parents[joint.body]
        while above not in jointed:
            above = skeleton.parents[above]
        local.append(quat_mul(quat_conj(turned[above]), turned[joint.body]))
    joint_quat = make_continuous(torch.stack(local, dim=1))
    hinged = skeleton.project_hinges(joint_quat)
    lost = quat_log(quat_mul(quat_conj(hinged), joint_quat)).norm(dim=-1)
    return hinged if float(lost.max()) <= HINGE_RAD else None

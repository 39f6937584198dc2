"""Sources for tests of retargeting: a gait within joint limits, and skeletons that differ from the humanoid's in one thing each."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from motions.clip import Clip, make_clip
from motions.rotations import quat_conj, quat_exp, quat_mul, quat_rotate
from motions.skeleton import Skeleton
from motions.source_motion import SourceMotion, from_clip, world_poses

FEET = ("right_foot", "left_foot")


def gait(skeleton: Skeleton, seconds: float = 1.0, fps: float = 30.0, height_m: float = 0.9, heading: float = 0.7) -> Clip:
    """A walk of 1 m/s towards ``heading``: hips, knees, ankles, arms, chest and neck swing; every joint well within its limits."""
    t = np.arange(round(seconds * fps) + 1)[:, None] / fps
    w = 2 * math.pi * t
    turns = {
        "abdomen": w * 0 + 0.1 * np.sin(w) * [[0.3, 0.2, 1.0]],
        "neck": 0.2 * np.sin(w + 1) * [[0.2, 1.0, 0.5]],
    }
    for side, sign in (("right", 1.0), ("left", -1.0)):
        turns |= {
            f"{side}_hip": -0.4 * sign * np.sin(w) * [[0.0, 1.0, 0.0]] + 0.1 * sign * np.cos(w) * [[1.0, 0.0, 0.5]],
            f"{side}_knee": (0.5 - 0.4 * np.cos(w + sign)) * [[0.0, 1.0, 0.0]],
            f"{side}_ankle": 0.2 * np.sin(w + sign) * [[0.1, 1.0, 0.2]],
            f"{side}_shoulder": 0.5 * sign * np.sin(w) * [[0.0, 1.0, 0.0]] + 0.3 * sign * np.array([[1.0, 0.0, 0.0]]),
            f"{side}_elbow": (-0.7 + 0.3 * np.cos(w)) * [[0.0, 1.0, 0.0]],
        }
    along = np.array([[math.cos(heading), math.sin(heading), 0.0]])
    root_turn = heading * np.array([[0.0, 0.0, 1.0]]) + 0 * t
    return make_clip(
        name="gait",
        fps=fps,
        loop="none",
        root_pos=t * along + [[0.0, 0.0, height_m]],
        root_quat=quat_exp(torch.from_numpy(root_turn)).numpy(),
        joint_names=skeleton.joint_names,
        joint_quat=np.stack([quat_exp(torch.from_numpy(turns[name] + 0 * t)).numpy() for name in skeleton.joint_names], axis=1),
        source="formula",
        license="free",
    )


def own(skeleton: Skeleton) -> dict[str, str]:
    """Each body moved by the joint of its name."""
    return {body: body for body in skeleton.body_names}


def resized(source: SourceMotion, factor: float, prefix: str) -> SourceMotion:
    """A larger skeleton with other names."""
    lengths = {field: factor * getattr(source, field) for field in ("offsets", "root_pos", "world_pos")}
    return replace(source, names=tuple(prefix + name for name in source.names), **lengths)


def reframed(source: SourceMotion, turns: dict[str, tuple[float, float, float]]) -> SourceMotion:
    """The same motion of the same joints, with another rest pose: the frame of each named joint is turned by a rotation vector in its own frame."""
    d = torch.zeros(len(source.names), 4, dtype=torch.float64)
    d[:, 0] = 1.0
    for name, turn in turns.items():
        d[source.names.index(name)] = quat_exp(torch.tensor(turn, dtype=torch.float64))
    local, offsets = torch.from_numpy(source.local_quat), torch.from_numpy(source.offsets)
    one = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    above = [d[p] if p >= 0 else one for p in source.parents]
    local = torch.stack([quat_mul(quat_mul(quat_conj(a).expand_as(q), q), b.expand_as(q)) for a, q, b in zip(above, local.unbind(1), d, strict=True)], dim=1)
    offsets = torch.stack([quat_rotate(quat_conj(a), o) for a, o in zip(above, offsets, strict=True)])
    forward = quat_rotate(quat_conj(d[0]), torch.from_numpy(source.forward))
    world = world_poses(source.parents, offsets.numpy(), source.root_pos, local.numpy())[0]
    return replace(source, local_quat=local.numpy(), offsets=offsets.numpy(), world_pos=world, forward=forward.numpy())


def t_pose(source: SourceMotion) -> SourceMotion:
    """The same motion with a rest pose whose arms point sideways."""
    arms = ("upper_arm", "lower_arm", "hand")
    return reframed(source, {f"{side}_{part}": (sign * math.pi / 2, 0.0, 0.0) for side, sign in (("right", 1.0), ("left", -1.0)) for part in arms})


def source_of(skeleton: Skeleton, **arguments) -> SourceMotion:
    return from_clip(gait(skeleton, **arguments), skeleton)

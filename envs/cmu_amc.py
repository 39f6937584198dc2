"""CMU's takes on the character made from CMU's skeleton (``cmu``): the joint angles of an AMC file are those of its joints, so they are copied, not fitted.

dm_control's parser makes of a frame what its CMU humanoid has as ``qpos``: up to three hinges a body. On the character they are one joint, so angles go by way of
orientations: MuJoCo's kinematics of dm_control's model turns each body from its rest orientation, the character's body of the same place in the tree turns as much.

dm_control's model stands y up and faces z; its parser turns that to z up, facing -y; the character faces x. Bones have the character's proportions; `motions.retarget`
scales the root's way to its leg length, as for any source, holds joints within their limits and puts the feet on the floor.

Shapes: ``T`` frames, ``P`` bodies. Quaternions ``wxyz``, metres.
"""

from __future__ import annotations

import functools
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import torch
from torch import Tensor

from envs.adopt import cmu_humanoid
from motions.rotations import make_continuous, quat_conj, quat_log, quat_mul, quat_rotate
from motions.skeleton import Skeleton
from motions.source_motion import SourceMotion, world_poses

FORWARD = torch.tensor([0.5**0.5, 0.0, 0.0, 0.5**0.5], dtype=torch.float64)  # from the parser's world, in which a rest pose faces -y, to ours
AXES = torch.tensor([0.5, 0.5, 0.5, 0.5], dtype=torch.float64)  # from the model's axes (x left, y up, z forward) to the character's
ROOT = ("roottx", "rootty", "roottz", "rootrx", "rootry", "rootrz")
LEG = ("ltibia", "lfoot", "rtibia", "rfoot")  # where thighs and shins end
SAME_RAD, SAME_M = 0.01, 0.01  # by how much dm_control's reading of a take may differ from that on its own skeleton file


def on_character(source: SourceMotion, channels: Mapping[str, np.ndarray], skeleton: Skeleton) -> SourceMotion | None:
    """A take of CMU's as a motion on the character's skeleton, in the size of the person recorded: joint rotations are copied from it as they are.

    Args:
        source: the take on its own skeleton file. channels: its numbers, ``[T]`` each (`motions.formats.asfamc.channels`). skeleton: of the character ``cmu``.

    Returns:
        None where the file's bones, axes or unit are not those of dm_control's humanoid, or it was read with another way up or ahead.
    """
    if set(channels) != set(_channel_names()):
        return None
    root_pos, local = to_character(read_qpos(channels), skeleton)
    names = [_model().body(k + 1).name for k in range(len(skeleton.parents))]
    shared = [k for k, name in enumerate(names) if name in source.names]
    theirs = torch.from_numpy(np.asarray(source.local_quat)[:, [source.names.index(names[k]) for k in shared]])
    off = quat_log(quat_mul(quat_conj(local[:, shared]), theirs)).norm(dim=-1)
    if float(off.max()) > SAME_RAD or np.abs(root_pos - source.root_pos).max() > SAME_M:
        return None
    offsets = skeleton.offsets.double().numpy().copy()
    offsets[0] = 0.0
    offsets *= sum(np.linalg.norm(source.offsets[source.names.index(end)]) for end in LEG) / sum(np.linalg.norm(offsets[names.index(end)]) for end in LEG)
    return replace(
        source,
        names=skeleton.body_names,
        parents=skeleton.parents,
        offsets=offsets,
        root_pos=root_pos,
        local_quat=local.numpy(),
        world_pos=world_poses(skeleton.parents, offsets, root_pos, local.numpy())[0],
        notes=(*source.notes, "joint angles: read by dm_control's parser and copied"),
    )


def read_qpos(channels: Mapping[str, np.ndarray]) -> np.ndarray:
    """Positions ``[T, 7 + hinges]`` of dm_control's humanoid (root place and orientation, then hinges in radians) from channels ``[T]`` in degrees and CMU's unit.

    dm_control's parser trusts a file: that frames count from 1, bones come in its order, no line is empty. So it is given one that is so.
    """
    parser, model = _parser(), _model()
    rows = np.stack([channels[name] for name in _channel_names()], axis=1).tolist()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "take.amc"
        path.write_text("".join(f"{k}\nall {' '.join(map(repr, row))}\n" for k, row in enumerate(rows, start=1)), encoding="utf-8")
        frames = parser.parse(str(path))
    places = {k: f"root{k}" for k in range(7)} | {7 + int(model.jnt_qposadr[j]): model.joint(j).name for j in range(model.njnt)}
    convert = parser.Amcvals2qpos(places, parser._CMU_MOCAP_JOINT_ORDER)
    return np.stack([convert(frame) for frame in frames])


def to_character(qpos: np.ndarray, skeleton: Skeleton) -> tuple[np.ndarray, Tensor]:
    """Root places ``[T, 3]`` and rotations ``[T, P, 4]`` of the character's bodies to their parents (the root's to the world) at dm_control's ``qpos [T, 7 + hinges]``."""
    model = _model()
    data = mujoco.MjData(model)
    turned = np.empty((len(qpos) + 1, len(skeleton.parents), 4))  # the rest pose, then each frame
    for k, hinges in enumerate((model.qpos0, *qpos[:, 7:])):
        data.qpos[:] = hinges
        mujoco.mj_kinematics(model, data)
        turned[k] = data.xquat[1:]  # bodies of the character are the model's in the same order
    quat = torch.from_numpy(turned)
    world = quat_mul(quat_mul(AXES, quat_mul(quat[1:], quat_conj(quat[:1]))), quat_conj(AXES))  # of each body, beside the root's
    local = torch.stack([quat_mul(quat_conj(world[:, max(above, 0)]), world[:, k]) for k, above in enumerate(skeleton.parents)], dim=1)
    local[:, 0] = quat_mul(quat_mul(FORWARD, torch.from_numpy(qpos[:, 3:7])), quat_conj(AXES))
    return quat_rotate(FORWARD.expand(len(qpos), 4), torch.from_numpy(qpos[:, :3])).numpy(), make_continuous(local)


@functools.cache
def _model() -> mujoco.MjModel:
    """dm_control's humanoid, held at its root."""
    return mujoco.MjModel.from_xml_string(cmu_humanoid())


def _parser() -> Any:
    """dm_control's module for AMC files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no display
        from dm_control.suite.utils import parse_amc
    return parse_amc


def _channel_names() -> tuple[str, ...]:
    """Channels of a frame in the order in which dm_control's parser takes them."""
    return *ROOT, *_parser()._CMU_MOCAP_JOINT_ORDER[len(ROOT) :]

"""MimicKit ``.pkl``: a pickled dictionary with exponential maps on the AMP humanoid whose arms rest in a T.

A frame is root position, root rotation vector, then by joint a rotation vector (balls) or an angle (knees, elbows). z-up, x forward, metres.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from motions.clip import Clip, make_clip
from motions.formats.files import numbers, read_pickle
from motions.rotations import axis_angle_quat, quat_exp, quat_mul

BALL, HINGE = 3, 1
JOINTS = {
    "abdomen": BALL,
    "neck": BALL,
    "right_shoulder": BALL,
    "right_elbow": HINGE,
    "left_shoulder": BALL,
    "left_elbow": HINGE,
    "right_hip": BALL,
    "right_knee": HINGE,
    "right_ankle": BALL,
    "left_hip": BALL,
    "left_knee": HINGE,
    "left_ankle": BALL,
}
FRAME_SIZE = 6 + sum(JOINTS.values())
# our hinges turn about +y with elbows bending at negative angles; in the T-pose model they turn about z, outward on the right
_HINGE_SIGN = {"right_elbow": -1.0, "left_elbow": 1.0, "right_knee": 1.0, "left_knee": 1.0}
_ARM_TURN = {"right_shoulder": -np.pi / 2, "left_shoulder": np.pi / 2}  # about x, from arms out to arms down


def load(path: str | Path, name: str = "", source: str = "", license: str = "") -> Clip:
    """Reads a MimicKit motion of the 28-degree humanoid; no retargeting is needed.

    Raises:
        ValueError: unreadable, a pickle that holds more than arrays and plain containers, or frames of another character; names file and field.
    """
    path = Path(path)
    data = read_pickle(path, "a MimicKit motion")
    if not isinstance(data, dict):
        raise ValueError(f"{path}: content: got {type(data).__name__}; expected a dictionary with frames, fps and loop_mode")
    frames, fps = numbers(path, data, "frames", (None, None)), float(numbers(path, data, "fps", ()))
    if frames.shape[1] != FRAME_SIZE:
        raise ValueError(f"{path}: frames: got {frames.shape[1]} values a frame; expected {FRAME_SIZE}, those of MimicKit's humanoid")
    loop = data.get("loop_mode", 0)
    mode = loop if isinstance(loop, int | np.integer) else getattr(loop, "value", None)
    if mode not in (0, 1):
        raise ValueError(f"{path}: loop_mode: got {loop!r}; expected 0 (stop) or 1 (wrap)")
    quats, column = [], 6
    for joint, width in JOINTS.items():
        value = torch.from_numpy(frames[:, column : column + width])
        column += width
        quat = quat_exp(value) if width == BALL else axis_angle_quat(value.new_tensor([0.0, 1.0, 0.0]), _HINGE_SIGN[joint] * value[:, 0])
        if joint in _ARM_TURN:
            quat = quat_mul(quat, axis_angle_quat(value.new_tensor([1.0, 0.0, 0.0]), value.new_tensor(_ARM_TURN[joint])))
        quats.append(quat.numpy())
    return make_clip(
        name=name or path.stem.removeprefix("humanoid_"),
        fps=fps,
        loop="wrap" if mode == 1 else "none",
        root_pos=frames[:, :3],
        root_quat=quat_exp(torch.from_numpy(frames[:, 3:6])).numpy(),
        joint_names=tuple(JOINTS),
        joint_quat=np.stack(quats, axis=1),
        source=source or path.name,
        license=license,
        where=str(path),
    )

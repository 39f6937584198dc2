"""DeepMimic ``.txt``: JSON with 44 numbers a frame, on the skeleton that the suite's humanoid shares.

A frame is its duration, root position, root quaternion, then chest, neck, right hip, right knee, right ankle, right shoulder, right elbow and the left side alike;
quaternions are ``wxyz``, knees and elbows single angles about +z. The format is y-up with x forward; ours is z-up, so ``(x, y, z) -> (x, -z, y)``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from motions.clip import Clip, make_clip
from motions.formats.files import read_json
from motions.rotations import quat_slerp

FRAME_SIZE, MAX_NUMBER = 44, 10**300
# joint -> first column; knees and elbows hold one angle, the others a quaternion
_COLUMNS = {
    "abdomen": 8,
    "neck": 12,
    "right_shoulder": 25,
    "right_elbow": 29,
    "left_shoulder": 39,
    "left_elbow": 43,
    "right_hip": 16,
    "right_knee": 20,
    "right_ankle": 21,
    "left_hip": 30,
    "left_knee": 34,
    "left_ankle": 35,
}
_HINGES = ("right_elbow", "left_elbow", "right_knee", "left_knee")


def load(path: str | Path, name: str = "", source: str = "", license: str = "") -> Clip:
    """Reads a DeepMimic motion file.

    Raises:
        ValueError: not JSON, no frames, a row that is not 44 numbers long, or a duration that is not positive; the message names file and frame.
    """
    path = Path(path)
    try:
        data = read_json(path, "a DeepMimic motion file")
        rows = data["Frames"]
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{path}: not a DeepMimic motion file: {type(error).__name__} {error}; expected JSON with a list 'Frames'") from None
    if not isinstance(rows, list) or len(rows) < 2:
        raise ValueError(f"{path}: Frames: got {len(rows) if isinstance(rows, list) else type(rows).__name__}; expected a list of at least 2 frames")
    for k, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != FRAME_SIZE or not all(isinstance(v, float) or (isinstance(v, int) and abs(v) < MAX_NUMBER) for v in row):
            size = len(row) if isinstance(row, list) else type(row).__name__
            raise ValueError(f"{path}: frame {k}: got {size} values; expected {FRAME_SIZE} numbers")
    frames = np.asarray(rows, dtype=np.float64)
    steps = frames[:-1, 0]  # the last frame's duration is not used by the format
    bad = ~(np.isfinite(steps) & (steps > 0))
    if bad.any():
        raise ValueError(f"{path}: frame {int(bad.argmax())}: duration: got {steps[bad.argmax()]:g}; expected seconds > 0")
    fps = 1.0 / float(np.median(steps))

    def vector(v: np.ndarray) -> np.ndarray:
        return np.stack((v[:, 0], -v[:, 2], v[:, 1]), axis=-1)

    def quat(q: np.ndarray) -> np.ndarray:
        return np.stack((q[:, 0], q[:, 1], -q[:, 3], q[:, 2]), axis=-1)

    joints = []
    for joint, column in _COLUMNS.items():
        if joint in _HINGES:  # about +z there is about -y here
            half = -0.5 * frames[:, column]
            zero = np.zeros_like(half)
            joints.append(np.stack((np.cos(half), zero, np.sin(half), zero), axis=-1))
        else:
            joints.append(quat(frames[:, column : column + 4]))
    clip = make_clip(
        name=name or path.stem.removeprefix("humanoid3d_"),
        fps=fps,
        loop="wrap" if data.get("Loop") == "wrap" else "none",
        root_pos=vector(frames[:, 1:4]),
        root_quat=quat(frames[:, 4:8]),
        joint_names=tuple(_COLUMNS),
        joint_quat=np.stack(joints, axis=1),
        source=source or str(path.name),
        license=license,
        where=str(path),
    )
    return clip if np.ptp(steps) < 1e-3 * steps.mean() else _resample(clip, np.concatenate(([0.0], steps.cumsum())))


def _resample(clip: Clip, times: np.ndarray) -> Clip:
    """The clip at a constant rate near its own, both ends kept, from frames at uneven ``times [T]`` in seconds."""
    steps = max(1, round(times[-1] * clip.fps))
    grid = np.linspace(0.0, times[-1], steps + 1)
    right = np.clip(np.searchsorted(times, grid, side="right"), 1, len(times) - 1)
    blend = ((grid - times[right - 1]) / (times[right] - times[right - 1]))[:, None]

    def slerp(q: np.ndarray, b: np.ndarray) -> np.ndarray:
        return quat_slerp(torch.from_numpy(q[right - 1]), torch.from_numpy(q[right]), torch.from_numpy(b)).numpy()

    return make_clip(
        name=clip.name,
        fps=steps / times[-1],
        loop=clip.loop,
        root_pos=clip.root_pos[right - 1] * (1 - blend) + clip.root_pos[right] * blend,
        root_quat=slerp(clip.root_quat, blend),
        joint_names=clip.joint_names,
        joint_quat=slerp(clip.joint_quat, blend[:, None]),
        source=clip.source,
        license=clip.license,
    )

"""Poselib ``.npy``: a pickled dictionary with local rotations ``xyzw`` and a root translation, z-up, on the 15 bodies of the AMP humanoid.

The pickle is read by `motions.formats.files`, which rebuilds arrays and plain containers and refuses everything else before it is called.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from motions.check import drop_duplicate_frames
from motions.clip import Clip, make_clip
from motions.formats.files import NoMotionError, read_npy

log = logging.getLogger(__name__)

# body -> the joint that carries it; hands have none
_JOINTS = {
    "torso": "abdomen",
    "head": "neck",
    "right_upper_arm": "right_shoulder",
    "right_lower_arm": "right_elbow",
    "left_upper_arm": "left_shoulder",
    "left_lower_arm": "left_elbow",
    "right_thigh": "right_hip",
    "right_shin": "right_knee",
    "right_foot": "right_ankle",
    "left_thigh": "left_hip",
    "left_shin": "left_knee",
    "left_foot": "left_ankle",
}
_WRISTS = {"right_hand": "right_wrist", "left_hand": "left_wrist"}  # only where they move, as in armed characters
_MOVES_RAD = 1e-3


def load(path: str | Path, name: str = "", source: str = "", license: str = "") -> Clip:
    """Reads a poselib motion. Where every second frame is a copy, as in files written at twice the recorded rate, copies are dropped and the rate is halved;
    that is logged and noted in the clip's source.

    Raises:
        ValueError: missing or broken file, a pickle that holds more than arrays, no motion, or a body that is not there; the message names file and field.
    """
    path = Path(path)
    data = read_npy(path, "a poselib motion")
    if isinstance(data, np.ndarray):
        raise ValueError(f"{path}: not a poselib motion: got an array {data.shape} of {data.dtype}; expected one pickled object")
    kind = data.get("__name__") if isinstance(data, dict) else type(data).__name__
    if kind in ("SkeletonState", "SkeletonTree"):
        raise NoMotionError(f"{path}: content: got {kind}, a single pose; expected a SkeletonMotion")
    if kind != "SkeletonMotion":
        raise ValueError(f"{path}: content: got {kind}; expected a SkeletonMotion")
    try:
        rotation, root_pos, fps = (np.asarray(v) for v in (data["rotation"]["arr"], data["root_translation"]["arr"], data["fps"]))
        bodies, is_local = [str(n) for n in data["skeleton_tree"]["node_names"]], bool(data["is_local"])
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{path}: field {error} is missing; expected rotation.arr, root_translation.arr, skeleton_tree.node_names, is_local, fps") from None
    if not is_local:
        raise ValueError(f"{path}: is_local: got False; expected rotations relative to the parent body")
    missing = [body for body in _JOINTS if body not in bodies]
    if missing:
        raise ValueError(f"{path}: body {missing[0]} is missing; expected the AMP humanoid's. Available: {', '.join(bodies)}")
    if rotation.ndim != 3 or rotation.shape[1:] != (len(bodies), 4) or rotation.dtype.kind != "f":
        raise ValueError(f"{path}: rotation: got shape {rotation.shape} of {rotation.dtype}; expected [T, {len(bodies)}, 4] of floats")
    if fps.size != 1 or fps.dtype.kind not in "fiu":
        raise ValueError(f"{path}: fps: got {fps.tolist()!r}; expected one number")
    quats = rotation[..., [3, 0, 1, 2]]
    moving = [hand for hand in _WRISTS if hand in bodies and np.abs(quats[:, bodies.index(hand), 1:]).max() > _MOVES_RAD / 2]
    carriers = _JOINTS | {hand: _WRISTS[hand] for hand in moving}
    clip = make_clip(
        name=name or path.stem.removeprefix("amp_humanoid_"),
        fps=float(fps),
        loop="none",
        root_pos=root_pos,
        root_quat=quats[:, 0],
        joint_names=tuple(carriers.values()),
        joint_quat=quats[:, [bodies.index(body) for body in carriers]],
        source=source or path.name,
        license=license,
        where=str(path),
    )
    halved = drop_duplicate_frames(clip)
    if halved.num_frames == clip.num_frames:
        return clip
    note = f"copied frames dropped, {clip.fps:g} -> {halved.fps:g} Hz"
    log.warning("clip %s: every second frame repeats the one before: %s", clip.name, note)
    return replace(halved, source=f"{halved.source} ({note})")

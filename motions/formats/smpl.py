"""SMPL, SMPL-H and SMPL-X motions as AMASS stores them: ``.npz`` with axis-angle rotations.

Of ``poses [T, 66+]`` (or ``root_orient [T, 3]`` and ``pose_body [T, 63]``) the root and the 21 body joints are read. The body model is licensed and not needed: joint
places are those of a typical adult, from the table below. The rest pose is a T, x left, y up, z forward; AMASS's world is z-up, other collections' y-up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from motions.formats.files import numbers, read_npz
from motions.formats.orient import Raw, normalise
from motions.rotations import quat_exp
from motions.source_motion import SourceMotion

# joint: parent, place in the parent's frame in metres (x left, y up, z forward); our own figures for an adult of 1.70 m
JOINTS: dict[str, tuple[str, tuple[float, float, float]]] = {
    "pelvis": ("", (0.0, 0.0, 0.0)),
    "left_hip": ("pelvis", (0.065, -0.085, 0.0)),
    "right_hip": ("pelvis", (-0.065, -0.085, 0.0)),
    "spine1": ("pelvis", (0.0, 0.115, -0.025)),
    "left_knee": ("left_hip", (0.04, -0.38, 0.0)),
    "right_knee": ("right_hip", (-0.04, -0.38, 0.0)),
    "spine2": ("spine1", (0.0, 0.135, 0.0)),
    "left_ankle": ("left_knee", (-0.015, -0.4, -0.04)),
    "right_ankle": ("right_knee", (0.015, -0.4, -0.04)),
    "spine3": ("spine2", (0.0, 0.055, 0.03)),
    "left_foot": ("left_ankle", (0.04, -0.055, 0.125)),
    "right_foot": ("right_ankle", (-0.04, -0.055, 0.125)),
    "neck": ("spine3", (0.0, 0.21, -0.04)),
    "left_collar": ("spine3", (0.08, 0.115, -0.02)),
    "right_collar": ("spine3", (-0.08, 0.115, -0.02)),
    "head": ("neck", (0.0, 0.085, 0.05)),
    "left_shoulder": ("left_collar", (0.1, 0.04, -0.015)),
    "right_shoulder": ("right_collar", (-0.1, 0.04, -0.015)),
    "left_elbow": ("left_shoulder", (0.26, 0.0, -0.02)),
    "right_elbow": ("right_shoulder", (-0.26, 0.0, -0.02)),
    "left_wrist": ("left_elbow", (0.255, 0.0, 0.0)),
    "right_wrist": ("right_elbow", (-0.255, 0.0, 0.0)),
}
RATES = ("mocap_framerate", "mocap_frame_rate", "fps", "frame_rate")


def looks_like(data: dict[str, Any]) -> bool:
    return ("poses" in data or {"root_orient", "pose_body"} <= data.keys()) and "trans" in data


def load(path: str | Path, name: str = "", source: str = "", license: str = "", up: str = "", scale: float = 0.0, forward: str = "", fps: float = 0.0) -> SourceMotion:
    """Reads an AMASS-like file.

    Args:
        up, forward, scale: as for `motions.formats.bvh.load`; ``scale`` multiplies positions and the skeleton's size alike.
        fps: frames a second, for a file that does not say.

    Raises:
        ValueError: unreadable, a field that is missing or of the wrong shape; names file and field.
    """
    path = Path(path)
    data = read_npz(path, "an SMPL motion")
    if not looks_like(data):
        raise ValueError(f"{path}: not an SMPL motion: expected fields poses (or root_orient and pose_body) and trans. Available: {', '.join(data) or 'none'}")
    names = list(JOINTS)
    if "poses" in data:
        poses = numbers(path, data, "poses", (None, None))
    else:
        poses = np.concatenate((numbers(path, data, "root_orient", (None, 3)), numbers(path, data, "pose_body", (None, 63))), axis=1)
    if poses.shape[1] < 3 * len(names):
        raise ValueError(f"{path}: poses: got {poses.shape[1]} values a frame; expected at least {3 * len(names)} (root and 21 body joints, axis-angle)")
    trans = numbers(path, data, "trans", (len(poses), 3))
    said = next((key for key in RATES if key in data), None)
    if said is None and not fps:
        raise ValueError(f"{path}: rate: not in the file; expected one of {', '.join(RATES)}, or fps given. Available: {', '.join(data)}")
    rate = fps or float(numbers(path, data, str(said), ()))
    if not np.isfinite(poses).all():
        raise ValueError(f"{path}: poses: frame {int((~np.isfinite(poses).all(1)).argmax())} holds NaN or infinity; expected finite numbers")
    local = quat_exp(torch.from_numpy(poses[:, : 3 * len(names)].reshape(len(poses), len(names), 3))).numpy()
    kind = {156: "SMPL-H", 165: "SMPL-X", 72: "SMPL"}.get(poses.shape[1], "SMPL body")
    notes = (f"skeleton: {kind}; joint places of a typical adult, the file's shape coefficients are not used", f"rate: {rate:g} Hz ({said if not fps else 'given'})")
    offsets = np.array([JOINTS[n][1] for n in names])
    parents = [names.index(JOINTS[n][0]) if JOINTS[n][0] else -1 for n in names]
    raw = Raw(name or path.stem, names, parents, offsets, rate, trans, local, None, notes, source or path.name, license, usual_up="z")
    return normalise(raw, up, scale, forward, known_scale=1.0)

"""BeyondMimic, mjlab and holosoma ``.npz``: a robot's joints and the world poses of its bodies (``body_pos_w``, ``body_quat_w`` wxyz), z up.

Files often leave out the bodies' names; those of a Unitree G1 are known by their number.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from motions.formats.files import numbers, read_npz, strings
from motions.formats.robot import body_motion
from motions.source_motion import SourceMotion

_LEG = ("hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll")
_ARM = ("shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow", "wrist_roll", "wrist_pitch", "wrist_yaw")
G1 = (
    "pelvis",
    *(f"{side}_{part}_link" for side in ("left", "right") for part in _LEG),
    *("waist_yaw_link", "waist_roll_link", "torso_link"),
    *(f"{side}_{part}_link" for side in ("left", "right") for part in _ARM),
)  # in the order of the MJCF, as mjlab has them


def looks_like(data: dict[str, Any]) -> bool:
    return "body_pos_w" in data and "body_quat_w" in data


def load(path: str | Path, name: str = "", source: str = "", license: str = "", up: str = "", scale: float = 0.0, forward: str = "", names: tuple[str, ...] = ()) -> SourceMotion:
    """Reads a tracking reference of a robot.

    Args:
        up, forward, scale: as for `motions.formats.bvh.load`. names: the bodies, for a file that leaves them out.

    Raises:
        ValueError: unreadable, a field that is missing or of the wrong shape; names file and field.
    """
    path = Path(path)
    data = read_npz(path, "a BeyondMimic motion")
    if not looks_like(data):
        raise ValueError(f"{path}: not a BeyondMimic motion: expected fields body_pos_w and body_quat_w. Available: {', '.join(data) or 'none'}")
    pos, quat = numbers(path, data, "body_pos_w", (None, None, 3)), numbers(path, data, "body_quat_w", (None, None, 4))
    fps = float(numbers(path, data, "fps", ()))
    if names or "body_names" in data:
        bodies, note = list(names or strings(path, data, "body_names")), "given" if names else "body_names"
    elif pos.shape[1] == len(G1):
        bodies, note = list(G1), "not in the file; taken as a Unitree G1's in the order of its MJCF, check the pictures"
    else:
        bodies, note = [f"body_{k}" for k in range(pos.shape[1])], "not in the file"
    notes = (f"rate: {fps:g} Hz (fps)", f"bodies: {pos.shape[1]}, names {note}")
    if len(bodies) == pos.shape[1] + 1 and bodies[0] == "world":
        bodies = bodies[1:]
    return body_motion(str(path), bodies, pos, quat, fps, notes, (name or path.stem, source or path.name, license), (up, scale, forward))

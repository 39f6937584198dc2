"""loco-mujoco ``.npz``: a trajectory of a MuJoCo model, flat, with the world poses of its bodies (``xpos``, ``xquat`` wxyz)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from motions.formats.files import numbers, read_npz, strings
from motions.formats.robot import body_motion
from motions.formats.takes import choose_take
from motions.source_motion import SourceMotion


def looks_like(data: dict[str, Any]) -> bool:
    return "qpos" in data and "split_points" in data


def load(path: str | Path, name: str = "", source: str = "", license: str = "", up: str = "", scale: float = 0.0, forward: str = "", take: str = "") -> SourceMotion:
    """Reads one take of a loco-mujoco trajectory file.

    Args:
        up, forward, scale: as for `motions.formats.bvh.load`. take: number of one of several, from 0 on.

    Raises:
        ValueError: unreadable, a field that is missing or of the wrong shape, or no such take; names file and field.
    """
    path = Path(path)
    data = read_npz(path, "a loco-mujoco trajectory")
    if not looks_like(data):
        raise ValueError(f"{path}: not a loco-mujoco trajectory: expected fields qpos and split_points. Available: {', '.join(data) or 'none'}")
    if not np.size(data.get("xpos", ())) or not np.size(data.get("xquat", ())):
        raise ValueError(f"{path}: xpos: empty or missing; expected world poses of the bodies: let loco-mujoco extend the trajectory before saving. Available: {', '.join(data)}")
    pos, quat = numbers(path, data, "xpos", (None, None, 3)), numbers(path, data, "xquat", (None, None, 4))
    names, fps = strings(path, data, "body_names"), float(numbers(path, data, "frequency", ()))
    given = numbers(path, data, "split_points", (None,))
    splits = np.where(np.abs(given) < len(pos) + 1, given, -1).astype(int)
    if len(splits) < 2 or (np.diff(splits) < 0).any() or splits[0] < 0 or splits[-1] > len(pos):
        raise ValueError(f"{path}: split_points: got {given[:6].tolist()} of {len(pos)} frames; expected at least two rising ones")
    chosen = choose_take(path, take, [str(k) for k in range(len(splits) - 1)])
    notes = [f"rate: {fps:g} Hz (frequency)"]
    if len(splits) > 2:
        notes.append(f"takes: {len(splits) - 1} in the file; take {chosen} is read")
    part, bodies = slice(splits[chosen], splits[chosen + 1]), slice(None)
    if names and names[0] == "world" and pos.shape[1:2] == quat.shape[1:2] == (len(names),):
        names, bodies = names[1:], slice(1, None)
    return body_motion(str(path), names, pos[part, bodies], quat[part, bodies], fps, tuple(notes), (name or path.stem, source or path.name, license), (up, scale, forward))

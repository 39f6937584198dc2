"""Key points without orientations: ``.npy [T, K, 3]``, ``.npz`` with points and names, and MuJoCo MPC's keyframe ``.xml``.

Names of an ``.npy`` stand in ``<stem>.json`` or ``joint_names.json`` beside it, as a list or as ``{"names": [...], "fps": 30}``. Which point hangs on which is found
from the distances that stay constant.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np

from motions.formats.files import numbers, read_json, read_npy, read_npz, read_text, strings
from motions.formats.orient import MAX_JOINTS, Raw, normalise
from motions.skeleton_map import guess_map
from motions.source_motion import SourceMotion

DEFAULT_FPS, MJPC_FPS, HOLOSOMA_FPS = 30.0, 30.0, 120.0
MJPC = ("pelvis", "head", "ltoe", "rtoe", "lheel", "rheel", "lknee", "rknee", "lhand", "rhand", "lelbow", "relbow", "lshoulder", "rshoulder", "lhip", "rhip")
ANKLE_SHARE = 0.25  # of the way from heel to toe
HOLOSOMA_POINTS = ("LeftFootMod", "RightFootMod")  # names that only its climbing takes have
POINT_FIELDS = ("positions", "keypoints", "joints", "points")


def looks_like(data: dict[str, Any]) -> bool:
    return any(field in data and np.ndim(data[field]) == 3 for field in POINT_FIELDS)


def load(path: str | Path, name: str = "", source: str = "", license: str = "", up: str = "", scale: float = 0.0, forward: str = "", fps: float = 0.0) -> SourceMotion:
    """Reads key points.

    Args:
        up, forward, scale: as for `motions.formats.bvh.load`. fps: frames a second, where the file does not say.

    Raises:
        ValueError: unreadable, a field that is missing or of the wrong shape, or names that are not one a point; names file and field.
    """
    path = Path(path)
    if path.suffix.lower() == ".xml":
        names, points, said = _mjpc(path)
    elif path.suffix.lower() == ".npz":
        names, points, said = _npz(path)
    else:
        names, points, said = _npy(path)
    if points.ndim != 3 or points.shape[2] != 3 or points.shape[1] != len(names) or not 2 <= len(names) <= MAX_JOINTS or len(set(names)) < len(names):
        raise ValueError(f"{path}: points: got shape {points.shape} and {len(set(names))} different names; expected [T, K, 3] and K names, K from 2 to {MAX_JOINTS}")
    rate, why = (
        (fps, "given") if fps else (said, "the format's") if said else (HOLOSOMA_FPS, "holosoma's takes") if set(HOLOSOMA_POINTS) <= set(names) else (DEFAULT_FPS, "assumed")
    )
    return from_points(str(path), names, points, rate, (f"rate: {rate:g} Hz ({why})",), (name or path.stem, source or path.name, license), (up, scale, forward))


def from_points(
    where: str, names: list[str], points: np.ndarray, fps: float, notes: tuple[str, ...], labels: tuple[str, str, str], turn: tuple[str, float, str], known_scale: float = 0.0
) -> SourceMotion:
    """A `SourceMotion` of named points ``[T, K, 3]``; labels: name, source, license; turn: the arguments up, scale, forward."""
    if len(points) < 2:
        raise ValueError(f"{where}: points: got {len(points)} frames; expected at least 2")
    bad = ~np.isfinite(points).all((1, 2))
    if bad.any():
        raise ValueError(f"{where}: points: frame {int(bad.argmax())} holds NaN or infinity; expected finite numbers")
    first = guess_map(names).get("pelvis", names[0])
    order, parents = point_tree(points, names.index(first))
    points = points[:, order]
    raw = Raw(
        labels[0],
        [names[k] for k in order],
        parents,
        np.zeros(points.shape[1:]),
        fps,
        points[:, 0],
        None,
        points,
        (*notes, "key points: no orientations"),
        labels[1],
        labels[2],
        default_up="z",
    )
    return normalise(raw, *turn, known_scale=known_scale)


def point_tree(points: np.ndarray, root: int) -> tuple[list[int], list[int]]:
    """An order of the points ``[T, K, 3]`` with parents first, and each one's parent in that order: the tree whose edges change least in length and are short."""
    some = points[np.unique(np.linspace(0, len(points) - 1, 60).round().astype(int))]
    length = np.linalg.norm(some[:, :, None] - some[:, None], axis=-1)
    cost = 25 * length.std(0) + length.mean(0)
    order, parents = [root], [-1]
    while len(order) < points.shape[1]:
        rest = [k for k in range(points.shape[1]) if k not in order]
        part = cost[np.ix_(order, rest)]
        row, column = divmod(int(part.argmin()), len(rest))
        order.append(rest[column])
        parents.append(row)
    return order, parents


def _npy(path: Path) -> tuple[list[str], np.ndarray, float]:
    """Names, points and rate (0: not said) of an array file and the names beside it."""
    points = numbers(path, {"points": read_npy(path, "key points")}, "points", (None, None, 3))
    beside = next((p for p in (path.with_suffix(".json"), path.with_name("joint_names.json")) if p.is_file()), None)
    if beside is None:
        raise ValueError(f"{path}: names of {points.shape[1]} points: not found; expected a list in {path.stem}.json or joint_names.json beside it")
    data = read_json(beside, "a list of names")
    data = {"names": data} if isinstance(data, list) else data
    if not isinstance(data, dict):
        raise ValueError(f"{beside}: got {type(data).__name__}; expected a list of names, or names and fps")
    return strings(beside, data, "names"), points, float(numbers(beside, data, "fps", ())) if "fps" in data else 0.0


def _npz(path: Path) -> tuple[list[str], np.ndarray, float]:
    data = read_npz(path, "key points")
    field = next((f for f in POINT_FIELDS if f in data), None)
    if field is None:
        raise ValueError(f"{path}: not key points: expected one of {', '.join(POINT_FIELDS)}. Available: {', '.join(data) or 'none'}")
    names = next((f for f in ("names", "joint_names", "labels") if f in data), "names")
    return strings(path, data, names), numbers(path, data, field, (None, None, 3)), float(numbers(path, data, "fps", ())) if "fps" in data else 0.0


def _mjpc(path: Path) -> tuple[list[str], np.ndarray, float]:
    """The 16 points of a keyframe file, and ankles between heel and toe."""
    text = read_text(path, "a keyframe file")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError(f"{path}: not a keyframe file: got a document type; expected plain MJCF")
    try:
        keys = [key.get("mpos", "") for key in ElementTree.fromstring(text).iter("key")]
        rows = [np.array(key.split(), dtype=np.float64) for key in keys if key]
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"{path}: not a keyframe file: {error}; expected MJCF with <key mpos='48 numbers'/>") from None
    wrong = next((k for k, row in enumerate(rows) if len(row) != 3 * len(MJPC)), None)
    if not rows or wrong is not None:
        got = "no key with mpos" if wrong is None else f"{len(rows[wrong])} values in frame {wrong}"
        raise ValueError(f"{path}: not a keyframe file: got {got}; expected {3 * len(MJPC)} numbers, those of {', '.join(MJPC)}")
    points = np.stack(rows).reshape(len(rows), len(MJPC), 3)
    at = {name: points[:, k] for k, name in enumerate(MJPC)}
    ankles = [at[f"{s}heel"] + ANKLE_SHARE * (at[f"{s}toe"] - at[f"{s}heel"]) for s in "lr"]
    return [*MJPC, "lankle", "rankle"], np.concatenate((points, np.stack(ankles, axis=1)), axis=1), MJPC_FPS

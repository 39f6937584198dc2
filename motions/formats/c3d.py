"""C3D: marker trajectories, read by ezc3d. Where the markers are Plug-in Gait's, joint centres are made of them; any other labels pass as key points.

Joint centres are simple and documented estimates: hips by Bell's shares of the pelvis' width (30 % down, 14 % inward, 22 % back from the front markers), knees, ankles,
elbows and wrists at the marker or the middle of its pair, moved inward by half a typical joint width where there is only an outer marker.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np

from motions.formats.files import check_size
from motions.formats.keypoints import from_points
from motions.source_motion import SourceMotion

UNITS = {"mm": 0.001, "cm": 0.01, "m": 1.0, "in": 0.0254}
NEEDED = ("LASI", "RASI", "LKNE", "RKNE", "LANK", "RANK", "LSHO", "RSHO", "LELB", "RELB")
HALF_WIDTH_M = {"KNE": 0.05, "ANK": 0.035, "ELB": 0.04, "SHO": 0.0, "WR": 0.03}
TIMEOUT_S = 120  # by the clock; processor time and memory are limited below, by the file's size
MAX_GAP_SHARE = 0.5  # of the frames in which a marker may be lost
_CHILD = """
import io, os, resource, sys
def within(kind, value):
    top = resource.getrlimit(kind)[1]
    return value if top == resource.RLIM_INFINITY else min(value, top)
resource.setrlimit(resource.RLIMIT_CPU, (within(resource.RLIMIT_CPU, 20), resource.getrlimit(resource.RLIMIT_CPU)[1]))
import ezc3d, numpy as np
size, base = os.path.getsize(sys.argv[1]), int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
seconds, memory = 2 + int(resource.getrusage(resource.RUSAGE_SELF).ru_utime) + size // 2**20, base + 2**29 + 16 * size
for kind, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory)):
    resource.setrlimit(kind, (within(kind, most), within(kind, most)))
try:
    data = ezc3d.c3d(sys.argv[1])
    about, points = data["parameters"]["POINT"], data["data"]["points"]
    texts = {key: np.array([str(v).strip() for v in about.get(name, {}).get("value", [])], dtype=np.str_) for key, name in (("labels", "LABELS"), ("units", "UNITS"))}
    out = io.BytesIO()
    np.savez(out, points=np.asarray(points, dtype=np.float64), residuals=np.asarray(data["data"]["meta_points"]["residuals"]), rate=np.float64(about["RATE"]["value"][0]), **texts)
    sys.stdout.buffer.write(out.getvalue())
except Exception as error:
    sys.exit(f"{type(error).__name__} {error}")
"""


def load(path: str | Path, name: str = "", source: str = "", license: str = "", up: str = "", scale: float = 0.0, forward: str = "") -> SourceMotion:
    """Reads the markers of a C3D file; lost ones are filled in linearly, those lost in half the frames or more are left out.

    Args:
        up, forward, scale: as for `motions.formats.bvh.load`.

    Raises:
        ValueError: unreadable, no markers, or a unit that is not known; names file and field.
    """
    path = Path(path)
    data = _read(path)
    labels, points, residuals = [v.rpartition(":")[2] for v in data["labels"].tolist()], data["points"], data["residuals"]
    fps, units = float(data["rate"]), [v.lower() for v in data["units"].tolist()]
    if units and units[0] not in UNITS and not scale:
        raise ValueError(f"{path}: POINT:UNITS: got {units[0]!r}; expected a known unit, or scale given. Available: {', '.join(UNITS)}")
    unit = UNITS.get(units[0], 0.0) if units else 0.0
    if points.ndim != 3 or points.shape[1] != len(labels) or points.shape[2] < 2 or not labels:
        raise ValueError(f"{path}: points: got shape {points.shape} and {len(labels)} labels; expected [4, K, T] with K labels, T >= 2")
    names, markers, notes = _filled(str(path), labels, points[:3].transpose(2, 1, 0), residuals)
    if set(NEEDED) <= set(names):
        at = {label: markers[:, k] * (scale or unit or 0.001) for k, label in enumerate(names)}
        centres = joint_centres(at)
        names, markers, unit, scale = list(centres), np.stack(list(centres.values()), axis=1), 1.0, 0.0
        notes.append("joint centres: estimated from Plug-in Gait markers")
    notes.insert(0, f"rate: {fps:g} Hz (POINT:RATE); unit {units[0] if units else 'not said'}")
    return from_points(str(path), names, markers, fps, tuple(notes), (name or path.stem, source or path.name, license), (up, scale, forward), known_scale=unit)


def _read(path: Path) -> dict[str, np.ndarray]:
    """What ezc3d finds in a file: labels ``[K]``, points ``[4, K, T]``, residuals ``[1, K, T]``, rate, units. It runs in a process of its own, because a damaged file can bring
    it down or have it take any amount of memory."""
    try:
        check_size(path)
        with path.open("rb") as file:
            head = file.read(2)
        if len(head) < 2 or head[1] != 0x50:
            raise ValueError("got another first word; expected C3D's mark 0x50")
        done = subprocess.run([sys.executable, "-c", _CHILD, str(path.absolute())], capture_output=True, timeout=TIMEOUT_S, check=False)
        if done.returncode or not done.stdout:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise ValueError(said[-1][:200] if said and done.returncode > 0 else "got a damaged file; expected one that ezc3d reads")
        with np.load(io.BytesIO(done.stdout), allow_pickle=False) as data:
            return {key: data[key] for key in data.files}
    except subprocess.TimeoutExpired:
        raise ValueError(f"{path}: not a C3D file: reading it took more than {TIMEOUT_S} s") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not a C3D file: {error}") from None


def _filled(where: str, labels: list[str], points: np.ndarray, residuals: np.ndarray | None) -> tuple[list[str], np.ndarray, list[str]]:
    """Names, markers ``[T, K, 3]`` without gaps, and notes, from points in which a lost marker is NaN, all zero, or has a negative residual ``[1, K, T]``."""
    lost = ~np.isfinite(points).all(-1) | (points == 0).all(-1)
    if residuals is not None and np.shape(residuals)[1:] == points.shape[1::-1]:
        lost |= residuals[0].T < 0
    kept = [k for k, label in enumerate(labels) if label and not label.startswith("*") and lost[:, k].mean() < MAX_GAP_SHARE and label not in labels[:k]]
    if len(kept) < 2:
        raise ValueError(f"{where}: markers: got {len(kept)} named ones seen in more than half the frames; expected at least 2. Available: {', '.join(labels)}")
    frames = np.arange(len(points))
    for k in kept:
        for axis in range(3) if lost[:, k].any() else ():
            points[:, k, axis] = np.interp(frames, frames[~lost[:, k]], points[~lost[:, k], k, axis])
    left = [label for k, label in enumerate(labels) if k not in kept]
    notes = [f"markers: {len(kept)} of {len(labels)} used" + (f"; lost or unnamed: {', '.join(left[:8])}" if left else "")]
    if (gaps := int(lost[:, kept].sum())) > 0:
        notes.append(f"gaps: {gaps} marker frames filled in linearly")
    return [labels[k] for k in kept], points[:, kept], notes


def joint_centres(at: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Joint centres ``[T, 3]`` by name from Plug-in Gait markers ``[T, 3]`` in metres."""
    front, backs = (at["LASI"] + at["RASI"]) / 2, [at[m] for m in ("LPSI", "RPSI", "SACR") if m in at]
    left = _unit(at["LASI"] - at["RASI"])
    width = np.linalg.norm(at["LASI"] - at["RASI"], axis=-1, keepdims=True)
    shoulders = (at["LSHO"] + at["RSHO"]) / 2
    rear = np.mean(backs, axis=0) if backs else front - 0.8 * width * _unit(np.cross(left, shoulders - front))
    ahead = _unit(front - rear - left * ((front - rear) * left).sum(-1, keepdims=True))
    rise = np.cross(ahead, left)
    out: dict[str, np.ndarray] = {}
    for side, word, sign in (("L", "left", 1.0), ("R", "right", -1.0)):
        inward = -sign * left
        out[f"{word}_hip_centre"] = at[f"{side}ASI"] + width * (0.14 * inward - 0.22 * ahead - 0.30 * rise)
        for marker, joint in (("KNE", "knee"), ("ANK", "ankle"), ("ELB", "elbow"), ("SHO", "shoulder")):
            pair = next((p for p in (f"{side}{marker}M", f"{side}M{marker[:3]}") if p in at), None)
            out[f"{word}_{joint}_centre"] = (at[f"{side}{marker}"] + at[pair]) / 2 if pair else at[f"{side}{marker}"] + HALF_WIDTH_M[marker] * inward
        wrist = [at[m] for m in (f"{side}WRA", f"{side}WRB", f"{side}WRI") if m in at]
        if wrist:
            out[f"{word}_wrist_centre"] = np.mean(wrist, axis=0)
        if f"{side}TOE" in at:
            out[f"{word}_toe"] = at[f"{side}TOE"]
    out["pelvis"] = (out["left_hip_centre"] + out["right_hip_centre"]) / 2
    heads = [at[m] for m in ("LFHD", "RFHD", "LBHD", "RBHD") if m in at]
    chest = [at[m] for m in ("C7", "CLAV", "T10", "STRN") if m in at]
    if heads:
        out["head"] = np.mean(heads, axis=0)
    if chest:
        out["thorax"] = np.mean(chest, axis=0)
    return out


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)

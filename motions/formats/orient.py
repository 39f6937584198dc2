"""From a file's axes and unit to ours: what the readers share.

A reader builds a `Raw` motion in the file's own axes and unit; `normalise` finds out which way is up, which way the skeleton faces and how long a unit is, and turns
the motion so that the world is z-up in metres and the rest pose (all rotations identity) stands upright facing +x. Everything found out is said in ``notes``.

Shapes: ``T`` frames, ``J`` joints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from motions.clip import MAX_FPS, MIN_FPS
from motions.rotations import make_continuous, quat_mul, quat_normalize
from motions.skeleton_map import guess_map
from motions.source_motion import SourceMotion, world_poses

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "CMU unit (1/0.45 inch)": 0.0254 / 0.45}
LEG_M, HEIGHT_M = 0.82, 1.65  # of a typical adult: hip to ankle; lowest to highest joint
MAX_JOINTS, MAX_VALUES = 2000, 200_000_000
AXES = {sign + name: value * np.eye(3)[k] for k, name in enumerate("xyz") for sign, value in (("+", 1.0), ("-", -1.0), ("", 1.0))}


@dataclass
class Raw:
    """A motion in a file's own axes and unit; fields as in `SourceMotion`. Without ``local_quat`` it is key points; without ``world_pos`` forward kinematics gives it."""

    name: str
    names: Sequence[str]
    parents: Sequence[int]
    offsets: np.ndarray
    fps: float
    root_pos: np.ndarray
    local_quat: np.ndarray | None
    world_pos: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    source: str = ""
    license: str = ""
    default_up: str = "y"  # of a rest pose that does not say
    usual_up: str = ""  # of the format's world, where that is not its rest pose's
    default_forward: str = "z"
    keeps_up: bool = False  # the rest pose's up is the world's, even of one who lies still


def normalise(raw: Raw, up: str = "", scale: float = 0.0, forward: str = "", known_scale: float = 0.0) -> SourceMotion:
    """A `SourceMotion` from a file's motion.

    Args:
        up, forward: signed axis of the file (``"z"``, ``"-y"``) that points up in its world, and that its rest pose faces; empty: found out.
        scale: metres in a unit of the file; 0: found out. known_scale: the same where the format says it.

    Raises:
        ValueError: not an axis, a scale that is not positive, up along forward, or values that are no motion.
    """
    for what, value in (("up", up), ("forward", forward)):
        if value and value.lower() not in AXES:
            raise ValueError(f"{raw.name}: {what}: got {value!r}; expected a signed axis. Available: x, y, z, -x, -y, -z")
    if not (math.isfinite(scale) and scale >= 0):
        raise ValueError(f"{raw.name}: scale: got {scale:g}; expected metres in a unit of the file, > 0")
    _check(raw)
    world = raw.world_pos
    if world is None:
        assert raw.local_quat is not None, raw.name
        world = world_poses(raw.parents, raw.offsets, raw.root_pos, raw.local_quat)[0]
    notes = list(raw.notes)
    at = {body: list(raw.names).index(joint) for body, joint in guess_map(raw.names).items()}
    rest = rest_positions(raw.parents, raw.offsets)
    rest_up, world_up = _up(raw, rest, world, at, up, notes)
    ahead = _forward(raw, rest if raw.local_quat is not None else world[0], rest_up if raw.local_quat is not None else world_up, at, forward, notes)
    unit = _unit(raw, rest, world, at, scale, known_scale, notes)
    to_rest = _frame(ahead, rest_up)
    across = ahead if raw.local_quat is not None and abs(ahead @ world_up) < 0.1 else next(axis for axis in np.eye(3) if abs(axis @ world_up) < 0.5)
    to_world = _frame(across, world_up)
    if raw.local_quat is None:  # key points have no frame to face forward in: the world stays turned as it was
        return _motion(raw, np.zeros_like(raw.offsets), world @ to_world.T * unit, None, to_world @ ahead, notes)
    local = np.concatenate((raw.local_quat[..., :1], raw.local_quat[..., 1:] @ to_rest.T), axis=-1)
    turn = torch.from_numpy(mat_quat(to_world @ to_rest.T))
    local[:, 0] = quat_mul(turn, torch.from_numpy(local[:, 0])).numpy()
    local = make_continuous(quat_normalize(torch.from_numpy(local))).numpy()
    return _motion(raw, raw.offsets @ to_rest.T * unit, world @ to_world.T * unit, local, np.array([1.0, 0.0, 0.0]), notes)


def _motion(raw: Raw, offsets: np.ndarray, world: np.ndarray, local: np.ndarray | None, ahead: np.ndarray, notes: list[str]) -> SourceMotion:
    fps = round(raw.fps) if abs(raw.fps - round(raw.fps)) < 5e-4 * raw.fps else raw.fps
    parents, names = tuple(int(p) for p in raw.parents), tuple(str(n) for n in raw.names)
    offsets = offsets - offsets[:1]
    return SourceMotion(raw.name, names, parents, offsets, float(fps), world[:, 0].copy(), local, world, ahead, tuple(notes), raw.source, raw.license)


def _frame(ahead: np.ndarray, up: np.ndarray) -> np.ndarray:
    """The rotation ``[3, 3]`` from a file's axes to ours: rows are forward, left and up in the file's axes."""
    return np.stack((ahead, np.cross(up, ahead), up))


def rest_positions(parents: Sequence[int], offsets: np.ndarray) -> np.ndarray:
    """Joints ``[J, 3]`` in the rest pose with the root at the origin, from offsets ``[J, 3]``."""
    rest = np.zeros_like(offsets)
    for k, parent in enumerate(parents):
        rest[k] = rest[parent] + offsets[k] if parent >= 0 else 0.0
    return rest


def mat_quat(mat: np.ndarray) -> np.ndarray:
    """The quaternion ``wxyz`` of a rotation matrix ``[3, 3]``, w >= 0."""
    (a, b, c), (d, e, f), (g, h, i) = mat
    k = np.array([[a + e + i, h - f, c - g, d - b], [h - f, a - e - i, b + d, c + g], [c - g, b + d, e - a - i, f + h], [d - b, c + g, f + h, i - a - e]])
    q = np.linalg.eigh(k / 3)[1][:, -1]  # the eigenvector of the largest eigenvalue
    return q if q[0] >= 0 else -q


def axis_name(v: np.ndarray) -> str:
    """``"+z"`` for the axis that ``v [3]`` is along or near."""
    k = int(np.abs(v).argmax())
    return ("-" if v[k] < 0 else "+") + "xyz"[k]


def _check(raw: Raw) -> None:
    """Refuses what is no motion, naming file and frame."""
    frames = len(raw.root_pos)
    if frames < 2:
        raise ValueError(f"{raw.name}: frames: got {frames}; expected at least 2")
    if not (MIN_FPS <= raw.fps <= MAX_FPS):
        raise ValueError(f"{raw.name}: fps: got {raw.fps:g}; expected {MIN_FPS:g} to {MAX_FPS:g}")
    for field in ("root_pos", "local_quat", "world_pos"):
        value = getattr(raw, field)
        bad = ~np.isfinite(value.reshape(frames, -1)).all(axis=1) if value is not None else np.zeros(1, bool)
        if bad.any():
            raise ValueError(f"{raw.name}: {field}: frame {int(bad.argmax())} holds NaN or infinity; expected finite numbers")
    if not np.isfinite(raw.offsets).all():
        raise ValueError(f"{raw.name}: offsets: joint {raw.names[int((~np.isfinite(raw.offsets).all(1)).argmax())]} holds NaN or infinity; expected finite numbers")


def _mean_direction(points: np.ndarray, at: dict[str, int]) -> np.ndarray | None:
    """From the feet to the head (the shoulders where there is none) of joints ``[..., J, 3]``, mean over frames; None if there are neither."""
    tops, feet = [at[b] for b in ("head", "left_upper_arm", "right_upper_arm") if b in at], [at[b] for b in ("left_foot", "right_foot") if b in at]
    if not tops or not feet:
        return None
    return (points[..., tops[0] if "head" in at else tops, :].reshape(-1, 3).mean(0)) - points[..., feet, :].reshape(-1, 3).mean(0)


def _up(raw: Raw, rest: np.ndarray, world: np.ndarray, at: dict[str, int], given: str, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Up in the rest pose and in the world, unit vectors along axes of the file.

    The rest pose says it, feet to head; for the world, the format's convention where it has one. The motion overrules that for the world if its own mean feet-to-head
    direction lies along another axis and the lowest joint's coordinate varies less than half as much along that one: a floor, not a crawl.
    """
    standing, moving = _mean_direction(rest, at) if raw.local_quat is not None else None, _mean_direction(world, at)
    default = AXES[given.lower() or raw.default_up]
    rest_up = AXES[axis_name(standing)] if standing is not None and np.linalg.norm(standing) > 0 else default
    if given:
        notes.append(f"up: {axis_name(default)} (given)")
        return rest_up, default
    world_up, why = rest_up, "feet to head of the rest pose" if standing is not None else "assumed"
    if raw.usual_up:
        world_up, why = AXES[raw.usual_up], "the format's"
    if moving is not None and np.linalg.norm(moving) > 0 and not raw.keeps_up:
        seen = AXES[axis_name(moving)]
        clear = abs(moving @ seen) > 0.8 * np.linalg.norm(moving)
        if not np.allclose(seen, world_up) and clear and float((world @ seen).min(1).std()) < 0.5 * float((world @ world_up).min(1).std()):
            other = axis_name(world_up)
            world_up, why = seen, f"feet to head over the motion, though {'the format has' if raw.usual_up else 'the rest pose stands along'} {other}"
        elif standing is None and clear and np.allclose(seen, world_up):
            why = "feet to head over the motion"
    notes.append(f"up: {axis_name(world_up)} ({why})")
    return (rest_up if standing is not None else world_up), world_up


def _forward(raw: Raw, pose: np.ndarray, up: np.ndarray, at: dict[str, int], given: str, notes: list[str]) -> np.ndarray:
    """The horizontal unit vector ``[3]`` that a pose ``[J, 3]`` faces: its left side crossed with up."""
    if given:
        ahead = AXES[given.lower()]
        if abs(ahead @ up) > 0.5:
            raise ValueError(f"{raw.name}: forward: got {given!r}; expected an axis across up ({axis_name(up)})")
        notes.append(f"forward: {axis_name(ahead)} (given)")
        return ahead
    left = sum((pose[at[f"left_{part}"]] - pose[at[f"right_{part}"]] for part in ("thigh", "upper_arm") if {f"left_{part}", f"right_{part}"} <= at.keys()), np.zeros(3))
    ahead = np.cross(left, up)
    if np.linalg.norm(ahead) < 1e-6:
        guesses = [AXES[raw.default_forward], *np.eye(3)]
        ahead = next(axis for axis in guesses if abs(axis @ up) < 0.5)
        notes.append(f"forward: {axis_name(ahead)} (assumed: no left and right hips or shoulders found)")
        return ahead
    ahead = ahead / np.linalg.norm(ahead)
    if raw.local_quat is not None and ahead @ AXES[axis_name(ahead)] > math.cos(math.radians(20.0)):
        ahead = AXES[axis_name(ahead)]
    notes.append(f"forward: {axis_name(ahead)} (right to left hip and shoulder, then up)")
    return ahead


def _unit(raw: Raw, rest: np.ndarray, world: np.ndarray, at: dict[str, int], given: float, known: float, notes: list[str]) -> float:
    """Metres in a unit of the file: the usual unit that makes a leg (or the whole figure) most like an adult's."""
    if given:
        notes.append(f"unit: {given:g} m (given)")
        return given
    legs = [np.linalg.norm(world[:, at[f"{s}_{a}"]] - world[:, at[f"{s}_{b}"]], axis=-1).mean() for s in ("left", "right") for a, b in (("thigh", "shin"), ("shin", "foot"))
            if {f"{s}_{a}", f"{s}_{b}"} <= at.keys()]  # fmt: skip
    if len(legs) == 4 and sum(legs) > 0:
        size, usual, what = float(sum(legs)) / 2, LEG_M, "leg"
    else:
        size, usual, what = float(np.ptp(rest if raw.local_quat is not None else world[0], axis=0).max()), HEIGHT_M, "figure"
    if known:
        notes.append(f"unit: {known:.6g} m (the file says so); {what} {size * known:.2f} m")
        return known
    if size <= 0:
        notes.append("unit: m (assumed: the skeleton has no size)")
        return 1.0
    name, unit = min(UNITS.items(), key=lambda pair: abs(math.log(size * pair[1] / usual)))
    doubt = "" if 0.6 < size * unit / usual < 1.6 else f"; doubtful, expected about {usual:g} m: set scale"
    notes.append(f"unit: {name} ({what} {size:.4g} long, {size * unit:.2f} m{doubt})")
    return unit

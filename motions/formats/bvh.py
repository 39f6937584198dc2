"""BVH: a joint hierarchy and one row of channel values a frame, as text.

Rotation channels are degrees, intrinsic in the order listed: listed Z, Y, X means ``Rz Ry Rx``. A joint's position channels replace its OFFSET (they add to it where
they stay near zero). The format names neither unit nor axes; `motions.formats.orient` finds them out. Our own parser, because the libraries refuse what is common:
a wrong frame count, a cut last row, per-joint position channels.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from motions.clip import Clip
from motions.formats.files import read_text
from motions.formats.orient import MAX_JOINTS, Raw, normalise
from motions.rotations import quat_log, quat_mul, quat_to_mat
from motions.skeleton import Skeleton
from motions.skeleton_map import REQUIRED
from motions.source_motion import SourceMotion, world_poses

END = "_end"  # ends the name of an End Site
REST_RAD, JUMP_RAD = 0.12, 0.3  # mean joint angle of a rest pose; least step from it into the motion


class _Hierarchy:
    """Joints in file order; ``channels`` lists (joint, kind, axis) by column."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.parents: list[int] = []
        self.offsets: list[list[float]] = []
        self.channels: list[tuple[int, str, int]] = []


def load(path: str | Path, name: str = "", source: str = "", license: str = "", up: str = "", scale: float = 0.0, forward: str = "") -> SourceMotion:
    """Reads a BVH file.

    Args:
        up, forward: signed axis of the file, ``"z"`` or ``"-y"``; scale: metres in a unit of the file; each is found out where not given.

    Raises:
        ValueError: not a BVH file, a broken hierarchy, or a row that is not as wide as the channels; names file and line.
    """
    path = Path(path)
    lines = read_text(path, "a BVH file").replace("{", "\n{\n").replace("}", "\n}\n").split("\n")
    rows = [(k, line.strip()) for k, line in enumerate(lines) if line.strip()]
    start = next((k for k, (_, line) in enumerate(rows) if line.upper() == "MOTION"), None)
    if not rows or rows[0][1].upper() != "HIERARCHY" or start is None:
        raise ValueError(f"{path}: not a BVH file: got {rows[0][1][:40] if rows else 'nothing'!r}; expected HIERARCHY, joints, then MOTION")
    tree = _hierarchy(path, [line for _, line in rows[1:start]])
    fps, values, notes = _motion(path, [line for _, line in rows[start + 1 :]], len(tree.channels))
    offsets = np.array(tree.offsets)
    local, moves, moved = _pose(tree, values, offsets)
    notes += moved
    ours = set(REQUIRED) <= set(tree.names)  # joints named after bodies, as `save` does: neither a rest pose before the take nor another up in the world
    if len(values) > 2 and not ours and _is_rest(local):
        local, moves = local[1:], moves[1:]
        notes.append("frame 0: a rest pose before the take, left out")
    offsets = moves.mean(0) if moved else offsets
    world = world_poses(tree.parents, moves, moves[:, 0], local)[0]
    raw = Raw(name or path.stem, tree.names, tree.parents, offsets, fps, moves[:, 0], local, world, tuple(notes), source or path.name, license, keeps_up=ours)
    return normalise(raw, up, scale, forward)


def _hierarchy(path: Path, lines: list[str]) -> _Hierarchy:
    """The joints of the lines between HIERARCHY and MOTION."""
    open_joints: list[int] = []
    tree, pending = _Hierarchy(), -1
    for line in lines:
        word, _, rest = line.partition(" " if " " in line else "\t")
        word, rest = word.upper(), rest.strip()
        here = open_joints[-1] if open_joints else -1
        if word in ("ROOT", "JOINT", "END"):
            if (word == "ROOT") != (not tree.names) or (word != "ROOT" and here < 0) or len(tree.names) >= MAX_JOINTS:
                raise ValueError(f"{path}: hierarchy: got {line[:60]!r} after {len(tree.names)} joints; expected one ROOT and up to {MAX_JOINTS} joints within it")
            tree.names.append(rest if word != "END" else f"{tree.names[here]}{END}")
            tree.parents.append(here)
            tree.offsets.append([0.0, 0.0, 0.0])
            pending = len(tree.names) - 1
        elif word == "{" and pending >= 0:
            open_joints.append(pending)
            pending = -1
        elif word == "}" and open_joints:
            open_joints.pop()
        elif word == "OFFSET" and here >= 0:
            tree.offsets[here] = _floats(path, line, rest, 3)
        elif word == "CHANNELS" and here >= 0:
            tree.channels += _channels(path, line, rest.split(), here)
        else:
            raise ValueError(f"{path}: hierarchy: got {line[:60]!r}; expected ROOT, JOINT, End Site, OFFSET, CHANNELS or a matching brace")
    if open_joints or not tree.names or not tree.channels:
        raise ValueError(
            f"{path}: hierarchy: got {len(open_joints)} open braces, {len(tree.names)} joints, {len(tree.channels)} channels; expected closed braces, a ROOT and channels"
        )
    double = next((n for n in tree.names if tree.names.count(n) > 1 or not n), None)
    if double is not None:
        raise ValueError(f"{path}: joint {double or '(no name)'}: got it {tree.names.count(double)} times; expected each name once")
    return tree


def _floats(path: Path, line: str, rest: str, count: int) -> list[float]:
    try:
        values = [float(v) for v in rest.split()]
    except ValueError:
        values = []
    if len(values) != count or not all(math.isfinite(v) for v in values):
        raise ValueError(f"{path}: hierarchy: got {line[:60]!r}; expected {count} numbers")
    return values


def _channels(path: Path, line: str, words: list[str], joint: int) -> list[tuple[int, str, int]]:
    found = [(joint, w[1:].lower(), "xyz".find(w[0].lower())) for w in words[1:]]
    good = all(kind in ("position", "rotation") and axis >= 0 for _, kind, axis in found) and len(set(found)) == len(found)
    if not words or words[0] != str(len(found)) or not good:
        raise ValueError(f"{path}: hierarchy: got {line[:100]!r}; expected their number, then each of Xposition ... Zrotation at most once")
    return found


def _motion(path: Path, lines: list[str], width: int) -> tuple[float, np.ndarray, list[str]]:
    """Rate, channel values ``[T, width]`` and notes from the lines after MOTION."""
    heads = [line.partition(":")[::2] for line in lines[:2]]
    try:
        named = {key.strip().lower(): float(value) for key, value in heads}
        claimed, step = named["frames"], named["frame time"]
    except (ValueError, KeyError):
        raise ValueError(f"{path}: motion: got {lines[:2]!r:.80}; expected 'Frames: n' and 'Frame Time: seconds'") from None
    if not (math.isfinite(step) and step > 0):
        raise ValueError(f"{path}: Frame Time: got {step:g}; expected seconds > 0")
    notes, rows = [], lines[2:]
    try:
        flat = np.array(" ".join(rows).split(), dtype=np.float64)
    except ValueError:
        flat = np.empty(0)
    if not flat.size or flat.size % width or len(rows) > flat.size // width:
        if len(rows) > 1 and len(rows[-1].split()) < width:
            notes.append(f"last row: cut after {len(rows.pop().split())} of {width} values, left out")
        flat = _by_row(path, rows, width)
    values = flat.reshape(-1, width)
    if len(values) != claimed:
        notes.append(f"frames: the file says {claimed:g}, {len(values)} are there and used")
    return 1.0 / step, values, notes


def _by_row(path: Path, rows: list[str], width: int) -> np.ndarray:
    """Values ``[T * width]`` row by row; the first bad row is an error."""
    for k, row in enumerate(rows):
        words = row.split()
        try:
            good = len([float(w) for w in words]) == width
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"{path}: frame {k}: got {len(words)} values, {row[:40]!r}; expected {width} numbers")
    if not rows:
        raise ValueError(f"{path}: motion: got no rows; expected one a frame")
    return np.array(" ".join(rows).split(), dtype=np.float64)


def _pose(tree: _Hierarchy, values: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Local rotations ``[T, J, 4]``, places in the parent ``[T, J, 3]``, and notes, from channel values and offsets ``[J, 3]``."""
    local = torch.zeros(len(values), len(tree.names), 4, dtype=torch.float64)
    local[..., 0] = 1.0
    moves = np.broadcast_to(offsets, (len(values), *offsets.shape)).copy()
    columns: dict[int, list[int]] = {}
    for column, (joint, kind, axis) in enumerate(tree.channels):
        if kind == "position":
            columns.setdefault(joint, []).append(column)
            continue
        half = torch.from_numpy(np.deg2rad(values[:, column]) / 2)
        turn = torch.zeros(len(values), 4, dtype=torch.float64)
        turn[:, 0], turn[:, 1 + axis] = half.cos(), half.sin()
        local[:, joint] = quat_mul(local[:, joint], turn)
    moved: list[str] = []
    added: list[str] = []
    for joint, its in columns.items():
        axes, given = [tree.channels[c][2] for c in its], values[:, its]
        adds = joint > 0 and np.abs(given).max() < 0.1 * np.linalg.norm(offsets[joint])
        moves[:, joint, axes] = given + (offsets[joint, axes] if adds else 0.0)
        (added if adds else moved).append(tree.names[joint])
    notes = [f"position channels of {len(moved) - (0 in columns)} joints besides the root: used as their places"] if len(moved) > (0 in columns) else []
    notes += [f"position channels of {len(added)} joints: near zero, added to their offsets"] if added else []
    return local.numpy(), moves, notes


def _is_rest(local: np.ndarray) -> bool:
    """Whether frame 0 of ``local [T, J, 4]`` is a rest pose put before the take: joints nearly unturned, and a step to frame 1 far beyond those that follow."""
    turns = torch.from_numpy(local[: min(len(local), 200)])
    angles = quat_log(turns[0, 1:]).norm(dim=-1)
    steps = quat_log(quat_mul(turns[:-1] * turns.new_tensor([1, -1, -1, -1]), turns[1:])).norm(dim=-1)  # [T - 1, J]
    return bool(angles.mean() < REST_RAD and steps[0].max() > JUMP_RAD and steps[0].max() > 8 * steps[1:].max(dim=1).values.median())


def save(clip: Clip, skeleton: Skeleton, path: str | Path) -> Path:
    """Writes a clip as BVH: y up, facing z, centimetres, channels Z X Y; joints are named after the skeleton's bodies, hands and head get End Sites.

    The file is replaced as a whole or not at all.

    Raises:
        ValueError: the clip lacks one of the skeleton's joints.
    """
    root_pos, root_quat, joint_quat = clip.poses_on(skeleton)
    quats = torch.zeros(clip.num_frames, len(skeleton.body_names), 4, dtype=torch.float64)
    quats[..., 0] = 1.0
    quats[:, 0] = root_quat
    for k, joint in enumerate(skeleton.joints):
        quats[:, joint.body] = joint_quat[:, k]
    quats = quats[..., [0, 2, 3, 1]]  # x forward, y left, z up -> x left, y up, z forward
    mats = quat_to_mat(quats)  # Rz Rx Ry: row 2 is (-cos x sin y, sin x, cos x cos y)
    x = torch.asin(mats[..., 2, 1].clamp(-1, 1))
    z, y = torch.atan2(-mats[..., 0, 1], mats[..., 1, 1]), torch.atan2(-mats[..., 2, 0], mats[..., 2, 2])
    locked = mats[..., 2, 1].abs() > 1 - 1e-12
    z, y = torch.where(locked, torch.atan2(mats[..., 1, 0], mats[..., 0, 0]), z), torch.where(locked, 0.0, y)
    angles = torch.rad2deg(torch.stack((z, x, y), -1)).reshape(clip.num_frames, -1).numpy()
    place = 100 * root_pos.numpy()[:, [1, 2, 0]]
    offsets = 100 * skeleton.offsets.double().numpy()[:, [1, 2, 0]]
    offsets[0] = 0.0  # its position channels say it all
    text = ["HIERARCHY", *_written(skeleton, offsets, 0, ""), "MOTION", f"Frames: {clip.num_frames}", f"Frame Time: {1 / clip.fps:.9f}"]
    text += [" ".join(f"{v:.6f}" for v in row) for row in np.concatenate((place, angles), axis=1)]
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    part.write_text("\n".join(text) + "\n")
    part.replace(path)
    return path


def _written(skeleton: Skeleton, offsets: np.ndarray, body: int, indent: str) -> list[str]:
    """The lines of a body and those below it; offsets ``[P, 3]`` in the file's axes and unit."""
    deeper, kind = indent + "  ", "JOINT" if body else "ROOT"
    channels = "CHANNELS 3 Zrotation Xrotation Yrotation" if body else "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
    lines = [f"{indent}{kind} {skeleton.body_names[body]}", indent + "{", f"{deeper}OFFSET {' '.join(f'{v:.6f}' for v in offsets[body])}", deeper + channels]
    below = [b for b, parent in enumerate(skeleton.parents) if parent == body]
    for child in below:
        lines += _written(skeleton, offsets, child, deeper)
    if not below:
        lines += [f"{deeper}End Site", deeper + "{", f"{deeper}  OFFSET 0.0 0.0 0.0", deeper + "}"]
    return [*lines, indent + "}"]

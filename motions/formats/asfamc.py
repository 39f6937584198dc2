"""ASF/AMC (Acclaim, CMU): a skeleton file of bones and a motion file of joint angles, as text.

A bone has a direction, a length, an axis (rotation ``C = Rz Ry Rx`` of its frame) and up to three rotations; its orientation is ``parent C M C^-1`` with
``M = Rz Ry Rx`` of its angles. A joint here is a bone's start and carries the bone's name; ends of the last bones are added as ``<bone>_end``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from motions.formats.files import read_text
from motions.formats.orient import MAX_JOINTS, MAX_VALUES, Raw, normalise
from motions.rotations import quat_conj, quat_mul
from motions.source_motion import SourceMotion

CMU_FPS = 120.0
INCH_M = 0.0254
DOFS = ("tx", "ty", "tz", "rx", "ry", "rz", "l")


@dataclass
class _Bone:
    """``move [3]`` from start to end in the file's unit; ``axis [3]`` in degrees and the order they are listed in; ``dofs`` in file order."""

    parent: str = ""
    move: tuple[float, ...] = (0.0, 0.0, 0.0)
    axis: tuple[float, ...] = (0.0, 0.0, 0.0)
    axis_order: str = "xyz"
    dofs: tuple[str, ...] = ()


def load(
    path: str | Path, name: str = "", source: str = "", license: str = "", up: str = "", scale: float = 0.0, forward: str = "", asf: str | Path = "", fps: float = CMU_FPS
) -> SourceMotion:
    """Reads an AMC motion on its ASF skeleton.

    Args:
        up, forward, scale: as for `motions.formats.bvh.load`; the unit is the ASF's (length in inches).
        asf: the skeleton; empty: ``02.asf`` or ``02_01.asf`` beside ``02_01.amc``, or the only one in its folder.
        fps: frames a second, which the format leaves out.

    Raises:
        ValueError: no skeleton, a file that is not of the format, a bone that is unknown or has the wrong number of values; names file and frame.
    """
    path = Path(path)
    skeleton, bones, unit, in_radians, values = _take(path, asf)
    names, frames = list(bones), len(values["root"])
    root_pos = values["root"][:, [bones["root"].dofs.index(f"t{a}") for a in "xyz"]]
    radians = 1.0 if in_radians else np.pi / 180
    local = np.stack([_turn(bones[b], radians * values[b] if b in values else np.zeros((frames, 0)), frames) for b in names], axis=1)
    offsets = np.array([bones[bones[b].parent].move if bones[b].parent else (0.0, 0.0, 0.0) for b in names])
    parents = [names.index(bones[b].parent) if bones[b].parent else -1 for b in names]
    for bone in [b for b in names if b not in {v.parent for v in bones.values()}]:
        parents.append(names.index(bone))
        offsets, names = np.concatenate((offsets, [bones[bone].move])), [*names, f"{bone}_end"]
    still = np.zeros((frames, len(names) - local.shape[1], 4))
    still[..., 0] = 1.0
    notes = (f"skeleton: {skeleton.name}", f"rate: {fps:g} Hz ({'assumed: the format leaves it out' if fps == CMU_FPS else 'given'})")
    raw = Raw(name or path.stem, names, parents, offsets, fps, root_pos, np.concatenate((local, still), axis=1), None, notes, source or path.name, license)
    return normalise(raw, up, scale, forward, known_scale=unit)


def channels(path: str | Path, asf: str | Path = "") -> dict[str, np.ndarray]:
    """The numbers of an AMC motion, ``[T]`` by bone and degree of freedom (``lfemurrx``, ``roottx``): angles in degrees, lengths in the file's unit.

    Raises:
        ValueError: as `load`.
    """
    _, bones, _, in_radians, values = _take(Path(path), asf)
    found = {f"{bone}{dof}": (dof, column) for bone, numbers in values.items() for dof, column in zip(bones[bone].dofs, numbers.T, strict=True)}
    return {name: np.degrees(column) if in_radians and dof[0] == "r" else column for name, (dof, column) in found.items()}


def _take(path: Path, asf: str | Path) -> tuple[Path, dict[str, _Bone], float, bool, dict[str, np.ndarray]]:
    """The skeleton's file, its bones, metres in a unit of length, whether angles are radians, and each bone's values ``[T, dofs]``."""
    frames = _frames(path, read_text(path, "an AMC file"))
    skeleton = _find_asf(path, asf)
    bones, unit, in_radians = _skeleton(skeleton, read_text(skeleton, "an ASF file"))
    values = {bone: _values(path, frames, bone, len(bones[bone].dofs)) for bone in bones if bones[bone].dofs}
    unknown = next((b for frame in frames for b in frame if b not in bones), None)
    if unknown is not None:
        raise ValueError(f"{path}: bone {unknown}: not in {skeleton.name}. Available: {', '.join(bones)}")
    return skeleton, bones, unit, in_radians, values


def _find_asf(path: Path, given: str | Path) -> Path:
    """The skeleton file of a motion file."""
    if given:
        return Path(given)
    there = sorted(p for p in path.parent.iterdir() if p.suffix.lower() == ".asf")
    named = [p for stem in (path.stem, path.stem.rpartition("_")[0]) for p in there if p.stem.lower() == stem.lower()]
    if not named and len(there) != 1:
        wanted, have = path.stem.rpartition("_")[0] or path.stem, ", ".join(p.name for p in there) or "none"
        raise ValueError(f"{path}: skeleton: got {len(there)} .asf files beside it; expected {wanted}.asf, or one. Available: {have}")
    return (named or there)[0]


def _skeleton(path: Path, text: str) -> tuple[dict[str, _Bone], float, bool]:
    """Bones by name (root first, parents before children), metres in a unit of length, and whether angles are radians."""
    sections: dict[str, list[list[str]]] = {}
    section = ""
    for line in text.split("\n"):
        words = line.split("#")[0].split()
        if words and words[0].startswith(":"):
            section = words[0][1:].lower()
            sections.setdefault(section, [words[1:]])
        elif words and section:
            sections[section].append(words)
    missing = [s for s in ("root", "bonedata", "hierarchy") if s not in sections]
    if missing:
        raise ValueError(f"{path}: not an ASF file: section :{missing[0]} is missing. Available: {', '.join(sections) or 'none'}")
    units = {words[0].lower(): words[1].lower() for words in sections.get("units", []) if len(words) > 1}
    try:
        length = float(units.get("length", "1"))
        root = {words[0].lower(): [w.lower() for w in words[1:]] for words in sections["root"] if words}
        bones = {"root": _Bone(dofs=tuple(root.get("order", DOFS[:6])), axis=tuple(map(float, root.get("orientation", "000"))), axis_order=root.get("axis", ["xyz"])[0])}
        bones |= _bones(sections["bonedata"])
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path}: not an ASF file: {error}; expected bones with name, direction, length and axis") from None
    if not (math.isfinite(length) and length > 0) or len(bones) > MAX_JOINTS:
        raise ValueError(f"{path}: got length {length:g} and {len(bones)} bones; expected length > 0 and at most {MAX_JOINTS} bones")
    for bone, data in bones.items():
        wrong = [d for d in data.dofs if d not in DOFS] or ([data.axis_order] if sorted(data.axis_order) != ["x", "y", "z"] else [])
        if wrong or len(data.axis) != 3 or len(data.move) != 3 or (bone == "root" and set(data.dofs) != set(DOFS[:6])):
            raise ValueError(
                f"{path}: bone {bone}: got dof {' '.join(data.dofs)}, axis {data.axis_order.upper()}; expected dof of {' '.join(DOFS)} (root: all six) and an axis of X, Y, Z"
            )
    return _ordered(path, bones, sections["hierarchy"]), INCH_M / length, units.get("angle", "deg").startswith("rad")


def _bones(lines: list[list[str]]) -> dict[str, _Bone]:
    """The bones of the section ``:bonedata``."""
    bones: dict[str, _Bone] = {}
    fields: dict[str, list[str]] = {}
    for words in lines:
        key = words[0].lower() if words else ""
        if key == "begin":
            fields = {}
        elif key == "end":
            length, axis = float(fields["length"][0]) if "length" in fields else 0.0, fields.get("axis", ["0", "0", "0", "XYZ"])
            if "name" not in fields or "direction" not in fields:
                raise ValueError(f"bone {len(bones) + 1} has no {'direction' if 'name' in fields else 'name'}")
            bones[fields["name"][0]] = _Bone(
                move=tuple(length * float(v) for v in fields["direction"]),
                axis=tuple(map(float, axis[:3])),
                axis_order="".join(axis[3:4]).lower() or "xyz",
                dofs=tuple(w.lower() for w in fields.get("dof", [])),
            )
        elif key:
            fields.setdefault(key, words[1:])
    return bones


def _ordered(path: Path, bones: dict[str, _Bone], lines: list[list[str]]) -> dict[str, _Bone]:
    """The bones with their parents, those first."""
    children: dict[str, list[str]] = {}
    for words in lines:
        if words and words[0].lower() not in ("begin", "end"):
            children.setdefault(words[0], []).extend(words[1:])
    ordered, waiting = {"root": bones["root"]}, ["root"]
    while waiting:
        parent = waiting.pop(0)
        for child in children.get(parent, []):
            if child not in bones or child in ordered:
                raise ValueError(f"{path}: hierarchy: bone {child}: {'twice' if child in ordered else 'not in :bonedata'}. Available: {', '.join(bones)}")
            bones[child].parent = parent
            ordered[child] = bones[child]
            waiting.append(child)
    if len(ordered) < len(bones):
        raise ValueError(f"{path}: hierarchy: bone {next(b for b in bones if b not in ordered)}: not below root; expected every bone of :bonedata")
    return ordered


def _frames(path: Path, text: str) -> list[dict[str, list[str]]]:
    """For each frame the values of each bone, as text."""
    frames: list[dict[str, list[str]]] = []
    for line in text.split("\n"):
        words = line.split()
        if not words or words[0][0] in ":#":
            continue
        if len(words) == 1 and words[0].isdigit():
            frames.append({})
        elif not frames or len(words) < 2 or words[0] in frames[-1]:
            raise ValueError(f"{path}: frame {len(frames)}: got {line.strip()[:60]!r}; expected a frame number, then each bone once with its values")
        else:
            frames[-1][words[0]] = words[1:]
        if len(frames) * len(frames[0]) > MAX_VALUES:
            raise ValueError(f"{path}: frames: got more than {len(frames)}; expected at most {MAX_VALUES} bone values")
    if not frames:
        raise ValueError(f"{path}: not an AMC file: got no frame number; expected one a frame")
    return frames


def _values(path: Path, frames: list[dict[str, list[str]]], bone: str, count: int) -> np.ndarray:
    """The values of a bone as numbers, ``[T, count]``; a bone that no frame mentions rests."""
    if not any(bone in frame for frame in frames) and bone != "root":
        return np.zeros((len(frames), count))
    for k, frame in enumerate(frames):
        if len(frame.get(bone, ())) != count:
            raise ValueError(f"{path}: frame {k}: bone {bone}: got {len(frame.get(bone, ()))} values; expected {count}")
    try:
        return np.array([frame[bone] for frame in frames], dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"{path}: bone {bone}: {error}; expected numbers") from None


def _turn(bone: _Bone, values: np.ndarray, frames: int) -> np.ndarray:
    """Rotation of a bone relative to its parent in the rest pose's axes, ``C M C^-1``, ``[T, 4]`` from its values ``[T, dofs]`` in radians."""
    angles = dict(zip(bone.dofs, values.T, strict=False))
    order = [d[1] for d in bone.dofs if d in DOFS[3:6]] if not bone.parent else "xyz"  # about fixed axes, the first listed first
    turn = _product(order, [angles.get(f"r{axis}", np.zeros(frames)) for axis in order])
    frame = _product(bone.axis_order, [np.full(frames, math.radians(v)) for v in bone.axis])
    return quat_mul(quat_mul(frame, turn), quat_conj(frame)).numpy()


def _product(order: str | list[str], angles: list[np.ndarray]) -> torch.Tensor:
    """Turns about fixed axes one after the other, ``[T, 4]``."""
    total = torch.zeros(len(angles[0]), 4, dtype=torch.float64)
    total[:, 0] = 1.0
    for axis, angle in zip(order, angles, strict=True):
        half, turn = torch.from_numpy(angle / 2), torch.zeros_like(total)
        turn[:, 0], turn[:, 1 + "xyz".index(axis)] = half.cos(), half.sin()
        total = quat_mul(turn, total)
    return total

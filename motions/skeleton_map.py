"""Skeleton maps: which joint of a foreign skeleton moves which of our bodies, as YAML.

    about: one line for the reader
    needs: [LHipJoint]           # joints that must also be there (default none)
    bodies:
      pelvis: Hips
      torso: [Spine2, Spine1]    # the first of these that is there

Joint names are compared without namespace (``mixamorig:Hips``), case, spaces, dots, dashes and underscores. A map fits a skeleton that has
a joint for each of the required bodies; torso, head and hands are taken where they are.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REQUIRED = (
    *("pelvis", "right_upper_arm", "right_lower_arm", "left_upper_arm", "left_lower_arm"),
    *("right_thigh", "right_shin", "right_foot", "left_thigh", "left_shin", "left_foot"),
)
BODIES = (*REQUIRED, "torso", "head", "right_hand", "left_hand")
KEYS = ("about", "bodies", "needs")
_WORDS = {
    "pelvis": ("hips", "pelvis", "hip", "root"),
    "torso": ("thorax", "upperchest", "chest", "spine3", "spine2", "spine1", "spine", "torso", "torsolink"),
    "head": ("head", "headlink"),
    "upper_arm": ("upperarm", "uparm", "humerus", "arm", "shoulder"),
    "lower_arm": ("forearm", "lowerarm", "lowarm", "radius", "elbow"),
    "hand": ("hand", "wrist"),
    "thigh": ("upleg", "upperleg", "thigh", "femur", "hip"),
    "shin": ("leg", "lowerleg", "lowleg", "shin", "calf", "tibia", "knee"),
    "foot": ("ankle", "foot"),
}
_SIDES = {"left_": ("left{}", "l{}", "{}left", "{}l"), "right_": ("right{}", "r{}", "{}right", "{}r")}


@dataclass(frozen=True)
class SkeletonMap:
    """``bodies``: for each of our bodies the names of joints that may move it, preferred first. ``needs``: joints that must be there for the map to fit."""

    name: str
    bodies: dict[str, tuple[str, ...]]
    needs: tuple[str, ...] = ()
    about: str = ""

    def joints(self, names: Sequence[str]) -> dict[str, str]:
        """For each body of the map that a skeleton with joints ``names`` has, that joint's full name."""
        plain = _by_plain_name(names)
        found = {body: next((plain[c] for c in map(plain_name, choices) if c in plain), None) for body, choices in self.bodies.items()}
        return {body: joint for body, joint in found.items() if joint is not None}

    def fits(self, names: Sequence[str]) -> bool:
        """Whether a skeleton with joints ``names`` has a joint for each required body, and those the map needs."""
        return set(REQUIRED) <= set(self.joints(names)) and {plain_name(n) for n in self.needs} <= set(plain_names(names))


def plain_name(name: str) -> str:
    """A joint's name without namespace, case and separators: ``mixamorig:Left_UpLeg`` is ``leftupleg``."""
    short = re.split(r"[:|]", name)[-1].lower()
    short = re.sub(r"^(mixamorig\d*|bip\d+|bone_|jnt_|m_avg_|[mf]_avg_)[ _.-]*", "", short)
    return re.sub(r"[ _.\-]", "", short) or re.sub(r"[ _.\-]", "", name.lower())


def plain_names(names: Sequence[str]) -> list[str]:
    """`plain_name` of each, after a beginning up to a separator that all names share (``Hero_Hips``, ``Hero_Head``) is cut off."""
    first, last = min(names, default=""), max(names, default="")
    shared = next((k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    cut = max(first.rfind(mark, 0, shared) for mark in "_. ") + 1 if len(names) > 3 else 0
    return [plain_name(name[cut:]) for name in names]


def _by_plain_name(names: Sequence[str]) -> dict[str, str]:
    """Full names by plain ones; of several alike the first."""
    return dict(reversed(list(zip(plain_names(names), names, strict=True))))


def guess_map(names: Sequence[str]) -> dict[str, str]:
    """Joint by body as far as names give it away, by the words of common rigs. Bodies without a guess are left out; no joint is used twice."""
    plain = _by_plain_name(names)
    found: dict[str, str] = {}
    for body in BODIES:
        side = next((s for s in _SIDES if body.startswith(s)), "")
        for word in _WORDS[body.removeprefix(side)]:
            joint = next((plain[c] for c in (p.format(word) for p in _SIDES.get(side, ("{}",))) if c in plain), None)
            if joint is not None and joint not in found.values():
                found[body] = joint
                break
    return found


def load_map(name_or_path: str | Path, skeletons_dir: str | Path) -> SkeletonMap:
    """Reads a map by name from ``skeletons_dir``, or from a path that ends in ``.yaml``.

    Raises:
        ValueError: no such map, no YAML, an unknown key or body, a required body left out, or a value that is no joint name; names file, key and choices.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = Path(skeletons_dir) / f"{name_or_path}.yaml"
    if not path.is_file():
        have = sorted(p.stem for p in Path(skeletons_dir).glob("*.yaml"))
        raise ValueError(f"skeleton map {name_or_path}: not found. Available: {', '.join(have) or 'none'}, or a path that ends in .yaml")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"skeleton map {path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict) or not isinstance(data.get("bodies"), dict):
        got = f"bodies {data.get('bodies')!r}" if isinstance(data, dict) else type(data).__name__
        raise ValueError(f"skeleton map {path}: got {got}; expected `bodies:` with a line `body: joint` each. Available: {', '.join(KEYS)}")
    for key, known, what in (*((k, KEYS, "key") for k in data), *((b, BODIES, "body") for b in data["bodies"])):
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            raise ValueError(f"skeleton map {path}: {what} {key}: unknown.{f' Closest: {near[0]}.' if near else ''} Available: {', '.join(known)}")
    missing = [body for body in REQUIRED if body not in data["bodies"]]
    if missing:
        raise ValueError(f"skeleton map {path}: body {missing[0]}: missing; expected all of {', '.join(REQUIRED)}")
    needs = _choices(path, "needs", data["needs"]) if "needs" in data else ()
    return SkeletonMap(path.stem, {body: _choices(path, f"body {body}", value) for body, value in data["bodies"].items()}, needs, str(data.get("about", "")))


def _choices(path: Path, what: str, value: Any) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(n, str) and n.strip() for n in names):
        raise ValueError(f"skeleton map {path}: {what}: got {value!r}; expected a joint's name or a list of names")
    return tuple(names)


def choose_map(names: Sequence[str], skeletons_dir: str | Path, parents: Sequence[int] | None = None) -> tuple[SkeletonMap, dict[str, str]]:
    """The map in ``skeletons_dir`` that fits joints ``names`` (the one that takes and needs the most joints, then by name), and its joint for each body.

    Raises:
        ValueError: none fits; the text holds a table of the joints, the guessed map, and how to write one.
    """
    maps = [load_map(path, skeletons_dir) for path in sorted(Path(skeletons_dir).glob("*.yaml"))]
    fitting = sorted((m for m in maps if m.fits(names)), key=lambda m: -len(m.joints(names)) - len(m.needs))
    if not fitting:
        raise ValueError(unknown_skeleton(names, parents, [m.name for m in maps]))
    return fitting[0], fitting[0].joints(names)


def unknown_skeleton(names: Sequence[str], parents: Sequence[int] | None, known: Sequence[str]) -> str:
    """What to tell a user whose skeleton no map fits."""
    guess = guess_map(names)
    bodies = {joint: body for body, joint in guess.items()}
    depth: list[int] = []
    for parent in parents or [-1] * len(names):
        depth.append(depth[parent] + 1 if parent >= 0 else 0)
    table = "\n".join(f"  {'  ' * d + name:40} {bodies.get(name, '')}".rstrip() for d, name in zip(depth, names, strict=True) if not name.endswith("_end"))
    yaml_text = "\n".join(f"    {body}: {guess.get(body, '?')}" for body in BODIES if body in guess or body in REQUIRED)
    missing = [body for body in REQUIRED if body not in guess]
    verdict = f"no guess for {', '.join(missing)}: fill these in" if missing else "all required bodies guessed: check them"
    return (
        f"skeleton of {len(names)} joints: no map fits; expected the joints of one of these. Available: {', '.join(known) or 'none'}\n"
        f"joints, and the body that each was guessed to move:\n{table}\n"
        f"to write a map, save this as my_rig.yaml ({verdict}) and pass it with --map my_rig.yaml:\n  bodies:\n{yaml_text}"
    )

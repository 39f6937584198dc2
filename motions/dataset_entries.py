"""The clips and groups of a dataset file, read strictly (see `motions.dataset`)."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from motions.clip import MIRROR

ENTRY_KEYS = ("clip", "ground", "loop_s", "mirror", "range_s", "tags", "tempo", "turn_rad_s", "weight")
MIN_TEMPO, MAX_TEMPO = 0.25, 4.0
MAX_TURN_RAD_S = 6.0
GROUP_KEYS = ("clips", "tags", "weight")


@dataclass(frozen=True)
class Entry:
    """One clip of a dataset.

    Attributes:
        name: in the dataset. clip: its file's name, without the ending.
        weight: as written. group: the one that it shares a weight with, or "".
        range_s: the part of the clip that is used, or None for all of it. tags: what it is. ground: shift it onto the floor.
        tempo: how many times as fast it is played. loop_s: joined to its own beginning over so many seconds; 0: as it is.
        turn_rad_s: bent, after that, to turn by so much more, to the left if positive.
    """

    name: str
    clip: str
    weight: float
    group: str = ""
    range_s: tuple[float, float] | None = None
    tags: tuple[str, ...] = ()
    ground: bool = False
    tempo: float = 1.0
    loop_s: float = 0.0
    turn_rad_s: float = 0.0


def check_keys(what: str, data: dict[Any, Any], keys: Sequence[str]) -> None:
    """Refuses a key that is not among ``keys``."""
    for key in data:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, 1)
            raise ValueError(f"{what}: key {key}: unknown.{f' Closest: {near[0]}.' if near else ''} Available: {', '.join(keys)}")


def read_flag(what: str, data: dict[Any, Any], key: str, default: bool) -> bool:
    value = data.get(key, default)
    if not isinstance(value, bool):
        raise ValueError(f"{what}: {key}: got {value!r}; expected true or false")
    return value


def read_weight(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{what}: weight: got {value!r}; expected a number >= 0")
    return float(value)


def read_tempo(what: str, data: dict[Any, Any]) -> float:
    value = data.get("tempo", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not MIN_TEMPO <= value <= MAX_TEMPO:
        raise ValueError(f"{what}: tempo: got {value!r}; expected a number from {MIN_TEMPO:g} to {MAX_TEMPO:g}")
    return float(value)


def read_loop(what: str, data: dict[Any, Any]) -> float:
    value = data.get("loop_s", 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{what}: loop_s: got {value!r}; expected seconds, 0 or more")
    return float(value)


def read_turn(what: str, data: dict[Any, Any]) -> float:
    value = data.get("turn_rad_s", 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_TURN_RAD_S:
        raise ValueError(f"{what}: turn_rad_s: got {value!r}; expected rad/s from {-MAX_TURN_RAD_S:g} to {MAX_TURN_RAD_S:g}, to the left if positive")
    return float(value)


def read_tags(what: str, data: dict[Any, Any]) -> tuple[str, ...]:
    tags = data.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag for tag in tags):
        raise ValueError(f"{what}: tags: got {tags!r}; expected a list of words")
    return tuple(tags)


def read_range(what: str, data: dict[Any, Any]) -> tuple[float, float] | None:
    value = data.get("range_s")
    if value is None:
        return None
    numbers = isinstance(value, list) and len(value) == 2 and all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in value)
    if not numbers or not 0 <= value[0] < value[1]:
        raise ValueError(f"{what}: range_s: got {value!r}; expected [start, end] in seconds, 0 <= start < end")
    return float(value[0]), float(value[1])


def read_groups(path: Path, groups: Any) -> Iterator[tuple[str, dict[Any, Any]]]:
    """Groups of a dataset file, each a mapping with known keys."""
    if not isinstance(groups, dict):
        raise ValueError(f"dataset {path}: groups: got {groups!r}; expected lines `name:` with weight and clips")
    for name, group in groups.items():
        if not isinstance(name, str) or not name or not isinstance(group, dict):
            raise ValueError(f"dataset {path}: group {name}: got {group!r}; expected a name and a mapping. Available: {', '.join(GROUP_KEYS)}")
        check_keys(f"dataset {path}: group {name}", group, GROUP_KEYS)
        yield name, group


def read_entries(path: Path, clips: Any, group: str, tags: tuple[str, ...], mirrored: bool, grounded: bool) -> Iterator[Entry]:
    """The clips of a dataset file or of one of its groups, checked, each followed by its mirror image if it is to have one. ``mirrored``, ``grounded``: the defaults."""
    where = f"dataset {path}: group {group}" if group else f"dataset {path}"
    if not isinstance(clips, dict) or not clips:
        raise ValueError(f"{where}: clips: got {clips!r}; expected at least one line `name: weight`")
    for name, value in clips.items():
        if not isinstance(name, str):
            raise ValueError(f"{where}: clips: got name {name!r}; expected text (in quotes where it looks like a number)")
        what = f"dataset {path}: clip {name}"
        data = value if isinstance(value, dict) else {"weight": value}
        check_keys(what, data, ENTRY_KEYS)
        file = data.get("clip", name)
        if not isinstance(file, str):
            raise ValueError(f"{what}: clip: got {file!r}; expected a clip's name")
        own = tags + tuple(t for t in read_tags(what, data) if t not in tags)
        ground = read_flag(what, data, "ground", grounded)
        played = read_tempo(what, data), read_loop(what, data), read_turn(what, data)
        entry = Entry(name, file, read_weight(what, data.get("weight", 1.0)), group, read_range(what, data), own, ground, *played)
        yield entry
        if read_flag(what, data, "mirror", mirrored):
            if name.endswith(MIRROR):
                raise ValueError(f"{what}: listed beside `mirror: true`; expected only the clips themselves")
            yield replace(entry, name=name + MIRROR, clip=file + MIRROR, turn_rad_s=-entry.turn_rad_s)

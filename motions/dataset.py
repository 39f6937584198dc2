"""Datasets: which clips to train on and how often, as YAML.

    mirror: true        # also every clip's mirror image, at the same weight (default false)
    weighting: clip     # a weight is a clip's share; "duration": multiplied by the clip's length (default clip)
    ground: true        # shift clips whose lowest point is off the floor onto it (default false; not for runs, whose flight would be taken for floating)
    smooth_s: 0.04      # average poses over time, standard deviation in seconds: spreads jumps that no body can follow (default 0)
    clips:
      walk: 1
      run: 2
      jump:                     # the long form; everything but the weight may be left out
        weight: 1
        range_s: [0.2, 1.5]     # only this part of the clip
        mirror: false           # not its mirror image
        ground: true            # this one only
        tags: [air]             # what it is, to select by
        tempo: 1.5              # played so many times as fast
        turn_rad_s: 1.2         # bent into a turn, to the left if positive; its mirror image to the other side
        loop_s: 0.5             # a clip that does not loop: joined to its own beginning over so many seconds, so that it is done over and over
      jump_end:
        clip: jump              # the clip's file, where the name is another: several parts of one clip
        weight: 0.5
        range_s: [1.5, 3.0]
    groups:                     # clips that share one weight, however many they are
      turns:
        weight: 1
        tags: [slow]            # of each of its clips, besides their own
        clips: {turn_left0: 1, turn_left1: 1}

Loading is strict: an unknown key, a repeated key or a value of the wrong kind is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from motions.bend import bend
from motions.check import shift_to_floor
from motions.clip import MIRROR, Clip, mirror
from motions.dataset_entries import Entry, check_keys, read_entries, read_flag, read_groups, read_tags, read_weight
from motions.joins import closed
from motions.library import MotionLibrary
from motions.skeleton import Skeleton
from motions.smooth import smooth

WEIGHTINGS = ("clip", "duration")
KEYS = ("clips", "ground", "groups", "mirror", "smooth_s", "weighting")
MAX_SMOOTH_S = 0.5
FETCH = "python run.py motions fetch"


@dataclass(frozen=True)
class Dataset:
    """Clips and weights.

    Attributes:
        name: the file's stem.
        entries: the clips, mirror images included.
        weighting: ``"clip"``: the weights are relative probabilities; ``"duration"``: they are multiplied by the clips' lengths.
        groups: name and weight of each group.
        smooth_s: see `motions.smooth.smooth`.
    """

    name: str
    entries: tuple[Entry, ...]
    weighting: str = "clip"
    groups: tuple[tuple[str, float], ...] = ()
    smooth_s: float = 0.0

    @property
    def clips(self) -> tuple[tuple[str, float], ...]:
        """Names and weights as written."""
        return tuple((e.name, e.weight) for e in self.entries)

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(sorted({tag for e in self.entries for tag in e.tags}))

    def tagged(self, *tags: str) -> Dataset:
        """The clips that carry all of ``tags``, at the same weights.

        Raises:
            ValueError: a tag that no clip carries, or no clip with all of them.
        """
        for tag in tags:
            if tag not in self.tags:
                raise ValueError(f"dataset {self.name}: tag {tag}: on no clip. Available: {', '.join(self.tags) or 'none'}")
        left = tuple(e for e in self.entries if set(tags) <= set(e.tags))
        if not any(e.weight for e in left):
            raise ValueError(f"dataset {self.name}: tags {', '.join(tags)}: got no clip that carries all; expected at least one. Available: {', '.join(self.tags)}")
        return replace(self, entries=left)

    def shares(self, durations_s: Sequence[float]) -> list[float]:
        """Sampling weight of each entry, given the lengths of their clips: as written, times the length if so weighted; a group's are scaled to sum to its weight."""
        raw = [e.weight * (d if self.weighting == "duration" else 1.0) for e, d in zip(self.entries, durations_s, strict=True)]
        total = {group: sum(w for e, w in zip(self.entries, raw, strict=True) if e.group == group) for group, _ in self.groups}
        scale = {"": 1.0} | {group: weight / total[group] if total[group] else 0.0 for group, weight in self.groups}
        return [w * scale[e.group] for e, w in zip(self.entries, raw, strict=True)]


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that occurs twice, where YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]  # type: ignore[no-untyped-call]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"{key}: got it {keys.count(key)} times; expected once")
        return super().construct_mapping(node, deep)


def load_dataset(name_or_path: str | Path, datasets_dir: str | Path) -> Dataset:
    """Reads a dataset by name from ``datasets_dir``, or from a path that ends in ``.yaml``.

    Raises:
        ValueError: no such dataset, no YAML, an unknown key, or a value that is not allowed; the message names file, key and choices.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = Path(datasets_dir) / f"{name_or_path}.yaml"
    if not path.is_file():
        names = sorted(p.stem for p in Path(datasets_dir).glob("*.yaml"))
        raise ValueError(f"dataset {name_or_path}: not found. Available: {', '.join(names) or 'none'}, or a path that ends in .yaml")
    try:
        data = yaml.load(path.read_text(), _UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"dataset {path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise ValueError(f"dataset {path}: got {type(data).__name__}; expected a mapping. Available: {', '.join(KEYS)}")
    check_keys(f"dataset {path}", data, KEYS)
    weighting = data.get("weighting", "clip")
    if weighting not in WEIGHTINGS:
        raise ValueError(f"dataset {path}: weighting: got {weighting!r}; expected one of {', '.join(WEIGHTINGS)}")
    smooth_s = data.get("smooth_s", 0.0)
    if isinstance(smooth_s, bool) or not isinstance(smooth_s, int | float) or not 0 <= smooth_s <= MAX_SMOOTH_S:
        raise ValueError(f"dataset {path}: smooth_s: got {smooth_s!r}; expected seconds from 0 to {MAX_SMOOTH_S:g}")
    flags = {key: read_flag(f"dataset {path}", data, key, False) for key in ("mirror", "ground")}
    entries = list(read_entries(path, data.get("clips"), "", (), flags["mirror"], flags["ground"])) if "clips" in data or "groups" not in data else []
    groups = []
    for name, group in read_groups(path, data.get("groups", {})):
        groups.append((name, read_weight(f"dataset {path}: group {name}", group.get("weight", 1.0))))
        entries += read_entries(path, group.get("clips"), name, read_tags(f"dataset {path}: group {name}", group), flags["mirror"], flags["ground"])
    names = [e.name for e in entries]
    if double := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"dataset {path}: clip {double[0]}: got it {names.count(double[0])} times, mirror images counted; expected each name once")
    dataset = Dataset(path.stem, tuple(entries), weighting, tuple(groups), float(smooth_s))
    if not any(dataset.shares([1.0] * len(entries))):
        raise ValueError(f"dataset {path}: clips: got weight 0 for all; expected one above 0")
    return dataset


def build_library(dataset: Dataset, clips_dir: str | Path, skeleton: Skeleton, device: torch.device | str = "cpu") -> MotionLibrary:
    """Loads a dataset's clips from ``clips_dir`` and stacks them. Clips of weight 0 are left out.

    Raises:
        ValueError: a clip is not there or not valid.
    """
    loaded = [(entry, smooth(load_entry(entry, clips_dir, dataset.name), dataset.smooth_s)) for entry in dataset.entries if entry.weight > 0]
    looping = [(entry, closed(clip, skeleton, entry.loop_s) if entry.loop_s else clip) for entry, clip in loaded]
    bent = [(entry, bend(clip, entry.turn_rad_s) if entry.turn_rad_s else clip) for entry, clip in looping]
    used = [(entry, shift_to_floor(clip, skeleton) if entry.ground else clip) for entry, clip in bent]
    shares = replace(dataset, entries=tuple(entry for entry, _ in used)).shares([clip.duration_s for _, clip in used])
    kept = [(clip, share) for (_, clip), share in zip(used, shares, strict=True) if share > 0]
    return MotionLibrary([clip for clip, _ in kept], skeleton, [share for _, share in kept], device)


def load_entry(entry: Entry, clips_dir: str | Path, dataset: str = "") -> Clip:
    """A dataset's clip under its name there, cut to its time range, at its tempo.

    Raises:
        ValueError: it is not there, not valid, or shorter than the range.
    """
    clip = load_clip(entry.clip, clips_dir, dataset)
    part = clip if entry.range_s is None else cut(clip, *entry.range_s)
    return replace(part, name=entry.name, fps=part.fps * entry.tempo)


def cut(clip: Clip, start_s: float, end_s: float) -> Clip:
    """The part of a clip between two times in seconds, both rounded to frames; it does not loop.

    Raises:
        ValueError: the clip ends before the part does, or the part holds fewer than two frames.
    """
    first, last = round(start_s * clip.fps), round(end_s * clip.fps)
    if last > clip.num_frames - 1 or last <= first:
        raise ValueError(f"clip {clip.name}: range_s: got [{start_s:g}, {end_s:g}]; expected a part of at least two frames within 0 to {clip.duration_s:.3f} s")
    part = slice(first, last + 1)
    return replace(clip, loop="none", root_pos=clip.root_pos[part], root_quat=clip.root_quat[part], joint_quat=clip.joint_quat[part])


def load_clip(name: str, clips_dir: str | Path, dataset: str = "") -> Clip:
    """A clip by name; ``<name>_mirror`` is made from ``<name>`` where it has no file of its own.

    Raises:
        ValueError: neither file is there, or it is not valid.
    """
    folder = Path(clips_dir)
    path, original = folder / f"{name}.npz", folder / f"{name.removesuffix(MIRROR)}.npz"
    if path.is_file():
        return Clip.load(path)
    if original.is_file():
        return mirror(Clip.load(original))
    names = sorted(p.stem for p in folder.glob("*.npz"))
    of = f" of dataset {dataset}" if dataset else ""
    raise ValueError(f"clip {name}{of}: not in {folder}; get the free clips with: {FETCH}. Available: {', '.join(names) or 'none'}")

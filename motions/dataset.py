"""Datasets: which clips to train on and how often, as YAML.

    mirror: true        # also every clip's mirror image, at the same weight (default false)
    weighting: clip     # a weight is a clip's share; "duration": multiplied by the clip's length (default clip)
    ground: true        # shift clips that float or sink onto the floor (default false)
    clips:
      walk: 1
      run: 2

Loading is strict: an unknown key, a repeated key or a value of the wrong kind is an error.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from motions.clip import MIRROR, Clip, mirror
from motions.library import MotionLibrary
from motions.skeleton import Skeleton

WEIGHTINGS = ("clip", "duration")
KEYS = ("clips", "ground", "mirror", "weighting")
FETCH = "python run.py motions fetch"


@dataclass(frozen=True)
class Dataset:
    """Clips and weights.

    Attributes:
        name: the file's stem.
        clips: names and weights, mirror images included.
        weighting: ``"clip"``: the weights are relative probabilities; ``"duration"``: they are multiplied by the clips' lengths.
        ground: shift clips vertically onto the floor (see `motions.check.shift_to_floor`).
    """

    name: str
    clips: tuple[tuple[str, float], ...]
    weighting: str = "clip"
    ground: bool = False


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
    for key in data:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, 1)
            raise ValueError(f"dataset {path}: key {key}: unknown.{f' Closest: {near[0]}.' if near else ''} Available: {', '.join(KEYS)}")
    weighting = data.get("weighting", "clip")
    if weighting not in WEIGHTINGS:
        raise ValueError(f"dataset {path}: weighting: got {weighting!r}; expected one of {', '.join(WEIGHTINGS)}")
    flags = {key: data.get(key, False) for key in ("mirror", "ground")}
    for key, value in flags.items():
        if not isinstance(value, bool):
            raise ValueError(f"dataset {path}: {key}: got {value!r}; expected true or false")
    clips = _weights(path, data.get("clips"))
    if flags["mirror"]:
        if double := [name for name, _ in clips if name.endswith(MIRROR)]:
            raise ValueError(f"dataset {path}: clip {double[0]}: listed beside `mirror: true`; expected only the clips themselves")
        clips = [pair for name, weight in clips for pair in ((name, weight), (name + MIRROR, weight))]
    return Dataset(path.stem, tuple(clips), weighting, flags["ground"])


def _weights(path: Path, clips: Any) -> list[tuple[str, float]]:
    """The clips and weights of a dataset file, checked."""
    if not isinstance(clips, dict) or not clips:
        raise ValueError(f"dataset {path}: clips: got {clips!r}; expected at least one line `name: weight`")
    for name, weight in clips.items():
        if not isinstance(name, str):
            raise ValueError(f"dataset {path}: clips: got name {name!r}; expected text")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise ValueError(f"dataset {path}: clip {name}: weight: got {weight!r}; expected a number >= 0")
    if not any(clips.values()):
        raise ValueError(f"dataset {path}: clips: got weight 0 for all; expected one above 0")
    return [(name, float(weight)) for name, weight in clips.items()]


def build_library(dataset: Dataset, clips_dir: str | Path, skeleton: Skeleton, device: torch.device | str = "cpu") -> MotionLibrary:
    """Loads a dataset's clips from ``clips_dir`` and stacks them. Clips of weight 0 are left out.

    Raises:
        ValueError: a clip is not there or not valid.
    """
    used = [(load_clip(name, clips_dir, dataset.name), weight) for name, weight in dataset.clips if weight > 0]
    weights = [weight * (clip.duration_s if dataset.weighting == "duration" else 1.0) for clip, weight in used]
    return MotionLibrary([clip for clip, _ in used], skeleton, weights, device, dataset.ground)


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

"""``run.py motions``: clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from cfg.cli import parse
from envs.character import load_character
from motions.check import check_clip
from motions.dataset import load_clip
from motions.sources import fetch


@dataclass(frozen=True)
class FetchArgs:
    """Obtains the free human clips (and mirror images) that the pybullet package ships, with their licences.

    Attributes:
        out: folder for the clips. wheel: the package's wheel, where there is no network.
    """

    out: Path = Path("clips")
    wheel: Path | None = None


@dataclass(frozen=True)
class CheckArgs:
    """Reports what is worth knowing about clips before training on them.

    Attributes:
        clips: names in the clips folder; all if none is given. clips_dir: that folder. character: whose skeleton.
    """

    clips: tyro.conf.Positional[tuple[str, ...]] = ()
    clips_dir: Path = Path("clips")
    character: str = "humanoid"


def main(args: Sequence[str]) -> None:
    if args and args[0] == "fetch":
        given = parse(FetchArgs, args[1:], "run.py motions fetch")
        fetch(given.out, wheel=given.wheel)
    elif args and args[0] == "check":
        wanted = parse(CheckArgs, args[1:], "run.py motions check")
        skeleton = load_character(wanted.character).skeleton
        for name in wanted.clips or sorted(p.stem for p in wanted.clips_dir.glob("*.npz")):
            clip = load_clip(name, wanted.clips_dir)
            findings = check_clip(clip, skeleton)
            print(
                f"{name}: {clip.duration_s:.2f} s, {clip.num_frames} frames at {clip.fps:g} Hz, loop {clip.loop}; {'; '.join(f.message for f in findings) or 'nothing to report'}"
            )
    else:
        raise ValueError(f"run.py motions: command {args[0] if args else '(none)'}: unknown. Available: fetch, check")

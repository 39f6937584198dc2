"""``run.py play``: drive the character live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from ase.run_folder import CONTROLLER
from cfg.cli import parse
from cfg.task_wiring import load_controller
from envs.play import play
from envs.resets import StartMix

FOREVER_S = 3000.0  # an episode's time limit; then the character starts again


@dataclass(frozen=True)
class PlayArgs:
    """Drives a character live in a window: left and right turn it by 15 degrees, up and down make it faster and slower.

    Attributes:
        run: folder of a heading controller, trained by train-task or shipped.
        clips_dir: folder of the clips, if not the run's.
    """

    run: tyro.conf.Positional[Path] = Path("ase/pretrained/heading")
    clips_dir: str = ""


def main(args: Sequence[str]) -> None:
    given = parse(PlayArgs, args, "run.py play")
    if not (given.run / CONTROLLER).is_file():
        raise ValueError(f"run {given.run}: holds no {CONTROLLER}; expected the folder that train-task wrote with --out")
    world, act = load_controller(given.run, given.clips_dir, "cpu", "cpu")
    print("arrow keys: left, right: direction; up, down: speed; close the window to end")
    falls = play(world.make_env(1, 0, StartMix(clip=0, default=1), episode_length_s=FOREVER_S), act)
    print(f"falls: {falls}")

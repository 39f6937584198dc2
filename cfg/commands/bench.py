"""``run.py bench``: how fast is this machine?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ase.timing import time_training
from cfg.cli import parse
from cfg.presets import preset
from cfg.schema import RunConfig
from cfg.wiring import load_world, make_env, make_learner, write_json
from envs import bench
from envs.bench_async import bench_async
from envs.character import Character
from envs.demos import DemoWindows
from envs.engines import share_of_cores
from motions.library import MotionLibrary


@dataclass(frozen=True)
class BenchArgs:
    """Measures speed on this machine: environment against bare physics, against one process an environment, and training end to end.

    Attributes:
        json: file that receives the figures. preset: whose training is timed. iterations: training iterations timed, after as many untimed.
        seconds: time for each environment measurement. sizes: numbers of environments for the scaling table.
        clips_dir: folder of the clips. device, physics: as in pretrain; on a GPU there is no comparison with bare CPU physics.
        num_envs: environments of the training that is timed, if not the preset's.
    """

    json: Path | None = None
    preset: str = "locomotion"
    iterations: int = 12
    seconds: float = 20.0
    sizes: tuple[int, ...] = (256, 1024, 2048, 4096, 8192)
    clips_dir: str = "clips"
    device: str = "auto"
    physics: str = "auto"
    num_envs: int = 0


def cpu_figures(given: BenchArgs, config: RunConfig, character: Character, library: MotionLibrary, threads: int) -> dict[str, Any]:
    """The environment against bare physics, against one process an environment, and by number of environments."""
    speed = bench.bench_env(character, library, config.env.num_envs, threads, given.seconds, config.env)
    one_each = bench_async(library, 2, given.seconds, config.env)
    return {
        "bare_control_steps_per_s": round(speed.bare),
        "env_control_steps_per_s": round(speed.env),
        "env_over_bare": round(speed.share, 3),
        "async_vector_env_control_steps_per_s": round(one_each),
        "env_over_async": round(speed.env / one_each, 2),
        "scaling_control_steps_per_s": {str(n): round(v) for n, v in bench.bench_scaling(character, library, given.sizes, threads, given.seconds, config.env).items()},
    }


def main(args: Sequence[str]) -> None:
    given = parse(BenchArgs, args, "run.py bench")
    config = replace(preset(given.preset), clips_dir=given.clips_dir, device=given.device, physics=given.physics)
    if given.num_envs:
        config = replace(config, env=replace(config.env, num_envs=given.num_envs))
    character, library = load_world(config)
    threads = share_of_cores(config.env.num_threads)
    env = make_env(config, character, library, config.seed)
    env.clock = bench.device_clock(env.device)
    timing = time_training(env, DemoWindows(library, env.layout, config.env.control_dt, config.env.history), make_learner(config, env), given.iterations)
    figures: dict[str, Any] = {"preset": config.preset, "device": bench.device_name(library.device), "num_threads": threads, "num_envs": config.env.num_envs, **timing}
    figures["peak_memory_bytes"] = bench.peak_memory_bytes()  # of the training, before the larger environments below
    if library.device.type == "cuda" or config.physics == "warp":
        makers = {n: partial(make_env, config, character, library, config.seed, replace(config.env, num_envs=n)) for n in given.sizes}
        figures["scaling_control_steps_per_s"] = {str(n): round(bench.env_rate(make(), given.seconds)) for n, make in makers.items()}
    else:
        figures |= cpu_figures(given, config, character, library, threads)
    for key, value in figures.items():
        print(f"{key}: {value}")
    if given.json:
        write_json(given.json, figures)

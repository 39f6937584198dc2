"""``run.py evaluate``: how good is what was trained?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from rich.console import Console

from ase.evaluate import evaluate
from ase.report import measures_table
from cfg.cli import parse
from cfg.wiring import load_policy, load_skills, load_world, make_env, write_json
from envs.demos import DemoWindows


@dataclass(frozen=True)
class EvaluateArgs:
    """Measures a run's skills: many latents, each held for a whole rollout, acting without noise.

    Attributes:
        run: folder that pretrain wrote, or shipped skills.
        json: file that receives the measures.
        latents, replicas: latents, and rollouts of each from different starts. seconds: length of a rollout. seed: of latents and starts.
        clips_dir: folder of the clips, if not the run's. device, physics: as in pretrain.
    """

    run: tyro.conf.Positional[Path]
    json: Path | None = None
    latents: int = 64
    replicas: int = 4
    seconds: float = 10.0
    seed: int = 0
    clips_dir: str = ""
    device: str = "auto"
    physics: str = "auto"


def main(args: Sequence[str]) -> None:
    given = parse(EvaluateArgs, args, "run.py evaluate")
    config, tree = load_skills(given.run, given.clips_dir)
    config = replace(config, device=given.device, physics=given.physics)
    character, library = load_world(config)
    start = replace(config.env.start, fallen=0.0, recovery=0.0, grace_s=0.0)
    settings = replace(config.env, num_envs=given.latents * given.replicas, start=start, terminate_on_fall=True, episode_length_s=given.seconds + 1)
    env = make_env(config, character, library, given.seed, settings)
    learner = load_policy(config, tree, env, given.run)
    demos = DemoWindows(library, env.layout, settings.control_dt, settings.history)
    measures = evaluate(env, learner, demos, given.latents, given.seconds, settings.control_dt, given.seed)
    measures["clip_speed_m_s"] = {name: round(float(library.mean_speed(k)), 4) for k, name in enumerate(library.names)}
    Console().print(measures_table(measures, str(given.run)))
    if given.json:
        write_json(given.json, measures)

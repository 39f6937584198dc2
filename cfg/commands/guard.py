"""``run.py guard``: a run's skills learn which of them to act under instead while one is about to fall."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
import tyro

from ase import checkpoint
from ase.actor_critic import use_bf16
from ase.evaluate import Rollouts, roll_out
from ase.guard import GuardConfig
from ase.run_folder import SKILLS
from ase.watch import learn_guard
from cfg.cli import parse
from cfg.load import from_dict
from cfg.schema import RunConfig
from cfg.skill_book import require_writable
from cfg.wiring import load_policy, load_world, make_env, read_skills, unaided

EPISODE_S = 10.0


@dataclass(frozen=True)
class GuardArgs:
    """Learns who falls under which skills of a run, and keeps that with them: from then on whatever acts with them has a skill give way to another while it is about to fall.
    The policy stays as it is. (A training that goes on, with pretrain --resume, saves its skills without a guard: it would be that of another policy.)

    Attributes:
        run: folder of trained skills whose latents stand for clips.
        learn: how it is learned.
        num_envs: characters that act meanwhile. trials: rollouts of 10 s with and without the guard in the end; 0: none.
        seed: of starts and latents. clips_dir: folder of the clips, if not the run's.
        device, physics: as in pretrain.
    """

    run: tyro.conf.Positional[Path]
    learn: GuardConfig = field(default_factory=GuardConfig)
    num_envs: int = 2048
    trials: int = 1024
    seed: int = 0
    clips_dir: str = ""
    device: str = "auto"
    physics: str = "auto"


def main(args: Sequence[str]) -> None:
    given = parse(GuardArgs, args, "run.py guard")
    if given.num_envs < 1 or given.trials < 0:
        raise ValueError(f"run.py guard: --num-envs, --trials: got {given.num_envs}, {given.trials}; expected at least 1, and at least 0")
    tree, info = read_skills(given.run)
    tree.pop("guard", None)  # learned anew
    config = unaided(from_dict(RunConfig, info["config"], f"checkpoint {given.run / SKILLS}"))
    config = replace(config, device=given.device, physics=given.physics, clips_dir=given.clips_dir or config.clips_dir)
    require_writable(given.run / SKILLS)
    character, library = load_world(config)
    start, rounds, bf16 = replace(config.env.start, fallen=0.0, recovery=0.0), given.learn.rounds, use_bf16(config.train.bf16, library.device)
    settings = replace(config.env, num_envs=given.num_envs, start=start, terminate_on_fall=True, episode_length_s=EPISODE_S)
    alike = replace(start, hard_share=0.0)  # falls are what is looked for here: clips that they come from need not be preferred
    env = make_env(config, character, library, given.seed, replace(settings, start=alike))
    learner = load_policy(config, tree, env, given.run)
    learner.generator.manual_seed(given.seed)
    begun = time.perf_counter()

    def told(number: int, falls: float, error: float) -> None:
        print(f"guard, round {number} of {rounds}: falls per 1,000 steps {falls:.2f}; cross-entropy {error:.3f}; {time.perf_counter() - begun:.0f} s", flush=True)

    guard = learn_guard(env, learner, config.env.control_dt, given.learn, told, bf16)
    how = asdict(given.learn) | {"num_envs": given.num_envs, "seed": given.seed}
    checkpoint.save(given.run / SKILLS, tree | {"guard": guard.state_dict()}, "skills", info | {"guard": how})
    print(f"wrote guard into {given.run / SKILLS}")
    if not given.trials:
        return

    trial = make_env(config, character, library, given.seed, replace(settings, num_envs=given.trials, episode_length_s=EPISODE_S + 1))

    def rolled() -> Rollouts:
        trial.reseed(given.seed)
        z = learner.draw_latents(given.trials, torch.Generator(trial.device).manual_seed(given.seed))
        return roll_out(trial, learner, z, round(EPISODE_S / config.env.control_dt), config.env.history)

    alone = rolled()
    learner.guard = guard
    guarded = rolled()
    falls = [float(rolls.fell.float().mean()) for rolls in (alone, guarded)]
    print(f"falls in {given.trials} rollouts of {EPISODE_S:g} s: {falls[0]:.1%}; with the guard {falls[1]:.1%}, which overrules {guarded.overruled:.1%} of the time")

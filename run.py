"""The suite's command line: fetch clips, pretrain skills, evaluate, render, benchmark. ``python run.py`` lists the commands."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from ase import checkpoint
from ase.evaluate import evaluate
from ase.learner import Learner
from ase.pretrain import pretrain
from ase.report import Reporter
from cfg.cli import fail, parse
from cfg.load import closest, from_dict, load_yaml, save_yaml, to_dict
from cfg.presets import PRESETS, preset
from cfg.schema import RunConfig
from envs.character import Character, load_character
from envs.demos import DemoWindows
from envs.humanoid import EnvConfig, HumanoidEnv
from envs.physics_cpu import CpuPhysics
from motions.check import check_clip
from motions.dataset import build_library, load_clip, load_dataset
from motions.library import MotionLibrary
from motions.sources import fetch

DATASETS = Path(__file__).parent / "cfg" / "datasets"
CONFIG, CHECKPOINT, SKILLS = "config.yaml", "checkpoint.safetensors", "skills.safetensors"


# ---------------------------------------------------------------------------------------------------------------- wiring


def make_env(config: RunConfig, character: Character, library: MotionLibrary, env: EnvConfig, seed: int) -> HumanoidEnv:
    """The environment of a run, with ``env`` for its settings."""
    threads = env.num_threads or os.cpu_count() or 1
    physics = CpuPhysics(character.model, env.num_envs, min(threads, env.num_envs))
    return HumanoidEnv(env, character, physics, library, torch.Generator().manual_seed(seed))


def make_learner(config: RunConfig, env: HumanoidEnv) -> Learner:
    """A fresh learner that fits the environment."""
    window = (config.env.history, env.layout.style_dim)
    return Learner(config.train, env.obs_dim, env.rest_action, window, env.num_envs, config.env.control_dt, env.device, config.seed)


def load_world(config: RunConfig) -> tuple[Character, MotionLibrary]:
    """Character and clips of a run; sets torch's threads."""
    torch.set_num_threads(config.num_threads or os.cpu_count() or 1)
    character = load_character(config.env.character, config.env.sim_dt)
    return character, build_library(load_dataset(config.dataset, DATASETS), config.clips_dir, character.skeleton)


def load_skills(run: Path, clips_dir: str = "") -> tuple[RunConfig, dict[str, Any]]:
    """Configuration and tensors of a trained run (or of a folder that ships skills)."""
    if not (run / SKILLS).is_file():
        raise ValueError(f"run {run}: holds no {SKILLS}; expected the folder that pretrain wrote with --out")
    tree, info = checkpoint.load(run / SKILLS, "skills")
    config = from_dict(RunConfig, info["config"], f"checkpoint {run / SKILLS}")
    return (replace(config, clips_dir=clips_dir) if clips_dir else config), tree


def load_policy(config: RunConfig, tree: dict[str, Any], env: HumanoidEnv, where: Path) -> Learner:
    """A learner for acting and judging, with the networks of ``tree``."""
    learner = make_learner(config, env)
    for name, module in learner.modules().items():
        checkpoint.load_module(module, tree.get(name, {}), f"{where}: {name}")
    return learner


# -------------------------------------------------------------------------------------------------------------- pretrain


@dataclass(frozen=True)
class PretrainArgs:
    """Trains low-level skills from motion clips.

    Attributes:
        out: folder of the run: configuration, checkpoints, TensorBoard events, videos.
        resume: continue the run in that folder, bit for bit.
        config: every setting of the run, as flags.
    """

    out: Path
    resume: bool = False
    config: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=RunConfig)


def pretrain_command(args: Sequence[str]) -> None:
    if not args or args[0] in ("-h", "--help"):
        print(f"usage: run.py pretrain PRESET --out RUN [--resume] [any setting]\npresets: {', '.join(PRESETS)}\nsettings: run.py pretrain walk --help")
        return
    base = preset(args[0])
    prog = f"run.py pretrain {args[0]}"
    given = parse(PretrainArgs, args[1:], prog, PretrainArgs(tyro.MISSING, config=base))
    if given.resume:
        saved = load_yaml(RunConfig, given.out / CONFIG)
        if saved.preset != base.preset:
            raise ValueError(f"run {given.out}: preset: got {base.preset}; expected {saved.preset}, which it was started with")
        given = parse(PretrainArgs, args[1:], prog, PretrainArgs(tyro.MISSING, config=saved))
    elif (given.out / CHECKPOINT).exists():
        raise ValueError(f"run {given.out}: holds a checkpoint already; expected --resume to continue it, or another --out")
    train(given.config, given.out, given.resume)


def train(config: RunConfig, out: Path, resume: bool) -> None:
    """Runs a training to its end, a limit or Ctrl-C; saves on the way and at the end."""
    character, library = load_world(config)
    env = make_env(config, character, library, config.env, config.seed)
    demos = DemoWindows(library, env.layout, config.env.control_dt, config.env.history)
    learner = make_learner(config, env)
    if resume:
        tree, _ = checkpoint.load(out / CHECKPOINT, "training")
        learner.load_state_dict(tree["learner"])
        obs = env.load_state_dict(tree["env"])
    else:
        obs = env.reset()
    try:
        out.mkdir(parents=True, exist_ok=True)
        save_yaml(config, out / CONFIG)
    except OSError as error:
        raise ValueError(f"run {out}: cannot be written: {error.strerror}; expected a folder that can") from None

    def save() -> None:
        info = {"config": to_dict(config), "samples": learner.samples, "minutes": round(learner.seconds / 60, 2)}
        checkpoint.save(out / CHECKPOINT, {"learner": learner.state_dict(), "env": env.state_dict()}, "training", info)
        checkpoint.save(out / SKILLS, {name: module.state_dict() for name, module in learner.modules().items()}, "skills", info)

    stop: list[int] = []
    handlers = {sig: signal.signal(sig, lambda number, _: stop.append(number)) for sig in (signal.SIGINT, signal.SIGTERM)}
    last_save = last_video = time.monotonic()
    with Reporter(out, config.train.max_samples, config.train.max_minutes) as reporter:

        def on_iteration(metrics: dict[str, float]) -> bool:
            nonlocal last_save, last_video
            metrics["env/diverged"] = float(env.num_diverged)
            if learner.iteration % config.train.log_every == 0:
                reporter.update(learner.samples, learner.seconds, metrics)
            if time.monotonic() - last_save >= config.train.save_every_s:
                save()
                last_save = time.monotonic()
            if config.train.video_every_s and time.monotonic() - last_video >= config.train.video_every_s:
                preview(config, character, library, learner, reporter, out)
                last_video = time.monotonic()
            return not stop

        pretrain(env, demos, learner, obs, on_iteration)
        save()
        reporter.say(f"{'stopped' if stop else 'done'} after {learner.samples:,} samples; saved in {out}" + (f"; go on with: {sys.argv[0]} pretrain {config.preset} --out {out} --resume" if stop else ""))
    for sig, handler in handlers.items():
        signal.signal(sig, handler)

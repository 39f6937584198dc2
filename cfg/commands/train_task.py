"""``run.py train-task``: a controller that solves a task with skills."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ase.distributed import own_seed, process_group, rank
from ase.report import TASK_SHOWN, Reporter
from ase.run_folder import CHECKPOINT, CONFIG, CONTROLLER, SKILLS, RunFolder
from ase.task_train import task_train
from cfg.cli import parse
from cfg.load import load_yaml, save_yaml, to_dict
from cfg.presets import task_preset
from cfg.schema import TaskRunConfig
from cfg.task_wiring import load_task_world
from envs.engines import choose_device
from envs.tasks import TASKS


@dataclass(frozen=True)
class TrainTaskArgs:
    """Trains a controller whose actions are skill latents (or joint targets, with --from-scratch).

    Attributes:
        out: folder of the run: configuration, checkpoints, TensorBoard events, a copy of the skills.
        resume: continue the run in that folder.
        config: every setting of the run, as flags.
    """

    out: Path
    resume: bool = False
    config: Annotated[TaskRunConfig, tyro.conf.arg(name="")] = field(default_factory=TaskRunConfig)


def main(args: Sequence[str]) -> None:
    if not args or args[0] in ("-h", "--help"):
        print("usage: run.py train-task TASK --out RUN [--skills RUN] [--from-scratch] [--resume] [any setting]")
        print(f"tasks: {', '.join(TASKS)}\nsettings: run.py train-task heading --help")
        return
    base = task_preset(args[0], "--from-scratch" in args)
    prog = f"run.py train-task {args[0]}"
    given = parse(TrainTaskArgs, args[1:], prog, TrainTaskArgs(tyro.MISSING, config=base))
    if given.resume:
        saved = load_yaml(TaskRunConfig, given.out / CONFIG)
        if (saved.task, saved.from_scratch) != (base.task, base.from_scratch):
            raise ValueError(f"run {given.out}: task: got {_named(base)}; expected {_named(saved)}, which it was started with")
        given = parse(TrainTaskArgs, args[1:], prog, TrainTaskArgs(tyro.MISSING, config=saved))
    elif (given.out / CHECKPOINT).exists():
        raise ValueError(f"run {given.out}: holds a checkpoint already; expected --resume to continue it, or another --out")
    with process_group(choose_device(given.config.device, given.config.physics)):
        train(given.config, given.out, given.resume)


def _named(config: TaskRunConfig) -> str:
    return config.task + (" --from-scratch" if config.from_scratch else "")


def train(config: TaskRunConfig, out: Path, resume: bool) -> None:
    """Runs a training to its end, a limit or Ctrl-C; saves on the way and at the end."""
    world = load_task_world(config, out if resume else Path(config.skills))
    env = world.make_env(config.num_envs, own_seed(config.seed))
    learner = world.make_learner(env)
    folder = RunFolder(out, to_dict(config), CONTROLLER)
    obs = folder.resume(learner, env) if resume else env.reset()
    if rank() == 0 and not resume:
        try:
            out.mkdir(parents=True, exist_ok=True)
            save_yaml(config, out / CONFIG)
            shutil.copyfile(Path(config.skills) / SKILLS, out / SKILLS)
        except OSError as error:
            raise ValueError(f"run {out}: cannot be written: {error.strerror}; expected a folder that can") from None

    stop: list[int] = []
    handlers = {sig: signal.signal(sig, lambda number, _: stop.append(number)) for sig in (signal.SIGINT, signal.SIGTERM)}
    last_save = learner.seconds  # the same on all ranks
    with Reporter(out, config.train.max_samples, config.train.max_minutes, silent=rank() > 0, shown=TASK_SHOWN) as reporter:

        def on_iteration(metrics: dict[str, float]) -> bool:
            nonlocal last_save
            metrics |= {"env/diverged": float(env.num_diverged), "env/contact_overflows": float(env.physics.num_overflows)}
            if learner.iteration % config.train.log_every == 0:
                reporter.update(learner.samples, learner.seconds, metrics)
            if learner.seconds - last_save >= config.train.save_every_s:
                folder.save(learner, env)
                last_save = learner.seconds
            return not stop

        task_train(env, learner, config.train, world.steps_each, obs, on_iteration)
        folder.save(learner, env)
        ending = f"; go on with: python run.py train-task {_named(config)} --out {out} --resume" if stop else ""
        reporter.say(f"{'stopped' if stop else 'done'} after {learner.samples:,} control steps; saved in {out}{ending}")
    for sig, handler in handlers.items():
        signal.signal(sig, handler)

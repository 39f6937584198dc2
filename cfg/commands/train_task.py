"""``run.py train-task``: a controller that solves a task with skills."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ase.distributed import own_seed, process_group, rank
from ase.report import TASK_SHOWN, Reporter
from ase.run_folder import CONFIG, CONTROLLER, SKILLS, RunFolder
from ase.task_train import task_train
from cfg.load import save_yaml, to_dict
from cfg.presets import task_preset
from cfg.schema import TaskRunConfig
from cfg.task_wiring import load_task_world
from cfg.training import OnIteration, begin, parse_training, run_training, writing
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
    given = parse_training(TrainTaskArgs(tyro.MISSING, config=base), args[1:], prog, "task", _named)
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
    obs = begin(env, learner, folder, resume)
    env.tasks.task.trained_for(learner.samples)
    with writing(out):
        if rank() == 0 and not resume:
            save_yaml(config, out / CONFIG)
            shutil.copyfile(Path(config.skills) / SKILLS, out / SKILLS)
    reporter = Reporter(out, config.train.max_samples, config.train.max_minutes, silent=rank() > 0, shown=TASK_SHOWN)

    def loop(told: OnIteration) -> None:
        def after(metrics: dict[str, float]) -> bool:
            env.tasks.task.trained_for(learner.samples)
            return told(metrics | {"reward/task": env.tasks.take_mean_reward()})

        task_train(env, learner, config.train, world.steps_each, obs, after)

    run_training(loop, learner, env, folder, config.train, reporter, f"train-task {_named(config)}")

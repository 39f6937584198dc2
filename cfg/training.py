"""What both training commands do around their loops: settings and how they are resumed, saving, reporting, stopping."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from torch import Tensor

from ase.actor_critic import ActorCritic
from ase.distributed import average_numbers, world_size
from ase.report import Reporter
from ase.run_folder import CHECKPOINT, CONFIG, RunFolder, SavedEnv
from cfg.cli import parse
from cfg.load import load_yaml
from envs.physics import Physics

OnIteration = Callable[[dict[str, float]], bool]


class TrainArgs(Protocol):
    """What the arguments of a training have in common."""

    @property
    def out(self) -> Path: ...
    @property
    def resume(self) -> bool: ...
    @property
    def config(self) -> Any: ...


class Limits(Protocol):
    """How long to train, how often to save and to log: of `ase.learner.PretrainConfig` and `ase.task_train.TaskTrainConfig`."""

    @property
    def max_samples(self) -> int: ...
    @property
    def max_minutes(self) -> float: ...
    @property
    def save_every_s(self) -> float: ...
    @property
    def log_every(self) -> int: ...


class TrainedEnv(SavedEnv, Protocol):
    """An environment that can be spread out, and counts what went wrong."""

    def stagger(self) -> None: ...

    @property
    def num_diverged(self) -> int: ...
    @property
    def physics(self) -> Physics: ...


A = TypeVar("A", bound=TrainArgs)


def parse_training(default: A, args: Sequence[str], prog: str, kind: str, named: Callable[[Any], str]) -> A:
    """Arguments of a training; a resumed one starts from the settings it was saved with.

    Args:
        default: arguments with the settings of a new run. kind, named: what a run must have in common with the one it resumes, for people.

    Raises:
        ValueError: the folder holds a checkpoint that is not to be resumed, or is a run of another kind.
    """
    given = parse(type(default), args, prog, default)
    if given.resume:
        saved = load_yaml(type(default.config), given.out / CONFIG)
        if named(saved) != named(default.config):
            raise ValueError(f"run {given.out}: {kind}: got {named(default.config)}; expected {named(saved)}, which it was started with")
        return parse(type(default), args, prog, replace(cast(Any, default), config=saved))
    if (given.out / CHECKPOINT).exists():
        raise ValueError(f"run {given.out}: holds a checkpoint already; expected --resume to continue it, or another --out")
    return given


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Makes the folder of a run; what cannot be written there is one clear line."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ValueError(f"run {out}: cannot be written: {error.strerror}; expected a folder that can") from None


def begin(env: TrainedEnv, learner: ActorCritic, folder: RunFolder, resume: bool) -> Tensor:
    """First observations ``[N, O]``: of a saved run's environments as they were, or of new ones, somewhere in their episodes."""
    if resume:
        return folder.resume(learner, env)
    obs = env.reset()
    env.stagger()
    return obs


def run_training(
    loop: Callable[[OnIteration], None],
    learner: ActorCritic,
    env: TrainedEnv,
    folder: RunFolder,
    limits: Limits,
    reporter: Reporter,
    command: str,
    also: Callable[[], None] = lambda: None,
) -> bool:
    """Runs a training to its end, a limit or Ctrl-C; saves on the way and at the end. Returns whether it came to its end or limit.

    Args:
        loop: trains, and calls what it is given after each iteration. command: what was typed, without ``--out`` and ``--resume``. also: called after each iteration.
    """
    stop: list[int] = []
    handlers = {sig: signal.signal(sig, lambda number, _: stop.append(number)) for sig in (signal.SIGINT, signal.SIGTERM)}
    last_save = learner.seconds  # the same on all ranks

    def on_iteration(metrics: dict[str, float]) -> bool:
        nonlocal last_save
        if learner.iteration % limits.log_every == 0:
            wrong = {"env/diverged": float(env.num_diverged), "env/contact_overflows": float(env.physics.num_overflows)}
            over_ranks = {key: world_size() * value for key, value in average_numbers(wrong).items()}
            reporter.update(learner.samples, learner.seconds, metrics | over_ranks)
        if learner.seconds - last_save >= limits.save_every_s:
            folder.save(learner, env)
            last_save = learner.seconds
        also()
        return not stop

    with reporter:
        loop(on_iteration)
        folder.save(learner, env)
        ending = f"; go on with: python run.py {command} --out {folder.path} --resume" if stop else ""
        reporter.say(f"{'stopped' if stop else 'done'} after {learner.samples:,} samples; saved in {folder.path}{ending}")
    for sig, handler in handlers.items():
        signal.signal(sig, handler)
    return not stop

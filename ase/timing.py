"""Where the time of a training goes."""

from __future__ import annotations

from typing import Any, Protocol

from ase.learner import Learner
from ase.pretrain import ClipEnv, pretrain
from ase.style import Demos


class TimedEnv(ClipEnv, Protocol):
    """An environment that adds up the wall time of its parts in ``seconds``: ``physics`` and ``features``."""

    seconds: dict[str, float]


def time_training(env: TimedEnv, demos: Demos, learner: Learner, iterations: int) -> dict[str, Any]:
    """End-to-end speed of pretraining over ``iterations`` after as many to warm up.

    Returns:
        ``train_samples_per_s`` and ``split_s``: seconds spent in physics, features, inference (with resets and bookkeeping) and update.
    """
    marks: list[dict[str, float]] = []
    act = update = 0.0

    def on_iteration(metrics: dict[str, float]) -> bool:
        nonlocal act, update
        if len(marks) >= iterations:
            act, update = act + metrics["time/act_s"], update + metrics["time/update_s"]
        marks.append({"samples": learner.samples, "total": learner.seconds, **env.seconds})
        return len(marks) < 2 * iterations

    pretrain(env, demos, learner, env.reset(), on_iteration)
    spent = {key: marks[-1][key] - marks[iterations - 1][key] for key in marks[0]}
    split = {"physics": spent["physics"], "features": spent["features"], "inference": act - spent["physics"] - spent["features"], "update": update}
    return {"train_samples_per_s": round(spent["samples"] / spent["total"]), "split_s": {key: round(value, 3) for key, value in split.items()}}

"""How characters take pushes and thrown boxes, and get up: trials in which a fall ends nothing.

Shapes: ``N`` characters, one trial each, ``O`` observation, ``T`` control steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from ase.metrics import recovery
from ase.rollout import Env

HOLD_S = 1.0  # on its feet for so long a character has recovered


class Upright(Env, Protocol):
    """An environment that can tell who stands, and in which falls end no episode."""

    @property
    def standing(self) -> Tensor: ...


@torch.no_grad()
def watch(env: Upright, act: Callable[[Tensor], Tensor], obs: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Acts for ``steps`` from observations ``obs [N, O]``: who stood at each, ``[T, N]``, and the last observations."""
    stood = []
    for _ in range(steps):
        obs = env.step(act(obs)).obs
        stood.append(env.standing)
    return torch.stack(stood), obs


def knock_trial(
    env: Upright, name: str, knock: Callable[[Tensor], None], act: Callable[[Tensor], Tensor], before_s: float, knock_s: float, after_s: float, dt: float
) -> dict[str, Any]:
    """Every character acts for ``before_s`` seconds, is knocked once, by what ``knock`` begins for environments ``[n]`` and lasts ``knock_s``, and is watched for ``after_s``.

    Returns:
        With ``name`` before each: ``_survival``: share that is on its feet for a second within ``after_s`` of the knock's end, of those that stood when it began;
        ``_recovery_time_s``: their mean and largest time from the knock's end until then (0 where nobody went down); ``_trials``: how many stood.
    """
    stood, obs = watch(env, act, env.reset(), round(before_s / dt))
    upright = stood[-1]
    knock(torch.arange(env.num_envs, device=env.device))
    _, obs = watch(env, act, obs, round(knock_s / dt))
    stood, _ = watch(env, act, obs, round(after_s / dt))
    recovered, time = recovery(stood[:, upright], dt, HOLD_S)
    return {f"{name}_survival": _share(recovered), f"{name}_recovery_time_s": _times(time), f"{name}_trials": int(upright.sum())}


def fall_trial(env: Upright, act: Callable[[Tensor], Tensor], after_s: float, dt: float) -> dict[str, Any]:
    """Every character starts on the floor (the environment's starts are all fallen) and is watched for ``after_s`` seconds.

    Returns:
        ``fallen_recovery``: share that is on its feet for a second within that time; ``fallen_recovery_time_s``: their mean and largest time until then; ``fallen``: how many.
    """
    stood, _ = watch(env, act, env.reset(), round(after_s / dt))
    recovered, time = recovery(stood, dt, HOLD_S)
    return {"fallen_recovery": _share(recovered), "fallen_recovery_time_s": _times(time), "fallen": env.num_envs}


def _share(flags: Tensor) -> float | None:
    return round(float(flags.float().mean()), 4) if len(flags) else None


def _times(seconds: Tensor) -> dict[str, float | None]:
    """Mean and maximum over those that are no NaN; None if all are."""
    found = seconds[~seconds.isnan()]
    return {"mean": round(float(found.mean()), 3) if len(found) else None, "max": round(float(found.max()), 3) if len(found) else None}

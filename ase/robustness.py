"""How characters take pushes and thrown boxes, and get up: trials in which a fall ends nothing.

Shapes: ``N`` characters, one trial each, ``O`` observation, ``T`` control steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from ase.learner import Learner
from ase.metrics import recovery
from ase.rollout import Env

HOLD_S = 1.0  # on its feet for so long a character has recovered


class Upright(Env, Protocol):
    """An environment that can tell who stands and who has fallen, ``[N]``, and in which falls end no episode."""

    fallen: Tensor

    @property
    def standing(self) -> Tensor: ...


class Riser:
    """A policy under latents ``z [N, Z]``, that gets up where the skills were trained to (``latents.fallen_hold_s``): whoever falls acts under a latent that fits how it lies
    (`Learner.fitting_latents`) until it stands, and under a new one if that has not helped for so long."""

    def __init__(self, env: Upright, learner: Learner, z: Tensor, seed: int):
        self._env, self._learner, self._own, self._z = env, learner, z, z.clone()
        self._generator = torch.Generator(env.device).manual_seed(seed)
        self._hold = round(learner.config.latents.fallen_hold_s / learner.control_dt)
        self._left = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)

    @torch.no_grad()
    def __call__(self, obs: Tensor) -> Tensor:
        self._left = torch.where(self._env.standing, 0, self._left - 1)
        fell = (self._env.fallen & (self._left <= 0)).nonzero().squeeze(-1)
        if self._hold and len(fell):
            self._z[fell] = self._learner.fitting_latents(self._env.history[fell], self._generator)
            self._left[fell] = self._hold
        return self._learner.act(obs, torch.where((self._left > 0).unsqueeze(-1), self._z, self._own))


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

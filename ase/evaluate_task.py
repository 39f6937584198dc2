"""How well a controller solves its task, over seeds: many episodes acted without noise.

Shapes: ``N`` episodes, ``O`` observation, ``H`` history frames, ``F`` features of a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ase.rollout import Env


class Tally(Protocol):
    """What a task keeps count of; see `envs.task_env.TaskEnv`."""

    task_return: Tensor
    asked: Tensor
    met: Tensor


@torch.no_grad()
def play_episodes(env: Env, tally: Tally, act: Callable[[Tensor], Tensor], judge: Callable[[Tensor], Tensor], steps: int, steps_each: int) -> dict[str, float]:
    """One episode of ``steps`` steps in each environment.

    Args:
        act: actions from observations ``[N, O]``. judge: style reward ``[N]`` of windows ``[N, H, F]``. steps_each: control steps in one step.

    Returns:
        ``normalized_return`` (sum of task rewards over what it would be if every control step earned 1; steps after a fall earn 0), ``success_rate`` (share of the targets that
        the character was at when their time ended; a fall fails its target), ``fall_rate`` (share of episodes), ``style_reward`` (mean while upright, unweighted).
    """
    obs = env.reset()
    alive = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
    style, judged = torch.zeros((), device=env.device), torch.zeros((), device=env.device)
    for _ in range(steps):
        step = env.step(act(obs))
        obs = step.obs
        alive &= ~step.terminated
        style += (judge(step.disc_obs) * alive).sum()
        judged += alive.sum()
    return {
        "normalized_return": float(tally.task_return.mean()) / (steps * steps_each),
        "success_rate": float(tally.met.sum() / tally.asked.sum().clamp_min(1)),
        "fall_rate": float((~alive).float().mean()),
        "style_reward": float(style / judged.clamp_min(1.0)),
    }


def spread_over_seeds(parts: Sequence[dict[str, float]]) -> dict[str, Any]:
    """For each measure its ``mean`` over seeds, the ``std`` between them (with ``n - 1``), and ``each``."""
    rows = {key: torch.tensor([part[key] for part in parts], dtype=torch.float64) for key in parts[0]}
    return {key: {"mean": round(float(v.mean()), 4), "std": round(float(v.std()) if len(v) > 1 else 0.0, 4), "each": [round(float(x), 4) for x in v]} for key, v in rows.items()}

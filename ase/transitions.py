"""Can the policy go from any skill to any other? Latents that change in the middle of a rollout.

Shapes: ``R`` rollouts, ``C`` clips, ``W`` windows, ``Z`` latent.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ase.clip_space import ClipSpace
from ase.learner import Learner
from ase.rollout import Env, on_their_feet

HOLD_S, LOOK_S = 3.0, 1.0  # how long each latent acts, and the last part of it that is looked at
WINDOW_EVERY = 3  # control steps between the windows that are judged


def transition_counts(before: Tensor, after: Tensor, num_clips: int) -> Tensor:
    """How often clip ``i`` was followed by clip ``j``, ``[C, C]``, from the clips ``before [R]`` and ``after [R]``."""
    return torch.bincount(before * num_clips + after, minlength=num_clips * num_clips).view(num_clips, num_clips)


def transition_coverage(counts: Tensor) -> float:
    """Share of the ordered pairs of different clips that were seen at least once (ASE: about 10 % of its clips' pairs), from ``counts [C, C]``; 1 for a single clip."""
    pairs = ~torch.eye(len(counts), dtype=torch.bool, device=counts.device)
    return float((counts[pairs] > 0).float().mean()) if len(counts) > 1 else 1.0


@torch.no_grad()
def measure_transitions(env: Env, learner: Learner, space: ClipSpace, rollouts: int, control_dt: float, generator: torch.Generator) -> dict[str, Any]:
    """Acts under one random latent and then under another, each for `HOLD_S` seconds, in at least so many rollouts from fresh starts.

    A rollout's clips are those that the last `LOOK_S` seconds of each half are nearest to (`ClipSpace.nearest`); one that falls has none.

    Returns:
        ``transition_coverage``, ``transition_fall_rate`` (share of the rollouts that fell), ``transitions``: names of the clips, and counts (rows: before the change).
    """
    steps, look, n = round(HOLD_S / control_dt), round(LOOK_S / control_dt), env.num_envs
    counts = torch.zeros(space.num_clips, space.num_clips, dtype=torch.long, device=env.device)
    fell, rounds = 0, -(-rollouts // n)
    for _ in range(rounds):
        first, second = (learner.draw_latents(n, generator) for _half in range(2))
        windows, alive = act_through_change(env, learner, first, second, steps, look)
        before, after = (space.nearest(space.scaled(half.flatten(0, 1)), torch.arange(n, device=env.device).repeat_interleave(half.shape[1]))[0] for half in windows)
        counts += transition_counts(before[alive], after[alive], space.num_clips)
        fell += int((~alive).sum())
    return {
        "transition_coverage": transition_coverage(counts),
        "transition_fall_rate": fell / (rounds * n),
        "transitions": {"clips": list(space.names), "counts": counts.tolist()},
    }


def act_through_change(env: Env, learner: Learner, first: Tensor, second: Tensor, steps: int, look: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Windows ``[R, V, H, F]`` of the last ``look`` control steps under latents ``first [R, Z]`` and under ``second``, each held for ``steps``, and who has not fallen, ``[R]``."""
    held, seen, standing = iter([first] * steps + [second] * steps), [], torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
    start = env.reset()
    learner.hold(env, first, steps)
    for t, (step, alive) in enumerate(on_their_feet(env, lambda obs: learner.act(obs, next(held)), start, 2 * steps)):
        standing = alive
        if t == steps - 1:
            learner.hold(env, second, steps)
        left = steps - 1 - t % steps
        if left < look and left % WINDOW_EVERY == 0:
            seen.append(step.disc_obs)
    windows = torch.stack(seen, dim=1)
    return (windows[:, : len(seen) // 2], windows[:, len(seen) // 2 :]), standing

"""Generalised advantage estimation (arXiv 1506.02438) with exact ends of episodes."""

from __future__ import annotations

import torch
from torch import Tensor


def gae(reward: Tensor, value: Tensor, next_value: Tensor, terminated: Tensor, truncated: Tensor, discount: float, lam: float) -> Tensor:
    """Advantages of ``T`` steps in ``N`` environments.

    Args:
        reward, value: ``[T, N]``; ``value[t]`` is of the state that step ``t`` acts in.
        next_value: ``[T, N]`` value of the true next state of each step, before any reset.
        terminated: ``[T, N]`` the next state is a failure: its value counts as zero.
        truncated: ``[T, N]`` a time limit: the next value counts, but no later reward does.

    Returns:
        ``[T, N]`` advantages; add ``value`` for the returns.
    """
    alive = (~terminated).to(reward)
    goes_on = (~(terminated | truncated)).to(reward)
    delta = reward + discount * alive * next_value - value
    advantage = torch.empty_like(delta)
    carry = torch.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        carry = delta[t] + discount * lam * goes_on[t] * carry
        advantage[t] = carry
    return advantage

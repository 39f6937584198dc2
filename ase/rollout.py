"""`Rollout`: what one iteration of acting produced, and what environments must offer to be trained on.

Shapes: ``T`` rollout steps, ``N`` environments, ``B = T * N``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor

from ase.windows import FrameLog


class StepLike(Protocol):
    """See `envs.humanoid.Step`."""

    @property
    def obs(self) -> Tensor: ...
    @property
    def reward(self) -> Tensor: ...
    @property
    def terminated(self) -> Tensor: ...
    @property
    def truncated(self) -> Tensor: ...
    @property
    def disc_obs(self) -> Tensor: ...


FALLEN = -2  # as the clip of a start: on the floor


class Env(Protocol):
    """A batch of environments whose ``step`` does not reset.

    Attributes:
        history: ``[N, H, F]`` present windows. start_clip: ``[N]`` the clip that the episode started on, -1 if on none, `FALLEN` if on the floor.
    """

    num_envs: int
    device: torch.device

    @property
    def history(self) -> Tensor: ...
    @property
    def start_clip(self) -> Tensor: ...
    @property
    def obs_dim(self) -> int: ...
    @property
    def action_dim(self) -> int: ...
    def reset(self, env_ids: Tensor | None = None) -> Tensor: ...
    def allow_floor(self, env_ids: Tensor, steps: Tensor) -> None: ...
    def step(self, action: Tensor) -> StepLike: ...


def on_their_feet(env: Env, act: Callable[[Tensor], Tensor], obs: Tensor, steps: int) -> Iterator[tuple[StepLike, Tensor]]:
    """Acts for ``steps`` from ``obs [N, O]`` and gives each control step, and who has not fallen in any so far, ``[N]``. Who falls starts anew, so that it does not diverge, and
    counts no more; at the time of a step it still lies where it fell."""
    alive = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
    for _ in range(steps):
        step = env.step(act(obs))
        obs, alive = step.obs, alive & ~step.terminated
        yield step, alive
        if step.terminated.any():
            obs = env.reset(step.terminated.nonzero().squeeze(-1))


@dataclass
class Rollout:
    """One iteration's data, time-major.

    Attributes:
        obs, z, action, log_prob: ``[T, N, ...]`` what was seen, the latent, what was done and its log density.
        stochastic: ``[T, N]`` whether exploration noise was added (only these samples train the policy).
        task_reward, terminated, truncated: ``[T, N]``. In pretraining the reward for doing a clip is added to the former, so that it is all that no network gave.
        windows: ``[T, N]`` windows after the steps, frame by frame.
        evidence: ``[T, N]`` whether the window belongs to ``z`` alone.
        end_value: ``[T, N]`` normalised value of the true next state where the step was truncated, else 0.
    """

    obs: Tensor
    z: Tensor
    action: Tensor
    log_prob: Tensor
    stochastic: Tensor
    task_reward: Tensor
    terminated: Tensor
    truncated: Tensor
    windows: FrameLog
    evidence: Tensor
    end_value: Tensor

    @staticmethod
    def empty(steps: int, num_envs: int, obs_dim: int, latent_dim: int, action_dim: int, window: tuple[int, int], device: torch.device) -> Rollout:
        """Uninitialised storage."""

        def floats(*shape: int) -> Tensor:
            return torch.empty(steps, num_envs, *shape, device=device)

        def flags() -> Tensor:
            return torch.empty(steps, num_envs, dtype=torch.bool, device=device)

        return Rollout(
            floats(obs_dim), floats(latent_dim), floats(action_dim), floats(), flags(), floats(), flags(), flags(), FrameLog(steps, num_envs, window, device), flags(), floats()
        )

    def store(self, t: int, **values: Tensor) -> None:
        """Writes row ``t`` of the named tensors."""
        for name, value in values.items():
            getattr(self, name)[t] = value

    def flat(self, name: str) -> Tensor:
        """A field as ``[B, ...]``."""
        return getattr(self, name).flatten(0, 1)

    @property
    def num_bytes(self) -> int:
        held = [getattr(self, f.name) for f in fields(self)]
        return sum(x.num_bytes if isinstance(x, FrameLog) else x.nbytes for x in held)

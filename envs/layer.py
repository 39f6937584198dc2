"""`EnvLayer`: what an environment on top of another hands on from below.

Shapes: ``N`` environments, ``H`` history frames, ``F`` features of a frame.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from envs.physics import Physics


class Below(Protocol):
    """An environment that another can stand on."""

    num_envs: int
    device: torch.device
    physics: Physics

    @property
    def history(self) -> Tensor: ...
    @property
    def start_clip(self) -> Tensor: ...
    @property
    def num_diverged(self) -> int: ...
    def allow_floor(self, env_ids: Tensor, steps: Tensor) -> None: ...


E = TypeVar("E", bound=Below)


class EnvLayer(Generic[E]):
    """Args:
    env: the environment below.
    """

    def __init__(self, env: E):
        self.env = env
        self.num_envs, self.device, self.physics = env.num_envs, env.device, env.physics

    @property
    def history(self) -> Tensor:
        """Present windows, ``[N, H, F]``."""
        return self.env.history

    @property
    def start_clip(self) -> Tensor:
        """The clip ``[N]`` that each episode started on, or -1."""
        return self.env.start_clip

    @property
    def num_diverged(self) -> int:
        """Simulations that were put back because they diverged."""
        return self.env.num_diverged

    def allow_floor(self, env_ids: Tensor, steps: Tensor) -> None:
        """See `envs.humanoid.HumanoidEnv.allow_floor`."""
        self.env.allow_floor(env_ids, steps)

"""Random pushes at the root: a disturbance to train with, or to measure balance by.

Shapes: ``N`` environments, ``n`` some of them. Forces are in the world frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PushConfig:
    """Attributes:
    every_s: mean time between pushes; 0 for none. The time to each is uniform in ±50 % of it.
    min_force_n, max_force_n: a push's size is uniform between these; its direction is any on the ground (ASE: 500 to 1,000 N).
    seconds: how long a push lasts.
    """

    every_s: float = 0.0
    min_force_n: float = 500.0
    max_force_n: float = 1000.0
    seconds: float = 0.5

    def __post_init__(self) -> None:
        if not (self.every_s >= 0 and 0 <= self.min_force_n <= self.max_force_n and self.seconds > 0):
            got = f"every_s {self.every_s:g}, forces {self.min_force_n:g} to {self.max_force_n:g}, seconds {self.seconds:g}"
            raise ValueError(f"push: got {got}; expected every_s >= 0, 0 <= min_force_n <= max_force_n, seconds > 0")


class Pushes:
    """When and how hard each environment is pushed.

    Attributes:
        force: ``[N, 3]`` newtons, of the present or last push. wait, left: ``[N]`` control steps until the next push, and for which the present one still lasts.
    """

    def __init__(self, config: PushConfig, num_envs: int, control_dt: float, generator: torch.Generator):
        self.config, self._dt, self.generator, device = config, control_dt, generator, generator.device
        self.force = torch.zeros(num_envs, 3, device=device)
        self.wait, self.left = (torch.zeros(num_envs, dtype=torch.long, device=device) for _ in range(2))
        self.begin(torch.arange(num_envs, device=device))

    def begin(self, env_ids: Tensor) -> None:
        """No push for ``env_ids [n]`` until a new random time."""
        draw = torch.rand(len(env_ids), generator=self.generator, device=self.force.device)
        self.wait[env_ids] = ((0.5 + draw) * self.config.every_s / self._dt).round().long().clamp_min(1)
        self.left[env_ids] = 0

    def advance(self) -> Tensor:
        """The force on each root in the coming control step, ``[N, 3]``."""
        self.wait -= 1
        due = (self.wait <= 0).nonzero().squeeze(-1)
        if len(due):
            self.begin(due)
            self.push(due)
        active = self.left > 0
        self.left -= active.long()
        return torch.where(active.unsqueeze(-1), self.force, 0.0)

    def push(self, env_ids: Tensor) -> None:
        """Begins a random push of ``env_ids [n]`` with the coming control step."""
        n, device = len(env_ids), self.force.device
        size, yaw = torch.rand(n, generator=self.generator, device=device), torch.rand(n, generator=self.generator, device=device)
        newtons = self.config.min_force_n + (self.config.max_force_n - self.config.min_force_n) * size
        angle = 2 * math.pi * yaw
        self.force[env_ids] = torch.stack((newtons * angle.cos(), newtons * angle.sin(), torch.zeros_like(newtons)), dim=-1)
        self.left[env_ids] = max(1, round(self.config.seconds / self._dt))

    def state_dict(self) -> dict[str, Tensor]:
        return {"force": self.force.clone(), "wait": self.wait.clone(), "left": self.left.clone()}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        for name in ("force", "wait", "left"):
            setattr(self, name, saved[name].to(self.force.device).clone())

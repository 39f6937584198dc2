"""Boxes thrown at characters: a disturbance to train with, or to measure balance by.

Shapes: ``N`` environments, ``n`` some of them. World frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from envs.props import Prop, PropState
from motions.skeleton import CharacterState

GRAVITY = 9.81  # m/s²


@dataclass(frozen=True)
class ThrowConfig:
    """Attributes:
    every_s: mean time between throws; 0 for none. The time to each is uniform in ±50 % of it.
    edge_m, mass_kg: of the box. min_speed_m_s, max_speed_m_s: it flies at a speed uniform between these, relative to the character.
    distance_m: from which it is thrown, from any side. low_m, high_m: it is aimed so far below or above the root, uniformly.
    """

    every_s: float = 0.0
    edge_m: float = 0.2
    mass_kg: float = 5.0
    min_speed_m_s: float = 5.0
    max_speed_m_s: float = 10.0
    distance_m: float = 1.5
    low_m: float = -0.3
    high_m: float = 0.5

    def __post_init__(self) -> None:
        sound = self.every_s >= 0 and 0 < self.min_speed_m_s <= self.max_speed_m_s and self.low_m <= self.high_m
        if not sound or min(self.edge_m, self.mass_kg) <= 0 or self.distance_m < 1:
            got = f"every_s {self.every_s:g}, edge_m {self.edge_m:g}, mass_kg {self.mass_kg:g}, speeds {self.min_speed_m_s:g} to {self.max_speed_m_s:g}, "
            got += f"distance_m {self.distance_m:g}, aimed {self.low_m:g} to {self.high_m:g}"
            raise ValueError(f"throw: got {got}; expected every_s >= 0, 0 < min_speed_m_s <= max_speed_m_s, edge_m and mass_kg > 0, distance_m >= 1, low_m <= high_m")

    @property
    def prop(self) -> Prop | None:
        """The box that the character's world must hold, if anything is thrown."""
        return Prop((self.edge_m,) * 3, self.mass_kg / self.edge_m**3) if self.every_s > 0 else None


class Throws:
    """When each environment's box is thrown, and how.

    Args:
        box: of every simulation.

    Attributes:
        wait: ``[N]`` control steps until the next throw.
    """

    def __init__(self, config: ThrowConfig, box: PropState, num_envs: int, control_dt: float, generator: torch.Generator):
        self.config, self.box, self._dt, self.generator = config, box, control_dt, generator
        self.wait = torch.zeros(num_envs, dtype=torch.long, device=generator.device)
        self.begin(torch.arange(num_envs, device=generator.device))

    def begin(self, env_ids: Tensor) -> None:
        """No throw at ``env_ids [n]`` until a new random time."""
        self.wait[env_ids] = ((0.5 + self._uniform(len(env_ids), 0, 1)) * self.config.every_s / self._dt).round().long().clamp_min(1)

    def advance(self, state: CharacterState) -> None:
        """Counts a control step that begins with characters in ``state [N]``, and throws where it is time to."""
        self.wait -= 1
        due = (self.wait <= 0).nonzero().squeeze(-1)
        if len(due):
            self.begin(due)
            self.throw(due, state)

    def throw(self, env_ids: Tensor, state: CharacterState) -> None:
        """Throws the boxes of ``env_ids [n]`` (sorted) at the characters, in arcs that meet where these will be."""
        n, config = len(env_ids), self.config
        yaw = self._uniform(n, -math.pi, math.pi)
        way = torch.stack((yaw.cos(), yaw.sin(), torch.zeros_like(yaw)), dim=-1)
        speed, height = self._uniform(n, config.min_speed_m_s, config.max_speed_m_s), self._uniform(n, config.low_m, config.high_m)
        pos = state.root_pos[env_ids] + config.distance_m * way
        pos[:, 2] = (pos[:, 2] + height).clamp_min(config.edge_m)
        velocity = state.root_lin_vel[env_ids] * torch.tensor([1.0, 1.0, 0.0], device=pos.device) - speed.unsqueeze(-1) * way
        velocity[:, 2] = 0.5 * GRAVITY * config.distance_m / speed  # it falls as far as it rises on its way
        quat = torch.nn.functional.normalize(torch.randn(n, 4, generator=self.generator, device=pos.device), dim=-1)
        self.box.put(env_ids, pos, quat, velocity)

    def _uniform(self, n: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=self.generator, device=self.wait.device)

    def state_dict(self) -> dict[str, Tensor]:
        return {"wait": self.wait.clone()}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        self.wait = saved["wait"].to(self.wait.device).clone()

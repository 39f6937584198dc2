"""Location: go to a place and stay there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from envs.marker import Marker
from envs.tasks.base import Task, TaskConfig, facing, in_heading
from motions.skeleton import CharacterState

NEAR_M = 0.5  # at the target: nothing else is asked for; also success


@dataclass(frozen=True)
class LocationConfig(TaskConfig):
    """Attributes:
    reach_m: targets are uniform in a square of this half width around the character.
    speed_m_s: on the way to it; faster is as good.
    first_samples, first_reach_m, first_speed_m_s: both are these for so many control steps of training: who is asked for a walk first never learns that running pays, nor to stop
        at places that it does not get to.
    """

    reach_m: float = 10.0
    speed_m_s: float = 1.0
    first_samples: int = 0
    first_reach_m: float = 6.0
    first_speed_m_s: float = 3.4


def approach(velocity: Tensor, toward: Tensor, speed_m_s: float) -> Tensor:
    """``exp(-4 max(0, 1 - v∥ / v*)²)`` where the root moves toward the target, else 0, ``[N]``; ``velocity [N, 2]`` m/s, ``toward [N, 2]`` unit vectors.

    At ASE's speed of 1 m/s this is ASE's term, ``exp(-4 max(0, v* - v∥)²)``, which at a run's speed would be nothing for all who do not run yet.
    """
    along = (velocity * toward).sum(-1)
    return torch.where(along > 0, torch.exp(-4 * (1 - along / speed_m_s).clamp_min(0.0).square()), 0.0)


def location_reward(pos: Tensor, velocity: Tensor, faces: Tensor, target: Tensor, speed_m_s: float) -> Tensor:
    """``0.5 exp(-0.5 d²) + 0.4 approach + 0.1 max(0, f · t)`` with distance ``d`` and direction ``t`` to the target (ASE's location task), ``[N]``.

    The last two terms are at their maximum within 0.5 m. All ``[N, 2]``: root ``pos`` (m) and ``velocity`` (m/s), unit ``faces``, ``target`` (m); world frame.
    """
    gap = target - pos
    distance = gap.norm(dim=-1)
    toward = gap / distance.clamp_min(1e-6).unsqueeze(-1)
    near = distance < NEAR_M
    moving = torch.where(near, 1.0, approach(velocity, toward, speed_m_s))
    looking = torch.where(near, 1.0, (faces * toward).sum(-1).clamp_min(0.0))
    return 0.5 * torch.exp(-0.5 * distance.square()) + 0.4 * moving + 0.1 * looking


class Location(Task):
    """Observation ``[N, 2]``: the target's place relative to the root on the ground, m, heading frame.

    Attributes:
        target: ``[N, 2]`` world, m.
    """

    name, num_obs, targets = "location", 2, ("target",)
    mirror_signs = (1.0, -1.0)

    def __init__(self, config: LocationConfig, num_envs: int, control_dt: float, generator: torch.Generator):
        for name in ("reach_m", "speed_m_s", "first_reach_m", "first_speed_m_s"):
            if getattr(config, name) <= 0:
                raise ValueError(f"task location: {name}: got {getattr(config, name):g}; expected more than 0")
        super().__init__(config, num_envs, control_dt, generator)
        self.config = config
        self.target = torch.zeros(num_envs, 2, device=self.device)

    @property
    def asked_for(self) -> tuple[float, float]:
        """How far targets are at most on either axis, m, and the speed on the way, m/s, at this point of training."""
        config = self.config
        return (config.first_reach_m, config.first_speed_m_s) if self.samples < config.first_samples else (config.reach_m, config.speed_m_s)

    def draw(self, env_ids: Tensor, state: CharacterState) -> None:
        n, (reach, _) = len(env_ids), self.asked_for
        self.target[env_ids] = state.root_pos[env_ids, :2] + torch.stack((self._uniform(n, -reach, reach), self._uniform(n, -reach, reach)), dim=-1)

    def observe(self, state: CharacterState) -> Tensor:
        return in_heading(state, self.target - state.root_pos[:, :2])

    def reward(self, state: CharacterState) -> Tensor:
        return location_reward(state.root_pos[:, :2], state.root_lin_vel[:, :2], facing(state), self.target, self.asked_for[1])

    def success(self, state: CharacterState) -> Tensor:
        return (self.target - state.root_pos[:, :2]).norm(dim=-1) < NEAR_M

    def markers(self, env_id: int, state: CharacterState) -> list[Marker]:
        x, y = self.target[env_id].tolist()
        return [Marker("post", (x, y, 0.0), (x, y, 0.02), NEAR_M)]

"""Heading ("steering"): go in a direction at a speed and face a direction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from envs.marker import Marker
from envs.tasks.base import Task, TaskConfig, facing, in_heading, unit
from motions.skeleton import CharacterState

SPEED_SHARPNESS, SIDE_SHARE = 0.25, 0.1
TOLERANCE_M_S = 0.5  # success: the root's velocity is this near to the one asked for


@dataclass(frozen=True)
class HeadingConfig(TaskConfig):
    """Attributes:
    min_speed_m_s, max_speed_m_s: a target's speed is uniform between these.
    free_facing: the direction to face is drawn on its own; else it is the direction to go in, which suits clips that only walk forward.
    """

    min_speed_m_s: float = 1.0
    max_speed_m_s: float = 2.0
    free_facing: bool = False


def heading_reward(velocity: Tensor, faces: Tensor, direction: Tensor, speed: Tensor, target_facing: Tensor) -> Tensor:
    """``0.7 exp(-0.25 ((v* - v∥)² + 0.1 |v⊥|²)) [v∥ > 0] + 0.3 max(0, f · f*)`` (ASE's steering task), ``[N]``.

    Args:
        velocity: ``[N, 2]`` of the root over the ground, m/s. faces, direction, target_facing: ``[N, 2]`` unit vectors. speed: ``[N]`` m/s.
    """
    along = (velocity * direction).sum(-1)
    side = (velocity - along.unsqueeze(-1) * direction).norm(dim=-1)  # a length: signed parts could cancel
    go = torch.exp(-SPEED_SHARPNESS * ((speed - along).square() + SIDE_SHARE * side.square()))
    return 0.7 * torch.where(along > 0, go, 0.0) + 0.3 * (faces * target_facing).sum(-1).clamp_min(0.0)


class Heading(Task):
    """Observation ``[N, 5]``: direction to go in 2, speed 1 (m/s), direction to face 2; heading frame.

    Attributes:
        direction, target_facing: ``[N, 2]`` world. speed: ``[N]`` m/s.
    """

    name, num_obs, targets = "heading", 5, ("direction", "speed", "target_facing")
    mirror_signs = (1.0, -1.0, 1.0, 1.0, -1.0)

    def __init__(self, config: HeadingConfig, num_envs: int, control_dt: float, generator: torch.Generator):
        if not 0 <= config.min_speed_m_s <= config.max_speed_m_s:
            raise ValueError(f"task heading: min_speed_m_s: got {config.min_speed_m_s:g} with max_speed_m_s {config.max_speed_m_s:g}; expected 0 <= min <= max")
        super().__init__(config, num_envs, control_dt, generator)
        self.config = config
        self.direction = torch.tensor([1.0, 0.0], device=self.device).repeat(num_envs, 1)
        self.target_facing, self.speed = self.direction.clone(), torch.ones(num_envs, device=self.device)

    def draw(self, env_ids: Tensor, state: CharacterState) -> None:
        n = len(env_ids)
        self.direction[env_ids] = unit(self._uniform(n, -math.pi, math.pi))
        self.speed[env_ids] = self._uniform(n, self.config.min_speed_m_s, self.config.max_speed_m_s)
        self.target_facing[env_ids] = unit(self._uniform(n, -math.pi, math.pi)) if self.config.free_facing else self.direction[env_ids]

    def observe(self, state: CharacterState) -> Tensor:
        return torch.cat((in_heading(state, self.direction), self.speed.unsqueeze(-1), in_heading(state, self.target_facing)), dim=-1)

    def reward(self, state: CharacterState) -> Tensor:
        return heading_reward(state.root_lin_vel[:, :2], facing(state), self.direction, self.speed, self.target_facing)

    def success(self, state: CharacterState) -> Tensor:
        return (state.root_lin_vel[:, :2] - self.speed.unsqueeze(-1) * self.direction).norm(dim=-1) < TOLERANCE_M_S

    def markers(self, env_id: int, state: CharacterState) -> list[Marker]:
        x, y = state.root_pos[env_id, :2].tolist()
        length = 0.5 * float(self.speed[env_id])
        arrows: list[Marker] = []
        for way, rgb in ((self.direction[env_id], (0.86, 0.16, 0.16)), (self.target_facing[env_id], (0.16, 0.42, 0.86))):
            a, b = way.tolist()
            if not arrows or self.config.free_facing:
                arrows.append(Marker("arrow", (x + 0.4 * a, y + 0.4 * b, 0.03), (x + (0.4 + length) * a, y + (0.4 + length) * b, 0.03), 0.035, rgb))
        return arrows

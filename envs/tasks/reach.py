"""Reach: bring a body (the right hand) to a point in space."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from envs.marker import Marker
from envs.tasks.base import Task, TaskConfig, in_heading
from motions.skeleton import CharacterState

NEAR_M = 0.2  # success


@dataclass(frozen=True)
class ReachConfig(TaskConfig):
    """Attributes:
    body: which body is to reach, by name.
    reach_m: targets are uniform in a square of this half width around the character. min_height_m, max_height_m: and between these heights.
    """

    min_hold_s: float = 50 / 30
    max_hold_s: float = 100 / 30
    body: str = "right_hand"
    reach_m: float = 1.0
    min_height_m: float = 0.2
    max_height_m: float = 2.0


def reach_reward(pos: Tensor, target: Tensor) -> Tensor:
    """``exp(-4 |x* - x|²)`` (ASE's reach task), ``[N]``, from positions ``[N, 3]`` in metres."""
    return torch.exp(-4 * (target - pos).square().sum(-1))


class Reach(Task):
    """Observation ``[N, 3]``: the target relative to the root on the ground and its height above the floor, m, heading frame.

    Args:
        body: index of the body among the skeleton's.

    Attributes:
        target: ``[N, 3]`` world, m.
    """

    name, num_obs, targets = "reach", 3, ("target",)

    def __init__(self, config: ReachConfig, num_envs: int, control_dt: float, generator: torch.Generator, body: int):
        if config.reach_m <= 0 or not 0 <= config.min_height_m <= config.max_height_m:
            got = f"reach_m {config.reach_m:g}, heights {config.min_height_m:g} to {config.max_height_m:g}"
            raise ValueError(f"task reach: got {got}; expected reach_m > 0 and 0 <= min_height_m <= max_height_m")
        super().__init__(config, num_envs, control_dt, generator)
        self.config, self.body = config, body
        self.target = torch.zeros(num_envs, 3, device=self.device)

    def draw(self, env_ids: Tensor, state: CharacterState) -> None:
        n, reach = len(env_ids), self.config.reach_m
        offset = torch.stack((self._uniform(n, -reach, reach), self._uniform(n, -reach, reach)), dim=-1)
        height = self._uniform(n, self.config.min_height_m, self.config.max_height_m)
        self.target[env_ids] = torch.cat((state.root_pos[env_ids, :2] + offset, height.unsqueeze(-1)), dim=-1)

    def observe(self, state: CharacterState) -> Tensor:
        ground = torch.cat((state.root_pos[:, :2], torch.zeros_like(state.root_pos[:, :1])), dim=-1)
        return in_heading(state, self.target - ground)

    def reward(self, state: CharacterState) -> Tensor:
        return reach_reward(state.body_pos_w[:, self.body], self.target)

    def success(self, state: CharacterState) -> Tensor:
        return (self.target - state.body_pos_w[:, self.body]).norm(dim=-1) < NEAR_M

    def markers(self, env_id: int, state: CharacterState) -> list[Marker]:
        x, y, z = self.target[env_id].tolist()
        return [Marker("ball", (x, y, z), radius_m=0.06), Marker("arrow", (x, y, 0.0), (x, y, max(z - 0.06, 0.01)), 0.01)]

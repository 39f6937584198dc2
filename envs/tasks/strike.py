"""Strike: knock over a box with hands or feet."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from envs.marker import Marker
from envs.mirror import AXIAL, POLAR
from envs.physics import Physics
from envs.props import Prop, PropState
from envs.tasks.base import Task, TaskConfig, in_heading
from envs.tasks.location import approach
from motions.rotations import heading, quat_mul, quat_rotate, quat_to_mat, quat_to_tan_norm, yaw_quat
from motions.skeleton import CharacterState

FALLEN = 0.2  # cosine of the box's tilt below which it lies: 78 degrees
SPEED_M_S = 1.0  # on the way to it
NEAR_SHARE = 0.5  # of the boxes stand within `StrikeConfig.near_m`


@dataclass(frozen=True)
class StrikeConfig(TaskConfig):
    """Attributes:
    size_m, density: of the box (kg/m³); 8.6 kg.
    min_m, near_m, far_m: it stands this far away at least; half of the time at most ``near_m``, else at most ``far_m``.
    strike_bodies: what may touch it while it stands; whatever else does ends the episode as a failure. By the part of their names after the side.
    """

    min_hold_s: float = 1000.0
    max_hold_s: float = 1000.0
    size_m: tuple[float, float, float] = (0.4, 0.4, 1.8)
    density: float = 30.0
    min_m: float = 0.5
    near_m: float = 1.5
    far_m: float = 10.0
    strike_bodies: tuple[str, ...] = ("hand", "lower_arm", "foot", "shin", "sword")


def strike_reward(pos: Tensor, velocity: Tensor, target: Tensor, up: Tensor) -> Tensor:
    """``0.6 (1 - u) + 0.4 approach`` where ``u [N]`` is the cosine of the box's tilt, and 1 once it lies (ASE's strike task), ``[N]``.

    All ``[N, 2]``, world frame: root ``pos`` (m) and ``velocity`` (m/s), the box's ``target`` (m). ``up``: ``u [N]``.
    """
    gap = target - pos
    toward = gap / gap.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    return torch.where(up < FALLEN, 1.0, 0.6 * (1 - up).clamp_min(0.0) + 0.4 * approach(velocity, toward, SPEED_M_S))


class Strike(Task):
    """Observation ``[N, 15]``, of the box in the heading frame: its centre relative to the root on the ground, and its height, 3 (m); orientation 6; velocity 3 (m/s) and angular
    velocity 3 (rad/s).

    The box is part of the physical world: `enter` must be called with a model that has one (`strike_prop`).

    Args:
        bodies: names of the skeleton's bodies.
    """

    name, num_obs, targets = "strike", 15, ()
    mirror_signs = (*POLAR, *POLAR, *POLAR, *POLAR, *AXIAL)

    def __init__(self, config: StrikeConfig, num_envs: int, control_dt: float, generator: torch.Generator, bodies: tuple[str, ...]):
        if not 0 < config.min_m <= config.near_m <= config.far_m:
            got = f"min_m {config.min_m:g}, near_m {config.near_m:g}, far_m {config.far_m:g}"
            raise ValueError(f"task strike: got {got}; expected 0 < min_m <= near_m <= far_m")
        may = [body.removeprefix("left_").removeprefix("right_") in config.strike_bodies for body in bodies]
        if not any(may):
            raise ValueError(f"task strike: strike_bodies: got {', '.join(config.strike_bodies)}; expected some of the character's. Available: {', '.join(bodies)}")
        super().__init__(config, num_envs, control_dt, generator)
        self.config = config
        self._forbidden = ~torch.tensor(may, device=self.device)

    def enter(self, physics: Physics) -> None:
        super().enter(physics)
        self.box = PropState(physics, len(self._forbidden))

    @property
    def up(self) -> Tensor:
        """Cosine of the boxes' tilt, ``[N]``."""
        return quat_to_mat(self.box.quat)[:, 2, 2]

    def draw(self, env_ids: Tensor, state: CharacterState) -> None:
        n, config = len(env_ids), self.config
        far = torch.where(self._uniform(n, 0, 1) < NEAR_SHARE, config.near_m, config.far_m)
        distance, around, turn = config.min_m + (far - config.min_m) * self._uniform(n, 0, 1), self._uniform(n, -math.pi, math.pi), self._uniform(n, -math.pi, math.pi)
        offset = torch.stack((distance * around.cos(), distance * around.sin(), torch.full_like(distance, config.size_m[2] / 2)), dim=-1)
        ground = torch.cat((state.root_pos[env_ids, :2], torch.zeros_like(offset[:, :1])), dim=-1)
        self.box.put(env_ids, ground + offset, yaw_quat(turn))

    def observe(self, state: CharacterState) -> Tensor:
        ground = torch.cat((state.root_pos[:, :2], torch.zeros_like(state.root_pos[:, :1])), dim=-1)
        turned = quat_mul(yaw_quat(-heading(state.root_quat)), self.box.quat)
        spin = quat_rotate(self.box.quat, self.box.ang_vel_b)
        parts = (in_heading(state, self.box.pos - ground), quat_to_tan_norm(turned), in_heading(state, self.box.lin_vel), in_heading(state, spin))
        return torch.cat(parts, dim=-1)

    def reward(self, state: CharacterState) -> Tensor:
        return strike_reward(state.root_pos[:, :2], state.root_lin_vel[:, :2], self.box.pos[:, :2], self.up)

    def success(self, state: CharacterState) -> Tensor:
        return self.up < FALLEN

    def failed(self, state: CharacterState) -> Tensor:
        """Whether something else than a hand or foot touches the standing box, ``[N]``."""
        return (self.box.touched & self._forbidden).any(-1) & (self.up >= FALLEN)

    def markers(self, env_id: int, state: CharacterState) -> list[Marker]:
        return []  # the box is in the picture


def strike_prop(config: StrikeConfig) -> Prop:
    """The box of the task."""
    return Prop(config.size_m, config.density)

"""`Task`: what a character is asked to do. Targets of many environments that change at random times; tasks compute observation, reward and success from them.

Shapes: ``N`` environments, ``n`` some of them, ``G`` task observation.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from envs.marker import Marker
from envs.physics import Physics
from motions.rotations import heading, quat_rotate, yaw_quat
from motions.skeleton import CharacterState


@dataclass(frozen=True)
class TaskConfig:
    """Attributes:
    min_hold_s, max_hold_s: a target stays for a uniformly random time between these.
    """

    min_hold_s: float = 100 / 30
    max_hold_s: float = 200 / 30


class Task(ABC):
    """Args:
    config: settings. num_envs: ``N``. control_dt: seconds of a control step. generator: random source of targets, on the device of the states.

    Attributes:
        steps_left: ``[N]`` control steps for which each target stays. samples: control steps of training so far, over all environments; infinite where nobody trains.
        frozen: targets stay as they are set, whatever the time: for steering by hand.
    """

    name: ClassVar[str]
    num_obs: ClassVar[int]  # G
    targets: ClassVar[tuple[str, ...]]  # attributes that hold targets, [N, ...]
    mirror_signs: ClassVar[tuple[float, ...] | None] = None  # [G] what the observation is multiplied by in the mirror; None: the task has a side

    def __init__(self, config: TaskConfig, num_envs: int, control_dt: float, generator: torch.Generator):
        if not 0 < config.min_hold_s <= config.max_hold_s:
            raise ValueError(f"task {self.name}: min_hold_s: got {config.min_hold_s:g} with max_hold_s {config.max_hold_s:g}; expected 0 < min_hold_s <= max_hold_s")
        self.num_envs, self.generator, self.device = num_envs, generator, generator.device
        self._low, self._high = max(1, round(config.min_hold_s / control_dt)), max(1, round(config.max_hold_s / control_dt))
        self.steps_left = torch.zeros(num_envs, dtype=torch.long, device=self.device)
        self.samples: float = math.inf
        self.frozen = False

    def trained_for(self, samples: int) -> None:
        """Training has come to so many control steps, for tasks that begin with something easier; who only acts never says so."""
        self.samples = samples

    def enter(self, physics: Physics) -> None:
        """Makes the simulations known, for tasks that have things in them; called once, before anything else."""
        self.physics = physics

    @abstractmethod
    def draw(self, env_ids: Tensor, state: CharacterState) -> None:
        """New random targets for ``env_ids [n]``, in a world where the characters are in ``state [N]``."""

    @abstractmethod
    def observe(self, state: CharacterState) -> Tensor:
        """The targets as the characters see them, ``[N, G]``, in their heading frames."""

    @abstractmethod
    def reward(self, state: CharacterState) -> Tensor:
        """Task reward in [0, 1] of a control step that ended in ``state``, ``[N]``."""

    @abstractmethod
    def success(self, state: CharacterState) -> Tensor:
        """Whether the characters do what they are asked to at this moment, ``[N]``."""

    def failed(self, state: CharacterState) -> Tensor:
        """Whether the characters have broken the task's rules, which ends the episode as a fall does, ``[N]``."""
        return torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)

    @abstractmethod
    def markers(self, env_id: int, state: CharacterState) -> list[Marker]:
        """What to draw for one environment."""

    def begin(self, env_ids: Tensor, state: CharacterState) -> None:
        """Targets for the episodes of ``env_ids [n]`` that have just begun."""
        if len(env_ids):
            if not self.frozen:
                self.draw(env_ids, state)
            self.steps_left[env_ids] = torch.randint(self._low, self._high + 1, (len(env_ids),), generator=self.generator, device=self.device)

    def advance(self, state: CharacterState) -> Tensor:
        """Counts a control step that ended in ``state`` and replaces the targets whose time is up; returns ``[N]`` which those were."""
        self.steps_left -= 1
        ended = self.steps_left <= 0
        if ended.any():
            self.begin(ended.nonzero().squeeze(-1), state)
        return ended

    def state_dict(self) -> dict[str, Tensor]:
        """Targets, times and the random source, as copies."""
        return {name: getattr(self, name).clone() for name in (*self.targets, "steps_left")} | {"generator": self.generator.get_state()}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        """Restores `state_dict`."""
        for name in (*self.targets, "steps_left"):
            setattr(self, name, saved[name].to(self.device).clone())
        self.generator.set_state(saved["generator"])

    def _uniform(self, n: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=self.generator, device=self.device)


def unit(yaw: Tensor) -> Tensor:
    """Directions on the ground ``[..., 2]`` of ``yaw [...]`` radians."""
    return torch.stack((yaw.cos(), yaw.sin()), dim=-1)


def in_heading(state: CharacterState, v: Tensor) -> Tensor:
    """World vectors ``v [N, 2]`` or ``[N, 3]`` in the characters' heading frames."""
    flat = torch.cat((v, torch.zeros_like(v[..., :1])), dim=-1) if v.shape[-1] == 2 else v
    return quat_rotate(yaw_quat(-heading(state.root_quat)), flat)[..., : v.shape[-1]]


def facing(state: CharacterState) -> Tensor:
    """Where the characters face on the ground, unit vectors ``[N, 2]``."""
    return unit(heading(state.root_quat))

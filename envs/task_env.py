"""`TaskEnv`: characters with a task. It adds targets, their observation and the task's reward to a `HumanoidEnv`, and keeps count of what was achieved.

Shapes: ``N`` environments, ``n`` some of them, ``O`` the character's observation, ``G`` the task's, ``A`` action.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from envs.humanoid import HumanoidEnv
from envs.layer import EnvLayer
from envs.step import Step
from envs.tasks import Task

COUNTED = ("task_return", "asked", "met", "over")


class TaskEnv(EnvLayer[HumanoidEnv]):
    """Observations are ``[N, O + G]``, the character's first. The reward is the task's, 0 where the step ended in a fall
    or in what the task calls a failure, which is a termination as well.

    Args:
        env: characters. task: for as many.

    Attributes:
        task_return: ``[N]`` sum of task rewards in the present episode. asked, met: ``[N]`` targets whose time ended (with the episode, at the latest), and those of them
            that the character was at when it did. over: ``[N]`` the episode has ended and awaits its reset; nothing more is counted.
    """

    def __init__(self, env: HumanoidEnv, task: Task):
        if env.num_envs != task.num_envs:
            raise ValueError(f"task {task.name}: num_envs: got {task.num_envs}; expected {env.num_envs}, as many as there are characters")
        super().__init__(env)
        task.enter(env.physics)
        self.task, self.config = task, env.config
        self.task_return = torch.zeros(env.num_envs, device=env.device)
        self.asked, self.met = (torch.zeros(env.num_envs, dtype=torch.long, device=env.device) for _ in range(2))
        self.over = torch.zeros(env.num_envs, dtype=torch.bool, device=env.device)
        self._earned, self._steps = torch.zeros((), device=env.device), torch.zeros((), device=env.device)

    @property
    def obs_dim(self) -> int:
        return self.env.obs_dim + self.task.num_obs

    @property
    def action_dim(self) -> int:
        return self.env.action_dim

    @property
    def rest_action(self) -> Tensor:
        return self.env.rest_action

    @property
    def tasks(self) -> TaskEnv:
        """The layer that counts what was achieved: this one."""
        return self

    @property
    def obs(self) -> Tensor:
        """The present observation, ``[N, O + G]``."""
        return torch.cat((self.env.obs, self.task.observe(self.env.state)), dim=-1)

    def reset(self, env_ids: Tensor | None = None) -> Tensor:
        """Starts new episodes of ``env_ids [n]`` (all if omitted) with new targets; returns every environment's observation."""
        ids = torch.arange(self.num_envs, device=self.device) if env_ids is None else env_ids
        self.env.reset(ids)
        self.task.begin(ids, self.env.state)
        for name in COUNTED:
            getattr(self, name)[ids] = 0
        return self.obs

    def stagger(self, stride: int = 1) -> None:
        """See `HumanoidEnv.stagger`."""
        self.env.stagger(stride)

    def reseed(self, seed: int) -> None:
        """Makes all that follows a full reset depend on ``seed`` alone."""
        self.env.reseed(seed)
        self.task.generator.manual_seed(seed + 1)

    def step(self, action: Tensor) -> Step:
        """One control step with joint targets ``action [N, A]``; nothing is reset, but targets whose time is up are replaced."""
        step = self.env.step(action)
        state = self.env.state
        failed = step.terminated | self.task.failed(state)
        truncated = step.truncated & ~failed
        reward = torch.where(failed, 0.0, self.task.reward(state))
        there = self.task.success(state) & ~failed
        closed = (self.task.advance(state) | failed | truncated) & ~self.over
        counted = torch.where(self.over, 0.0, reward)
        self.task_return += counted
        self._earned, self._steps = self._earned + counted.sum(), self._steps + (~self.over).sum()
        self.asked += closed
        self.met += closed & there
        self.over = self.over | failed | truncated
        return Step(self.obs, reward, failed, truncated, step.disc_obs)

    def take_mean_reward(self) -> float:
        """The task's mean reward of a control step since this was last asked, over all environments."""
        mean = float(self._earned / self._steps.clamp_min(1.0))
        self._earned, self._steps = torch.zeros_like(self._earned), torch.zeros_like(self._steps)
        return mean

    def state_dict(self) -> dict[str, Any]:
        """Everything that determines the future but the configuration, as copies."""
        return {"env": self.env.state_dict(), "task": self.task.state_dict(), **{name: getattr(self, name).clone() for name in COUNTED}}

    def load_state_dict(self, saved: dict[str, Any]) -> Tensor:
        """Restores `state_dict`; returns the observation ``[N, O + G]``."""
        self.env.load_state_dict(saved["env"])
        self.task.load_state_dict(saved["task"])
        for name in COUNTED:
            setattr(self, name, saved[name].to(self.device).clone())
        return self.obs

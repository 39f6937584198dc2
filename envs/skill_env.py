"""`SkillEnv`: an environment whose actions are skill latents. A frozen low-level policy turns each into a few control steps.

Shapes: ``N`` environments, ``O`` observation, ``Z`` latent, ``H`` history frames, ``F`` features of a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from envs.layer import EnvLayer
from envs.step import Step
from envs.task_env import TaskEnv


@dataclass(frozen=True)
class SkillEnvConfig:
    """Attributes:
    hold_steps: control steps that a latent is held.
    task_weight, style_weight: of the task's reward and of how much the motion looks like the clips (ASE: 0.9, 0.1).
    """

    hold_steps: int = 5
    task_weight: float = 0.9
    style_weight: float = 0.1


class SkillEnv(EnvLayer[TaskEnv]):
    """One step here is ``hold_steps`` control steps of ``env`` under the latent ``action / |action|``.

    The reward of a step is the discounted mean of its control steps' rewards, ``Σ γᵏ rₖ / Σ γᵏ``; those after the first end of an episode count as zero. With returns discounted
    by `macro_discount` this is, up to the constant ``Σ γᵏ``, the discounted return of the control steps themselves.

    Args:
        env: characters with a task; its episodes must last a multiple of ``hold_steps``, so that a time limit falls on the end of a step.
        act: the low-level policy: actions ``[N, A]`` from the character's observations ``[N, O]`` and latents ``[N, Z]``.
        judge: style reward ``[N]`` of windows ``[N, H, F]``; asked once a step, for the last control step.
        latent_dim: ``Z``. discount: γ of a control step.
    """

    def __init__(self, env: TaskEnv, act: Callable[[Tensor, Tensor], Tensor], judge: Callable[[Tensor], Tensor], latent_dim: int, discount: float, config: SkillEnvConfig):
        if config.hold_steps < 1 or env.config.episode_steps % config.hold_steps:
            raise ValueError(f"skill environment: hold_steps: got {config.hold_steps}; expected a divisor of the {env.config.episode_steps} control steps of an episode")
        super().__init__(env)
        self.act, self.judge, self.latent_dim, self.discount, self.config = act, judge, latent_dim, discount, config
        self.rest_action = torch.zeros(latent_dim, device=env.device)
        self.style = torch.zeros(env.num_envs, device=env.device)

    @property
    def macro_discount(self) -> float:
        """γ of one step here."""
        return self.discount**self.config.hold_steps

    @property
    def action_dim(self) -> int:
        return self.latent_dim

    @property
    def obs_dim(self) -> int:
        return self.env.obs_dim

    @property
    def obs(self) -> Tensor:
        return self.env.obs

    @property
    def tasks(self) -> TaskEnv:
        """The layer that counts what was achieved."""
        return self.env

    def reset(self, env_ids: Tensor | None = None) -> Tensor:
        """See `TaskEnv.reset`."""
        return self.env.reset(env_ids)

    def stagger(self) -> None:
        """See `HumanoidEnv.stagger`."""
        self.env.stagger(self.config.hold_steps)

    def reseed(self, seed: int) -> None:
        """See `TaskEnv.reseed`."""
        self.env.reseed(seed)

    def step(self, action: Tensor, watch: Callable[[], None] | None = None) -> Step:
        """``hold_steps`` control steps under latents ``action [N, Z]``, clamped to [-1, 1] and projected onto the sphere.

        ``watch`` is called after each control step, for those who look on. `style` holds the style reward ``[N]`` of the step afterwards.
        """
        z = F.normalize(action.clamp(-1.0, 1.0), dim=-1)
        shape = (self.num_envs,)
        reward, alive = torch.zeros(shape, device=self.device), torch.ones(shape, dtype=torch.bool, device=self.device)
        terminated, truncated = torch.zeros_like(alive), torch.zeros_like(alive)
        weights = [self.discount**k for k in range(self.config.hold_steps)]
        for weight in weights:
            step = self.env.step(self.act(self.env.env.obs, z))
            reward += weight * torch.where(alive, step.reward, 0.0)
            terminated |= alive & step.terminated
            truncated |= alive & step.truncated
            alive &= ~step.done
            if watch is not None:
                watch()
        self.style = torch.where(terminated, 0.0, self.judge(step.disc_obs))
        total = self.config.task_weight * reward / sum(weights) + self.config.style_weight * self.style
        return Step(step.obs, total, terminated, truncated, step.disc_obs)

    def state_dict(self) -> dict[str, Any]:
        return self.env.state_dict()

    def load_state_dict(self, saved: dict[str, Any]) -> Tensor:
        return self.env.load_state_dict(saved)

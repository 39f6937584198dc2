"""Behaviour cloning: a policy is taught what the clips take before it acts for the first time.

Whoever acts so falls within two seconds, for nothing in the clips tells how to get back to them; but those seconds look like the clips, and learning begins there instead of
at a body that stiffens and falls.

Shapes: ``M`` moments, ``O`` observation, ``A`` action, ``Z`` latent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ase.distributed import copy_from_first


class Teacher(Protocol):
    """See `envs.clip_actions.ClipActions`."""

    @property
    def obs(self) -> Tensor: ...
    @property
    def action(self) -> Tensor: ...
    @property
    def clip(self) -> Tensor: ...
    @property
    def weight(self) -> Tensor: ...


class Pupil(Protocol):
    """What of `ase.learner.Learner` is taught."""

    policy: torch.nn.Module
    obs_normalizer: torch.nn.Module
    generator: torch.Generator

    def update_obs_statistics(self, obs: Tensor) -> None: ...
    def latents_for(self, clip_ids: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class CloneConfig:
    """Attributes:
    steps, batch_size, lr: gradient steps (0: a policy begins with nothing but the rest pose), moments in one, and Adam's step size, which falls to a twentieth.
    obs_noise: deviation of Gaussian noise on normalised observations, so that actions are right around the clips, too.
    """

    steps: int = 0
    batch_size: int = 2048
    lr: float = 1e-3
    obs_noise: float = 0.2


STATISTICS = 16384  # moments that the normaliser of observations begins with


def clone(pupil: Pupil, teacher: Teacher, config: CloneConfig, bf16: bool) -> float:
    """Teaches the policy the actions of the clips' moments, each under latents of its clip, and the normaliser of observations their spread.

    Returns:
        The root mean square error of the last step, in units of the action.
    """
    generator = pupil.generator

    def draw(n: int) -> Tensor:
        return torch.multinomial(teacher.weight, n, replacement=True, generator=generator)

    pupil.update_obs_statistics(teacher.obs[draw(STATISTICS)])
    optimizer = torch.optim.Adam(pupil.policy.parameters(), config.lr, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, config.steps)
    loss = torch.zeros(())
    for _ in range(config.steps):
        rows = draw(config.batch_size)
        obs = pupil.obs_normalizer(teacher.obs[rows])
        obs = obs + config.obs_noise * torch.randn(obs.shape, generator=generator, device=obs.device)
        with torch.autocast(obs.device.type, torch.bfloat16, enabled=bf16):
            loss = (pupil.policy(obs, pupil.latents_for(teacher.clip[rows])) - teacher.action[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    copy_from_first([pupil.policy, pupil.obs_normalizer])
    return float(loss.detach().sqrt())

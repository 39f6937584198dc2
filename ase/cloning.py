"""Behaviour cloning: a policy is taught what the clips take before it acts for the first time.

Whoever acts so falls within two seconds, for nothing in the clips tells how to get back to them; but those seconds look like the clips, and learning begins there instead of
at a body that stiffens and falls.

Shapes: ``M`` moments, ``O`` observation, ``A`` action, ``Z`` latent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from ase.distributed import copy_from_first
from ase.rollout import Env, on_their_feet


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


class RestingEnv(Env, Protocol):
    """Environments whose characters have a pose to rest in, targeted by ``rest_action [A]``."""

    @property
    def rest_action(self) -> Tensor: ...


class Pupil(Protocol):
    """What of `ase.learner.Learner` is taught."""

    generator: torch.Generator

    @property
    def policy(self) -> torch.nn.Module: ...
    @property
    def obs_normalizer(self) -> torch.nn.Module: ...
    def update_obs_statistics(self, obs: Tensor) -> None: ...
    def latents_for(self, clip_ids: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class CloneConfig:
    """Attributes:
    steps, batch_size, lr: gradient steps (0: a policy begins with nothing but the rest pose), moments in one, and Adam's step size, which falls to a twentieth.
    obs_noise: deviation of Gaussian noise on normalised observations, so that actions are right around the clips, too.
    rehearse_weight: weight, in what the policy learns from acting, of the negative log likelihood of the clips' actions; it falls linearly to 0 (DAPG, arXiv 1709.10087).
    rehearse_samples: control steps of training until it has fallen. rehearse_batch: moments in a gradient step.
    """

    steps: int = 0
    batch_size: int = 2048
    lr: float = 1e-3
    obs_noise: float = 0.2
    rehearse_weight: float = 0.0
    rehearse_samples: int = 0
    rehearse_batch: int = 256

    def __post_init__(self) -> None:
        if min(self.steps, self.rehearse_weight, self.rehearse_samples) < 0:
            raise ValueError(f"clone: steps, rehearse_weight, rehearse_samples: got {self.steps}, {self.rehearse_weight:g}, {self.rehearse_samples}; expected at least 0")
        if self.rehearse_weight and not self.rehearse_samples:
            raise ValueError(f"clone: rehearse_samples: got 0 with rehearse_weight {self.rehearse_weight:g}; expected the control steps until nothing is rehearsed")

    def rehearse_weight_at(self, samples: int) -> float:
        """The weight of the clips' actions after ``samples`` control steps."""
        return self.rehearse_weight * max(0.0, 1 - samples / self.rehearse_samples) if self.rehearse_weight else 0.0


STATISTICS = 16384  # moments that the normaliser of observations begins with, beside as many observations of somebody who falls


@dataclass(frozen=True)
class Lesson:
    """Moments of the clips to learn from: normalised ``obs [B, O]``, ``z [B, Z]`` and ``action [B, A]``."""

    obs: Tensor
    z: Tensor
    action: Tensor


def lesson(pupil: Pupil, teacher: Teacher, size: int, obs_noise: float) -> Lesson:
    """``size`` moments, each under a latent of its clip, with Gaussian noise of deviation ``obs_noise`` on what is seen."""
    rows = torch.multinomial(teacher.weight, size, replacement=True, generator=pupil.generator)
    obs = pupil.obs_normalizer(teacher.obs[rows])
    obs = obs + obs_noise * torch.randn(obs.shape, generator=pupil.generator, device=obs.device)
    return Lesson(obs, pupil.latents_for(teacher.clip[rows]), teacher.action[rows])


@dataclass(frozen=True)
class Rehearsal:
    """``weight`` of the clips' actions in what a policy learns from acting, and ``draw``, which gives moments of them."""

    weight: float
    draw: Callable[[], Lesson]


def rehearsal(pupil: Pupil, teacher: Teacher | None, config: CloneConfig, samples: int) -> Rehearsal | None:
    """What is rehearsed after ``samples`` control steps of training, if anything still is."""
    weight = config.rehearse_weight_at(samples)
    return Rehearsal(weight, partial(lesson, pupil, teacher, config.rehearse_batch, config.obs_noise)) if teacher is not None and weight > 0 else None


def falls(env: RestingEnv, steps: int = 30) -> Tensor:
    """What is seen of characters that target the rest pose, however they start, ``[steps * N, O]``; those that fall start anew."""
    action = env.rest_action.expand(env.num_envs, -1)
    return torch.cat([step.obs for step, _ in on_their_feet(env, lambda obs: action, env.reset(), steps)])


def clone(pupil: Pupil, teacher: Teacher, seen: Tensor, config: CloneConfig, bf16: bool) -> float:
    """Teaches the policy the actions of the clips' moments, each under latents of its clip, and the normaliser of observations their spread and that of what is ``seen [M, O]`` by
    those who fall (`falls`): statistics of the clips alone would be other ones as soon as somebody acts, and what was taught would be lost with them.

    Returns:
        The root mean square error of the last step, in units of the action.
    """
    often = torch.multinomial(teacher.weight, STATISTICS, replacement=True, generator=pupil.generator)
    others = torch.randint(len(seen), (STATISTICS,), generator=pupil.generator, device=seen.device)
    pupil.update_obs_statistics(torch.cat((teacher.obs[often], seen[others])))
    optimizer = torch.optim.Adam(pupil.policy.parameters(), config.lr, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, config.steps)
    loss = torch.zeros(())
    for _ in range(config.steps):
        shown = lesson(pupil, teacher, config.batch_size, config.obs_noise)
        with torch.autocast(shown.obs.device.type, torch.bfloat16, enabled=bf16):
            loss = (pupil.policy(shown.obs, shown.z) - shown.action).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    copy_from_first([pupil.policy, pupil.obs_normalizer])
    return float(loss.detach().sqrt())

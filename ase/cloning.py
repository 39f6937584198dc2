"""Behaviour cloning: a policy is taught what the clips take before it acts for the first time.

Whoever acts so falls within two seconds, for nothing in the clips tells how to get back to them; but those seconds look like the clips, and learning begins there instead of
at a body that stiffens and falls. What trained skills know can be shown to them while they are taught other things (`Memory`).

Shapes: ``M`` moments, ``O`` observation, ``A`` action, ``Z`` latent.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from ase.distributed import copy_from_first
from ase.nets import Policy
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
    @property
    def still(self) -> Tensor: ...


class RestingEnv(Env, Protocol):
    """Environments whose characters have a pose to rest in, targeted by ``rest_action [A]``."""

    @property
    def rest_action(self) -> Tensor: ...


class Pupil(Protocol):
    """What of `ase.learner.Learner` is taught."""

    generator: torch.Generator

    @property
    def policy(self) -> Policy: ...
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


ELSEWHERE = 0.7  # of the moments of clips that stand still are shown from where others of them stand
LATENT_STEPS = 30  # control steps for which a latent is held on average, while skills show what they know
STATISTICS = 16384  # moments that the normaliser of observations begins with, beside as many observations of somebody who falls


@dataclass(frozen=True)
class Lesson:
    """Moments of the clips to learn from: normalised ``obs [B, O]``, ``z [B, Z]`` and ``action [B, A]``."""

    obs: Tensor
    z: Tensor
    action: Tensor

    def beside(self, other: Lesson) -> Lesson:
        """Both."""
        return Lesson(*(torch.cat((getattr(self, f.name), getattr(other, f.name))) for f in fields(self)))


def lesson(pupil: Pupil, teacher: Teacher, size: int, obs_noise: float) -> Lesson:
    """``size`` moments, each under a latent of its clip, with Gaussian noise of deviation ``obs_noise`` on what is seen. What a clip that stands still takes leads there from
    wherever another stands, for actions are targets of joint angles: most of its moments are seen from there."""
    rows = torch.multinomial(teacher.weight, size, replacement=True, generator=pupil.generator)
    seen, stands = rows, teacher.still.nonzero().squeeze(-1)
    if len(stands):
        draw = torch.rand(size, generator=pupil.generator, device=rows.device)
        other = stands[torch.randint(len(stands), (size,), generator=pupil.generator, device=rows.device)]
        seen = torch.where(teacher.still[rows] & (draw < ELSEWHERE), other, rows)
    obs = pupil.obs_normalizer(teacher.obs[seen])
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


@dataclass(frozen=True)
class Memory:
    """What trained skills do: ``act`` gives their action ``[B, A]`` in raw observations ``[B, O]`` under latents ``[B, Z]``; ``obs [M, O]`` is what they see, and ``clips [K]`` are
    those that they know."""

    obs: Tensor
    clips: Tensor
    act: Callable[[Tensor, Tensor], Tensor]


def latents_of_any(pupil: Pupil, clips: Tensor, n: int) -> Tensor:
    """Latents ``[n, Z]``, each of a random one of ``clips [K]``."""
    return pupil.latents_for(clips[torch.randint(len(clips), (n,), generator=pupil.generator, device=clips.device)])


@torch.no_grad()
def remember(env: Env, pupil: Pupil, clips: Tensor, steps: int) -> Memory:
    """Lets skills act for ``steps`` control steps under random latents of the ``clips [K]`` that they know, with the noise of exploring, and keeps a copy of them. Who falls starts
    anew; a latent is held for a second on average."""
    policy, normalizer = copy.deepcopy(pupil.policy).requires_grad_(False), copy.deepcopy(pupil.obs_normalizer)

    z = latents_of_any(pupil, clips, env.num_envs)

    def act(obs: Tensor) -> Tensor:
        nonlocal z
        changed = torch.rand(len(obs), generator=pupil.generator, device=obs.device) < 1 / LATENT_STEPS
        z = torch.where(changed.unsqueeze(-1), latents_of_any(pupil, clips, len(obs)), z)
        mean = policy(normalizer(obs), z)
        return mean + policy.std * torch.randn(mean.shape, generator=pupil.generator, device=obs.device)

    obs = env.reset()
    seen = [obs] + [step.obs for step, _ in on_their_feet(env, act, obs, steps)]
    return Memory(torch.cat(seen), clips, lambda obs, z: policy(normalizer(obs), z))


@torch.no_grad()
def known(pupil: Pupil, memory: Memory, size: int) -> Lesson:
    """``size`` moments of what skills did, each under a random latent of a clip that they know, whatever they did then: so changes of latent are remembered, too."""
    rows = torch.randint(len(memory.obs), (size,), generator=pupil.generator, device=memory.obs.device)
    z = latents_of_any(pupil, memory.clips, size)
    return Lesson(pupil.obs_normalizer(memory.obs[rows]), z, memory.act(memory.obs[rows], z))


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

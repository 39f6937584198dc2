"""Teaching a policy what several others can do, each under the latents of its clips: policy distillation (Rusu et al. 2016, arXiv 1511.06295), where the pupil itself gets to
(DAgger, Ross et al. 2011, as in `ase.coaching`).

A policy can be asked what it would do in any state under any latent. So half of the moments are learned from under a latent of the clip that led there, half under that of any,
which is what changes are made of. But what it says is worth something only where it has been: whoever has never done a backflip is not asked in the middle of one.

Shapes: ``N`` environments, ``B`` batch, ``O`` observation, ``A`` action, ``Z`` latent, ``C`` clips of the pupil, ``K`` moments of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ase.coaching import Player, noise_levels
from ase.distributed import copy_from_first
from ase.nets import Policy
from ase.normalizer import Normalizer
from ase.rollout import Env

HOLD_STEPS = 45  # for which a latent is held on average
ANEW = 1 / HOLD_STEPS  # chance, in a control step, that a character gets another
ANY = -1  # the clip of a moment that is everybody's
OWN_SHARE = 0.5  # of the episodes that start on a clip begin with its latent, and of the moments that are learned from are under the latent that led there


class Student(Player, Protocol):
    """A player that can tell an environment which of its falls are none."""

    def hold(self, env: Env, z: Tensor, steps: int) -> Tensor: ...


@dataclass(frozen=True)
class DistillConfig:
    """Attributes:
    rounds: of acting and learning, where there are teachers. steps: control steps of each environment in one. updates, batch_size: gradient steps in one, and moments in each.
    lr: Adam's step size at first; it falls linearly to a twentieth.
    led_rounds: in the first rounds the teachers act in the policy's place in a share of the steps that falls from all to none within so many.
    kept: the latest moments, which are learned from.
    """

    rounds: int = 60
    steps: int = 30
    updates: int = 300
    batch_size: int = 2048
    lr: float = 5e-4
    led_rounds: int = 15
    kept: int = 400_000

    def __post_init__(self) -> None:
        if min(self.rounds, self.steps, self.updates, self.batch_size, self.led_rounds, self.kept) < 1:
            got = f"{self.rounds}, {self.steps}, {self.updates}, {self.batch_size}, {self.led_rounds}, {self.kept}"
            raise ValueError(f"distill: rounds, steps, updates, batch_size, led_rounds, kept: got {got}; expected at least 1 each")


@dataclass(frozen=True)
class Landmarks:
    """Moments of the clips, which tell where a state belongs.

    Attributes:
        obs: ``[K, O]`` observations. clip: ``[K]`` whose they are; `ANY` where a character just stands, as in any clip.
        scale: ``[O]`` what observations are multiplied by to be compared.
    """

    obs: Tensor
    clip: Tensor
    scale: Tensor

    def nearest(self, obs: Tensor) -> Tensor:
        """The clip ``[B]``, or `ANY`, of the moment that each of ``obs [B, O]`` is nearest to."""
        return self.clip[torch.cdist(obs * self.scale, self.obs * self.scale).argmin(-1)]


@dataclass(frozen=True)
class Master:
    """A trained policy that teaches some clips.

    Attributes:
        policy, normalizer: of observations.
        shift: ``[C, Z]`` from the pupil's anchor of each clip to its own; of clips that it teaches.
        teaches: ``[C]`` which those are. been: ``[C]`` clips that it was trained on. anywhere: ``[C]`` clips that it teaches in the middle of others, too, for nobody else does.
    """

    policy: Policy
    normalizer: Normalizer
    shift: Tensor
    teaches: Tensor
    been: Tensor
    anywhere: Tensor


def advice(masters: list[Master], near: Tensor, obs: Tensor, clip: Tensor, z: Tensor) -> Tensor:
    """What the first that teaches each ``clip [B]`` and has been where that is asked, ``near [B]`` (`Landmarks.nearest`), would do in ``obs [B, O]``, ``[B, A]``: under the latent
    that is as far from its anchor as ``z [B, Z]`` is from the pupil's. Somebody must teach it anywhere."""
    found: Tensor | None = None
    left = torch.ones_like(clip, dtype=torch.bool)
    for master in masters:
        knows = master.anywhere[clip] | (near == ANY) | master.been[near]
        ids = (left & master.teaches[clip] & knows).nonzero().flatten()
        if len(ids):
            action = master.policy(master.normalizer(obs[ids]), F.normalize(z[ids] + master.shift[clip[ids]], dim=-1))
            found = action.new_zeros(len(obs), action.shape[1]) if found is None else found
            found[ids] = action
            left[ids] = False
    assert found is not None
    return found


@dataclass(frozen=True)
class Moments:
    """Where a policy got to: ``obs [M, O]``, ``near [M]`` which clips these belong to (`Landmarks.nearest`), ``clip [M]`` under whose latents it got there."""

    obs: Tensor
    near: Tensor
    clip: Tensor

    def followed_by(self, later: Moments, kept: int) -> Moments:
        """The latest ``kept`` of these and of ``later`` ones."""
        return Moments(*(torch.cat(both)[-kept:] for both in ((self.obs, later.obs), (self.near, later.near), (self.clip, later.clip))))


class School:
    """Characters that act as a policy makes them, under latents of clips that change at random, drawn by ``weights [C]``.

    Attributes:
        obs: ``[N, O]`` present observations. clip, z: ``[N]`` and ``[N, Z]`` what they are asked for.
    """

    def __init__(self, env: Env, student: Student, masters: list[Master], landmarks: Landmarks, weights: Tensor):
        self.env, self.student, self.masters, self.landmarks, self.weights, self.generator = env, student, masters, landmarks, weights, student.generator
        self.obs = env.reset()
        self.clip = self.draw(env.num_envs)
        self.z = student.latents_for(self.clip)
        self._noises = noise_levels(env.num_envs, env.device)

    def draw(self, n: int) -> Tensor:
        """Random clips ``[n]``."""
        return torch.multinomial(self.weights, n, replacement=True, generator=self.generator) if n else self.clip[:0]

    def chance(self, n: int, share: float) -> Tensor:
        """``[n]``, True in a ``share`` of the cases."""
        return torch.rand(n, generator=self.generator, device=self.env.device) < share

    @torch.no_grad()
    def act(self, steps: int, led: float) -> tuple[Moments, int]:
        """``steps`` control steps, a share ``led`` of them as the masters would act: ``steps * N`` moments, and how many fell."""
        env, count, seen, places, under, fell = self.env, self.env.num_envs, [], [], [], 0
        for _ in range(steps):
            near = self.landmarks.nearest(self.obs)
            seen.append(self.obs)
            places.append(near)
            under.append(self.clip)
            action = self.student.act(self.obs, self.z)
            if led:
                action = torch.where(self.chance(count, led).unsqueeze(-1), advice(self.masters, near, self.obs, self.clip, self.z), action)
            step = env.step(action + self._noises * torch.randn(action.shape, generator=self.generator, device=env.device))
            over = step.terminated | step.truncated
            self.obs = env.reset(over.nonzero().flatten()) if over.any() else step.obs
            other = over | self.chance(count, ANEW)
            known = (env.start_clip >= 0) & (self.weights[env.start_clip.clamp_min(0)] > 0)
            own = over & known & self.chance(count, OWN_SHARE)
            self.clip = torch.where(own, env.start_clip, self.clip.masked_scatter(other, self.draw(int(other.sum()))))
            self.z = self.z.masked_scatter(other.unsqueeze(-1), self.student.latents_for(self.clip[other]))
            self.student.hold(env, self.z, HOLD_STEPS)
            fell += int(step.terminated.sum())
        return Moments(torch.cat(seen), torch.cat(places), torch.cat(under)), fell


def distill(
    env: Env,
    student: Student,
    masters: list[Master],
    landmarks: Landmarks,
    weights: Tensor,
    config: DistillConfig,
    told: Callable[[int, float, float], None] = lambda *made: None,
    bf16: bool = False,
) -> None:
    """Teaches the policy what ``masters`` do, who between them teach all clips of which ``weights [C]`` are more than 0, each as often as these say. The statistics that it sees
    observations by stay as they are after the first round, as in `ase.coaching`.

    Args:
        told: called after each round with its number, the root mean square error of the actions, and the falls in 1,000 control steps.
    """
    generator, device, school = student.generator, env.device, School(env, student, masters, landmarks, weights)
    optimizer = torch.optim.Adam(student.policy.parameters(), config.lr, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, config.rounds)
    seen = Moments(school.obs[:0], school.clip[:0], school.clip[:0])
    for k in range(config.rounds):
        made, fell = school.act(config.steps, max(0.0, 1 - k / config.led_rounds))
        seen = seen.followed_by(made, config.kept)
        if not k:
            student.update_obs_statistics(seen.obs)
        error = torch.zeros((), device=device)
        for _ in range(config.updates):
            rows = torch.randint(len(seen.obs), (config.batch_size,), generator=generator, device=device)
            clips = torch.where(school.chance(len(rows), OWN_SHARE), seen.clip[rows], school.draw(len(rows)))
            latents = student.latents_for(clips)
            with torch.no_grad():
                right = advice(masters, seen.near[rows], seen.obs[rows], clips, latents)
                obs = student.obs_normalizer(seen.obs[rows])
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss = (student.policy(obs, latents) - right).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            error += loss.detach()
        schedule.step()
        told(k + 1, float(error / config.updates) ** 0.5, 1000 * fell / len(made.obs))
    copy_from_first([student.policy, student.obs_normalizer])
    student.obs_normalizer.settle()

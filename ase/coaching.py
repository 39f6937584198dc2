"""Teaching a policy where it gets to: it acts, an expert says what would have been right, and it learns that (DAgger).

What is cloned from the clips' own states (`ase.cloning`) is right there alone, and who drifts off is on its own. Here characters follow the clips as the policy makes them, and an
expert that can be asked in any state near a clip (`envs.lqr`) tells for each step how to stay on it.

Source: Ross, Gordon and Bagnell 2011, "A reduction of imitation learning and structured prediction to no-regret online learning".

Shapes: ``N`` characters, ``M`` moments, ``O`` observation, ``A`` action.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor

from ase.cloning import Lesson, Memory, Pupil, known
from ase.distributed import copy_from_first
from ase.normalizer import Normalizer

NOISES = (0.0, 0.02, 0.05)  # deviations of the noise that characters act with, in units of the action
ANEW = 1 / 60  # chance, in a step, that a character gets another latent of its clip


class Player(Pupil, Protocol):
    """A pupil that can act, and whose statistics can settle."""

    @property
    def obs_normalizer(self) -> Normalizer: ...
    def act(self, obs: Tensor, z: Tensor) -> Tensor: ...


class Guided(Protocol):
    """Characters that follow clips, and an expert that tells how; see `envs.guided.Guided`."""

    num_envs: int
    obs: Tensor
    lost: Tensor
    moment: Tensor
    regret: Tensor

    @property
    def clip(self) -> Tensor: ...
    def begin(self, ids: Tensor) -> None: ...
    def advice(self) -> Tensor: ...
    def weights(self) -> Tensor: ...
    def step(self, action: Tensor) -> Tensor: ...
    def change(self) -> Tensor: ...


@dataclass(frozen=True)
class CoachConfig:
    """Attributes:
    rounds: of acting and learning; 0: no coaching. minutes: after which it ends, if it is not over; 0: no limit.
    steps: control steps of each character in a round. updates, batch_size: gradient steps in one, and moments in each.
    lr: Adam's step size at first; it falls linearly, by rounds or minutes, to a twentieth. obs_noise: deviation of Gaussian noise on normalised observations.
    led_rounds: in the first rounds the expert acts in the policy's place in a share of the steps that falls from all to none within so many.
    kept: the latest moments, which are learned from. shown: of these, those that are rehearsed in training afterwards.
    memory_share: moments of what trained skills did before that are learned from beside these, as a share.
    """

    rounds: int = 0
    minutes: float = 0.0
    steps: int = 30
    updates: int = 150
    batch_size: int = 2048
    lr: float = 1e-3
    obs_noise: float = 0.005
    led_rounds: int = 15
    kept: int = 1_500_000
    shown: int = 100_000
    memory_share: float = 0.2

    def __post_init__(self) -> None:
        if min(self.rounds, self.minutes, self.memory_share) < 0 or min(self.steps, self.updates, self.batch_size, self.kept, self.shown, self.led_rounds) < 1:
            got = f"{self.rounds}, {self.minutes:g}, {self.memory_share:g}, {self.steps}, {self.updates}, {self.batch_size}, {self.kept}, {self.shown}, {self.led_rounds}"
            names = "rounds, minutes, memory_share, steps, updates, batch_size, kept, shown, led_rounds"
            raise ValueError(f"coach: {names}: got {got}; expected at least 0, 0, 0, and 1 each of the others")


@dataclass(frozen=True)
class Moments:
    """What was advised: ``obs [M, O]``, ``action [M, A]``, both in half precision (bfloat16 is too coarse: a root's height to 2 mm at best), ``clip [M]``; the ``moment [M]`` of
    the expert's motions that it was taken for, and how much it counts, ``weight [M]``."""

    obs: Tensor
    action: Tensor
    clip: Tensor
    moment: Tensor
    weight: Tensor

    @staticmethod
    def empty(count: int, obs_dim: int, action_dim: int, device: torch.device) -> Moments:
        obs, action = (torch.zeros(count, size, dtype=torch.float16, device=device) for size in (obs_dim, action_dim))
        clip, moment = torch.zeros(2, count, dtype=torch.long, device=device)
        return Moments(obs, action, clip, moment, torch.zeros(count, device=device))

    def put(self, ids: Tensor, others: Moments) -> None:
        """Replaces moments ``ids [n]``."""
        for f in fields(self):
            mine = getattr(self, f.name)
            mine[ids] = getattr(others, f.name).to(mine.dtype)

    def rows(self, ids: Tensor) -> Moments:
        """Moments ``ids [n]`` in single precision."""
        return Moments(self.obs[ids].float(), self.action[ids].float(), self.clip[ids], self.moment[ids], self.weight[ids])


@dataclass(frozen=True)
class Round:
    """What came of the ``number``th round, when ``progress`` (1: all) of the coaching is done: root mean square ``error`` of the actions, and of episodes that ended in it, ``K``
    in all, the clip ``ended [K]`` and whether they were ``lost [K]``."""

    number: int
    progress: float
    error: float
    ended: Tensor
    lost: Tensor


def noise_levels(count: int, device: torch.device) -> Tensor:
    """Deviations ``[count, 1]`` of the noise that each character acts with: all of `NOISES` alike."""
    return torch.tensor(NOISES, device=device)[torch.arange(count, device=device) % len(NOISES)].unsqueeze(-1)


def coach(learner: Player, guided: Guided, config: CoachConfig, memory: Memory | None = None, told: Callable[[Round], None] = lambda made: None, bf16: bool = False) -> Moments:
    """Coaches the policy; returns the moments that it should rehearse, drawn by how much they count. The statistics that it sees observations by stay as they are then: with
    others, it no longer does what it was taught. A moment's error counts by what acting so would cost in the end, and less the further a character is from its motion.

    Args:
        memory: what trained skills do, which the policy is shown meanwhile, under latents of the clips that they know. told: called after each round.
    """
    count, device, generator = guided.num_envs, guided.obs.device, learner.generator
    optimizer = torch.optim.Adam(learner.policy.parameters(), config.lr, fused=True)
    guided.begin(torch.arange(count, device=device))
    z = learner.latents_for(guided.clip)
    noises = noise_levels(count, device)
    seen, filled = Moments.empty(config.kept, guided.obs.shape[1], guided.advice().shape[1], device), 0
    remembered = round(config.memory_share * config.batch_size) if memory is not None else 0
    start, progress, k, have = time.monotonic(), 0.0, 0, 0
    while progress < 1:
        led = max(0.0, 1 - k / config.led_rounds)
        ended, lost = torch.zeros(0, dtype=torch.long, device=device), torch.zeros(0, device=device)
        for _ in range(config.steps):
            advice, clip = guided.advice(), guided.clip
            seen.put((filled + torch.arange(count, device=device)) % config.kept, Moments(guided.obs, advice, clip, guided.moment, guided.weights()))
            filled += count
            own = learner.act(guided.obs, z)
            action = torch.where(torch.rand(count, 1, generator=generator, device=device) < led, advice, own)
            over = guided.step(action + noises * torch.randn(action.shape, generator=generator, device=device))
            begun = over.nonzero().flatten()
            ended, lost = torch.cat((ended, clip[begun])), torch.cat((lost, guided.lost[begun].float()))
            guided.begin(begun)
            other = torch.rand(count, generator=generator, device=device) < ANEW
            other[begun] = other[guided.change()] = True
            ids = other.nonzero().flatten()
            z[ids] = learner.latents_for(guided.clip[ids])
        have = min(filled, config.kept)
        if not k:
            shown = seen.obs[:have].float()
            learner.update_obs_statistics(shown if memory is None else torch.cat((shown, memory.obs)))
        error = torch.zeros((), device=device)
        for _ in range(config.updates):
            some = seen.rows(torch.randint(have, (config.batch_size,), generator=generator, device=device))
            obs = learner.obs_normalizer(some.obs)
            obs = obs + config.obs_noise * torch.randn(obs.shape, generator=generator, device=device)
            lesson = Lesson(obs, learner.latents_for(some.clip), some.action)
            if memory is not None and remembered:
                lesson = lesson.beside(known(learner, memory, remembered))
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                off = learner.policy(lesson.obs, lesson.z) - lesson.action
            told_off, known_off = off.split((len(obs), len(off) - len(obs)))
            regret = (guided.regret[some.moment] @ told_off.unsqueeze(-1)).squeeze(-1) * told_off
            weight = some.weight / some.weight.mean()
            loss = ((regret.mean(-1) * weight).sum() + known_off.square().mean(-1).sum()) / len(off)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            error += (told_off.detach().square().mean(-1) * weight).mean()
        k += 1
        progress = max(k / config.rounds, (time.monotonic() - start) / (60 * config.minutes) if config.minutes else 0.0)
        optimizer.param_groups[0]["lr"] = config.lr * (1 - 0.95 * min(progress, 1.0))
        told(Round(k, progress, float(error / config.updates) ** 0.5, ended, lost))
    copy_from_first([learner.policy, learner.obs_normalizer])
    learner.obs_normalizer.settle()
    waits = torch.empty(have, device=device).exponential_(generator=generator) / seen.weight[:have]
    return seen.rows(waits.argsort()[: config.shown])

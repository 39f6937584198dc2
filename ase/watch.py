"""How a guard learns (`ase.guard`): characters act under random latents, guarded and then left alone, and what becomes of those alone tells which latents end in falls.

Shapes: ``N`` environments, ``T`` control steps of a round, ``M`` moments, ``O`` observation, ``Z`` latent, ``C`` clips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ase.anchors import Anchors
from ase.coaching import Player
from ase.guard import Guard, GuardConfig
from ase.rollout import Env
from ase.symmetry import Mirror

LR, BATCH = 1.5e-3, 4096
NOISE = 0.02  # on normalised observations while learning
OWN_SHARE = 0.3  # of the episodes that begin on a clip begin with a latent of it
AT_ONCE = 0.5  # of those that are asked for another latent are left alone at once
GUARDED = 1.0  # horizons for which the others are guarded at most, before they are left alone
ALONE = (1.3, 2.2)  # horizons for which they are then
LEFT = 0.15  # chance to be left alone in a step in which the guard steps in
KEEPS, TAKES = 0.2, 0.4  # of those left alone keep their latent; take one of the clip that seems safest; the rest take one of any


class GroundedEnv(Env, Protocol):
    """Environments that tell who lies, ``down [N]``, whether that counts as a fall now or not, and how many control steps episodes may still last, ``steps_left [N]``."""

    @property
    def down(self) -> Tensor: ...
    @property
    def steps_left(self) -> Tensor: ...


class Skilled(Player, Protocol):
    """A player whose latents may stand for clips."""

    anchors: Anchors | None
    mirror: Mirror | None

    def goes_down(self, z: Tensor) -> Tensor: ...


def outcomes(ends: Tensor, fell: Tensor, down: Tensor, left: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
    """What becomes of each moment within ``horizon`` control steps.

    Args:
        ends, fell, down: ``[T, N]`` whether a latent's time ends with the step, in a fall (and so ends), or on the floor.
        left: ``[T, N]`` control steps, from this one on, for which the latent would be held and seen if nobody fell.

    Returns:
        ``known [T, N]``: the latent would be held for the horizon, so that falls and their absence are seen alike; and ``bad [T, N]``: known, and it fell within the horizon or
        lies at its end.
    """
    steps = len(fell)
    to_go, falls = torch.zeros_like(left[0]), torch.zeros_like(fell[0])
    known, bad = left >= horizon, torch.zeros_like(fell)
    for t in range(steps - 1, -1, -1):
        to_go, falls = torch.where(ends[t], 1, to_go + 1), torch.where(ends[t], fell[t], falls)
        lies = down[t + horizon - 1] & (to_go >= horizon) if t + horizon <= steps else torch.zeros_like(falls)
        bad[t] = known[t] & ((falls & (to_go <= horizon)) | lies)
    return known, bad


@dataclass(frozen=True)
class Moments:
    """What was seen: normalised ``obs [M, O]`` in half precision, the ``clip [M]`` whose latent was held from then on, and whether that was ``bad [M]``."""

    obs: Tensor
    clip: Tensor
    bad: Tensor


class Watch:
    """Characters that act without noise under latents of random clips. Some are left alone at once; others are guarded for a while, and then left alone, the sooner where the guard
    steps in, under the latent asked for, one of the clip that seems safest, or any other. What becomes of those alone is what the guard learns from. (What seems safest must be
    tried: of forty clips it is often one that the critic knows too little of.)

    Args:
        horizon: control steps.
    """

    def __init__(self, env: GroundedEnv, learner: Skilled, guard: Guard, horizon: int):
        self.env, self.learner, self.guard, self.horizon, self.generator = env, learner, guard, horizon, learner.generator
        self.obs = env.reset()
        everybody = torch.arange(env.num_envs, device=env.device)
        self.clip, self.left, self.alone = torch.zeros_like(everybody), torch.zeros_like(everybody), torch.zeros_like(everybody, dtype=torch.bool)
        self.z = learner.latents_for(self.clip)
        self._ask(everybody, torch.ones_like(self.alone))

    def _random(self, n: int) -> Tensor:
        return torch.rand(n, generator=self.generator, device=self.env.device)

    def _hold(self, ids: Tensor) -> None:
        """``ids [n]`` have other latents from now on: for how long."""
        draw, alone = self._random(len(ids)), self.alone[ids]
        self.left[ids] = (torch.where(alone, ALONE[0] + (ALONE[1] - ALONE[0]) * draw, GUARDED * draw) * self.horizon).long() + 1
        self.env.allow_floor(ids, self.guard.floor[self.clip[ids]] * self.left[ids])

    def _ask(self, ids: Tensor, fresh: Tensor) -> None:
        """Asks ``ids [n]`` for other latents; of those whose episodes are ``fresh [n]`` and began on clips some get latents of these."""
        began = self.env.start_clip[ids]
        own = fresh & (began >= 0) & (self._random(len(ids)) < OWN_SHARE)
        self.clip[ids] = torch.where(own, began, self._any(len(ids)))
        self.z = self.z.index_copy(0, ids, self.learner.latents_for(self.clip[ids]))
        self.alone[ids] = self._random(len(ids)) < AT_ONCE
        self._hold(ids)

    def _any(self, n: int) -> Tensor:
        return torch.randint(len(self.guard.floor), (n,), generator=self.generator, device=self.env.device)

    def _leave(self, ids: Tensor, safest: Tensor) -> None:
        """Leaves ``ids [n]`` alone, some under the latents of what seems ``safest [n, Z]``."""
        draw, clip = self._random(len(ids)).unsqueeze(-1), self._any(len(ids))
        other = torch.where(draw < KEEPS + TAKES, safest, self.guard.instead(self.z[ids], self.clip[ids], clip))
        self.z = self.z.index_copy(0, ids, torch.where(draw < KEEPS, self.z[ids], other))
        self.clip[ids], self.alone[ids] = self.guard.cell(self.z[ids]), True
        self._hold(ids)

    @torch.no_grad()
    def act(self, steps: int) -> tuple[Moments, float]:
        """``steps`` control steps of everybody; the moments of those left alone whose outcome is known, and falls in 1,000 control steps of those guarded."""
        env, learner = self.env, self.learner
        seen, clips, left, ends, fell, down, alone = [], [], [], [], [], [], []
        for t in range(steps):
            obs = learner.obs_normalizer(self.obs)
            safest, gain = self.guard.safest(obs, self.z)
            overruled = gain > self.guard.margin
            go = ~self.alone & ((self.left <= 0) | (overruled & (self._random(env.num_envs) < LEFT)))
            ids = go.nonzero().squeeze(-1)
            if len(ids):
                self._leave(ids, safest[ids])
            seen.append(obs.half())
            clips.append(self.clip.clone())
            alone.append(self.alone.clone())
            left.append(torch.minimum(self.left, env.steps_left).clamp_max(steps - t))
            step = env.step(learner.policy(obs, torch.where((overruled & ~self.alone).unsqueeze(-1), safest, self.z)))
            over = step.terminated | step.truncated
            fell.append(step.terminated)
            down.append(env.down & ~self.guard.floor[self.clip])
            self.left = self.left - 1
            self.obs = env.reset(over.nonzero().squeeze(-1)) if over.any() else step.obs
            ends.append(over | (self.left <= 0))
            ids = (over | (self.alone & (self.left <= 0))).nonzero().squeeze(-1)
            if len(ids):
                self._ask(ids, over[ids])
        falls, by_themselves = torch.stack(fell), torch.stack(alone)
        known, bad = outcomes(torch.stack(ends), falls, torch.stack(down), torch.stack(left), self.horizon)
        kept = (known & by_themselves).flatten()
        moments = Moments(torch.cat(seen)[kept], torch.cat(clips)[kept], bad.flatten()[kept])
        return moments, 1000 * float(falls[~by_themselves].float().mean())


class Lessons:
    """Teaches a guard, from mirror images, too, where it is symmetric.

    Args:
        updates: gradient steps, over which the step size rises for a tenth and falls to nothing; 0: it stays as it is, over any number of them.
    """

    def __init__(self, guard: Guard, updates: int, generator: torch.Generator, bf16: bool = False):
        self.guard, self.generator, self.bf16 = guard, generator, bf16
        self.optimizer = torch.optim.AdamW(guard.net.parameters(), LR, weight_decay=1e-3, fused=True)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, LR, updates, pct_start=0.1, cycle_momentum=False) if updates else None
        points = guard.points
        self.image = guard.cell(torch.cat((-points[:, :1], points[:, 1:]), dim=-1))  # [C] the mirror image of each clip

    def learn(self, seen: Moments, updates: int) -> float:
        """So many gradient steps on ``seen``; the mean cross-entropy, nats."""
        mirror, device = self.guard.mirror, seen.obs.device
        total = torch.zeros((), device=device)
        for _ in range(updates):
            rows = torch.randint(len(seen.obs), (BATCH,), generator=self.generator, device=device)
            obs, clip = seen.obs[rows].float(), seen.clip[rows]
            if mirror is not None:
                other = torch.rand(len(rows), generator=self.generator, device=device) < 0.5
                obs, clip = torch.where(other.unsqueeze(-1), mirror.obs(obs), obs), torch.where(other, self.image[clip], clip)
            obs = obs + NOISE * torch.randn(obs.shape, generator=self.generator, device=device)
            with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
                logit = self.guard.net(obs).gather(1, clip.unsqueeze(-1)).squeeze(-1)
            loss = F.binary_cross_entropy_with_logits(logit, seen.bad[rows].float())
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if self.schedule is not None:
                self.schedule.step()
            total += loss.detach() / updates
        return float(total)


def learn_guard(
    env: GroundedEnv, learner: Skilled, control_dt: float, config: GuardConfig, told: Callable[[int, float, float], None] = lambda *made: None, bf16: bool = False
) -> Guard:
    """A guard for a policy whose latents stand for clips, learned in ``config.rounds`` rounds, each guarded by what was learned until then. The policy stays as it is.

    Args:
        told: called after each round with its number, the falls in 1,000 control steps of those guarded in it, and the critic's mean cross-entropy, nats.

    Raises:
        ValueError: latents do not stand for clips, or nothing can be seen for as long as the horizon.
    """
    anchors = learner.anchors
    if anchors is None:
        raise ValueError("guard: got skills whose latents stand for no clips; expected some trained with --train.latents.clip-share, such as preset locomotion")
    horizon = max(1, round(config.horizon_s / control_dt))
    first, last = (Guard(anchors, learner.goes_down(anchors.points), env.obs_dim, learner.mirror, config.margin) for _ in range(2))
    watch, lessons = Watch(env, learner, first, horizon), Lessons(first, 0, learner.generator, bf16)
    seen_for = min(config.steps, int(env.steps_left.max()))
    if seen_for < horizon:
        raise ValueError(f"guard: horizon_s: got {config.horizon_s:g} = {horizon} control steps; expected at most {seen_for}, which a round and an episode last")
    seen: Moments | None = None
    for k in range(config.rounds):
        more, falls = watch.act(config.steps)
        seen = more if seen is None else Moments(torch.cat((seen.obs, more.obs)), torch.cat((seen.clip, more.clip)), torch.cat((seen.bad, more.bad)))
        told(k + 1, falls, lessons.learn(seen, config.updates) if len(seen.obs) else 0.0)
    if seen is not None and len(seen.obs):
        Lessons(last, config.last_updates, learner.generator, bf16).learn(seen, config.last_updates)
    return last

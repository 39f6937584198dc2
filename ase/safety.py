"""Learning from the falls that another skill would have prevented.

Who begins a walk in the middle of a backflip falls, and would not if it did the backflip first; but small noise on joints never gets from one to the other. A policy can be asked,
though, what it would do under the latent of any clip. So a safety critic (Srinivasan et al. 2020, arXiv 2010.14603) learns who falls under the latents of each clip within a few
seconds, and where that is dangerous the policy learns to act as it would under another that is not; and then anew, with what it has become: generalised policy improvement over its
skills (Barreto et al. 2017, arXiv 1606.05312, theorem 1), distilled into the policy after each round.

Shapes: ``N`` environments, ``T`` control steps of a round, ``B`` batch, ``O`` observation, ``A`` action, ``Z`` latent, ``C`` clips.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ase.anchors import Anchors
from ase.coaching import Player
from ase.distributed import copy_from_first
from ase.nets import Mlp, Policy
from ase.rollout import Env
from ase.symmetry import Mirror

CRITIC_HIDDEN, CRITIC_LR, CRITIC_BATCH = (768, 384), 1e-3, 4096
CRITIC_NOISE, POLICY_NOISE = 0.02, 0.005  # on normalised observations while learning
LONGEST = 1.6  # a latent is held for 4/3 of the horizon or longer, up to so many times that
OWN_SHARE = 0.3  # of the episodes that begin on a clip begin with a latent of it
JUDGED_SHARE = 0.5  # of the moments whose outcome is known are kept for the critic
FIRST = 5  # times as many gradient steps does the critic make in the first round, in which the policy learns nothing
REMEMBERED = 4  # rounds whose moments the critic learns from
OVERRULED = 5.0  # weight of what is overruled in what the policy learns


@dataclass(frozen=True)
class SafetyConfig:
    """Attributes:
    rounds: of acting and learning; 0: none. steps: control steps of each environment in one.
    critic_updates, updates: gradient steps of the critic and of the policy in a round. batch_size: moments in one of the policy's. lr: its Adam step size, which falls to a tenth
        in each round.
    horizon_s: how dangerous a latent is tell falls within so many seconds.
    margin: a latent is overruled where another has a chance to fall that is less by this. near: of those that have all but this share of what there is to gain, the one that asks
        for the least different action is heeded; 0: the safest.
    """

    rounds: int = 0
    steps: int = 240
    critic_updates: int = 300
    updates: int = 500
    batch_size: int = 3072
    lr: float = 2e-4
    horizon_s: float = 2.5
    margin: float = 0.1
    near: float = 0.2

    def __post_init__(self) -> None:
        if self.rounds < 0 or min(self.steps, self.critic_updates, self.updates, self.batch_size) < 1:
            got = f"{self.rounds}, {self.steps}, {self.critic_updates}, {self.updates}, {self.batch_size}"
            raise ValueError(f"safety: rounds, steps, critic_updates, updates, batch_size: got {got}; expected at least 0, and 1 each of the others")
        if self.horizon_s <= 0 or not 0 <= self.margin < 1 or not 0 <= self.near < 1:
            raise ValueError(f"safety: horizon_s, margin, near: got {self.horizon_s:g}, {self.margin:g}, {self.near:g}; expected more than 0, and at least 0 and less than 1 twice")


class GroundedEnv(Env, Protocol):
    """Environments that tell who lies, ``down [N]``, whether that counts as a fall now or not, and how many control steps episodes may still last, ``steps_left [N]``."""

    @property
    def down(self) -> Tensor: ...
    @property
    def steps_left(self) -> Tensor: ...


class Skilled(Player, Protocol):
    """A player whose latents stand for clips."""

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


@torch.no_grad()
def advice(policy: Policy, danger: Tensor, anchors: Anchors, floor: Tensor, obs: Tensor, clip: Tensor, z: Tensor, config: SafetyConfig) -> tuple[Tensor, Tensor]:
    """What ``policy`` does in normalised ``obs [B, O]`` under latents ``z [B, Z]`` of ``clip [B]``, but under one of another clip, as far from its anchor, where that is safer by
    the margin: actions ``[B, A]``, and who is overruled ``[B]``.

    Args:
        danger: ``[B, C]`` the chance to fall under latents of each clip. floor: ``[C]`` clips under which lying is no fall: they overrule none, and are not overruled.
    """
    action = policy(obs, z)
    own, danger = danger.gather(1, clip.unsqueeze(-1)), danger.masked_fill(floor, torch.inf)
    least = danger.amin(-1, keepdim=True)
    overruled = (own - least > config.margin).squeeze(-1) & ~floor[clip]
    ids = overruled.nonzero().squeeze(-1)
    if len(ids):
        row, other = (danger[ids] <= (least + config.near * (own - least))[ids]).nonzero(as_tuple=True)
        who = ids[row]
        tried = policy(obs[who], F.normalize(z[who] + anchors.points[other] - anchors.points[clip[who]], dim=-1))
        far = torch.full((len(ids), len(floor)), torch.inf, device=obs.device)
        far[row, other] = (tried - action[who]).square().sum(-1)
        best = torch.zeros(far.shape, dtype=torch.long, device=obs.device)
        best[row, other] = torch.arange(len(row), device=obs.device)
        action[ids] = tried[best.gather(1, far.argmin(-1, keepdim=True)).squeeze(-1)]
    return action, overruled


@dataclass(frozen=True)
class Moments:
    """What was seen: normalised ``obs [M, O]`` in half precision, ``clip [M]`` and ``z [M, Z]`` asked for, and whether the outcome is ``known [M]`` and ``bad [M]``."""

    obs: Tensor
    clip: Tensor
    z: Tensor
    known: Tensor
    bad: Tensor


class Watch:
    """Characters that act as a policy makes them, without noise, under latents of random clips.

    Args:
        floor: ``[C]`` clips under which lying is no fall. horizon: control steps; see `LONGEST`.
    """

    def __init__(self, env: GroundedEnv, learner: Skilled, floor: Tensor, horizon: int):
        self.env, self.learner, self.floor, self.horizon, self.generator = env, learner, floor, horizon, learner.generator
        self.obs = env.reset()
        everybody = torch.arange(env.num_envs, device=env.device)
        self.clip, self.left = torch.zeros_like(everybody), torch.zeros_like(everybody)
        self.z = learner.latents_for(self.clip)
        self._ask(everybody, torch.ones_like(everybody, dtype=torch.bool))

    def _ask(self, ids: Tensor, fresh: Tensor) -> None:
        """Gives ``ids [n]`` other latents; of those whose episodes are ``fresh [n]`` and began on clips some get latents of these."""
        clips = torch.randint(len(self.floor), (len(ids),), generator=self.generator, device=self.env.device)
        began = self.env.start_clip[ids]
        own = fresh & (began >= 0) & (torch.rand(len(ids), generator=self.generator, device=self.env.device) < OWN_SHARE)
        clips = torch.where(own, began, clips)
        low = self.horizon + self.horizon // 3
        self.clip, self.z = self.clip.index_copy(0, ids, clips), self.z.index_copy(0, ids, self.learner.latents_for(clips))
        self.left[ids] = torch.randint(low, round(LONGEST * low) + 1, (len(ids),), generator=self.generator, device=self.env.device)
        self.env.allow_floor(ids, self.floor[clips] * self.left[ids])

    @torch.no_grad()
    def act(self, steps: int) -> tuple[Moments, float]:
        """``steps`` control steps of everybody; their moments, and falls in 1,000 control steps."""
        env, learner = self.env, self.learner
        seen, clips, latents, left, ends, fell, down = [], [], [], [], [], [], []
        for t in range(steps):
            obs = learner.obs_normalizer(self.obs)
            seen.append(obs.half())
            clips.append(self.clip)
            latents.append(self.z)
            left.append(torch.minimum(self.left, env.steps_left).clamp_max(steps - t))
            step = env.step(learner.policy(obs, self.z))
            over = step.terminated | step.truncated
            fell.append(step.terminated)
            down.append(env.down & ~self.floor[self.clip])
            self.left = self.left - 1
            self.obs = env.reset(over.nonzero().squeeze(-1)) if over.any() else step.obs
            ends.append(over | (self.left <= 0))
            ids = ends[-1].nonzero().squeeze(-1)
            if len(ids):
                self._ask(ids, over[ids])
        falls = torch.stack(fell)
        known, bad = outcomes(torch.stack(ends), falls, torch.stack(down), torch.stack(left), self.horizon)
        return Moments(torch.cat(seen), torch.cat(clips), torch.cat(latents), known.flatten(), bad.flatten()), 1000 * float(falls.float().mean())


class SafetyCritic:
    """Learns the chance to fall under the latents of each clip, ``[B, C]``, from normalised observations ``[B, O]``; where policies are symmetric, from mirror images, too."""

    def __init__(self, learner: Skilled, anchors: Anchors, obs_dim: int, device: torch.device, bf16: bool):
        self.generator, self.mirror, self.device, self.bf16 = learner.generator, learner.mirror, device, bf16
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = Mlp(obs_dim, CRITIC_HIDDEN, len(anchors.points), output_scale=0.01).to(device)
        self.optimizer = torch.optim.Adam(self.net.parameters(), CRITIC_LR, fused=True)
        self.image = anchors.cell(torch.cat((-anchors.points[:, :1], anchors.points[:, 1:]), dim=-1))  # [C] the mirror image of each clip

    @torch.no_grad()
    def __call__(self, obs: Tensor) -> Tensor:
        return self.net(obs).sigmoid()

    def learn(self, obs: Tensor, clip: Tensor, bad: Tensor, updates: int) -> float:
        """From moments ``obs [M, O]`` under latents of ``clip [M]`` and whether what came was ``bad [M]``; the mean cross-entropy, nats."""
        total = torch.zeros((), device=self.device)
        for _ in range(updates):
            rows = torch.randint(len(obs), (CRITIC_BATCH,), generator=self.generator, device=self.device)
            x, clips = obs[rows].float(), clip[rows]
            if self.mirror is not None:
                other = torch.rand(len(rows), generator=self.generator, device=self.device) < 0.5
                x, clips = torch.where(other.unsqueeze(-1), self.mirror.obs(x), x), torch.where(other, self.image[clips], clips)
            x = x + CRITIC_NOISE * torch.randn(x.shape, generator=self.generator, device=self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                logit = self.net(x).gather(1, clips.unsqueeze(-1)).squeeze(-1)
            loss = F.binary_cross_entropy_with_logits(logit, bad[rows].float())
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach() / updates
        return float(total)


def heed(learner: Skilled, critic: SafetyCritic, anchors: Anchors, floor: Tensor, seen: Moments, config: SafetyConfig) -> float:
    """One improvement of the policy: it learns what it does, or would do where it is overruled, in the moments ``seen``, half of them under latents of random clips in the place of
    those that led there. Returns the share that was overruled."""
    before, device, count, generator = copy.deepcopy(learner.policy).requires_grad_(False), critic.device, len(anchors.points), learner.generator
    optimizer = torch.optim.Adam(learner.policy.parameters(), config.lr, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, config.updates)
    share = torch.zeros((), device=device)
    for _ in range(config.updates):
        rows = torch.randint(len(seen.obs), (config.batch_size,), generator=generator, device=device)
        random = torch.rand(len(rows), generator=generator, device=device) < 0.5
        clips = torch.where(random, torch.randint(count, (len(rows),), generator=generator, device=device), seen.clip[rows])
        obs, z = seen.obs[rows].float(), torch.where(random.unsqueeze(-1), learner.latents_for(clips), seen.z[rows])
        noise = POLICY_NOISE * torch.randn(obs.shape, generator=generator, device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=critic.bf16):
            right, overruled = advice(before, critic(obs), anchors, floor, obs, clips, z, config)
            error = (learner.policy(obs + noise, z) - right).square().mean(-1)
        loss = (error * torch.where(overruled, OVERRULED, 1.0)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        share += overruled.float().mean() / config.updates
    return float(share)


def learn_safety(
    env: GroundedEnv, learner: Skilled, control_dt: float, config: SafetyConfig, told: Callable[[int, float, float], None] = lambda *made: None, bf16: bool = False
) -> None:
    """Improves a policy whose latents stand for clips by ``config.rounds`` rounds. The statistics that it sees observations by stay as they are.

    Args:
        told: called after each round with its number, the falls in 1,000 control steps of acting without noise, and the share of moments that was overruled.

    Raises:
        ValueError: latents do not stand for clips, or nothing can be seen for as long as the horizon.
    """
    anchors = learner.anchors
    if anchors is None:
        raise ValueError(f"train: safety.rounds: got {config.rounds} with latents.clip_share 0; expected a share above 0")
    horizon = max(1, round(config.horizon_s / control_dt))
    floor = learner.goes_down(anchors.points)
    watch, critic = Watch(env, learner, floor, horizon), SafetyCritic(learner, anchors, env.obs_dim, env.device, bf16)
    seen_for = min(config.steps, int(env.steps_left.max()))
    if seen_for < horizon:
        raise ValueError(f"safety: horizon_s: got {config.horizon_s:g} = {horizon} control steps; expected at most {seen_for}, which a round and an episode last")
    judged: list[tuple[Tensor, Tensor, Tensor]] = []
    for k in range(config.rounds):
        seen, falls = watch.act(config.steps)
        kept = seen.known & (torch.rand(len(seen.known), generator=learner.generator, device=env.device) < JUDGED_SHARE)
        judged = [*judged, (seen.obs[kept], seen.clip[kept], seen.bad[kept])][-REMEMBERED:]
        obs, clip, bad = (torch.cat(part) for part in zip(*judged, strict=True))
        if len(obs):
            critic.learn(obs, clip, bad, config.critic_updates * (1 if k else FIRST))
        share = heed(learner, critic, anchors, floor, seen, config) if k and len(obs) else 0.0
        told(k + 1, falls, share)
    copy_from_first([learner.policy])

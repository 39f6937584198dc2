"""The low-level training loop: act, reward, learn; one function, in the order it happens.

Shapes: ``T`` rollout steps, ``N`` environments, ``B = T * N``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from ase.actor_critic import use_bf16
from ase.cloning import Teacher, rehearsal
from ase.collect import collect
from ase.distributed import agree
from ase.learner import Learner
from ase.rollout import Env, Rollout
from ase.style import REWARD_BATCH, Demos, style_update

PACE_WINDOWS = 16384  # windows of the clips that their pace is measured on


class ClipEnv(Env, Protocol):
    """Environments whose episodes begin on clips and can be called failed."""

    def fail(self, env_ids: Tensor) -> None: ...


def pretrain(env: ClipEnv, demos: Demos, learner: Learner, obs: Tensor, on_iteration: Callable[[dict[str, float]], bool], teacher: Teacher | None = None) -> None:
    """Trains until the configured samples or minutes are reached or ``on_iteration`` returns False.

    Args:
        env: environments, already reset. demos: windows of the clips. obs: ``[N, O]`` present observations.
        on_iteration: called after every iteration with its metrics; logs, saves, and says whether to go on. teacher: what is rehearsed, if anything is.
    """
    config = learner.config
    bf16 = use_bf16(config.bf16, env.device)
    rollout = Rollout.empty(config.ppo.rollout_steps, env.num_envs, env.obs_dim, config.latents.dim, env.action_dim, learner.style.replay.window, env.device)
    if not learner.samples:
        learner.update_obs_statistics(obs)
        learner.style.normalizer.update(demos.sample(config.style.batch_size, learner.generator))
        if learner.style.conditional:
            learner.style.learn_pace(*demos.sample_named(PACE_WINDOWS, learner.generator))
    while learner.samples < config.max_samples and not 0 < 60 * config.max_minutes <= learner.seconds:
        start = time.perf_counter()
        if learner.anchors is not None:
            learner.anchors.focus = config.latents.focus_at(learner.samples)
        obs, metrics = collect(env, learner, rollout, obs, bf16)
        acted = time.perf_counter()

        windows, z, clean = rollout.windows, rollout.flat("z"), ~rollout.flat("stochastic")
        parts = [learner.style.rewards(windows[ids], z[ids], bf16) for ids in torch.arange(len(windows), device=z.device).split(REWARD_BATCH)]
        style, skill = (torch.cat(part) for part in zip(*parts, strict=True))
        evidence = rollout.flat("evidence")
        skill = torch.where(evidence, skill, 0.0)
        lost = learner.practice.update(style.view_as(rollout.task_reward), learner.latents.age)
        if learner.imitation is not None:
            imitated = learner.imitation.rewards(rollout.z, windows)
            rollout.task_reward += config.imitation_weight * imitated  # no network gives it, so it stays what it is
            metrics["reward/imitation"] = float(imitated.mean())
            lost = lost | learner.imitation.strayed
        reward = rollout.task_reward + (config.style.style_weight * style + config.style.skill_weight_at(learner.samples) * skill).view_as(rollout.task_reward)
        rollout.terminated[-1] |= lost
        metrics |= learner.improve(rollout, reward, obs, learner.samples / config.max_samples, bf16, rehearsal(learner, teacher, config.clone, learner.samples))
        metrics |= style_update(learner.style, windows, z, evidence, clean, demos, learner.generator, bf16)
        learner.style.normalizer.update(torch.cat((windows.frames[-1], demos.sample(env.num_envs, learner.generator)[:, -1])))

        metrics |= {
            "episode/lost_per_1000_steps": 1000 * float(lost.sum()) / reward.numel(),
            "reward/style": float(style.mean()),
            "reward/style_noise_free": float(style[clean].mean()) if clean.any() else float("nan"),
            "reward/skill": float(skill[evidence].mean()) if evidence.any() else 0.0,
        }
        if lost.any():
            obs = restart_lost(env, learner, lost.nonzero().squeeze(-1))
        metrics = learner.end_iteration(metrics, rollout, start, acted)
        if not agree(on_iteration(metrics), env.device):
            return


def restart_lost(env: ClipEnv, learner: Learner, env_ids: Tensor) -> Tensor:
    """Ends the episodes of ``env_ids [n]``, which have lost their clip, as failures and begins new ones; returns the observations ``[N, O]``."""
    env.fail(env_ids)
    obs = env.reset(env_ids)
    learner.learn_falls(env_ids, torch.ones_like(env_ids, dtype=torch.bool))
    learner.switch_latents(env_ids)
    learner.begin_on_clips(env_ids, env.start_clip[env_ids], env.history[env_ids])
    env.allow_floor(env_ids, learner.floor_steps(env_ids))
    return obs

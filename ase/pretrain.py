"""The low-level training loop: act, reward, learn; one function, in the order it happens.

Shapes: ``T`` rollout steps, ``N`` environments, ``B = T * N``.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from ase.distributed import agree, average_numbers, world_size
from ase.learner import Learner, use_bf16
from ase.losses import gaussian_log_prob
from ase.ppo import PpoBatch, ppo_update
from ase.returns import gae
from ase.rollout import Env, Rollout
from ase.style import Demos, style_update

REWARD_BATCH = 8192  # windows judged at a time


def pretrain(env: Env, demos: Demos, learner: Learner, obs: Tensor, on_iteration: Callable[[dict[str, float]], bool]) -> None:
    """Trains until the configured samples or minutes are reached or ``on_iteration`` returns False.

    Args:
        env: environments, already reset. demos: windows of the clips. obs: ``[N, O]`` present observations.
        on_iteration: called after every iteration with its metrics; logs, saves, and says whether to go on.
    """
    config = learner.config
    bf16 = use_bf16(config.bf16, env.device)
    rollout = Rollout.empty(config.ppo.rollout_steps, env.num_envs, env.obs_dim, config.latents.dim, env.action_dim, learner.style.replay.window, env.device)
    if not learner.samples:
        learner.update_obs_statistics(obs)
        learner.style.normalizer.update(demos.sample(config.style.batch_size, learner.generator))
    while learner.samples < config.max_samples and not 0 < 60 * config.max_minutes <= learner.seconds:
        start = time.perf_counter()
        obs, metrics = collect(env, learner, rollout, obs, bf16)
        acted = time.perf_counter()

        windows, z = rollout.windows, rollout.flat("z")
        parts = [learner.style.rewards(windows[ids], z[ids], bf16) for ids in torch.arange(len(windows), device=z.device).split(REWARD_BATCH)]
        style, skill = (torch.cat(part) for part in zip(*parts, strict=True))
        evidence = rollout.flat("evidence")
        skill = torch.where(evidence, skill, 0.0)
        reward = rollout.task_reward + (config.style.style_weight * style + config.style.skill_weight_at(learner.samples) * skill).view_as(rollout.task_reward)

        # Values of every state, the bootstrap of the last one, and of true next states at time limits.
        flat_obs = learner.obs_normalizer(rollout.flat("obs"))
        with torch.no_grad(), torch.autocast(env.device.type, torch.bfloat16, enabled=bf16):
            value = learner.return_normalizer.inverse(learner.value(flat_obs, z).unsqueeze(-1)).view_as(reward)
            last = learner.return_normalizer.inverse(learner.value(learner.obs_normalizer(obs), learner.latents.z).unsqueeze(-1)).view_as(reward[0])
        next_value = torch.cat((value[1:], last.unsqueeze(0)))
        next_value = torch.where(rollout.truncated, rollout.end_value, next_value)
        advantage = gae(reward, value, next_value, rollout.terminated, rollout.truncated, config.ppo.discount, config.ppo.lam)
        returns = (advantage + value).flatten()

        # Learn. Normalisers are frozen meanwhile and refreshed once, at the end.
        learner.policy_opt.param_groups[0]["lr"] = config.ppo.policy_lr_at(learner.samples / config.max_samples)
        if not learner.samples:
            learner.return_normalizer.update(returns.unsqueeze(-1))
        target = learner.return_normalizer(returns.unsqueeze(-1)).squeeze(-1)
        stochastic = rollout.flat("stochastic")
        batch = PpoBatch(flat_obs, z, rollout.flat("action"), rollout.flat("log_prob"), stochastic, advantage.flatten(), target)
        metrics |= ppo_update(learner.policy, learner.value, learner.policy_opt, learner.value_opt, batch, config.ppo, learner.generator, bf16)
        metrics |= style_update(learner.style, windows, z, evidence, ~stochastic, demos, learner.generator, bf16)
        learner.update_obs_statistics(rollout.flat("obs"))
        learner.style.normalizer.update(torch.cat((windows.frames[-1], demos.sample(env.num_envs, learner.generator)[:, -1])))
        learner.return_normalizer.update(returns.unsqueeze(-1))

        elapsed = time.perf_counter() - start
        metrics |= {
            "reward/style": float(style.mean()),
            "reward/style_noise_free": float(style[~stochastic].mean()) if (~stochastic).any() else float("nan"),
            "reward/skill": float(skill[evidence].mean()) if evidence.any() else 0.0,
            "reward/total": float(reward.mean()),
            "value/explained": float(1 - advantage.var() / returns.var().clamp_min(1e-8)),
            "time/act_s": acted - start,
            "time/update_s": elapsed - (acted - start),
            "time/iteration_s": elapsed,
        }
        metrics = average_numbers(metrics)
        learner.samples += len(returns) * world_size()
        learner.iteration += 1
        learner.seconds += metrics["time/iteration_s"]
        metrics["time/samples_per_s"] = len(returns) * world_size() / metrics["time/iteration_s"]
        if not agree(on_iteration(metrics), env.device):
            return


@torch.no_grad()
def collect(env: Env, learner: Learner, rollout: Rollout, obs: Tensor, bf16: bool) -> tuple[Tensor, dict[str, float]]:
    """Acts for ``T`` steps from observations ``obs [N, O]`` and fills ``rollout``; returns the next observations and counts of what happened.

    A window is evidence for a latent once that latent has acted for as many steps as the window holds frames.
    """
    history, std = rollout.windows.window[0], learner.policy.std
    finished = falls = 0
    rollout.windows.begin(env.history)
    for t in range(len(rollout.obs)):
        z, stochastic = learner.latents.z, ~learner.noise_free
        mean = learner.act(obs, z, bf16)
        noise = std * torch.randn(mean.shape, generator=learner.generator, device=mean.device)
        action = mean + noise * stochastic.unsqueeze(-1)
        step = env.step(action)
        switch = learner.latents.advance()
        evidence = learner.latents.age >= history
        end_value = torch.zeros_like(step.reward)
        if step.truncated.any():
            ended = step.truncated.nonzero().squeeze(-1)
            predicted = learner.value(learner.obs_normalizer(step.obs[ended]), z[ended])
            end_value[ended] = learner.return_normalizer.inverse(predicted.unsqueeze(-1)).squeeze(-1)
        rollout.store(
            t,
            obs=obs,
            z=z,
            action=action,
            log_prob=gaussian_log_prob(action, mean, std),
            stochastic=stochastic,
            task_reward=step.reward,
            terminated=step.terminated,
            truncated=step.truncated,
            evidence=evidence,
            end_value=end_value,
        )
        rollout.windows.append(t, step.disc_obs[:, -1])
        done = step.terminated | step.truncated
        obs = step.obs
        if done.any():
            ids = done.nonzero().squeeze(-1)
            obs = env.reset(ids)
            rollout.windows.restart(ids, env.history[ids])
            finished += len(ids)
            falls += int(step.terminated.sum())
            switch = torch.cat((switch, ids)).unique()
        if len(switch):
            learner.switch_latents(switch)
        if done.any():
            learner.begin_on_clips(ids, env.start_clip[ids], env.history[ids])
    rollout.windows.finish()
    steps = rollout.terminated.numel()
    return obs, {"episode/mean_steps": steps / max(finished, 1), "episode/falls_per_1000_steps": 1000 * falls / steps, "episode/fall_share": falls / max(finished, 1)}

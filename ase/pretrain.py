"""The low-level training loop: act, reward, learn; one function, in the order it happens.

Shapes: ``T`` rollout steps, ``N`` environments, ``B = T * N``.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from ase.learner import Learner, use_bf16
from ase.losses import gaussian_log_prob
from ase.ppo import PpoBatch, ppo_update
from ase.returns import gae
from ase.rollout import Env, Rollout
from ase.style import Demos, style_update


def pretrain(env: Env, demos: Demos, learner: Learner, obs: Tensor, on_iteration: Callable[[dict[str, float]], bool]) -> None:
    """Trains until the configured samples or minutes are reached or ``on_iteration`` returns False.

    Args:
        env: environments, already reset. demos: windows of the clips. obs: ``[N, O]`` present observations.
        on_iteration: called after every iteration with its metrics; logs, saves, and says whether to go on.
    """
    config = learner.config
    bf16 = use_bf16(config.bf16, env.device)
    window = learner.style.replay.rows.shape[1:]
    rollout = Rollout.empty(config.ppo.rollout_steps, env.num_envs, env.obs_dim, config.latents.dim, env.action_dim, (window[0], window[1]), env.device)
    if not learner.samples:
        learner.update_obs_statistics(obs)
        learner.style.normalizer.update(demos.sample(config.style.batch_size, learner.generator))
    while learner.samples < config.max_samples and not 0 < 60 * config.max_minutes <= learner.seconds:
        start = time.perf_counter()
        obs, metrics = collect(env, learner, rollout, obs, bf16)
        acted = time.perf_counter()

        # Rewards of the whole rollout at once.
        windows, z = rollout.flat("disc_obs"), rollout.flat("z")
        style, skill = learner.style.rewards(windows, z, bf16)
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
        learner.style.normalizer.update(torch.cat((windows[:: config.ppo.rollout_steps, -1], demos.sample(env.num_envs, learner.generator)[:, -1])))
        learner.return_normalizer.update(returns.unsqueeze(-1))

        learner.samples += len(returns)
        learner.iteration += 1
        elapsed = time.perf_counter() - start
        learner.seconds += elapsed
        metrics |= {
            "reward/style": float(style.mean()),
            "reward/style_noise_free": float(style[~stochastic].mean()) if (~stochastic).any() else float("nan"),
            "reward/skill": float(skill[evidence].mean()) if evidence.any() else 0.0,
            "reward/total": float(reward.mean()),
            "value/explained": float(1 - advantage.var() / returns.var().clamp_min(1e-8)),
            "time/act_s": acted - start,
            "time/update_s": elapsed - (acted - start),
            "time/samples_per_s": len(returns) / elapsed,
        }
        if not on_iteration(metrics):
            return


@torch.no_grad()
def collect(env: Env, learner: Learner, rollout: Rollout, obs: Tensor, bf16: bool) -> tuple[Tensor, dict[str, float]]:
    """Acts for ``T`` steps from observations ``obs [N, O]`` and fills ``rollout``; returns the next observations and counts of what happened.

    A window is evidence for a latent once that latent has acted for as many steps as the window holds frames.
    """
    history, std = rollout.disc_obs.shape[2], learner.policy.std
    finished = falls = 0
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
            disc_obs=step.disc_obs,
            evidence=evidence,
            end_value=end_value,
        )
        done = step.terminated | step.truncated
        obs = step.obs
        if done.any():
            ids = done.nonzero().squeeze(-1)
            obs = env.reset(ids)
            finished += len(ids)
            falls += int(step.terminated.sum())
            switch = torch.cat((switch, ids)).unique()
        if len(switch):
            learner.switch_latents(switch)
        if done.any():
            on_clip = ids[env.start_clip[ids] >= 0]
            learner.recognize_latents(on_clip, env.history[on_clip])
    steps = rollout.terminated.numel()
    return obs, {"episode/mean_steps": steps / max(finished, 1), "episode/falls_per_1000_steps": 1000 * falls / steps, "episode/fall_share": falls / max(finished, 1)}

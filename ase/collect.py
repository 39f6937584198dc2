"""`collect`: acting for one iteration, in either training stage.

Shapes: ``T`` rollout steps, ``N`` environments.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ase.actor_critic import ActorCritic
from ase.losses import gaussian_log_prob
from ase.rollout import Env, Rollout


@torch.no_grad()
def collect(env: Env, learner: ActorCritic, rollout: Rollout, obs: Tensor, bf16: bool) -> tuple[Tensor, dict[str, float]]:
    """Acts for ``T`` steps from observations ``obs [N, O]`` and fills ``rollout``; returns the next observations and counts of what happened.

    A window is evidence for a latent once that latent has acted for as many steps as the window holds frames.
    """
    history, std = rollout.windows.window[0], learner.policy.std
    finished = falls = 0
    rollout.windows.begin(env.history)
    for t in range(len(rollout.obs)):
        learner.watch()
        z, stochastic = learner.latents.z, ~learner.noise_free
        mean = learner.act(obs, z, bf16)
        noise = std * learner.draw_noise(mean)
        action = mean + noise * stochastic.unsqueeze(-1)
        step = env.step(action)
        switch = learner.latents.advance()
        evidence = learner.latents.age >= history
        end_value = torch.zeros_like(step.reward)
        if step.truncated.any():
            ended = step.truncated.nonzero().squeeze(-1)
            end_value[ended] = learner.values(learner.obs_normalizer(step.obs[ended]), z[ended])
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
            obs = learner.put_back(env.reset(ids), ids, step.terminated[ids])
            rollout.windows.restart(ids, env.history[ids])
            finished += len(ids)
            falls += int(step.terminated.sum())
            switch = torch.cat((switch, ids)).unique()
        if len(switch):
            learner.learn_falls(switch, step.terminated[switch])
            learner.switch_latents(switch)
        if done.any():
            learner.begin_on_clips(ids, env.start_clip[ids], env.history[ids])
        if len(switch):
            env.allow_floor(switch, learner.floor_steps(switch))
    rollout.windows.finish()
    steps = rollout.terminated.numel()
    return obs, {"episode/mean_steps": steps / max(finished, 1), "episode/falls_per_1000_steps": 1000 * falls / steps, "episode/fall_share": falls / max(finished, 1)}

"""`ppo_update`: the policy and value step shared by both training stages.

Shapes: ``B`` samples of an iteration, ``O`` observation, ``A`` action, ``Z`` latent.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from ase.cloning import Rehearsal
from ase.descent import Descent
from ase.distributed import average, world_size
from ase.losses import bound_loss, diversity_loss, gaussian_log_prob, surrogate_loss, value_loss
from ase.nets import Policy, Value


@dataclass(frozen=True)
class PpoConfig:
    """Attributes:
    rollout_steps: control steps collected per iteration in each environment.
    num_epochs, minibatch_size: passes over an iteration's samples, and samples a gradient step.
    discount, lam: γ and λ of generalised advantage estimation, per control step.
    clip: likelihood ratio bound. action_std: fixed deviation of exploration.
    noise_memory: correlation of an environment's noise with that of its step before; 0: none. Noise that lasts tries what takes time to show (Hollenstein et al. 2024, arXiv
        2312.11091, "Colored Noise in PPO"); the likelihood of an action is that of its own noise, as if there were no memory.
    policy_lr, value_lr: Adam step sizes. policy_lr_end: the policy's falls linearly to this over a training's ``max_samples`` (0: it does not fall).
    average_samples: the policy that is saved as trained is the exponential mean of those of the last so many samples (Polyak and Juditsky 1992, "Acceleration of stochastic
        approximation by averaging"); 0: the last one. Each step is right on average and off by its noise, which hard motions do not forgive.
    bound_weight, diversity_weight: weights of those losses; diversity is computed on the first ``diversity_share`` of a minibatch.
    deterministic_share: share of latent holds that are acted without noise. They show the discriminator motion without jitter and do not train the policy.
    policy_hidden, value_hidden: layer sizes.
    max_grad_norm: gradients are scaled down to this norm.
    """

    rollout_steps: int = 16
    num_epochs: int = 3
    minibatch_size: int = 4096
    discount: float = 0.98
    lam: float = 0.95
    clip: float = 0.2
    action_std: float = 0.055
    noise_memory: float = 0.0
    policy_lr: float = 2e-4
    policy_lr_end: float = 0.0
    average_samples: int = 0
    value_lr: float = 2e-4
    bound_weight: float = 10.0
    diversity_weight: float = 0.01
    diversity_share: float = 0.25
    deterministic_share: float = 0.2
    policy_hidden: tuple[int, ...] = (512, 256)
    value_hidden: tuple[int, ...] = (512, 256)
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.noise_memory < 1:
            raise ValueError(f"ppo: noise_memory: got {self.noise_memory:g}; expected at least 0 and less than 1")

    def policy_lr_at(self, progress: float) -> float:
        """The policy's step size when ``progress`` (0 to 1) of a training is done."""
        return self.policy_lr + (self.policy_lr_end - self.policy_lr) * min(progress, 1.0) if self.policy_lr_end else self.policy_lr


@dataclass(frozen=True)
class PpoBatch:
    """An iteration's samples, flattened: ``obs [B, O]`` (normalised), ``z [B, Z]``, ``action [B, A]``, ``log_prob [B]``, ``stochastic [B]``,
    ``advantage [B]`` (raw), ``target [B]`` (normalised return)."""

    obs: Tensor
    z: Tensor
    action: Tensor
    log_prob: Tensor
    stochastic: Tensor
    advantage: Tensor
    target: Tensor


def normalize_advantage(advantage: Tensor, mask: Tensor) -> Tensor:
    """Advantages ``[B]`` shifted and scaled to mean 0 and deviation 1 over the samples of ``mask [B]`` of all ranks; all zero if those are fewer than two."""
    chosen = torch.where(mask, advantage, 0.0).double()
    count, total, squares = world_size() * average(torch.stack((mask.sum().double(), chosen.sum(), chosen.square().sum())))
    mean = total / count.clamp_min(1.0)
    std = ((squares - count * mean.square()).clamp_min(0.0) / (count - 1).clamp_min(1.0)).sqrt()
    return torch.where(count < 2, 0.0, (advantage - mean) / (std + 1e-5)).to(advantage.dtype)


def with_duties(
    loss: Tensor, policy: Policy, obs: Tensor, z: Tensor, mean: Tensor, config: PpoConfig, generator: torch.Generator, rehearse: Rehearsal | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """A policy's ``loss`` with what it must keep besides earning rewards, and the parts of that: that actions differ as latents do, and what is rehearsed.

    Args:
        obs, z, mean: ``[B, O]`` normalised, ``[B, Z]``, and the policy's actions there, ``[B, A]``.
    """
    parts = {"diversity": torch.zeros((), device=obs.device)}
    if z.shape[-1] and config.diversity_weight > 0:
        part = slice(0, max(1, int(config.diversity_share * len(z))))
        other = z[torch.randperm(len(z), generator=generator, device=z.device)[part]]
        parts["diversity"] = diversity_loss(mean[part], policy(obs[part], other), z[part], other).mean()
        loss = loss + config.diversity_weight * parts["diversity"]
    if rehearse is not None:
        shown = rehearse.draw()
        parts["forgotten"] = (policy(shown.obs, shown.z) - shown.action).square().sum(-1).mean() / (2 * policy.std**2)
        loss = loss + rehearse.weight * parts["forgotten"]
    return loss, parts


def ppo_update(
    policy: Policy,
    value: Value,
    policy_opt: Optimizer,
    value_opt: Optimizer,
    batch: PpoBatch,
    config: PpoConfig,
    generator: torch.Generator,
    bf16: bool,
    rehearse: Rehearsal | None = None,
) -> dict[str, float]:
    """Several epochs of clipped-surrogate and value steps over ``batch``; returns the means of losses and diagnostics.

    Only stochastic samples train the policy; every sample trains the value. ``rehearse``: actions whose likelihood the policy keeps up meanwhile.
    """
    device = batch.obs.device
    advantage = normalize_advantage(batch.advantage, batch.stochastic)
    policy_step, value_step = Descent(policy_opt, config.max_grad_norm), Descent(value_opt, config.max_grad_norm)
    totals: dict[str, Tensor] = {}
    count = 0
    for _ in range(config.num_epochs):
        for rows in torch.randperm(len(advantage), generator=generator, device=device).split(config.minibatch_size):
            obs, z, mask = batch.obs[rows], batch.z[rows], batch.stochastic[rows].float()
            weight = mask / mask.sum().clamp_min(1.0)
            value_step.finish()
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                predicted = value(obs, z)
            value_error = value_loss(predicted, batch.target[rows])
            value_step.start(value_error)
            policy_step.finish()
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                mean = policy(obs, z)
                log_prob = gaussian_log_prob(batch.action[rows], mean, policy.std)
                surrogate = (surrogate_loss(log_prob, batch.log_prob[rows], advantage[rows], config.clip) * weight).sum()
                bound = (bound_loss(mean) * weight).sum()
                policy_loss = surrogate + config.bound_weight * bound
                policy_loss, besides = with_duties(policy_loss, policy, obs, z, mean, config, generator, rehearse)
            policy_step.start(policy_loss)
            with torch.no_grad():
                ratio = (log_prob - batch.log_prob[rows]).exp()
                clipped = (((ratio - 1).abs() > config.clip).float() * weight).sum()
                kl = ((ratio - 1 - (log_prob - batch.log_prob[rows])) * weight).sum()
            found = {"surrogate": surrogate, "bound": bound, "value": value_error, "clipped": clipped, "kl": kl} | besides
            for key, number in found.items():
                totals[key] = totals.get(key, torch.zeros((), device=device)) + number.detach()
            count += 1
    value_step.finish()
    policy_step.finish()
    return {f"ppo/{key}": float(total) / count for key, total in totals.items()}

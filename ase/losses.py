"""Every loss of the method as a pure function of tensors.

Shapes: ``B`` batch, ``A`` action, ``Z`` latent. Sources: PPO (arXiv 1707.06347), ASE (arXiv 2205.01906), AMP (arXiv 2104.02180).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_log_prob(action: Tensor, mean: Tensor, std: float) -> Tensor:
    """Log density of ``action [B, A]`` under a Gaussian with ``mean [B, A]`` and the fixed deviation ``std`` in every dimension, ``[B]``."""
    z = (action - mean) / std
    return -0.5 * z.square().sum(-1) - action.shape[-1] * (math.log(std) + 0.5 * math.log(2 * math.pi))


def surrogate_loss(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """PPO's clipped surrogate (1707.06347, eq. 7) as a loss for each sample, ``[B]``; zero gradient where the ratio has left ``1 ± clip`` to its own benefit."""
    ratio = (log_prob - old_log_prob).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def bound_loss(mean: Tensor) -> Tensor:
    """Squared excess of the action mean ``[B, A]`` beyond ±1, summed over dimensions, ``[B]``."""
    return (mean.abs() - 1.0).clamp_min(0.0).square().sum(-1)


def value_loss(value: Tensor, target: Tensor) -> Tensor:
    """Half the mean squared error of values ``[B]`` against (normalised) returns ``[B]``."""
    return 0.5 * (value - target).square().mean()


def discriminator_loss(agent_logit: Tensor, demo_logit: Tensor) -> Tensor:
    """Binary cross-entropy with demo as 1 and agent as 0, the mean of both halves (ASE eq. 13 in its logit form). Logits ``[B]``, scalar."""
    return 0.5 * (F.softplus(agent_logit).mean() + F.softplus(-demo_logit).mean())


def gradient_penalty(logit: Tensor, inputs: Tensor) -> Tensor:
    """Mean squared norm of the gradient of ``logit [B]`` with respect to ``inputs [B, ...]`` (part of the graph), scalar and differentiable."""
    (gradient,) = torch.autograd.grad(logit.sum(), inputs, create_graph=True)
    return gradient.flatten(1).square().sum(-1).mean()


def encoder_loss(predicted: Tensor, latent: Tensor) -> Tensor:
    """Negative log likelihood of ``latent [B, Z]`` under a von Mises-Fisher density around unit ``predicted [B, Z]`` with concentration 1, up to a constant.

    That is ``-μ·z`` (ASE eq. 11), ``[B]``.
    """
    return -(predicted * latent).sum(-1)


def diversity_loss(mean_a: Tensor, mean_b: Tensor, latent_a: Tensor, latent_b: Tensor, target: float = 1.0) -> Tensor:
    """Actions under two latents should differ as much as the latents do (ASE eq. 15, with the mean squared action difference for the divergence).

    Args:
        mean_a, mean_b: ``[B, A]`` action means in the same states. latent_a, latent_b: ``[B, Z]`` unit latents.

    Returns:
        ``(target - d_action / d_latent)²``, ``[B]``, where ``d_latent = (1 - a·b) / 2``; zero at the target.
    """
    d_action = (mean_a.clamp(-1, 1) - mean_b.clamp(-1, 1)).square().mean(-1)
    d_latent = 0.5 - 0.5 * (latent_a * latent_b).sum(-1)
    return (target - d_action / (d_latent + 1e-5)).square()

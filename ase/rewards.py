"""Rewards that the discriminator and the encoder give."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_FAKE_PROB = 1e-4  # caps the style reward at scale * 9.21


def style_reward(logit: Tensor, scale: float) -> Tensor:
    """``-scale · ln(1 - D)`` with ``D = sigmoid(logit)`` and ``1 - D`` no less than 1e-4 (ASE eq. 12), ``[...]``; ``scale · ln 2`` at logit 0."""
    return scale * F.softplus(logit).clamp_max(-torch.log(torch.tensor(MIN_FAKE_PROB)).item())


def skill_reward(predicted: Tensor, latent: Tensor) -> Tensor:
    """Alignment of the encoder's unit vector ``predicted [..., Z]`` with the latent that acts ``[..., Z]``, negative alignment counted as zero, ``[...]``."""
    return (predicted * latent).sum(-1).clamp_min(0.0)

"""Discriminators and encoders for tests, and their training."""

import torch

from ase.style import Style, StyleConfig, style_update
from tests.ase.toys import Demonstrations, log_of

WINDOW = (2, 3)
CONFIG = {"disc_hidden": (32,), "encoder_hidden": (32,), "disc_lr": 3e-3, "encoder_lr": 3e-3, "updates": 10, "batch_size": 128, "replay_size": 1000, "replay_push": 100}


def make_style(latent_dim=0, seed=0, anchors=None, **config):
    torch.manual_seed(seed)
    return Style(StyleConfig(**CONFIG | config), WINDOW, latent_dim, anchors=anchors)


def gaussian(center, n=1000, seed=1):
    return center + torch.randn(n, *WINDOW, generator=torch.Generator().manual_seed(seed))


def train(style, windows, demos, rounds=20, z=None, evidence=None, clean=None, seed=2):
    generator = torch.Generator().manual_seed(seed)
    n = len(windows)
    z = torch.zeros(n, 0) if z is None else z
    evidence = torch.ones(n, dtype=torch.bool) if evidence is None else evidence
    clean = torch.ones(n, dtype=torch.bool) if clean is None else clean
    for _ in range(rounds):
        metrics = style_update(style, log_of(windows), z, evidence, clean, Demonstrations(demos), generator, bf16=False)
    return metrics


def logits(style, windows):
    with torch.no_grad():
        return style.discriminator(style.normalizer(windows).flatten(1))

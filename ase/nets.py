"""Networks. Hidden layers may run in bf16 under autocast; output layers always run in float32, so that an action mean is exact enough for likelihood ratios.

Shapes: ``O`` observation, ``A`` action, ``Z`` latent, ``H`` history frames, ``F`` features of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ase.symmetry import Mirror


class Mlp(nn.Module):
    """ReLU layers, normalised (layer norm) with ``norm``, and a linear float32 output whose initial weights are uniform in ``±output_scale``."""

    def __init__(self, input_dim: int, hidden: Sequence[int], output_dim: int, output_scale: float, norm: bool = False):
        super().__init__()
        layers = [nn.Linear(a, b) for a, b in pairwise((input_dim, *hidden))]
        for layer in layers:
            nn.init.zeros_(layer.bias)
        self.hidden = nn.ModuleList(layers)
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in hidden) if norm else None
        self.output = nn.Linear(hidden[-1], output_dim)
        nn.init.uniform_(self.output.weight, -output_scale, output_scale)
        nn.init.zeros_(self.output.bias)

    def weights(self) -> list[Tensor]:
        """The weight matrices, input to output."""
        return [p for name, p in self.named_parameters() if name.endswith("weight")]

    def forward(self, x: Tensor) -> Tensor:
        for k, layer in enumerate(self.hidden):
            x = F.relu(layer(x) if self.norms is None else self.norms[k](layer(x)))
        with torch.autocast(x.device.type, enabled=False):
            return self.output(x.float())


@torch.no_grad()
def lerp_weights(net: nn.Module, other: nn.Module, share: float) -> None:
    """Moves the weights of ``net`` by a ``share`` of the way to those of ``other``."""
    for mine, theirs in zip(net.parameters(), other.parameters(), strict=True):
        mine.lerp_(theirs, share)


class Policy(nn.Module):
    """Mean action in [-1, 1] units from a normalised observation ``[B, O]`` and a latent ``[B, Z]``; the deviation ``std`` is fixed.

    Args:
        rest_action: ``[A]`` where the mean starts: a character that targets its rest pose stands longer than one that targets the centre of its ranges.
        mirror: makes the policy symmetric (normalised observations must be, too): by the side of the latent (see `ase.symmetry`), or without latents by being the mean of what it
            does and of the mirror image of what it would do in the mirrored observation.
        squash: the mean goes through tanh, so that it cannot leave the range; it then starts at zero.
    """

    def __init__(self, obs_dim: int, latent_dim: int, rest_action: Tensor, hidden: Sequence[int], std: float, mirror: Mirror | None = None, squash: bool = False):
        super().__init__()
        self.std, self.squash = std, squash
        self.mirror, self.sided = mirror, latent_dim > 0
        self.mlp = Mlp(obs_dim + latent_dim, hidden, len(rest_action), output_scale=0.01)
        with torch.no_grad():
            self.mlp.output.bias.copy_(torch.zeros_like(rest_action) if squash else rest_action)

    def forward(self, obs: Tensor, z: Tensor) -> Tensor:
        if self.mirror is None:
            mean = self.mlp(torch.cat((obs, z), dim=-1))
        elif self.sided:
            obs, z, mirrored = self.mirror.fold(obs, z)
            mean = self.mlp(torch.cat((obs, z), dim=-1))
            mean = torch.where(mirrored, self.mirror.action(mean), mean)
        else:
            here, there = self.mlp(torch.cat((obs, self.mirror.obs(obs)))).chunk(2)
            mean = (here + self.mirror.action(there)) / 2
        return mean.tanh() if self.squash else mean


class Value(nn.Module):
    """Normalised value ``[B]`` of a normalised observation ``[B, O]`` under a latent ``[B, Z]``; symmetric as the policy is."""

    def __init__(self, obs_dim: int, latent_dim: int, hidden: Sequence[int], mirror: Mirror | None = None):
        super().__init__()
        self.mirror, self.sided = mirror, latent_dim > 0
        self.mlp = Mlp(obs_dim + latent_dim, hidden, 1, output_scale=0.03)

    def forward(self, obs: Tensor, z: Tensor) -> Tensor:
        if self.mirror is not None and not self.sided:
            here, there = self.mlp(torch.cat((obs, self.mirror.obs(obs)))).squeeze(-1).chunk(2)
            return (here + there) / 2
        if self.mirror is not None:
            obs, z, _ = self.mirror.fold(obs, z)
        return self.mlp(torch.cat((obs, z), dim=-1)).squeeze(-1)


class Discriminator(nn.Module):
    """Logit ``[B]`` that a normalised window ``[B, H * F]`` comes from the clips; with ``asked_dim``, from the clip that is asked for by a vector ``[B, asked_dim]``."""

    def __init__(self, window_dim: int, hidden: Sequence[int], asked_dim: int = 0):
        super().__init__()
        self.mlp = Mlp(window_dim + asked_dim, hidden, 1, output_scale=0.1)

    def forward(self, window: Tensor, asked: Tensor | None = None) -> Tensor:
        return self.mlp(window if asked is None else torch.cat((window, asked), dim=-1)).squeeze(-1)


class Encoder(nn.Module):
    """Unit vector ``[B, Z]``: the latent that a normalised window ``[B, H * F]`` was probably acted with. A network of its own."""

    def __init__(self, window_dim: int, latent_dim: int, hidden: Sequence[int]):
        super().__init__()
        self.mlp = Mlp(window_dim, hidden, latent_dim, output_scale=0.1)

    def forward(self, window: Tensor) -> Tensor:
        return F.normalize(self.mlp(window), dim=-1)

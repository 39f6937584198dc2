"""A guard: a latent under which the character is about to fall gives way, for as long as that is so, to one under which it is not.

Who begins a walk in the middle of a backflip falls, and would not if it did the backflip first. Small noise on joints never gets from one to the other, but the policy can do both
and need only be asked. So a safety critic (Srinivasan et al. 2020, arXiv 2010.14603) learns who falls under the latents of each clip within a few seconds, of a policy whose
training is over, and where the latent asked for is more dangerous than another by a margin, the policy acts under the other: generalised policy improvement over its skills
(Barreto et al. 2017, arXiv 1606.05312, theorem 1). The policy itself stays as it is, and so do its skills where nothing threatens.

What it knows it learns in `ase.watch`. Shapes: ``B`` batch, ``O`` observation, ``Z`` latent, ``C`` clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ase.anchors import Anchors
from ase.nets import Mlp
from ase.symmetry import Mirror

HIDDEN = (768, 384)


@dataclass(frozen=True)
class GuardConfig:
    """Attributes:
    rounds: of acting and learning. steps: control steps of each environment in one. updates: the critic's gradient steps after each.
    last_updates: those of another critic, in the end, on all that was seen: it is the one that is kept.
    horizon_s: how dangerous a latent is tell falls within so many seconds.
    margin: a latent is overruled where another has a chance to fall that is less by this.
    """

    rounds: int = 16
    steps: int = 400
    updates: int = 150
    last_updates: int = 6000
    horizon_s: float = 2.5
    margin: float = 0.12

    def __post_init__(self) -> None:
        if min(self.rounds, self.steps, self.updates, self.last_updates) < 1:
            got = f"{self.rounds}, {self.steps}, {self.updates}, {self.last_updates}"
            raise ValueError(f"guard: rounds, steps, updates, last_updates: got {got}; expected at least 1 each")
        if self.horizon_s <= 0 or not 0 < self.margin < 1:
            raise ValueError(f"guard: horizon_s, margin: got {self.horizon_s:g}, {self.margin:g}; expected more than 0, and more than 0 and less than 1")


class Guard(nn.Module):
    """Knows the chance to fall under the latents of each clip, and which latent to act under instead.

    Args:
        anchors: of the policy's clips. floor: ``[C]`` clips under which lying is no fall: they overrule none, and are not overruled.
        mirror: of a symmetric policy; the guard is as symmetric as that, exactly.
    """

    points: Tensor
    floor: Tensor
    margin: Tensor

    def __init__(self, anchors: Anchors, floor: Tensor, obs_dim: int, mirror: Mirror | None = None, margin: float = GuardConfig.margin):
        super().__init__()
        device = anchors.points.device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = Mlp(obs_dim, HIDDEN, len(floor), output_scale=0.01).to(device)
        self.mirror, self.cell = mirror, anchors.cell
        self.register_buffer("points", anchors.points, persistent=False)
        self.register_buffer("floor", floor, persistent=False)
        self.register_buffer("margin", torch.tensor(margin, device=device))

    def danger(self, obs: Tensor) -> Tensor:
        """The chance to fall within the horizon under the latents of each clip, ``[B, C]``, from normalised observations ``[B, O]``."""
        return self.net(obs).sigmoid()

    def instead(self, z: Tensor, clip: Tensor, other: Tensor) -> Tensor:
        """Latents ``[B, Z]`` as far from the anchors of the clips ``other [B]`` as ``z [B, Z]`` are from those of ``clip [B]``."""
        return F.normalize(z + self.points[other] - self.points[clip], dim=-1)

    def safest(self, obs: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Latents ``[B, Z]`` of the clip that is safest in normalised ``obs [B, O]``, and how much less dangerous than ``z [B, Z]`` they are, ``[B]`` (not at all where lying is no
        fall)."""
        mirrored = torch.zeros_like(z[:, :1], dtype=torch.bool)
        if self.mirror is not None:
            obs, z, mirrored = self.mirror.fold(obs, z)
        clip, danger = self.cell(z), self.danger(obs).masked_fill(self.floor, torch.inf)
        least, which = danger.min(-1)
        gain = torch.where(self.floor[clip], -torch.inf, danger.gather(1, clip.unsqueeze(-1)).squeeze(-1) - least)
        other = self.instead(z, clip, which)
        return torch.cat((torch.where(mirrored, -other[:, :1], other[:, :1]), other[:, 1:]), dim=-1), gain

    @torch.no_grad()
    def forward(self, obs: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """The latents ``[B, Z]`` to act under in normalised ``obs [B, O]`` where ``z [B, Z]`` are asked for, and who is overruled ``[B]``."""
        other, gain = self.safest(obs, z)
        overruled = gain > self.margin
        return torch.where(overruled.unsqueeze(-1), other, z), overruled

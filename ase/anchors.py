"""`Anchors`: gives every clip its own part of the latent sphere, so that none is forgotten.

Nothing in adversarial imitation says that all clips must be kept: what is hard to do (a fast run among walks) loses its latents to what is easy. With
``latents.clip_share`` each clip has an anchor on the sphere, and its cell is all latents that are nearer to its anchor than to any other. The cells tile the sphere
evenly, so a random latent still is a random skill; but an episode that starts on a clip mostly begins with a latent of that clip's cell, and the encoder is also shown
the clips under such latents.

Shapes: ``C`` clips, ``Z`` latent, ``n`` samples, ``M`` candidates.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ase.latents import sample_latents

SIDE = 0.6  # first component of the anchor of a clip that has a mirror image; its image has the opposite
CANDIDATES = 64  # for each clip, when sampling a cell


class Anchors(nn.Module):
    """Args:
    mirrored: ``[C]`` index of the clip that is the mirror image of each, or -1. A symmetric policy (`ase.symmetry`) mirrors by the sign of a latent's first
        component, so the anchors of a pair differ in that alone.
    dim: ``Z``. focus: see `ase.latents.LatentConfig`.

    Attributes:
        points: ``[C, Z]``, saved with the skills.
    """

    points: Tensor

    def __init__(self, mirrored: Tensor, dim: int, device: torch.device | str = "cpu", focus: float = 0.0):
        super().__init__()
        self.focus = focus
        clips = torch.arange(len(mirrored), device=mirrored.device)
        first = torch.where(mirrored >= 0, torch.minimum(clips, mirrored), clips)  # the clip that stands for the pair
        groups, group = first.unique(return_inverse=True)
        generator = torch.Generator().manual_seed(0)
        directions = torch.randn(len(groups), dim - 1, generator=generator)
        if len(groups) < dim:
            directions = torch.linalg.qr(directions.t())[0].t()  # as far apart as can be
        side = torch.where(mirrored < 0, 0.0, torch.where(clips == first, SIDE, -SIDE)).cpu()
        rest = F.normalize(directions, dim=-1)[group.cpu()] * (1 - side.square()).sqrt().unsqueeze(-1)
        self.register_buffer("points", torch.cat((side.unsqueeze(-1), rest), dim=-1).to(device))

    def keep(self, names: tuple[str, ...], points: Tensor, old_names: tuple[str, ...]) -> None:
        """Leaves the clips that had anchors before, at ``points [B, Z]`` under ``old_names``, where they were."""
        for k, name in enumerate(names):
            if name in old_names:
                self.points[k] = points[old_names.index(name)].to(self.points)

    def cell(self, z: Tensor) -> Tensor:
        """The clip ``[n]`` whose cell each of ``z [n, Z]`` lies in."""
        return (z @ self.points.t()).argmax(-1)

    def sample(self, clip_ids: Tensor, generator: torch.Generator) -> Tensor:
        """Latents ``[n, Z]`` of ``clip_ids [n]``: uniform in their cells, or near their anchors by ``focus``."""
        if self.focus:
            around = sample_latents(len(clip_ids), self.points.shape[1], generator)
            return F.normalize(self.focus * self.points[clip_ids] + (1 - self.focus) * around, dim=-1)
        pool = sample_latents(CANDIDATES * len(self.points), self.points.shape[1], generator)
        fits = self.cell(pool) == clip_ids.unsqueeze(-1)  # [n, M]
        chance = torch.rand(fits.shape, generator=generator, device=fits.device) * fits
        return torch.where(fits.any(-1, keepdim=True), pool[chance.argmax(-1)], self.points[clip_ids])

    def draw(self, n: int, *, generator: torch.Generator, weights: Tensor | None = None) -> Tensor:
        """``n`` random latents ``[n, Z]``: uniform on the sphere, or near the anchors of random clips by ``focus``: of all equally often, or by ``weights [C]``."""
        if not self.focus:
            return sample_latents(n, self.points.shape[1], generator)
        if weights is None:
            weights = torch.ones(len(self.points), device=self.points.device)
        return self.sample(torch.multinomial(weights, n, replacement=True, generator=generator), generator)

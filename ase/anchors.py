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
CANDIDATES = 64  # for each clip, when sampling a cell or looking for a direction
TAKEN = 0.9  # cosine from which a direction is no other


def spread(known: Tensor, count: int) -> Tensor:
    """``count`` more directions ``[count, D]`` beside the ``known [B, D]``, the same each time: at right angles to all of those and to each other, then the opposite of these, then
    of those, as far as they go and are not known themselves; then whichever of many random ones is furthest from all there are."""
    size, generator = known.shape[1], torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.cat((known, torch.randn(size, size, generator=generator)))[:size].t())[0].t()[len(known) :]
    alone = (known @ known.t() > -TAKEN).all(-1)
    found = torch.cat((known, axes, -axes, -known[alone]))[: len(known) + count]
    pool = F.normalize(torch.randn(CANDIDATES * count, size, generator=generator), dim=-1)
    while len(found) < len(known) + count:
        found = torch.cat((found, pool[(pool @ found.t()).amax(-1).argmin()].unsqueeze(0)))
    return found[len(known) :]


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
        self._group = first.unique(return_inverse=True)[1].cpu()  # [C]
        self._side = torch.where(mirrored < 0, 0.0, torch.where(clips == first, SIDE, -SIDE)).cpu()
        directions = spread(torch.zeros(0, dim - 1), int(self._group.max()) + 1)
        self.register_buffer("points", self._at(directions).to(device))

    def _at(self, directions: Tensor) -> Tensor:
        """Anchors ``[C, Z]`` of clips whose groups lie in ``directions [G, Z - 1]``."""
        return torch.cat((self._side.unsqueeze(-1), directions[self._group] * (1 - self._side.square()).sqrt().unsqueeze(-1)), dim=-1)

    def keep(self, names: tuple[str, ...], points: Tensor, old_names: tuple[str, ...]) -> None:
        """Leaves the clips that had anchors before, at ``points [B, Z]`` under ``old_names``, where they were, and puts those of the others as far from them as can be."""
        old = {int(self._group[k]): points[old_names.index(name)].cpu() for k, name in enumerate(names) if name in old_names}
        known = F.normalize(torch.stack([point[1:] for point in old.values()]), dim=-1) if old else torch.zeros(0, points.shape[1] - 1)
        count = int(self._group.max()) + 1
        directions = torch.zeros(count, points.shape[1] - 1)
        directions[list(old)] = known
        directions[[k for k in range(count) if k not in old]] = spread(known, count - len(old))
        self.points.copy_(self._at(directions))
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

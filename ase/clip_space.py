"""`ClipSpace`: windows of motion in the units of the clips, and the clip that each stretch of motion is nearest to.

Shapes: ``W`` windows, ``M`` windows of the clips, ``H`` history frames, ``F`` features, ``G = H * F``, ``C`` clips, ``S`` stretches.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ase.metrics import clip_distances, nearest_clips

EVERY = 2  # of the clips' windows, which start four times a control step
LEAST_UNIT = 0.05  # m, rad, m/s or rad/s: in a smaller one what a clip holds still would be all there is to tell


class DemoSet(Protocol):
    """See `envs.demos.DemoWindows`."""

    clip_names: tuple[str, ...]

    def all_windows(self) -> tuple[Tensor, Tensor]: ...


class ClipSpace:
    """Attributes:
    names: of the clips. demo: ``[M, G]`` all their windows, scaled. demo_clips: ``[M]`` the clip of each.
    """

    def __init__(self, demos: DemoSet):
        windows, self.demo_clips = (part[::EVERY] for part in demos.all_windows())
        self.names = demos.clip_names
        self._mean, self._std = windows.mean((0, 1)), windows.std((0, 1)).clamp_min(1e-3)
        self.demo = self.scaled(windows)
        self.features = windows.shape[-1]

    @property
    def num_clips(self) -> int:
        return len(self.names)

    def scaled(self, windows: Tensor) -> Tensor:
        """Windows ``[W, H, F]`` minus the clips' mean, over their deviation, feature by feature: ``[W, G]``."""
        return ((windows - self._mean) / self._std).flatten(1)

    def in_large_units(self, windows: Tensor) -> Tensor:
        """Scaled windows ``[W, G]`` in units of at least `LEAST_UNIT`, ``[W, G]``."""
        return windows * (self._std / self._std.clamp_min(LEAST_UNIT)).repeat(windows.shape[1] // self.features)

    def nearest(self, windows: Tensor, segment: Tensor) -> tuple[Tensor, Tensor]:
        """The clip ``[S]`` that each stretch of motion is nearest to on average, and which stretch ``[S]`` that is; of scaled windows ``[W, G]`` that belong to ``segment [W]``."""
        return nearest_clips(clip_distances(windows, self.demo, self.demo_clips, self.num_clips), segment)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` of the clips' windows, every clip equally often, ``[n, G]``."""
        each = 1.0 / torch.bincount(self.demo_clips, minlength=self.num_clips).float()
        return self.demo[torch.multinomial(each[self.demo_clips], n, replacement=True, generator=generator)]

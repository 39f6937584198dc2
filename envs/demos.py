"""`DemoWindows`: the discriminator's view of the clips, made once and sampled by index."""

from __future__ import annotations

import torch
from torch import Tensor

from envs.features import FeatureLayout, observe
from motions.library import MotionLibrary


class DemoWindows:
    """Windows of ``H`` consecutive control steps of the clips' features, oldest first.

    Features are computed once on a grid ``subdivisions`` times finer than the control step; a window takes every ``subdivisions``-th row, so it starts at any
    grid point of a clip, never crosses a loop seam and never precedes the clip.

    Raises:
        ValueError: a clip is shorter than the window.
    """

    def __init__(self, library: MotionLibrary, layout: FeatureLayout, control_dt: float, history: int, subdivisions: int = 4):
        window_s = (history - 1) * control_dt
        library.require_window(window_s)
        self.library, self.history, self.clip_names = library, history, library.names
        grid_dt = control_dt / subdivisions
        frames, counts, first, total = [], [], [], 0
        for k in range(library.num_clips):
            n = int(library.durations_s[k] / grid_dt + 1e-3) + 1
            ids = torch.full((n,), k, device=library.device)
            times = (torch.arange(n, device=library.device) * grid_dt).minimum(library.durations_s[k])
            frames.append(observe(library.state_at(ids, times), library.skeleton)[:, layout.style_columns.to(library.device)])
            first.append(total)
            counts.append(n - (history - 1) * subdivisions)
            total += n
        self._frames = torch.cat(frames)  # [M, F]
        self._first = torch.tensor(first, device=library.device)
        self._counts = torch.tensor(counts, device=library.device)
        self._offsets = torch.arange(history, device=library.device) * subdivisions
        self._grid_dt = grid_dt

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws ``n`` windows, clips by the library's weights, ``[n, H, F]``."""
        return self.sample_named(n, generator)[0]

    def sample_named(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Windows as `sample` draws them, and the clip ``[n]`` each is of."""
        clip_ids = torch.multinomial(self.library.weights, n, replacement=True, generator=generator)
        start = (torch.rand(n, generator=generator, device=self._frames.device) * self._counts[clip_ids]).long().minimum(self._counts[clip_ids] - 1)
        return self._frames[(self._first[clip_ids] + start).unsqueeze(-1) + self._offsets], clip_ids

    def all_windows(self) -> tuple[Tensor, Tensor]:
        """Every window of every clip ``[n, H, F]`` and its clip ``[n]``."""
        parts = [self.of_clip(k) for k in range(self.library.num_clips)]
        ids = torch.cat([torch.full((len(part),), k, device=part.device) for k, part in enumerate(parts)])
        return torch.cat(parts), ids

    def of_clip(self, clip_id: int) -> Tensor:
        """Every window of one clip, ``[n, H, F]``, in time order."""
        start = torch.arange(int(self._counts[clip_id]), device=self._frames.device) + self._first[clip_id]
        return self._frames[start.unsqueeze(-1) + self._offsets]

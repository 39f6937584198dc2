"""A ring of past agent motion, so that the discriminator does not forget what it has already learned to reject.

Motion is kept as strips of consecutive frames, from which windows are cut when they are drawn: `T + H - 1` frames instead of `T * H`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ase.windows import FrameLog


class Replay:
    """The last strips pushed, half precision in memory.

    Args:
        capacity: windows, rounded down to whole strips. steps: ``T``, windows of a strip. window: ``(H, F)``.
    """

    def __init__(self, capacity: int, steps: int, window: tuple[int, int], device: torch.device | str = "cpu"):
        strips = max(1, capacity // steps)
        self.window = window
        self.frames = torch.zeros(strips, steps + window[0] - 1, window[1], dtype=torch.float16, device=device)
        self.valid = torch.zeros(strips, steps, dtype=torch.bool, device=device)
        self.tags = torch.zeros(strips, steps, dtype=torch.int32, device=device)
        self._next = 0
        self._offsets = torch.arange(window[0], device=device)
        self._windows: Tensor | None = None

    def __len__(self) -> int:
        """Windows that can be drawn."""
        return len(self._drawable)

    @property
    def _drawable(self) -> Tensor:
        """``[V, 2]`` strip and step of every window."""
        if self._windows is None:
            self._windows = self.valid.nonzero()
        return self._windows

    def push(self, frames: Tensor, valid: Tensor, tags: Tensor | None = None) -> None:
        """Appends strips ``[n, T + H - 1, F]`` whose windows may be drawn where ``valid [n, T]``, overwriting the oldest; ``tags [n, T]`` are kept with the windows."""
        capacity = len(self.frames)
        frames, valid = frames[-capacity:], valid[-capacity:]
        index = (self._next + torch.arange(len(frames), device=self.frames.device)) % capacity
        self.frames[index], self.valid[index] = frames.to(self.frames.dtype), valid
        self.tags[index] = torch.zeros_like(self.tags[index]) if tags is None else tags[-capacity:].to(self.tags.dtype)
        self._next = (self._next + len(frames)) % capacity
        self._windows = None

    def push_from(self, log: FrameLog, wanted: Tensor, count: int, generator: torch.Generator, tags: Tensor | None = None) -> None:
        """Appends strips of random environments that hold about ``count`` of the windows ``wanted [B]`` of a finished rollout, tagged by ``tags [B]``. Windows across a
        reset are left out."""
        valid = log.contiguous & wanted.view(log.steps, log.num_envs)
        candidates = valid.any(0).nonzero().squeeze(-1)
        if not len(candidates):
            return
        number = max(1, round(count * len(candidates) / max(1, int(valid.sum()))))
        chosen = candidates[torch.randint(len(candidates), (number,), generator=generator, device=candidates.device)]
        self.push(log.strips(chosen), valid[:, chosen].t(), None if tags is None else tags.view(log.steps, log.num_envs)[:, chosen].t())

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """``n`` windows with replacement, float32, ``[n, H, F]``, and the tag ``[n]`` of each."""
        strip, step = self._drawable[torch.randint(len(self), (n,), generator=generator, device=generator.device)].unbind(-1)
        return self.frames[strip.unsqueeze(-1), step.unsqueeze(-1) + self._offsets].float(), self.tags[strip, step].long()

    def state_dict(self) -> dict[str, Tensor]:
        return {"frames": self.frames, "valid": self.valid, "tags": self.tags, "next": torch.tensor(self._next)}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        self.frames.copy_(saved["frames"])
        self.valid.copy_(saved["valid"])
        self.tags.copy_(saved["tags"])
        self._next, self._windows = int(saved["next"]), None

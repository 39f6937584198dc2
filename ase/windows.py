"""`FrameLog`: the discriminator's windows of a rollout, kept frame by frame and put together when they are read.

Consecutive windows share all but one frame, so this takes about ``1 / H`` of the memory of whole windows.
Shapes: ``T`` rollout steps, ``N`` environments, ``n`` some of them, ``B = T * N``, ``H`` frames of a window, ``F`` features of a frame.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class WindowSource(Protocol):
    """Windows by index: a tensor ``[B, H, F]`` or what behaves like one."""

    def __len__(self) -> int: ...
    def __getitem__(self, ids: Tensor) -> Tensor: ...


class FrameLog:
    """Windows ``[H, F]`` after each of ``T`` steps in ``N`` environments. Window ``t * N + n`` is that of environment ``n`` after step ``t``.

    Use: `begin`, then for each step `append` and perhaps `restart`, then `finish`; reading is possible after that.

    Args:
        steps, num_envs: ``T``, ``N``. window: ``(H, F)``.
    """

    def __init__(self, steps: int, num_envs: int, window: tuple[int, int], device: torch.device | str = "cpu"):
        self.steps, self.num_envs, self.window = steps, num_envs, window
        self.frames = torch.zeros(steps, num_envs, window[1], device=device)
        self._age = torch.zeros(steps, num_envs, dtype=torch.int32, device=device)  # frames of the log that lead up to a window's last one
        self._past_row = torch.zeros(steps, num_envs, dtype=torch.int32, device=device)  # which piece of past precedes those
        self._past: list[Tensor] = []
        self._pool = torch.zeros(0, window[1], device=device)
        self._back = torch.arange(window[0] - 1, -1, -1, device=device)

    def begin(self, history: Tensor) -> None:
        """Starts over, from the present windows ``[N, H, F]``."""
        self._past = [history[:, 1:]]
        self._next_age = torch.zeros(self.num_envs, dtype=torch.int32, device=history.device)
        self._next_row = torch.arange(self.num_envs, dtype=torch.int32, device=history.device)

    def append(self, t: int, frames: Tensor) -> None:
        """The newest frames ``[N, F]`` after step ``t``."""
        self.frames[t] = frames
        self._age[t], self._past_row[t] = self._next_age, self._next_row
        self._next_age = self._next_age + 1

    def restart(self, env_ids: Tensor, history: Tensor) -> None:
        """From the next step on, the windows of ``env_ids [n]`` continue ``history [n, H, F]``."""
        first = sum(len(part) for part in self._past)
        self._past.append(history[:, 1:])
        self._next_age[env_ids] = 0
        self._next_row[env_ids] = torch.arange(first, first + len(env_ids), dtype=torch.int32, device=history.device)

    def finish(self) -> None:
        """Ends the rollout: windows can be read."""
        self._pool = torch.cat([self.frames.flatten(0, 1), *(part.flatten(0, 1) for part in self._past)])

    def __len__(self) -> int:
        return self.steps * self.num_envs

    def __getitem__(self, ids: Tensor) -> Tensor:
        """Windows ``[B', H, F]`` of indices ``ids [B']``."""
        h = self.window[0]
        missing = self._back - self._age.view(-1)[ids].unsqueeze(-1)  # > 0: so many frames before the first of the log
        past = len(self) + self._past_row.view(-1)[ids].unsqueeze(-1) * (h - 1) + (h - 1) - missing
        return self._pool[torch.where(missing > 0, past, ids.unsqueeze(-1) - self._back * self.num_envs)]

    @property
    def contiguous(self) -> Tensor:
        """``[T, N]`` whether a window consists of frames that followed each other in this rollout and the history before it."""
        never_restarted = self._past_row < self.num_envs
        return never_restarted | (self._age >= self.window[0] - 1)

    def strips(self, env_ids: Tensor) -> Tensor:
        """All frames of environments ``env_ids [n]``, those before the rollout included: ``[n, H - 1 + T, F]``."""
        return torch.cat((self._past[0][env_ids], self.frames[:, env_ids].transpose(0, 1)), dim=1)

    @property
    def num_bytes(self) -> int:
        return self._pool.nbytes + self._age.nbytes + self._past_row.nbytes

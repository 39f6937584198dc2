"""A ring of past agent windows, so that the discriminator does not forget what it has already learned to reject."""

from __future__ import annotations

import torch
from torch import Tensor


class Replay:
    """The last ``capacity`` rows pushed, half precision in memory.

    Args:
        capacity: rows. shape: of one row.
    """

    def __init__(self, capacity: int, shape: tuple[int, ...], device: torch.device | str = "cpu"):
        self.rows = torch.zeros(capacity, *shape, dtype=torch.float16, device=device)
        self.size, self._next = 0, 0

    def push(self, rows: Tensor) -> None:
        """Appends ``rows [n, ...]``, overwriting the oldest."""
        capacity = len(self.rows)
        rows = rows[-capacity:]
        index = (self._next + torch.arange(len(rows), device=self.rows.device)) % capacity
        self.rows[index] = rows.to(self.rows.dtype)
        self._next = (self._next + len(rows)) % capacity
        self.size = min(capacity, self.size + len(rows))

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` rows with replacement, float32, ``[n, ...]``."""
        return self.rows[torch.randint(self.size, (n,), generator=generator, device=generator.device)].float()

    def state_dict(self) -> dict[str, Tensor]:
        return {"rows": self.rows, "cursor": torch.tensor([self.size, self._next])}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        self.rows.copy_(saved["rows"])
        self.size, self._next = (int(v) for v in saved["cursor"])

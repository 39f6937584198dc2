"""Running mean and variance, frozen between explicit updates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ase.distributed import gather

SETTLED = 1e12  # samples that statistics count for which are to stay


class Normalizer(nn.Module):
    """``clip((x - mean) / std, ±limit)`` over the last dimension. Statistics are float64 and change only in `update`.

    Args:
        dim: features. limit: absolute bound of the result.
    """

    mean: Tensor
    var: Tensor
    count: Tensor

    def __init__(self, dim: int, limit: float = 5.0):
        super().__init__()
        self.limit = limit
        self.register_buffer("mean", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("var", torch.ones(dim, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @property
    def std(self) -> Tensor:
        """``[dim]`` float32, at least 1e-4 (a feature that never varies in the data stays finite)."""
        return self.var.sqrt().clamp_min(1e-4).float()

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Merges the statistics of ``x [..., dim]`` into the running ones (Chan's parallel form), those of all ranks in their order."""
        x = x.reshape(-1, x.shape[-1]).double()
        var, mean = torch.var_mean(x, dim=0, correction=0)
        for n, new_mean, new_var in (part.split((1, len(mean), len(mean))) for part in gather(torch.cat((mean.new_tensor([len(x)]), mean, var)))):
            total = self.count + n
            delta = new_mean - self.mean
            merged = (self.var * self.count + new_var * n + delta.square() * self.count * n / total) / total
            self.mean += delta * n / total
            self.var.copy_(merged)
            self.count.copy_(total.squeeze(0))

    def settle(self) -> None:
        """From now on more data changes the statistics no more: for what was taught exactly, which other ones would spoil."""
        self.count.fill_(SETTLED)

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean.float()) / self.std).clamp(-self.limit, self.limit)

    def inverse(self, y: Tensor) -> Tensor:
        """``y * std + mean``: the inverse of `forward` within the limit."""
        return y * self.std + self.mean.float()

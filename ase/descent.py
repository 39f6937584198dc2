"""`Descent`: gradient steps of one optimiser, averaged over the ranks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from ase.distributed import sum_gradients, world_size


class Descent:
    """Gradient steps of ``optimizer`` in two halves, so that gradients travel between ranks while something else is computed: `start` computes and sends them, `finish`
    waits for their mean and steps. Finish before the weights are used again. Gradients are scaled down to ``max_norm`` if that is given."""

    def __init__(self, optimizer: Optimizer, max_norm: float | None = None):
        self._optimizer = optimizer
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._max_norm = max_norm
        self._receive: Callable[[], None] | None = None

    def start(self, loss: Tensor) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        (loss / world_size()).backward()  # so that the sum over the ranks is the mean
        self._receive = sum_gradients(self._parameters)

    def finish(self) -> None:
        """Ends the step that was started last, if it has not ended."""
        if self._receive is None:
            return
        self._receive()
        self._receive = None
        if self._max_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._max_norm)
        self._optimizer.step()

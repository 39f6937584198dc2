"""What the processes of one training exchange, by `torch.distributed`. In a single process every function here is the identity.

Start them with torchrun. Each process (rank) has environments, replay and random numbers of its own; weights, optimisers and normalisers are equal on all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

TIMEOUT = timedelta(minutes=10)  # a rank that waits longer for the others gives up


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def own_seed(seed: int) -> int:
    """A seed for what is random on this rank alone; rank 0 has ``seed`` itself."""
    return seed + 1_000_003 * rank()


class RankLostError(RuntimeError):
    """Another process of the training died or did not answer."""


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Joins the processes that torchrun started, if it did: gloo between CPUs, NCCL between GPUs.

    Raises:
        RankLostError: another rank died or did not answer.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)  # where messages made of plain numbers go
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield
        dist.barrier()  # nobody leaves while others still have something to say
    except RuntimeError as error:
        if any(sign in str(error) for sign in ("gloo", "NCCL", "peer", "Timed out")):
            first = str(error).splitlines()[0][:120]
            raise RankLostError(f"rank {rank()} of {world_size()}: another rank is gone ({first}); the last checkpoint is whole: go on with --resume") from None
        raise
    finally:
        dist.destroy_process_group()


def sum_gradients(parameters: Iterable[nn.Parameter]) -> Callable[[], None]:
    """Starts to sum gradients over the ranks, in one message that travels while this rank computes on; what is returned waits for it and puts the sums in their place."""
    if world_size() == 1:
        return lambda: None
    owners = [(p, p.grad) for p in parameters if p.grad is not None]
    flat = torch.cat([grad.flatten() for _, grad in owners])
    message = dist.all_reduce(flat, async_op=True)

    def receive() -> None:
        message.wait()
        for (parameter, grad), part in zip(owners, flat.split([grad.numel() for _, grad in owners]), strict=True):
            parameter.grad = part.view_as(grad)

    return receive


def average(x: Tensor) -> Tensor:
    """The mean of ``x`` over the ranks."""
    if world_size() == 1:
        return x
    total = x.clone()
    dist.all_reduce(total)
    return total.div_(world_size())


def average_numbers(numbers: dict[str, float]) -> dict[str, float]:
    """The mean of each number over the ranks, which all have the same keys; a rank's NaN (nothing to measure) does not count."""
    if world_size() == 1:
        return numbers
    values = torch.tensor([[v, 1.0] if v == v else [0.0, 0.0] for v in numbers.values()], dtype=torch.float64)
    values = values.to("cuda") if dist.get_backend() == "nccl" else values
    dist.all_reduce(values)
    return {key: (float(total) / float(count) if count else float("nan")) for key, (total, count) in zip(numbers, values, strict=True)}


def gather(x: Tensor) -> list[Tensor]:
    """``x`` of every rank, in their order."""
    if world_size() == 1:
        return [x]
    parts = [torch.empty_like(x) for _ in range(world_size())]
    dist.all_gather(parts, x.contiguous())
    return parts


def agree(flag: bool, device: torch.device) -> bool:
    """Whether ``flag`` is true on every rank."""
    return all(bool(part) for part in gather(torch.tensor(flag, device=device)))


def copy_from_first(modules: Iterable[nn.Module]) -> None:
    """Gives all ranks the weights and buffers of rank 0."""
    if world_size() == 1:
        return
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            dist.broadcast(tensor.data, 0)

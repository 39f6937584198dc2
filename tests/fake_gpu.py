"""A GPU that is none, so that what only ever runs on machines with a GPU is tested on those without.

Tensors "on" it lie in the host's memory and carry a mark, and what a GPU refuses is refused here, too: tensors of two devices in one operation, a generator of the wrong one,
numpy's view of a tensor that is not on the host."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from envs.physics_cpu import CpuPhysics

HOST, GPU = torch.device("cpu"), torch.device("cuda", 0)
MAKERS = {"zeros", "ones", "empty", "full", "rand", "randn", "randint", "randperm", "arange", "linspace", "tensor", "eye"}  # on the host unless told otherwise
ALL_ALIKE = {"cat", "stack", "where", "index_select", "gather", "scatter_", "index_put_"}  # take no scalar of the host among tensors of a GPU
TorchGenerator = torch.Generator


class Generator(TorchGenerator):
    """One of the host's, that says where it is meant to be."""

    def __new__(cls, device: torch.device | str = HOST) -> Generator:
        return TorchGenerator.__new__(cls, "cpu")

    def __init__(self, device: torch.device | str = HOST):
        self.place = torch.device(device)

    @property
    def device(self) -> torch.device:
        return GPU if self.place.type == "cuda" else HOST


def on_gpu(tensor: Tensor) -> bool:
    return getattr(tensor, "on_fake_gpu", False)


def mark(tensor: Tensor, gpu: bool) -> Tensor:
    tensor.on_fake_gpu = gpu  # type: ignore[attr-defined]
    return tensor


def is_cuda(device: Any) -> bool:
    return isinstance(device, torch.device | str) and torch.device(device).type == "cuda"


class FakeGpu(TorchFunctionMode):
    """Follows which tensors would be on the GPU through all that is called while it is active."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if name in ("__get__", "__set__"):
            return self._attribute(func, name, args)
        if name in ("to", "cpu"):
            return self._move(func, name, args, kwargs)
        if name in ("numpy", "__array__") and on_gpu(args[0]):
            raise TypeError("can't convert a cuda tensor to numpy")
        if name.startswith("_has_compatible"):  # asked by Module.to
            return func(*args, **kwargs)
        told = kwargs.get("device") is not None or name in MAKERS
        gpu = is_cuda(kwargs.get("device"))
        if kwargs.get("device") is not None:
            kwargs["device"] = HOST
        leaves = tree_leaves((args, kwargs))
        found = self._common(name, args, [leaf for leaf in leaves if isinstance(leaf, Tensor)])
        gpu = gpu if told else found
        for generator in (leaf for leaf in leaves if isinstance(leaf, TorchGenerator)):
            if (generator.device.type == "cuda") != gpu:
                raise RuntimeError(f"{name}: a generator on {generator.device} for a tensor on {GPU if gpu else HOST}")
        out = func(*args, **kwargs)
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                mark(leaf, gpu)
        return out

    @staticmethod
    def _attribute(func: Any, name: str, args: tuple[Any, ...]) -> Any:
        if func == Tensor.device.__get__:
            return GPU if on_gpu(args[0]) else HOST
        if func == Tensor.is_cuda.__get__:
            return on_gpu(args[0])
        out = func(*args)
        if func == Tensor.data.__set__:
            mark(args[0], on_gpu(args[1]))
        return mark(out, on_gpu(args[0])) if isinstance(out, Tensor) else out

    @staticmethod
    def _move(func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        tensor, *rest = args
        if name == "cpu":
            gpu = False
        else:
            places = [a for a in (*rest, kwargs.get("device")) if isinstance(a, torch.device | str)]
            like = [a for a in rest if isinstance(a, Tensor)]
            gpu = is_cuda(places[0]) if places else on_gpu(like[0] if like else tensor)
            rest = [HOST if isinstance(a, torch.device | str) else a for a in rest]
            kwargs |= {"device": HOST} if kwargs.get("device") is not None else {}
        out = func(tensor, *rest, **kwargs)
        return mark(out.clone() if gpu != on_gpu(tensor) and out is tensor else out, gpu)

    @staticmethod
    def _common(name: str, args: tuple[Any, ...], tensors: list[Tensor]) -> bool:
        """Whether the result is on the GPU."""
        places = [on_gpu(t) for t in tensors]
        if name in ("copy_", "set_"):
            return places[0]
        if name in ("__getitem__", "__setitem__"):  # indices may be the host's, but not the other way round; a value moves unless it goes to places that a tensor names
            indices = [on_gpu(leaf) for leaf in tree_leaves(args[1]) if isinstance(leaf, Tensor)]
            value = [on_gpu(v) for v in args[2:] if isinstance(v, Tensor) and v.dim()]
            if (any(indices) and not places[0]) or (indices and value and value[0] != places[0]):
                raise RuntimeError(f"{name}: a tensor on {GPU if places[0] else HOST}, indices or value on the other device")
            return places[0]
        full = [place for tensor, place in zip(tensors, places, strict=True) if tensor.dim() or name in ALL_ALIKE]
        if len(set(full)) > 1 or (full and not full[0] and any(places)):
            raise RuntimeError(f"{name}: expected all tensors on one device: {[(tuple(t.shape), p) for t, p in zip(tensors, places, strict=True)]}")
        return any(places)


class FakeWarpPhysics(CpuPhysics):
    """Batched MuJoCo, whose tensors are on the fake GPU."""

    def __init__(self, model: Any, num_envs: int, device: torch.device):
        super().__init__(model, num_envs, num_threads=1)
        self.device = GPU
        for tensor in (self.qpos, self.qvel, self._ctrl, self.touch, self.force, self.effort):
            mark(tensor, True)

    def set_state(self, env_ids: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        assert all(map(on_gpu, (env_ids, qpos, qvel)))
        for tensor in (self.qpos, self.qvel, self.force):
            mark(tensor, False)
        super().set_state(env_ids.cpu(), qpos.cpu(), qvel.cpu())
        for tensor in (self.qpos, self.qvel, self.force):
            mark(tensor, True)

    def get_full_state(self) -> Tensor:
        return mark(super().get_full_state(), True)

    def set_full_state(self, state: Tensor) -> None:
        super().set_full_state(state.cpu())


def pretend(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    """Lets torch find a GPU, and physics run on it; returns the mode to enter."""
    warp = ModuleType("envs.physics_warp")
    warp.WarpPhysics = FakeWarpPhysics  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "envs.physics_warp", warp)
    monkeypatch.setattr(torch, "Generator", Generator)
    answers = {"is_available": True, "device_count": 1, "is_bf16_supported": False, "synchronize": None, "set_device": None}
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda *args, answer=answer: answer)
    copied = torch.nn.Parameter.__deepcopy__  # the one copy that does not go through the mode
    monkeypatch.setattr(torch.nn.Parameter, "__deepcopy__", lambda self, memo: mark(copied(self, memo), on_gpu(self)))
    return FakeGpu()

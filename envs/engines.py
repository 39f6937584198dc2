"""Which device and which physics engine a run uses."""

from __future__ import annotations

import os

import mujoco
import torch

from envs.physics import Physics
from envs.physics_cpu import CpuPhysics

DEVICES, ENGINES = ("auto", "cpu", "cuda"), ("auto", "cpu", "warp")


def choose_device(device: str, engine: str) -> torch.device:
    """The device of tensors and physics; with several processes on a machine each takes a GPU of its own.

    Raises:
        ValueError: cuda without a usable GPU, or with the CPU engine.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and engine == "cpu":
        raise ValueError("device cuda: got physics cpu; expected warp or auto")
    if device == "cuda" and not available:
        raise ValueError(f"device cuda: torch {torch.__version__} finds no usable NVIDIA GPU; expected cpu or auto")
    if device == "cpu" or engine == "cpu" or not available:
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())


def num_processes_here() -> int:
    """Processes of this training on this machine (as torchrun says)."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def usable_cores() -> int:
    """Cores that this process may run on: fewer than the machine has under ``taskset`` or a batch system."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_of_cores(wanted: int) -> int:
    """``wanted`` threads, or if that is 0 this process's share of the cores it may run on."""
    return wanted or max(1, usable_cores() // num_processes_here())


def make_physics(engine: str, model: mujoco.MjModel, num_envs: int, num_threads: int, device: torch.device) -> Physics:
    """``num_envs`` simulations of ``model`` on ``device``.

    Raises:
        ValueError: the warp engine without its packages.
    """
    if engine == "warp" or device.type == "cuda":
        try:
            from envs.physics_warp import WarpPhysics
        except ImportError as error:
            raise ValueError(f"physics warp: {error}; it comes with: pip install mujoco-warp==3.14.0 (or use --physics cpu --device cpu)") from None
        return WarpPhysics(model, num_envs, device)
    return CpuPhysics(model, num_envs, min(share_of_cores(num_threads), num_envs))

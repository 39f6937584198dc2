"""The choice of device and engine, and its errors."""

import sys

import pytest
import torch

from cfg.presets import tiny
from cfg.schema import RunConfig
from envs import engines
from envs.physics_cpu import CpuPhysics


@pytest.mark.parametrize(
    ("device", "engine", "gpu", "expected"),
    [
        ("auto", "auto", False, "cpu"),
        ("auto", "auto", True, "cuda:1"),
        ("cpu", "auto", True, "cpu"),
        ("auto", "cpu", True, "cpu"),
        ("cuda", "warp", True, "cuda:1"),
        ("cpu", "warp", True, "cpu"),
    ],
)
def test_the_device(device, engine, gpu, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert engines.choose_device(device, engine) == torch.device(expected)


def test_cuda_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"device cuda: torch .* finds no usable NVIDIA GPU; expected cpu or auto"):
        engines.choose_device("cuda", "auto")
    with pytest.raises(ValueError, match=r"device cuda: got physics cpu; expected warp or auto"):
        engines.choose_device("cuda", "cpu")


def test_warp_without_its_packages_is_refused(character, monkeypatch):
    monkeypatch.setitem(sys.modules, "envs.physics_warp", None)
    with pytest.raises(ValueError, match=r"physics warp: .*it comes with: pip install mujoco-warp"):
        engines.make_physics("warp", character.model, 2, 1, torch.device("cpu"))


def test_the_cpu_engine_is_the_default(character):
    assert isinstance(engines.make_physics("auto", character.model, 2, 0, torch.device("cpu")), CpuPhysics)


def test_processes_share_the_cores(monkeypatch):
    monkeypatch.setattr(engines.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert (engines.share_of_cores(0), engines.share_of_cores(3)) == (8, 3)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert engines.share_of_cores(0) == 2


def test_threads_keep_to_the_cores_that_a_process_may_use(monkeypatch):
    monkeypatch.setattr(engines.os, "cpu_count", lambda: 16)
    monkeypatch.setattr(engines.os, "sched_getaffinity", lambda pid: {2, 3, 7}, raising=False)
    assert engines.share_of_cores(0) == 3
    monkeypatch.delattr(engines.os, "sched_getaffinity")  # macOS and Windows have none
    assert engines.share_of_cores(0) == 16


@pytest.mark.parametrize("setting", ["device", "physics"])
def test_an_unknown_choice_is_refused(setting):
    with pytest.raises(ValueError, match=f"{setting}: got 'tpu'; expected auto, cpu, "):
        RunConfig(**{setting: "tpu"})
    assert getattr(tiny(), setting) == "auto"

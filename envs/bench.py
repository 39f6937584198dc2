"""How fast the environment is: against bare physics, by number of environments, and against one process for each environment.

All figures are control steps a second, summed over environments. A machine that does other work at times makes a single timing worthless, so what is compared
is timed in turns, many times, and medians are reported; ratios hold better than absolute figures.

Shapes: ``T`` control steps, ``N`` environments, ``n`` some of them, ``A`` action, ``D`` joint degrees of freedom, ``S`` full state of a simulation.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, cast

import mjbatch
import numpy as np
import torch
from torch import Tensor

from envs.character import Character
from envs.clip_pilot import NOISE, ClipPilot
from envs.engines import usable_cores
from envs.humanoid import EnvConfig, HumanoidEnv
from envs.physics_cpu import CpuPhysics
from motions.library import MotionLibrary

SETTLE_STEPS = 15  # control steps before a recording: away from all characters having just started
MIN_REPETITIONS = 3


class TimedPhysics(CpuPhysics):
    """`CpuPhysics` that adds up the ``seconds`` spent stepping and keeps the last controls ``ctrl [N, A]``."""

    seconds = 0.0
    ctrl: Tensor

    def step(self, ctrl: Tensor, num_substeps: int) -> None:
        """See `envs.physics.Physics.step`."""
        start = time.perf_counter()
        super().step(ctrl, num_substeps)
        self.seconds += time.perf_counter() - start
        self.ctrl = ctrl


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Runs its body with ``count`` threads for tensor operations."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def peak_memory_bytes() -> int:
    """The most memory this process has held so far: of the machine, or, where a GPU is in use, what is taken there now (torch, which keeps its peak, and warp)."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        free, total = torch.cuda.mem_get_info()
        return total - free
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def device_name(device: torch.device) -> str:
    """What does the work, for people."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def device_clock(device: torch.device) -> Callable[[], float]:
    """Seconds, told once all that was asked of ``device`` is done: a GPU works on after the call that asked it to."""
    if device.type != "cuda":
        return time.perf_counter

    def now() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return now


def env_rate(env: HumanoidEnv, seconds: float, steps: int = 16, seed: int = 0) -> float:
    """Control steps a second of any environment on any device, resets included, under noise around the rest pose; after an untimed round (compilation, capture)."""
    generator = torch.Generator(env.device).manual_seed(seed)
    now = device_clock(env.device)
    env.reset()

    def round_s() -> float:
        start = now()
        for _ in range(steps):
            noise = torch.randn(env.num_envs, env.action_dim, generator=generator, device=env.device)
            env.reset(env.step(env.rest_action + NOISE * noise).done.nonzero().squeeze(-1))
        return now() - start

    round_s()
    taken: list[float] = []
    while len(taken) < MIN_REPETITIONS or sum(taken) < seconds:
        taken.append(round_s())
    return env.num_envs * steps / median(taken)


@dataclass(frozen=True, eq=False)
class Recording:
    """What environments did for ``T`` control steps, enough to do it again with or without them.

    Attributes:
        start: `HumanoidEnv.state_dict` at the beginning.
        actions, ctrl: ``[T, N, A]`` what the environment was given and what physics was given.
        restarts: ``T`` pairs of indices ``[n]`` and full states ``[n, S]``: who started anew after the step, and from what.
        end: ``[N, S]`` full states after the last step and its restarts.
    """

    start: dict[str, Any]
    actions: Tensor
    ctrl: Tensor
    restarts: list[tuple[Tensor, Tensor]]
    end: Tensor

    @property
    def num_steps(self) -> int:
        """Control steps, summed over environments."""
        return self.actions.shape[0] * self.actions.shape[1]

    @property
    def num_restarts(self) -> int:
        return sum(len(ids) for ids, _ in self.restarts)


def make_env(character: Character, library: MotionLibrary, config: EnvConfig, seed: int = 0) -> HumanoidEnv:
    """Environments on `TimedPhysics`, reset."""
    env = HumanoidEnv(config, character, TimedPhysics(character.model, config.num_envs, config.num_threads), library, torch.Generator().manual_seed(seed))
    env.reset()
    return env


def record(env: HumanoidEnv, steps: int, seed: int = 0) -> Recording:
    """Lets a `ClipPilot` drive ``env`` for ``steps`` control steps after `SETTLE_STEPS`, and notes what happens. ``env`` must come from `make_env`."""
    physics = cast(TimedPhysics, env.physics)
    pilot = ClipPilot(env, torch.Generator().manual_seed(seed))
    start: dict[str, Any] = {}
    actions, ctrl, restarts = [], [], []
    for t in range(SETTLE_STEPS + steps):
        if t == SETTLE_STEPS:
            start = env.state_dict()
        action = pilot.act()
        ids = env.step(action).done.nonzero().squeeze(-1)
        env.reset(ids)
        pilot.restart(ids)
        if t >= SETTLE_STEPS:
            actions.append(action)
            ctrl.append(physics.ctrl)
            restarts.append((ids, physics.get_full_state()[ids]))
    return Recording(start, torch.stack(actions), torch.stack(ctrl), restarts, physics.get_full_state())


def run_env(env: HumanoidEnv, recording: Recording) -> float:
    """Seconds that the environment takes for a recording: its steps and its resets. It ends in ``recording.end``, bit for bit."""
    env.load_state_dict(recording.start)
    start = time.perf_counter()
    for action in recording.actions:
        env.reset(env.step(action).done.nonzero().squeeze(-1))
    seconds = time.perf_counter() - start
    assert np.array_equal(env.physics.get_full_state(), recording.end, equal_nan=True), "the environment did not repeat its recording"
    return seconds


def run_bare(batch: mjbatch.Batch, recording: Recording, num_substeps: int) -> float:
    """Seconds that bare physics takes for a recording: writing the controls and stepping. It ends in ``recording.end``, bit for bit.

    Putting simulations where the environment restarted them is not timed: a bare engine has no episodes.
    """
    state, ctrl = batch.bind("state"), batch.bind("ctrl")
    state[...] = recording.start["physics"].numpy()
    seconds = 0.0
    for controls, (ids, rows) in zip(recording.ctrl.numpy(), recording.restarts, strict=True):
        start = time.perf_counter()
        ctrl[...] = controls
        batch.step(nstep=num_substeps)
        seconds += time.perf_counter() - start
        state[ids.numpy()] = rows.numpy()
    assert np.array_equal(state, recording.end, equal_nan=True), "bare physics did not repeat the recording"
    return seconds


@dataclass(frozen=True)
class EnvSpeed:
    """The environment against bare physics. Rates are control steps a second over all environments, medians over ``repetitions``.

    Attributes:
        bare, env: the two rates.
        share: ``env / bare``, the median of the ratio within a repetition.
        physics_share: part of the environment's time spent in physics steps.
        restart_share: part of the control steps that ended an episode.
    """

    num_envs: int
    num_threads: int
    repetitions: int
    bare: float
    env: float
    share: float
    physics_share: float
    restart_share: float


def bench_env(
    character: Character,
    library: MotionLibrary,
    num_envs: int = 1024,
    num_threads: int = 0,
    seconds: float = 20.0,
    config: EnvConfig | None = None,
    steps: int = 16,
    seed: int = 0,
) -> EnvSpeed:
    """`HumanoidEnv` against mjbatch alone, on the same work.

    The environment is recorded once, untimed, while a `ClipPilot` drives it. Then the two take turns, each first in every other repetition:

    - the environment goes back to the recorded beginning and takes the recorded actions: physics, observations, discriminator windows, falls, time limits, and
      the resets, whose own physics (one forward pass) is charged to it;
    - a bare ``mjbatch.Batch`` of the same compiled model, with as many threads and nothing bound but state and controls, goes back to the same full states
      (warm starts included) and takes the same controls for the same substeps. Where the environment reset a character, the state it was given is copied in
      between two timed calls.

    Both end in the same states bit for bit, which is checked in each repetition: neither had fewer contacts or solver iterations. Copying states in can only
    favour the bare run, whose data are then in the cache. Warm-up: the recording for the environment, one untimed run for the bare batch.

    Args:
        character, library: as for `HumanoidEnv`.
        num_threads: for physics and, in the environment, for tensor operations; 0 takes one for each CPU core.
        seconds: time spent measuring, at least `MIN_REPETITIONS` repetitions.
        config: other settings; its ``num_envs`` and ``num_threads`` are not used.
        steps: control steps in a repetition.
    """
    threads = num_threads or usable_cores()
    config = replace(config or EnvConfig(), num_envs=num_envs, num_threads=threads)
    with torch_threads(threads):
        env = make_env(character, library, config, seed)
        physics = cast(TimedPhysics, env.physics)
        recording = record(env, steps, seed)
        batch = mjbatch.Batch(character.model, num_envs, num_threads=threads)
        run_bare(batch, recording, config.num_substeps)
        physics.seconds = 0.0
        env_s: list[float] = []
        bare_s: list[float] = []
        while len(env_s) < MIN_REPETITIONS or sum(env_s) + sum(bare_s) < seconds:
            if len(env_s) % 2:
                bare_s.append(run_bare(batch, recording, config.num_substeps))
            env_s.append(run_env(env, recording))
            if len(bare_s) < len(env_s):
                bare_s.append(run_bare(batch, recording, config.num_substeps))
    n = recording.num_steps
    return EnvSpeed(
        num_envs=num_envs,
        num_threads=threads,
        repetitions=len(env_s),
        bare=n / median(bare_s),
        env=n / median(env_s),
        share=median(b / e for b, e in zip(bare_s, env_s, strict=True)),
        physics_share=physics.seconds / sum(env_s),
        restart_share=recording.num_restarts / n,
    )


def bench_scaling(
    character: Character,
    library: MotionLibrary,
    sizes: Sequence[int] = (256, 512, 1024, 2048, 4096, 8192),
    num_threads: int = 0,
    seconds: float = 60.0,
    config: EnvConfig | None = None,
    steps: int = 16,
    seed: int = 0,
) -> dict[int, float]:
    """The environment's control steps a second by number of environments; the sizes take turns. Arguments as in `bench_env`, ``seconds`` for all sizes together."""
    threads = num_threads or usable_cores()
    config = replace(config or EnvConfig(), num_threads=threads)
    taken: dict[int, list[float]] = {size: [] for size in sizes}
    with torch_threads(threads):
        envs = [make_env(character, library, replace(config, num_envs=size), seed) for size in sizes]
        recordings = [record(env, steps, seed) for env in envs]
        repetitions, spent = 0, 0.0
        while repetitions < MIN_REPETITIONS or spent < seconds:
            for size, env, recording in zip(sizes, envs, recordings, strict=True):
                taken[size].append(run_env(env, recording))
                spent += taken[size][-1]
            repetitions += 1
    return {size: size * steps / median(taken[size]) for size in sizes}

"""What a user would otherwise write: one environment in each process, under Gymnasium's `AsyncVectorEnv`.

Shapes: ``T`` control steps, ``N`` environments, ``A`` action, ``O`` observation.
"""

from __future__ import annotations

import functools
import time
from dataclasses import fields
from statistics import median
from typing import Any, cast

import numpy as np
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from envs.bench import MIN_REPETITIONS, torch_threads
from envs.clip_pilot import ClipPilot
from envs.gym import HumanoidGymEnv
from envs.humanoid import EnvConfig
from motions.library import MotionLibrary


def single_env(library: MotionLibrary, settings: dict[str, Any]) -> HumanoidGymEnv:
    """One `HumanoidGymEnv` in a process that keeps to one thread."""
    torch.set_num_threads(1)
    return HumanoidGymEnv(library, num_threads=1, **settings)


def _drive(envs: SyncVectorEnv, steps: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Actions ``[T, N, A]`` of `ClipPilot` after ``envs.reset(seed=seed)``, and the observation ``[N, O]`` they lead to."""
    obs, _ = envs.reset(seed=seed)
    sims = [cast(HumanoidGymEnv, env).env for env in envs.envs]
    pilots = [ClipPilot(sim, torch.Generator().manual_seed(seed + k)) for k, sim in enumerate(sims)]
    actions = []
    for _ in range(steps):
        actions.append(torch.cat([pilot.act() for pilot in pilots]).numpy())
        obs, _, terminated, truncated, _ = envs.step(actions[-1])
        for k in np.flatnonzero(terminated | truncated):
            pilots[k].restart(torch.zeros(1, dtype=torch.long))
    return np.stack(actions), obs


def bench_async(library: MotionLibrary, workers: int = 2, seconds: float = 10.0, config: EnvConfig | None = None, steps: int = 150, seed: int = 0) -> float:
    """Control steps a second of `gymnasium.vector.AsyncVectorEnv`: a process for each environment, each with one thread for physics and tensors.

    Actions come from `ClipPilot` as in `bench_env`. They are made in this process with `SyncVectorEnv` from the same seeds; the workers then go through the same
    episodes, which is checked. Timed is ``step`` of the vector environment, resets within it included. Processes are spawned, so a script that calls this needs
    the usual ``if __name__ == "__main__"``.

    Args:
        config: settings; its ``num_envs`` and ``num_threads`` are not used.
        steps: control steps of an environment in a repetition, which begins with an untimed reset.
    """
    config = config or EnvConfig()
    settings = {f.name: getattr(config, f.name) for f in fields(EnvConfig) if f.name not in ("num_envs", "num_threads")}
    makers = [functools.partial(single_env, library, settings)] * workers
    taken: list[float] = []
    with torch_threads(1):
        local = SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)
        actions, expected = _drive(local, steps, seed)
        local.close()
        envs = AsyncVectorEnv(makers, context="spawn", autoreset_mode=AutoresetMode.SAME_STEP)
        try:
            _run_async(envs, actions, expected, seed)
            while len(taken) < MIN_REPETITIONS or sum(taken) < seconds:
                taken.append(_run_async(envs, actions, expected, seed))
        finally:
            envs.close()
    return workers * steps / median(taken)


def _run_async(envs: AsyncVectorEnv, actions: NDArray[np.float32], expected: NDArray[np.float32], seed: int) -> float:
    """Seconds of the steps with ``actions [T, N, A]`` after a reset; they lead to the observation ``expected [N, O]``."""
    obs, _ = envs.reset(seed=seed)
    start = time.perf_counter()
    for action in actions:
        obs = envs.step(action)[0]
    seconds = time.perf_counter() - start
    assert np.array_equal(obs, expected), "the workers did not repeat the episodes"
    return seconds

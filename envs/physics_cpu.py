"""`CpuPhysics`: batched MuJoCo on CPU threads through mjbatch."""

from __future__ import annotations

import mjbatch
import mujoco
import numpy as np
import torch
from torch import Tensor


class CpuPhysics:
    """The CPU engine behind `envs.physics.Physics`.

    Args:
        model: compiled model (copied).
        num_envs: simulations.
        num_threads: stepping threads.
    """

    def __init__(self, model: mujoco.MjModel, num_envs: int, num_threads: int):
        self.model, self.num_envs, self.device = model, num_envs, torch.device("cpu")
        self.sim_dt = float(model.opt.timestep)
        self._batch = mjbatch.Batch(model, num_envs, num_threads=num_threads)
        self._state = self._batch.bind("state")
        fields = ("qpos", "qvel", "ctrl", "sensordata", "xfrc_applied", "qfrc_actuator")
        self.qpos, self.qvel, self._ctrl, self.touch, self.force, self.effort = (torch.from_numpy(self._batch.bind(f, np.float32)) for f in fields)
        self._batch.reset()

    @property
    def num_overflows(self) -> int:
        """Zero: MuJoCo's memory grows with its contacts."""
        return 0

    def set_state(self, env_ids: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        ids = env_ids.numpy().astype(np.int32)
        self._batch.reset(ids)  # clears warm start, time and warnings; without it a NaN would survive
        self.qpos[env_ids, : qpos.shape[1]], self.qvel[env_ids, : qvel.shape[1]], self.force[env_ids] = qpos, qvel, 0.0
        self._batch.forward(ids)  # also takes what was written into the full state

    def step(self, ctrl: Tensor, num_substeps: int) -> None:
        self._ctrl.copy_(ctrl)
        self._batch.step(nstep=num_substeps)

    def get_full_state(self) -> Tensor:
        return torch.from_numpy(self._state.copy())

    def set_full_state(self, state: Tensor) -> None:
        self._state[...] = state.numpy()
        self._batch.forward()

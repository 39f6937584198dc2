"""`WarpPhysics`: batched MuJoCo on an NVIDIA GPU through mujoco_warp. The same code runs on warp's CPU device, slowly, which is what the tests use.

The optional packages are only imported here. Tensors are views of warp's memory; nothing but the overflow count ever leaves the device.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import mujoco
import mujoco_warp as mjw
import torch
import warp as wp
from torch import Tensor

# Contacts of a primitive geom with a plane, and rows of a constraint for a pyramidal friction cone of three dimensions.
PLANE_CONTACTS = {mujoco.mjtGeom.mjGEOM_SPHERE: 1, mujoco.mjtGeom.mjGEOM_CAPSULE: 2, mujoco.mjtGeom.mjGEOM_BOX: 4, mujoco.mjtGeom.mjGEOM_CYLINDER: 4}
ROWS_PER_CONTACT = 4
LS_ITERATIONS = 50  # single precision needs more line-search steps than the model's 20
LOST = mjw.OverflowType.NEFC | mjw.OverflowType.NJMAX_NNZ | mjw.OverflowType.BROADPHASE | mjw.OverflowType.NARROWPHASE | mjw.OverflowType.CCD | mjw.OverflowType.CONTACT_MATCH


def contact_capacity(model: mujoco.MjModel) -> tuple[int, int]:
    """Contacts and constraint rows to allocate for a simulation: every geom lying flat on the floor, one contact between bodies for each body, every joint at
    its limit."""
    floor = sum(PLANE_CONTACTS.get(mujoco.mjtGeom(int(kind)), 4) for kind in model.geom_type if kind != mujoco.mjtGeom.mjGEOM_PLANE)
    contacts = floor + model.nbody - 1
    return contacts, ROWS_PER_CONTACT * contacts + int(model.jnt_limited.sum())


def _without_autoreset(model: mujoco.MjModel) -> mujoco.MjModel:
    """A copy without the flag that keeps MuJoCo from resetting diverged states: warp never does, and refuses the flag."""
    model = copy.copy(model)
    model.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    return model


class WarpPhysics:
    """The GPU engine behind `envs.physics.Physics`.

    A control step is captured once as a CUDA graph and replayed. Contacts share one buffer for all simulations, constraint rows one for each; where either is too
    small, contacts are lost, and `num_overflows` counts the control steps and simulations in which that happened.

    Args:
        model: compiled model (copied).
        num_envs: simulations.
        device: ``cuda``, ``cuda:1``, ... or ``cpu``.
    """

    def __init__(self, model: mujoco.MjModel, num_envs: int, device: torch.device | str):
        wp.config.log_level = wp.LOG_ERROR
        wp.init()
        self.model, self.num_envs, self.device = model, num_envs, torch.empty(0, device=device).device  # which gives a GPU its number
        self.sim_dt = float(model.opt.timestep)
        self._wp_device = wp.device_from_torch(self.device)
        contacts, rows = contact_capacity(model)
        with wp.ScopedDevice(self._wp_device):
            self._model = mjw.put_model(_without_autoreset(model))
            self._model.opt.ls_iterations = max(int(model.opt.ls_iterations), LS_ITERATIONS)
            self._model.opt.warn_overflow = 0  # counted instead of printed
            self._data = mjw.make_data(model, nworld=num_envs, nconmax=contacts, njmax=rows)
        data = self._data
        self.qpos, self.qvel, self.touch, self._ctrl = (wp.to_torch(a) for a in (data.qpos, data.qvel, data.sensordata, data.ctrl))
        self.force, self.effort = wp.to_torch(data.xfrc_applied), wp.to_torch(data.qfrc_actuator)
        self._warm_start, self._time, self._overflow = wp.to_torch(data.qacc_warmstart), wp.to_torch(data.time), wp.to_torch(data.overflow)
        self._lost = torch.zeros((), dtype=torch.long, device=self.device)
        self._rest = torch.from_numpy(model.qpos0).to(self.qpos)
        self._graphs: dict[int, wp.Graph] = {}
        self.set_state(torch.arange(num_envs, device=self.device), self.qpos.clone(), torch.zeros_like(self.qvel))

    @property
    def num_overflows(self) -> int:
        """Control steps, summed over simulations, in which contacts or constraints did not fit their buffers."""
        return int(self._lost)

    def set_state(self, env_ids: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        """See `envs.physics.Physics.set_state`. All that survives a step besides these is the warm start."""
        self.qpos[env_ids], self.qvel[env_ids] = self._rest, 0.0
        self.qpos[env_ids, : qpos.shape[1]], self.qvel[env_ids, : qvel.shape[1]], self.force[env_ids] = qpos, qvel, 0.0
        self._warm_start[env_ids] = 0.0
        self._time[env_ids] = 0.0
        self.touch[env_ids] = 0.0

    def step(self, ctrl: Tensor, num_substeps: int) -> None:
        """See `envs.physics.Physics.step`."""
        self._ctrl.copy_(ctrl)
        self._overflow.zero_()
        with self._on_torch_stream():
            if self.device.type == "cuda":
                if num_substeps not in self._graphs:
                    self._graphs[num_substeps] = self._capture(num_substeps)
                wp.capture_launch(self._graphs[num_substeps])
            else:
                self._substeps(num_substeps)
        self._lost += ((self._overflow & int(LOST)) != 0).sum()

    def _substeps(self, count: int) -> None:
        for _ in range(count):
            mjw.step(self._model, self._data)

    def _capture(self, num_substeps: int) -> wp.Graph:
        """The graph of a control step; the state is as it was before. Captured on a stream of its own, for torch's usual one, CUDA's default, cannot be."""
        before = self.get_full_state()
        self._substeps(1)  # compiles the kernels, which a capture cannot
        self.set_full_state(before)
        torch.cuda.synchronize(self.device)
        with wp.ScopedStream(wp.Stream(self._wp_device)), wp.ScopedCapture(device=self._wp_device) as capture:
            self._substeps(num_substeps)
        return capture.graph

    @contextmanager
    def _on_torch_stream(self) -> Iterator[None]:
        """Runs warp on torch's present stream, so that the order of work is the order of calls."""
        stream = wp.ScopedStream(wp.stream_from_torch(torch.cuda.current_stream(self.device))) if self.device.type == "cuda" else nullcontext()
        with wp.ScopedDevice(self._wp_device), stream:
            yield

    def get_full_state(self) -> Tensor:
        """See `envs.physics.Physics.get_full_state`."""
        return torch.cat((self._time.unsqueeze(-1), self.qpos, self.qvel, self._warm_start), dim=-1).double()

    def set_full_state(self, state: Tensor) -> None:
        """See `envs.physics.Physics.set_full_state`. On a GPU the order of contacts may differ from then, and with it the last bits of what follows."""
        time, qpos, qvel, warm_start = state.to(self.device).float().split((1, self.model.nq, self.model.nv, self.model.nv), dim=-1)
        self._time.copy_(time.squeeze(-1))
        self.qpos.copy_(qpos)
        self.qvel.copy_(qvel)
        self._warm_start.copy_(warm_start)
        self.touch.zero_()

"""The seam between the environment and a physics engine."""

from __future__ import annotations

from typing import Protocol

import mujoco
import torch
from torch import Tensor


class Physics(Protocol):
    """``N`` independent simulations of one model, as float32 tensors that stay bound to the engine's memory: read them, never rebind them.

    Attributes:
        qpos: ``[N, nq]`` root position, root quaternion ``wxyz``, then joints (a ball joint as a quaternion).
        qvel: ``[N, nv]`` root linear velocity in the world frame, root angular velocity in the root's own frame, then joints.
        force: ``[N, bodies, 6]`` force (N) and torque (N m) from outside on each body of the model, world frame; written by users, held until changed, zero after a restart.
        effort: ``[N, nv]`` what the actuators do, in the coordinates of ``qvel`` (N, N m); undefined from a restart to the next step.
        touch: ``[N, S]`` the model's sensors, here one a body that may not touch the floor: number of contacts in the last substep; undefined from a restart to the next step.
    """

    model: mujoco.MjModel
    num_envs: int
    device: torch.device
    sim_dt: float
    qpos: Tensor
    qvel: Tensor
    touch: Tensor
    force: Tensor
    effort: Tensor

    @property
    def num_overflows(self) -> int:
        """Control steps, summed over simulations, in which contacts were lost because they did not fit a buffer."""
        ...

    def set_state(self, env_ids: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        """Restarts simulations ``env_ids [n]`` (sorted) from ``qpos [n, nq]``, ``qvel [n, nv]``: warm start, time and warnings are cleared.

        Of either the first columns suffice; the rest, such as a prop, is then where the model puts it.
        """
        ...

    def step(self, ctrl: Tensor, num_substeps: int) -> None:
        """Holds targets ``ctrl [N, nu]`` for ``num_substeps`` steps; ``qpos`` and ``qvel`` are current on return."""
        ...

    def get_full_state(self) -> Tensor:
        """A copy ``[N, S]`` (float64) of all that determines the future, warm start included."""
        ...

    def set_full_state(self, state: Tensor) -> None:
        """Restores what `get_full_state` returned; what follows is bit for bit what would have followed then."""
        ...

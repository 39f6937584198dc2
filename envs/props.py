"""Things in a character's world that move: free rigid bodies that tasks put in its way."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
from torch import Tensor

from envs.physics import Physics

NAME = "prop"
AWAY_M = 100.0  # where it waits until it is put somewhere


@dataclass(frozen=True)
class Prop:
    """A box with a free joint.

    Attributes:
        size_m: edges. density: kg/m³.
    """

    size_m: tuple[float, float, float]
    density: float

    def __post_init__(self) -> None:
        if min(*self.size_m, self.density) <= 0:
            raise ValueError(f"prop: got size_m {self.size_m}, density {self.density:g}; expected all of them above 0")

    def add_to(self, spec: mujoco.MjSpec, bodies: list[str]) -> None:
        """Puts the box into a world, behind everything else, with one sensor for its contacts with each of ``bodies``."""
        half = [edge / 2 for edge in self.size_m]
        body = spec.worldbody.add_body(name=NAME, pos=[AWAY_M, 0.0, half[2]])
        body.add_freejoint(name=NAME)
        body.add_geom(name=NAME, type=mujoco.mjtGeom.mjGEOM_BOX, size=half, density=self.density, rgba=[0.79, 0.62, 0.42, 1.0])
        for name in bodies:
            add_contact_sensor(spec, f"{NAME}_{name}", name, NAME)


def add_contact_sensor(spec: mujoco.MjSpec, name: str, body: str, geom: str) -> None:
    """A sensor that counts the contacts between a body and a geom."""
    spec.add_sensor(
        name=name,
        type=mujoco.mjtSensor.mjSENS_CONTACT,
        objtype=mujoco.mjtObj.mjOBJ_BODY,
        objname=body,
        reftype=mujoco.mjtObj.mjOBJ_GEOM,
        refname=geom,
        intprm=[1 << int(mujoco.mjtConDataField.mjCONDATA_FOUND), 0, 1],
    )


class PropState:
    """The prop of every simulation, as the last free body of its model.

    Args:
        physics: simulations of a character with a `Prop`. num_bodies: ``P``, as many as were given to `Prop.add_to`.
    """

    def __init__(self, physics: Physics, num_bodies: int):
        self._physics, self._num_bodies = physics, num_bodies

    @property
    def pos(self) -> Tensor:
        """Centre, ``[N, 3]`` world, m."""
        return self._physics.qpos[:, -7:-4]

    @property
    def quat(self) -> Tensor:
        """Orientation ``wxyz``, ``[N, 4]`` world."""
        return self._physics.qpos[:, -4:]

    @property
    def lin_vel(self) -> Tensor:
        """Velocity of the centre, ``[N, 3]`` world, m/s."""
        return self._physics.qvel[:, -6:-3]

    @property
    def ang_vel_b(self) -> Tensor:
        """Angular velocity, ``[N, 3]`` in its own frame, rad/s."""
        return self._physics.qvel[:, -3:]

    @property
    def touched(self) -> Tensor:
        """Which bodies were in contact with it in the last substep, ``[N, P]`` in skeleton order."""
        return self._physics.touch[:, -self._num_bodies :] > 0

    def put(self, env_ids: Tensor, pos: Tensor, quat: Tensor, lin_vel: Tensor | None = None) -> None:
        """Puts the props of ``env_ids [n]`` (sorted) at ``pos [n, 3]``, ``quat [n, 4]``, moving with ``lin_vel [n, 3]`` or at rest; characters stay where they are and as fast."""
        qpos, qvel = self._physics.qpos[env_ids].clone(), self._physics.qvel[env_ids].clone()
        qpos[:, -7:-4], qpos[:, -4:], qvel[:, -6:] = pos, quat, 0.0
        if lin_vel is not None:
            qvel[:, -6:-3] = lin_vel
        self._physics.set_state(env_ids, qpos, qvel)

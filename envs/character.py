"""`Character`: a compiled MuJoCo model and everything the environment needs to know of it, found by name.

Any humanoid's MJCF can be adopted (`envs.adopt`); for full control write one and a `CharacterSpec`. Nothing else depends on the humanoid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import mujoco
import numpy as np
import torch
from torch import Tensor

from envs.adopt import adopt, cmu_humanoid
from envs.props import Prop, add_contact_sensor
from motions.skeleton import Joint, Skeleton

ASSETS = Path(__file__).parent / "assets"
SKELETONS = Path(__file__).parents[1] / "cfg" / "skeletons"  # maps that tell which body of an adopted character is which


@dataclass(frozen=True)
class CharacterSpec:
    """What the MJCF alone does not say about a character.

    Attributes:
        xml: MJCF file; one tree with a free root joint and at most one ball or hinge joint a body, driven by position actuators in joint order.
        key_bodies: bodies whose positions the discriminator sees.
        foot_bodies: bodies that may touch the floor.
        fall_height_m: a body that touches the floor with its origin below this height has fallen.
        fall_heights_m: exceptions, by body name.
    """

    xml: str
    key_bodies: tuple[str, ...]
    foot_bodies: tuple[str, ...]
    fall_height_m: float = 0.15
    fall_heights_m: tuple[tuple[str, float], ...] = ()


CHARACTERS = {
    "humanoid": CharacterSpec(
        xml=str(ASSETS / "humanoid.xml"),
        key_bodies=("right_hand", "left_hand", "right_foot", "left_foot"),
        foot_bodies=("right_foot", "left_foot"),
        fall_heights_m=(("head", 0.30),),
    ),
    "armed": CharacterSpec(
        xml=str(ASSETS / "armed.xml"),
        key_bodies=("right_hand", "left_hand", "right_foot", "left_foot", "sword", "shield"),
        foot_bodies=("right_foot", "left_foot"),
        fall_heights_m=(("head", 0.30), ("left_lower_arm", 0.32)),
    ),
}


ADOPTED: dict[str, Callable[[], str]] = {"cmu": cmu_humanoid}


@dataclass(frozen=True, eq=False)
class Character:
    """A character ready to simulate.

    Attributes:
        model: compiled model with one floor-contact sensor for each body that may not touch the floor.
        skeleton: its kinematic tree.
        action_offset, action_scale: ``[A]`` radians; an action ``a`` in [-1, 1] targets ``offset + scale * a``.
        key_bodies, foot_bodies: skeleton body indices ``[K]``, ``[2]``.
        fall_bodies: skeleton body indices with a contact sensor, in sensor order. fall_heights: ``[len(fall_bodies)]`` metres.
        default_height_m: root height of the model's rest pose. root_id: index of the root among the model's bodies.
    """

    name: str
    model: mujoco.MjModel
    skeleton: Skeleton
    action_offset: Tensor
    action_scale: Tensor
    key_bodies: Tensor
    foot_bodies: Tensor
    fall_bodies: Tensor
    fall_heights: Tensor
    default_height_m: float
    root_id: int

    @property
    def num_actions(self) -> int:
        return int(self.model.nu)

    @property
    def mass_kg(self) -> float:
        """Of the whole character."""
        return float(self.model.body_subtreemass[self.root_id])

    @property
    def weight_n(self) -> float:
        """Of the whole character, newtons."""
        return self.mass_kg * -float(self.model.opt.gravity[2])

    @cached_property
    def mass_shares(self) -> Tensor:
        """Share of the whole that each body of the skeleton weighs, ``[P]``."""
        mass = torch.tensor(self.model.body_mass[self.root_id :][: len(self.skeleton.body_names)], dtype=torch.float32)
        return mass / mass.sum()

    @cached_property
    def chest_id(self) -> int:
        """Index, among the model's bodies, of the child of the root that carries most: the trunk's next part, with head and arms."""
        children = [body for body in range(self.model.nbody) if self.model.body_parentid[body] == self.root_id]
        return max(children, key=lambda body: float(self.model.body_subtreemass[body]))


def load_character(name: str = "humanoid", sim_dt: float = 1 / 120, spec: CharacterSpec | None = None, prop: Prop | None = None, stiffness: float = 1.0) -> Character:
    """Compiles a character.

    Args:
        name: key of `CHARACTERS` or `ADOPTED`, a path of an MJCF file to adopt (`envs.adopt`), or only a label when ``spec`` is given.
        sim_dt: physics step in seconds.
        prop: a free body beside the character. It stands last in ``qpos``, ``qvel`` and the sensors; skeleton and actuators do not know of it.
        stiffness: factor on stiffness, damping and strength of every joint.

    Raises:
        ValueError: unknown character, missing file, a stiffness that is not positive, or an MJCF without what the environment needs; the message names the element.
    """
    if not stiffness > 0:
        raise ValueError(f"character {name}: stiffness: got {stiffness:g}; expected more than 0")
    mjspec = None
    if spec is None:
        if name in ADOPTED or name.endswith(".xml"):
            adopted = adopt(ADOPTED[name]() if name in ADOPTED else Path(name), SKELETONS, name)
            mjspec, spec = adopted.spec, CharacterSpec(name, adopted.key_bodies, adopted.foot_bodies)
        elif name in CHARACTERS:
            spec = CHARACTERS[name]
        else:
            raise ValueError(f"character {name}: unknown. Available: {', '.join((*CHARACTERS, *ADOPTED))}, or a path that ends in .xml")
    if mjspec is None:
        if not Path(spec.xml).is_file():
            raise ValueError(f"character {name}: file {spec.xml} not found")
        mjspec = mujoco.MjSpec.from_file(spec.xml)
    root = next((j for j in mjspec.joints if j.type == mujoco.mjtJoint.mjJNT_FREE), None)
    floor = next((g for g in mjspec.worldbody.geoms if g.type == mujoco.mjtGeom.mjGEOM_PLANE), None)
    if root is None or floor is None:
        raise ValueError(f"character {name}: {spec.xml} has no {'free root joint' if root is None else 'floor plane'}; expected both")
    bodies = [root.parent.name, *(b.name for b in root.parent.find_all(mujoco.mjtObj.mjOBJ_BODY))]
    for wanted in (*spec.key_bodies, *spec.foot_bodies, *(b for b, _ in spec.fall_heights_m)):
        if wanted not in bodies:
            raise ValueError(f"character {name}: body {wanted}: not in {spec.xml}. Available: {', '.join(bodies)}")
    floor.name = floor.name or "floor"
    fall_bodies = [b for b in bodies if b not in spec.foot_bodies]
    for body in fall_bodies:
        add_contact_sensor(mjspec, f"touch_{body}", body, floor.name)
    if prop is not None:
        prop.add_to(mjspec, bodies)
    model = mjspec.compile()
    model.opt.timestep = sim_dt
    _stiffen(model, stiffness)
    _damp_implicitly(model)
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET  # a diverged state must stay visible
    skeleton = _skeleton(name, model, model.body(bodies[0]).id)
    offset, scale = _action_range(name, model, skeleton)
    index = skeleton.body_names.index
    heights = dict(spec.fall_heights_m)
    return Character(
        name=name,
        model=model,
        skeleton=skeleton,
        action_offset=offset,
        action_scale=scale,
        key_bodies=torch.tensor([index(b) for b in spec.key_bodies]),
        foot_bodies=torch.tensor([index(b) for b in spec.foot_bodies]),
        fall_bodies=torch.tensor([index(b) for b in fall_bodies]),
        fall_heights=torch.tensor([heights.get(b, spec.fall_height_m) for b in fall_bodies]),
        default_height_m=float(model.qpos0[2]),
        root_id=int(model.body(bodies[0]).id),
    )


def _stiffen(model: mujoco.MjModel, factor: float) -> None:
    """Multiplies stiffness, damping and strength of every joint that an actuator drives."""
    model.actuator_gainprm[:, 0] *= factor
    model.actuator_biasprm[:, 1:3] *= factor
    model.actuator_forcerange[:] *= factor
    driven = np.isin(model.dof_jntid, model.actuator_trnid[:, 0])
    model.dof_damping[driven] *= factor


def _damp_implicitly(model: mujoco.MjModel) -> None:
    """Makes steps of ``h`` seconds implicit in joint damping ``D``, contacts included.

    MuJoCo's implicit integrators solve ``(M + h D) dv = h (forces - D v)``, but what contacts must push is reckoned with the inertia ``M`` alone. Position servos damp so
    much that ``h D`` at an ankle is 20 to 30 times the inertia there: contacts then push too little, feet sink by a centimetre and creep at 0.2 m/s. With ``h D`` as rotor
    inertia and explicit steps the motion without contacts is the same, and contacts know of it.
    """
    model.dof_armature += model.opt.timestep * model.dof_damping
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_EULER
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_EULERDAMP


def _skeleton(name: str, model: mujoco.MjModel, root: int) -> Skeleton:
    """The tree below body ``root`` with its joints and bounding points."""
    ids = [b for b in range(model.nbody) if model.body_rootid[b] == root]
    joints = []
    for k, body in enumerate(ids[1:], start=1):
        count, first = int(model.body_jntnum[body]), int(model.body_jntadr[body])
        kinds = {int(mujoco.mjtJoint.mjJNT_BALL): "ball", int(mujoco.mjtJoint.mjJNT_HINGE): "hinge"}
        simple = np.allclose(model.body_quat[body], [1, 0, 0, 0]) and (count == 0 or np.allclose(model.jnt_pos[first], 0))
        if count > 1 or not simple or (count and int(model.jnt_type[first]) not in kinds):
            raise ValueError(
                f"character {name}: body {model.body(body).name}: got {count} joints or a turned frame; "
                "expected at most one ball or hinge joint at the origin of a body that is not rotated"
            )
        if count:
            axis = tuple(float(v) for v in model.jnt_axis[first])
            joints.append(Joint(model.joint(first).name, k, kinds[int(model.jnt_type[first])], axis))  # type: ignore[arg-type]
    bodies, offsets, radii = [], [], []
    for geom in range(model.ngeom):
        if int(model.geom_bodyid[geom]) not in ids or not model.geom_contype[geom]:
            continue
        turn = np.zeros(9)
        mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
        for local, radius in _bounding_points(int(model.geom_type[geom]), model.geom_size[geom]):
            bodies.append(ids.index(int(model.geom_bodyid[geom])))
            offsets.append(model.geom_pos[geom] + turn.reshape(3, 3) @ local)
            radii.append(radius)
    return Skeleton(
        body_names=tuple(model.body(b).name for b in ids),
        parents=tuple(ids.index(int(model.body_parentid[b])) if k else -1 for k, b in enumerate(ids)),
        offsets=torch.tensor(np.array([model.body_pos[b] for b in ids]), dtype=torch.float32),
        joints=tuple(joints),
        point_bodies=torch.tensor(bodies),
        point_offsets=torch.tensor(np.array(offsets), dtype=torch.float32),
        point_radii=torch.tensor(radii, dtype=torch.float32),
    )


def _bounding_points(kind: int, size: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Spheres (centre in the geom's frame, radius) whose hull bounds a primitive geom."""
    if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        return [(np.zeros(3), float(size[0]))]
    if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        return [(np.array([0, 0, s * size[1]]), float(size[0])) for s in (-1, 1)]
    if kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
        return [(sign * axis, 0.0) for axis in np.diag(np.asarray(size)) for sign in (-1, 1)]
    half = np.array([size[0], size[0], size[1]]) if kind == mujoco.mjtGeom.mjGEOM_CYLINDER else np.asarray(size)
    return [(half * np.array([x, y, z]), 0.0) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]


def _action_range(name: str, model: mujoco.MjModel, skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """Centre and half width of position targets in radians, ``[A]`` each.

    A ball joint: centre 0, half width 1.2 times its cone (at most pi), on all three axes. A hinge: centre of its range, half width 0.7 times its range.
    """
    if model.nu != skeleton.num_dofs:
        raise ValueError(f"character {name}: actuators: got {model.nu}; expected {skeleton.num_dofs}, one a degree of freedom in joint order")
    offset, scale = torch.zeros(model.nu), torch.zeros(model.nu)
    for joint, columns in zip(skeleton.joints, skeleton.dof_slices, strict=True):
        driven = {model.joint(int(model.actuator_trnid[a, 0])).name for a in range(columns.start, columns.stop)}
        if driven != {joint.name}:
            raise ValueError(f"character {name}: actuators {columns.start} to {columns.stop - 1}: drive {', '.join(driven)}; expected joint {joint.name}")
        low, high = (float(v) for v in model.joint(joint.name).range)
        if joint.kind == "ball":
            scale[columns] = min(1.2 * high, math.pi)
        else:
            offset[columns], scale[columns] = (low + high) / 2, 0.7 * (high - low)
    return offset, scale

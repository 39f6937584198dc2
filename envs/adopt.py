"""Characters from other people's MJCF: a humanoid in any pose of frames, with any actuators, becomes one that this suite's environment, features and importers know.

What is made of it:

- bodies carry the suite's names where a skeleton map or their own names tell which they are (``lfemur`` is ``left_thigh``); others keep theirs, sides spelled out;
- in the rest pose no body is turned against the world, which is x forward, y left, z up;
- two or three hinges of a body become one ball joint that bounds their ranges, as in the suite's own characters; single hinges stay;
- every joint has position actuators. Their stiffness is that of the model's own position actuators, else of the strength of its motors for a radian; damping is a tenth of the
  stiffness (or what the joint has, if that is more), and the force range holds what damping takes at 10 rad/s besides the strength (see ``assets/humanoid.xml``);
- geoms that touch nothing are left out, and bodies that do not touch each other in their own model, or overlap in its rest pose, do not touch here either.

Nothing but masses, inertias, shapes, frames and joints is taken over; friction and contact settings are the suite's.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from motions.skeleton_map import BODIES, REQUIRED, choose_map, guess_map

STAGE = Path(__file__).parent / "assets" / "humanoid.xml"  # whose floor, lights and materials it stands among
SHAPES = {mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_ELLIPSOID}
FAST_RAD_S = 10.0  # speed at which an actuator still has its strength
MIN_ARMATURE = 0.01  # kg m²
DAMPING_SHARE = 0.1  # of the stiffness, s
MATERIALS = {"head": "accent", "hand": "accent", "foot": "accent", "pelvis": "trunk", "torso": "trunk"}


@dataclass(frozen=True)
class Adopted:
    """A rebuilt model as a specification, and which of its bodies are ``key_bodies`` (hands and feet) and ``foot_bodies`` (feet and what hangs on them)."""

    spec: mujoco.MjSpec
    key_bodies: tuple[str, ...]
    foot_bodies: tuple[str, ...]


def cmu_humanoid() -> str:
    """The CMU humanoid of dm_control with position actuators, as MJCF: 70 kg, the proportions of CMU's motion capture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no display
        from dm_control.locomotion.walkers import cmu_humanoid as walkers
    return walkers.CMUHumanoidPositionControlledV2020().mjcf_model.to_xml_string()


def adopt(source: str | Path, skeletons_dir: str | Path, name: str = "") -> Adopted:
    """Reads an MJCF model with one humanoid.

    Args:
        source: a file, or the text of one. skeletons_dir: skeleton maps to find out which body is which (see `motions.skeleton_map`). name: for messages, if not the file's.

    Raises:
        ValueError: no such file, not MJCF, no single tree of bodies, bodies that no map knows, shapes that cannot be kept, or a joint without an actuator.
    """
    text = isinstance(source, str) and source.lstrip().startswith("<")
    what = f"character {name or source}"
    if not text and not Path(source).is_file():
        raise ValueError(f"{what}: file not found")
    try:
        model = mujoco.MjModel.from_xml_string(source) if text else mujoco.MjModel.from_xml_path(str(source))
    except ValueError as error:
        raise ValueError(f"{what}: not a valid MJCF file: {' '.join(str(error).split())}") from None
    tree = _tree(model, what)
    names = _names(model, tree, skeletons_dir, what)
    data = mujoco.MjData(model)
    data.qpos[:] = model.qpos0
    mujoco.mj_kinematics(model, data)
    turn = _to_forward_left_up(data.xpos, dict(zip(names, tree, strict=True)))
    spec = mujoco.MjSpec.from_file(str(STAGE))
    spec.modelname = name or Path(source).stem
    old = spec.worldbody.find_child("pelvis")
    for actuator in list(spec.actuators):
        spec.delete(actuator)
    spec.delete(old)
    made: dict[int, mujoco.MjsBody] = {}
    joints: list[tuple[str, int, float, float]] = []
    origin: dict[int, NDArray] = {}  # where the new bodies have theirs: at their joints
    for body, name in zip(tree, names, strict=True):
        parent, own = int(model.body_parentid[body]), data.xmat[body].reshape(3, 3)
        anchor = np.zeros(3) if body == tree[0] else _anchor(model, body, what)
        origin[body] = data.xpos[body] + own @ anchor
        place = turn @ (origin[body] - origin[parent]) if made else np.zeros(3)
        made[body] = new = (made[parent] if made else spec.worldbody).add_body(name=name, pos=place)
        frame = turn @ own
        _add_mass(new, model, body, frame, anchor)
        _add_geoms(new, model, body, frame, anchor, name, what)
        if body == tree[0]:
            new.add_freejoint(name="root")
        else:
            joints += _add_joint(new, model, body, frame, name, what)
    for joint, dofs, stiffness, strength in joints:
        for axis in range(dofs):
            suffix = f"_{'xyz'[axis]}" if dofs == 3 else ""
            limit = strength + FAST_RAD_S * float(spec.joint(joint).damping[0])
            servo = spec.add_actuator(name=joint + suffix, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT, forcerange=[-limit, limit], forcelimited=1)
            servo.set_to_position(kp=stiffness)
            servo.gear = [float(axis == k) if dofs == 3 else float(k == 0) for k in range(6)]
    for one, other in _apart(model, tree):
        spec.add_exclude(bodyname1=names[tree.index(one)], bodyname2=names[tree.index(other)])
    made[tree[0]].pos = [0.0, 0.0, _standing_height(spec)]
    feet = [n for body, n in zip(tree, names, strict=True) if any(a.endswith("_foot") for a in _line(model, body, tree, names))]
    hands = [n for n in names if n.endswith("_hand")]
    return Adopted(spec, (*hands, *(n for n in names if n.endswith("_foot"))), tuple(feet))


def _tree(model: mujoco.MjModel, what: str) -> list[int]:
    """Bodies of the largest tree, the root first, in the model's order."""
    roots = [b for b in range(1, model.nbody) if model.body_parentid[b] == 0]
    sizes = {root: int((model.body_rootid == root).sum()) for root in roots}
    if not roots or max(sizes.values()) < len(REQUIRED):
        raise ValueError(f"{what}: got trees of {', '.join(map(str, sizes.values())) or 'no'} bodies; expected one of at least {len(REQUIRED)}: a humanoid")
    root = max(roots, key=lambda r: sizes[r])
    return [b for b in range(1, model.nbody) if model.body_rootid[b] == root]


def _names(model: mujoco.MjModel, tree: Sequence[int], skeletons_dir: str | Path, what: str) -> list[str]:
    """The suite's names of bodies, others with their sides spelled out."""
    own = [model.body(b).name or f"body{b}" for b in tree]
    parents = [tree.index(int(model.body_parentid[b])) if k else -1 for k, b in enumerate(tree)]
    try:
        _, found = choose_map(own, skeletons_dir, parents)
    except ValueError:  # none fits
        found = guess_map(own)
        if missing := [body for body in REQUIRED if body not in found]:
            known = ", ".join(sorted(p.stem for p in Path(skeletons_dir).glob("*.yaml")))
            raise ValueError(f"{what}: no body is known for {', '.join(missing)}; expected names as in a skeleton map ({known}) or the suite's own. Got {', '.join(own)}") from None
    ours = {joint: body for body, joint in found.items()}
    names = [ours.get(name) or _side(name, own) for name in own]
    return [name if names.count(name) == 1 else f"{name}_{k}" for k, name in enumerate(names)]


def _side(name: str, all_names: Sequence[str]) -> str:
    """``ltoes`` as ``left_toes``, if there is an ``rtoes``; names of the suite's own bodies are not given twice."""
    for mark, other, side in (("l", "r", "left_"), ("r", "l", "right_"), ("left", "right", "left_"), ("right", "left", "right_")):
        rest = re.match(rf"{mark}[_.]?(.+)$", name, re.IGNORECASE)
        if rest and any(re.fullmatch(rf"{other}[_.]?{re.escape(rest[1])}", n, re.IGNORECASE) for n in all_names):
            return side + rest[1]
    return f"own_{name}" if name in BODIES else name


def _to_forward_left_up(pos: NDArray, bodies: dict[str, int]) -> NDArray:
    """The rotation ``[3, 3]`` by quarter turns that makes the rest pose face along x, with z up; from places ``pos [bodies, 3]``."""
    left = sum(pos[bodies[f"left_{limb}"]] - pos[bodies[f"right_{limb}"]] for limb in ("thigh", "upper_arm"))
    up = sum(pos[bodies[f"{side}_upper_arm"]] - pos[bodies[f"{side}_foot"]] for side in ("left", "right"))
    rows = []
    for way in (up, left):
        axis = np.zeros(3)
        axis[np.abs(way).argmax()] = np.sign(way[np.abs(way).argmax()])
        rows.append(axis)
    return np.stack((np.cross(rows[1], rows[0]), rows[1], rows[0]))


def _anchor(model: mujoco.MjModel, body: int, what: str) -> NDArray:
    """Where the body's joints are, in its frame, metres."""
    places = model.jnt_pos[int(model.body_jntadr[body]) :][: int(model.body_jntnum[body])]
    if len(places) and not np.allclose(places, places[0], atol=1e-6):
        raise ValueError(f"{what}: body {model.body(body).name}: got joints at {np.round(places, 4).tolist()}; expected all at one place")
    return places[0] if len(places) else np.zeros(3)


def _add_mass(new: mujoco.MjsBody, model: mujoco.MjModel, body: int, frame: NDArray, anchor: NDArray) -> None:
    """The body's own mass and inertia, in the new frame."""
    if model.body_mass[body] <= 0:
        return
    inertial = np.zeros(9)
    mujoco.mju_quat2Mat(inertial, model.body_iquat[body])
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, (frame @ inertial.reshape(3, 3)).reshape(-1))
    new.explicitinertial = 1
    new.mass, new.ipos, new.iquat, new.inertia = float(model.body_mass[body]), frame @ (model.body_ipos[body] - anchor), quat, model.body_inertia[body]


def _add_geoms(new: mujoco.MjsBody, model: mujoco.MjModel, body: int, frame: NDArray, anchor: NDArray, name: str, what: str) -> None:
    """The shapes that can touch something."""
    first, number = int(model.body_geomadr[body]), 0
    for geom in range(first, first + int(model.body_geomnum[body])):
        kind = mujoco.mjtGeom(int(model.geom_type[geom]))
        if not (model.geom_contype[geom] or model.geom_conaffinity[geom]):
            continue
        if kind not in SHAPES:
            raise ValueError(
                f"{what}: body {model.body(body).name}: geom {model.geom(geom).name or geom}: got {kind.name[7:].lower()}; expected sphere, capsule, cylinder, box or ellipsoid"
            )
        turn, quat = np.zeros(9), np.zeros(4)
        mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
        mujoco.mju_mat2Quat(quat, (frame @ turn.reshape(3, 3)).reshape(-1))
        material = next((m for part, m in MATERIALS.items() if name.endswith(part)), "skin")
        new.add_geom(name=f"{name}_{number}" if number else name, type=kind, size=model.geom_size[geom], pos=frame @ (model.geom_pos[geom] - anchor), quat=quat, material=material)
        number += 1


def _add_joint(new: mujoco.MjsBody, model: mujoco.MjModel, body: int, frame: NDArray, name: str, what: str) -> list[tuple[str, int, float, float]]:
    """One joint for all of the body's; its name, degrees of freedom, stiffness and strength. Nothing for a body that is welded to its parent."""
    ids = range(int(model.body_jntadr[body]), int(model.body_jntadr[body]) + int(model.body_jntnum[body])) if model.body_jntnum[body] else ()
    if not ids:
        return []
    for joint in ids:
        kind = mujoco.mjtJoint(int(model.jnt_type[joint]))
        if kind not in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_BALL):
            raise ValueError(f"{what}: body {model.body(body).name}: joint {model.joint(joint).name}: got {kind.name[6:].lower()}; expected hinges or a ball")
    stiffness, strength = max((_drive(model, joint, what) for joint in ids), key=lambda pair: pair[0])
    dofs = [d for joint in ids for d in range(int(model.jnt_dofadr[joint]), int(model.jnt_dofadr[joint]) + (3 if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_BALL else 1))]
    damping, armature = max(DAMPING_SHARE * stiffness, float(model.dof_damping[dofs].max())), max(MIN_ARMATURE, float(model.dof_armature[dofs].max()))
    lone = len(ids) == 1 and model.jnt_type[ids[0]] == mujoco.mjtJoint.mjJNT_HINGE
    if lone:
        low, high = (float(v) for v in model.jnt_range[ids[0]]) if model.jnt_limited[ids[0]] else (-np.pi, np.pi)
        added = new.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=np.round(frame @ model.jnt_axis[ids[0]], 6), range=np.rad2deg([low, high]))
    else:
        widest = [float(np.abs(model.jnt_range[joint]).max()) if model.jnt_limited[joint] else np.pi for joint in ids]
        cone = min(float(np.linalg.norm(widest)), np.pi)  # all hinges at their ends: narrower, and an arm that hangs from a T-pose would be out of reach
        added = new.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_BALL, range=np.rad2deg([0.0, cone]))
    added.limited, added.damping[0], added.armature = 1, damping, armature
    return [(name, 1 if lone else 3, stiffness, strength)]


def _apart(model: mujoco.MjModel, tree: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of bodies that are not to touch: the model excludes them, its collision masks do, or they overlap in its rest pose and would be torn apart."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    overlapping = {tuple(sorted(int(model.geom_bodyid[g]) for g in contact.geom)) for contact in data.contact if contact.dist < 0}
    excluded = {tuple(sorted(divmod(int(pair), 1 << 16))) for pair in model.exclude_signature}
    own, other = np.zeros(model.nbody, dtype=np.int64), np.zeros(model.nbody, dtype=np.int64)  # masks of all geoms of a body
    np.bitwise_or.at(own, model.geom_bodyid, model.geom_contype)
    np.bitwise_or.at(other, model.geom_bodyid, model.geom_conaffinity)
    apart = overlapping | excluded
    return [(a, b) for a, b in combinations(sorted(tree), 2) if (a, b) in apart or not (own[a] & other[b] or own[b] & other[a])]


def _drive(model: mujoco.MjModel, joint: int, what: str) -> tuple[float, float]:
    """Stiffness (N m/rad) and strength (N m) of what drives a joint."""
    for a in range(model.nu):
        if model.actuator_trntype[a] != mujoco.mjtTrn.mjTRN_JOINT or model.actuator_trnid[a, 0] != joint:
            continue
        gear = float(np.abs(model.actuator_gear[a, :3]).max())
        force = float(np.abs(model.actuator_forcerange[a]).max()) if model.actuator_forcelimited[a] else np.inf
        stiffness = -float(model.actuator_biasprm[a, 1]) * gear**2
        if stiffness <= 0:  # a motor
            control = float(np.abs(model.actuator_ctrlrange[a]).max()) if model.actuator_ctrllimited[a] else 1.0
            strength = gear * min(force, control * float(model.actuator_gainprm[a, 0]))
            return strength, strength
        return stiffness, gear * force if np.isfinite(force) else stiffness
    raise ValueError(f"{what}: joint {model.joint(joint).name}: no actuator; expected a motor or position actuator for every joint")


def _standing_height(spec: mujoco.MjSpec) -> float:
    """Height of the root at which the rest pose just touches the floor."""
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    low = 0.0
    for geom in range(model.ngeom):
        if model.geom_bodyid[geom] == 0:
            continue
        up = data.geom_xmat[geom].reshape(3, 3)[2]
        size, kind = model.geom_size[geom], int(model.geom_type[geom])
        if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
            reach = size[0]
        elif kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
            reach = size[0] + abs(up[2]) * size[1]
        elif kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
            reach = float(np.linalg.norm(up * size))
        else:
            reach = float(np.abs(up) @ (size if kind == mujoco.mjtGeom.mjGEOM_BOX else np.array([size[0], size[0], size[1]])))
        low = min(low, float(data.geom_xpos[geom, 2]) - reach)
    return -low


def _line(model: mujoco.MjModel, body: int, tree: Sequence[int], names: Sequence[str]) -> list[str]:
    """Names of a body and all that it hangs on."""
    line = []
    while body in tree:
        line.append(names[tree.index(body)])
        body = int(model.body_parentid[body])
    return line

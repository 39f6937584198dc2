"""Inverse kinematics over a motion with mink: the one module of ``motions/`` that knows a simulator (its kinematics only).

Shapes: ``T`` frames, ``P`` bodies, ``J`` joints of the character, ``B`` bodies with a target, ``nq``/``nv`` MuJoCo's positions and velocities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import mink
import mujoco
import numpy as np

from motions.skeleton import Skeleton

MAX_ERROR, MAX_STEP = 0.5, 0.5  # metres or radians in an iteration
FIRST_REACH_ITERATIONS, REACH_ITERATIONS, REACH_STEP = 150, 10, 0.2  # of a motion's first frame, of later ones; metres or radians in one
LIMIT_MARGIN_RAD = 1e-4  # kept from joint limits, so that single precision cannot leave them
Model: TypeAlias = mujoco.MjModel


class BodyPoses(mink.Task):
    """Places and orientations of many bodies as one task in world axes, so that an iteration costs one call.

    The error of a body is ``[p - p*, log(R R*^T)]``, each part cut to a length of `MAX_ERROR` (what cannot be reached must not drown the rest), and its Jacobian
    MuJoCo's ``[jacp, jacr]``; parts without cost have no effect.

    Args:
        bodies: ``B`` MuJoCo body ids. pos_cost, rot_cost: ``[B]`` costs per metre and per radian; 0 leaves a part out.
    """

    def __init__(self, model: Model, bodies: list[int], pos_cost: np.ndarray, rot_cost: np.ndarray):
        super().__init__(cost=np.stack((pos_cost, rot_cost), axis=1).repeat(3, axis=1).reshape(-1))
        self.model, self.bodies = model, np.array(bodies)
        self.pos, self.quat = np.zeros((len(bodies), 3)), np.tile([1.0, 0.0, 0.0, 0.0], (len(bodies), 1))
        self._jac = np.zeros((len(bodies), 2, 3, model.nv))
        self._error = np.zeros((len(bodies), 2, 3))

    def compute_error(self, configuration: mink.Configuration) -> np.ndarray:
        data = configuration.data
        self._error[:, 0] = data.xpos[self.bodies] - self.pos
        self._error[:, 1] = _log_between(data.xquat[self.bodies], self.quat)
        length = np.sqrt((self._error**2).sum(axis=2, keepdims=True))
        return (self._error * np.minimum(1.0, MAX_ERROR / np.maximum(length, 1e-12))).reshape(-1)

    def compute_jacobian(self, configuration: mink.Configuration) -> np.ndarray:
        for jac, body in zip(self._jac, self.bodies, strict=True):
            mujoco.mj_jacBody(self.model, configuration.data, jac[0], jac[1], body)
        return self._jac.reshape(-1, self.model.nv)


def _log_between(q: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Rotation vectors in world axes from ``target [B, 4]`` to ``q [B, 4]``, ``[B, 3]``."""
    a, x, y, z = q.T
    b, u, v, w = target.T
    dot = a * b + x * u + y * v + z * w
    vec = np.stack((b * x - a * u + z * v - y * w, b * y - a * v + x * w - z * u, b * z - a * w + y * u - x * v), axis=1)
    sin = np.sqrt((vec * vec).sum(axis=1))
    angle = 2 * np.arctan2(sin, np.abs(dot))
    return vec * (np.where(dot < 0, -1.0, 1.0) * np.where(sin > 1e-9, angle / np.maximum(sin, 1e-12), 2.0))[:, None]


@dataclass(frozen=True)
class IkSettings:
    """How hard a frame is worked on.

    Attributes:
        first_iterations: at most for a motion's first frame, which starts from the rest pose. iterations: at most for each later one.
        step_rad: a frame is done when no joint moves further than this. damping: what a step costs (unit cost per radian or metre, squared).
    """

    first_iterations: int = 60
    iterations: int = 6
    step_rad: float = 4e-3
    damping: float = 1e-3


def solve(model: Model, task: BodyPoses, pos: np.ndarray, quat: np.ndarray, start: np.ndarray, settings: IkSettings, hinges: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
    """Positions ``[T, nq]`` that follow targets within the joint limits.

    Args:
        pos, quat: ``[T, B, 3]``, ``[T, B, 4]`` targets of the task's bodies.
        start: ``[nq]`` for the first frame, each later one then starts from the one before; or ``[T, nq]`` for each.
        hinges: by joint name, angles ``[T]`` with which frames start instead. A limb that is stretched out has no gradient that would bend it.
    """
    configuration, limit = mink.Configuration(model), mink.ConfigurationLimit(model, min_distance_from_limits=LIMIT_MARGIN_RAD)
    clamp = limits_of(model)
    known = np.array([model.joint(name).qposadr[0] for name in hinges or {}], dtype=int)
    angles = np.stack(list(hinges.values()), axis=1) if hinges else np.zeros((len(pos), 0))
    out = np.empty((len(pos), model.nq))
    for t in range(len(pos)):
        task.pos, task.quat = pos[t], quat[t]
        q = start[t].copy() if start.ndim == 2 else start.copy() if t == 0 else out[t - 1].copy()
        q[known] = angles[t]
        configuration.update(clamp.apply(q))
        for _ in range(settings.first_iterations if t == 0 else settings.iterations):
            if _advance(configuration, [task], [limit], clamp, settings.damping, MAX_STEP) < settings.step_rad:
                break
        out[t] = configuration.q
    return out


def _advance(configuration: mink.Configuration, tasks: Sequence[mink.Task], limits: Sequence[mink.Limit], clamp: JointLimits, damping: float, longest: float) -> float:
    """One iteration, cut to moves of ``longest`` (metres or radians); the largest move before that."""
    step = mink.solve_ik(configuration, tasks, 1.0, "daqp", damping, limits=limits)
    size = float(np.abs(step).max())
    configuration.update(clamp.apply(configuration.integrate(step, min(1.0, longest / max(size, 1e-12)))))
    return size


def reach(
    model: Model, start: np.ndarray, hand: str, place: np.ndarray, feet: Sequence[str], upright: Sequence[str], apart: tuple[Sequence[str], Sequence[str]]
) -> tuple[np.ndarray, float]:
    """Poses ``[T, nq]`` like those of ``start [T, nq]`` with the origin of the body ``hand`` at ``place [3]`` of the world, m, and the furthest it stays away, m.

    Feet keep their poses, the centre of mass its place above the floor and the bodies ``upright`` their orientation, as well as can be. Joints keep to their limits; the geoms
    ``apart[0]`` do not enter the geoms ``apart[1]``.
    """
    configuration, clamp = mink.Configuration(model), limits_of(model)
    kept: list[mink.FrameTask | mink.ComTask] = [mink.FrameTask(foot, "body", position_cost=10.0, orientation_cost=10.0) for foot in feet]
    kept += [mink.FrameTask(body, "body", position_cost=0.0, orientation_cost=0.3) for body in upright]
    kept.append(mink.ComTask(np.array([3.0, 3.0, 0.0])))
    grip, posture = mink.FrameTask(hand, "body", position_cost=3.0, orientation_cost=0.0), mink.PostureTask(model, 0.05)
    grip.set_target(mink.SE3.from_translation(place))
    limits = [mink.ConfigurationLimit(model, min_distance_from_limits=LIMIT_MARGIN_RAD), mink.CollisionAvoidanceLimit(model, [apart])]
    out, miss = np.empty_like(start), 0.0
    for t, pose in enumerate(start):
        configuration.update(pose)
        for task in kept:
            task.set_target_from_configuration(configuration)
        posture.set_target(pose)
        configuration.update(out[t - 1] if t else pose)
        for _ in range(REACH_ITERATIONS if t else FIRST_REACH_ITERATIONS):
            _advance(configuration, [*kept, grip, posture], limits, clamp, IkSettings.damping, REACH_STEP)
        out[t] = configuration.q
        miss = max(miss, float(np.linalg.norm(configuration.data.body(hand).xpos - place)))
    return out, miss


@dataclass(frozen=True, eq=False)
class JointLimits:
    """Limits of ball joints (cones about the rest pose) and hinges by their places in ``qpos``: ``[K]`` addresses and angles in radians."""

    balls: np.ndarray
    cones: np.ndarray
    hinges: np.ndarray
    ranges: np.ndarray

    def apply(self, q: np.ndarray) -> np.ndarray:
        """``q [nq]`` with every joint moved to the nearest rotation within its limit, by `LIMIT_MARGIN_RAD` inside."""
        q = q.copy()
        q[self.hinges] = np.minimum(np.maximum(q[self.hinges], self.ranges[:, 0] + LIMIT_MARGIN_RAD), self.ranges[:, 1] - LIMIT_MARGIN_RAD)
        for k in np.flatnonzero(np.abs(q[self.balls]) < np.cos((self.cones - LIMIT_MARGIN_RAD) / 2)):
            at, half = self.balls[k], (self.cones[k] - LIMIT_MARGIN_RAD) / 2
            axis = q[at + 1 : at + 4] * (1.0 if q[at] >= 0 else -1.0)
            q[at : at + 4] = [np.cos(half), *(np.sin(half) * axis / np.linalg.norm(axis))]
        return q

    def room(self, q: np.ndarray) -> np.ndarray:
        """How far joints of ``q [T, nq]`` are from their limits, radians ``[T, balls + hinges]``; negative outside."""
        quat = q[:, self.balls[:, None] + np.arange(4)]
        angle = 2 * np.arctan2(np.linalg.norm(quat[..., 1:], axis=-1), np.abs(quat[..., 0]))
        turn = q[:, self.hinges]
        return np.concatenate((self.cones - angle, np.minimum(self.ranges[:, 1] - turn, turn - self.ranges[:, 0])), axis=1)


def limits_of(model: Model) -> JointLimits:
    """The limits of a model's ball and hinge joints."""
    kinds = {}
    for name, kind in (("ball", mujoco.mjtJoint.mjJNT_BALL), ("hinge", mujoco.mjtJoint.mjJNT_HINGE)):
        kinds[name] = np.flatnonzero((model.jnt_type == kind) & (model.jnt_limited != 0))
    balls, hinges = kinds["ball"], kinds["hinge"]
    return JointLimits(model.jnt_qposadr[balls], model.jnt_range[balls, 1], model.jnt_qposadr[hinges], model.jnt_range[hinges].reshape(-1, 2))


def joint_ranges(model: Model, skeleton: Skeleton) -> dict[str, tuple[float, float]]:
    """Lower and upper limit in radians of each limited joint, by name; a ball's upper one is its cone."""
    joints = [model.joint(joint.name) for joint in skeleton.joints]
    return {joint.name: (float(joint.range[0]), float(joint.range[1])) for joint in joints if model.jnt_limited[joint.id]}


def body_ids(model: Model, skeleton: Skeleton) -> list[int]:
    """MuJoCo's id of each body of the skeleton."""
    return [int(model.body(name).id) for name in skeleton.body_names]


def bending_sign(model: Model, hinge: str) -> float:
    """The direction in which a hinge goes further from its rest: 1 or -1."""
    return 1.0 if model.joint(hinge).range.sum() >= 0 else -1.0


def pack(model: Model, skeleton: Skeleton, root_pos: np.ndarray, root_quat: np.ndarray, joint_quat: np.ndarray) -> np.ndarray:
    """Poses ``[T, 3]``, ``[T, 4]``, ``[T, J, 4]`` as ``qpos [T, nq]``."""
    q = np.tile(model.qpos0, (len(root_pos), 1))
    q[:, :3], q[:, 3:7] = root_pos, root_quat
    for k, joint in enumerate(skeleton.joints):
        at = int(model.joint(joint.name).qposadr[0])
        if joint.kind == "ball":
            q[:, at : at + 4] = joint_quat[:, k]
        else:
            turn = 2 * np.arctan2(joint_quat[:, k, 1:] @ np.array(joint.axis), joint_quat[:, k, 0])
            q[:, at] = (turn + np.pi) % (2 * np.pi) - np.pi
    return q


def unpack(model: Model, skeleton: Skeleton, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``qpos [T, nq]`` as ``root_pos [T, 3]``, ``root_quat [T, 4]``, ``joint_quat [T, J, 4]``."""
    joint_quat = np.zeros((len(q), len(skeleton.joints), 4))
    for k, joint in enumerate(skeleton.joints):
        at = int(model.joint(joint.name).qposadr[0])
        if joint.kind == "ball":
            joint_quat[:, k] = q[:, at : at + 4]
        else:
            joint_quat[:, k, 0], joint_quat[:, k, 1:] = np.cos(q[:, at] / 2), np.sin(q[:, at] / 2)[:, None] * np.array(joint.axis)
    return q[:, :3].copy(), q[:, 3:7].copy(), joint_quat

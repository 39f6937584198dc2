"""Clips given by formulas, on any skeleton: tests know every position and velocity, and a training can be tried without data.

``t`` is seconds from the start; joints that a formula does not name stay at zero. Unless said otherwise the root faces x and stands at ``height_m``.
"""

from __future__ import annotations

import numpy as np
import torch

from motions.clip import Clip, make_clip
from motions.rotations import quat_exp, quat_mul
from motions.skeleton import Skeleton

LICENSE = "none needed: computed from a formula"
KNEE_RAD, ELBOW_RAD, ARM_OUT_RAD = 0.12, 0.35, 0.15  # of someone who stands at ease
SWAY_M, BREATH_RAD = 0.012, 0.02


def constant_velocity(
    skeleton: Skeleton, velocity: tuple[float, float, float] = (1.0, 0.0, 0.0), height_m: float = 0.9, duration_s: float = 1.0, fps: float = 30.0, loop: str = "wrap"
) -> Clip:
    """The rest pose moving straight: ``root_pos(t) = (0, 0, height_m) + velocity * t``. Exact at any time, not only at frames."""
    t = _times(duration_s, fps)
    root_pos = np.array([0.0, 0.0, height_m]) + t * np.array(velocity)
    return _clip("constant_velocity", skeleton, fps, loop, root_pos, np.zeros((len(t), 3)), {})


def circle(skeleton: Skeleton, speed_mps: float = 1.0, yaw_rate: float = 0.5, height_m: float = 0.9, duration_s: float = 1.0, fps: float = 30.0, loop: str = "wrap") -> Clip:
    """The rest pose moving forward and turning left: ``root_pos(t) = (r sin(w t), r (1 - cos(w t)), height_m)`` with ``w = yaw_rate`` in rad/s and
    ``r = speed_mps / w``; the root's yaw is ``w t``, at any time. Positions are exact at frames, those of later cycles included."""
    t = _times(duration_s, fps)
    radius = speed_mps / yaw_rate
    root_pos = np.concatenate((radius * np.sin(yaw_rate * t), radius * (1 - np.cos(yaw_rate * t)), 0 * t + height_m), axis=1)
    return _clip("circle", skeleton, fps, loop, root_pos, t * np.array([0.0, 0.0, yaw_rate]), {})


def constant_spin(
    skeleton: Skeleton,
    rates: dict[str, tuple[float, float, float]],
    starts: dict[str, tuple[float, float, float]] | None = None,
    height_m: float = 0.9,
    duration_s: float = 1.0,
    fps: float = 30.0,
    loop: str = "none",
) -> Clip:
    """Rotations at constant rates: ``rotation(t) = exp(rate * t) exp(start)``. Exact at any time.

    The angular velocity is ``rate`` in the parent's frame (the world for the root) and ``exp(-start) rate`` in the joint's own.

    Args:
        rates: rad/s by joint name, in the parent's frame; the name ``"root"`` turns the root in the world.
        starts: rotation vectors in radians by name; zero where left out.
    """
    t = _times(duration_s, fps)
    turns = {name: t * np.array(rate) for name, rate in rates.items()}
    root_pos = np.tile([0.0, 0.0, height_m], (len(t), 1))
    return _clip("constant_spin", skeleton, fps, loop, root_pos, turns.pop("root", np.zeros((len(t), 3))), turns, starts)


def sine_gait(
    skeleton: Skeleton,
    speed_mps: float = 1.0,
    amplitude_rad: float = 0.4,
    period_s: float = 1.0,
    bob_m: float = 0.02,
    height_m: float = 0.9,
    duration_s: float = 2.0,
    fps: float = 30.0,
    loop: str = "wrap",
) -> Clip:
    """Every joint swings about its y axis while the root moves along x and bobs at twice the rate.

    With ``w = 2 pi / period_s``: ``root_pos(t) = (speed_mps t, 0, height_m + bob_m cos(2 w t))``; joint ``k`` of the skeleton is turned about y by
    ``amplitude_rad sin(w t + pi k)``, so that neighbours swing against each other. Exact at frames.
    """
    t = _times(duration_s, fps)
    w = 2 * np.pi / period_s
    root_pos = np.concatenate((speed_mps * t, 0 * t, height_m + bob_m * np.cos(2 * w * t)), axis=1)
    swing = {name: amplitude_rad * np.sin(w * t + np.pi * k) * np.array([0.0, 1.0, 0.0]) for k, name in enumerate(skeleton.joint_names)}
    return _clip("sine_gait", skeleton, fps, loop, root_pos, np.zeros((len(t), 3)), swing)


def standing(skeleton: Skeleton, thigh_m: float, shin_m: float, height_m: float, duration_s: float = 4.0, fps: float = 30.0) -> Clip:
    """Someone who stands at ease and breathes: knees and elbows a little bent, arms beside the body, weight shifting from foot to foot; feet flat and where they are.

    Thighs lean by ``hip = KNEE shin / (thigh + shin)`` and shins by ``KNEE - hip``, so that ankles stay below the hips to first order; ``sway_m = SWAY_M sin(w t)`` sideways with
    ``w = 2 pi / duration_s`` turns both legs by ``sway_m / leg`` about x, and both ankles back. The chest rises twice a cycle.

    Args:
        thigh_m, shin_m: hip to knee and knee to ankle. height_m: of the root with straight legs.

    Raises:
        ValueError: the skeleton lacks a joint of the suite's humanoid.
    """
    t = _times(duration_s, fps)
    w, leg = 2 * np.pi / duration_s, thigh_m + shin_m
    hip = KNEE_RAD * shin_m / leg
    shin = KNEE_RAD - hip
    lean = SWAY_M * np.sin(w * t) / leg
    breath = BREATH_RAD * np.sin(2 * w * t)
    x, y = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    turns = {"abdomen": -0.5 * breath * y, "neck": 0.5 * breath * y}
    for side, out in (("left", 1), ("right", -1)):
        turns[f"{side}_hip"] = lean * x - hip * y + 0 * t
        turns[f"{side}_knee"] = KNEE_RAD * y + 0 * t
        turns[f"{side}_ankle"] = -lean * x - shin * y + 0 * t
        turns[f"{side}_shoulder"] = out * (ARM_OUT_RAD + 0.5 * breath) * x
        turns[f"{side}_elbow"] = (-ELBOW_RAD + breath) * y
    drop = thigh_m * (1 - np.cos(hip)) + shin_m * (1 - np.cos(shin))
    root_pos = np.concatenate((0 * t, -SWAY_M * np.sin(w * t), 0 * t + height_m - drop), axis=1)
    return _clip("stand", skeleton, fps, "wrap", root_pos, np.zeros((len(t), 3)), turns)


def _times(duration_s: float, fps: float) -> np.ndarray:
    """Frame times in seconds as a column, ``[T, 1]``, both ends included."""
    return np.arange(round(duration_s * fps) + 1)[:, None] / fps


def _clip(
    name: str,
    skeleton: Skeleton,
    fps: float,
    loop: str,
    root_pos: np.ndarray,
    root_turn: np.ndarray,
    joint_turns: dict[str, np.ndarray],
    starts: dict[str, tuple[float, float, float]] | None = None,
) -> Clip:
    """A clip from positions ``[T, 3]`` in metres and rotation vectors ``[T, 3]`` in radians, each after the rotation it starts with."""
    starts = starts or {}
    unknown = [joint for joint in (*joint_turns, *starts) if joint not in ("root", *skeleton.joint_names)]
    if unknown:
        raise ValueError(f"clip {name}: joint {unknown[0]}: not in the skeleton. Available: root, {', '.join(skeleton.joint_names)}")
    names, still = ("root", *skeleton.joint_names), np.zeros_like(root_pos)
    turns = np.stack([root_turn, *(joint_turns.get(joint, still) for joint in skeleton.joint_names)], axis=1)  # [T, 1 + J, 3]
    first = np.array([starts.get(part, (0.0, 0.0, 0.0)) for part in names])
    quats = quat_mul(quat_exp(torch.from_numpy(turns)), quat_exp(torch.from_numpy(first))).numpy()
    return make_clip(
        name=name,
        fps=fps,
        loop=loop,
        root_pos=root_pos,
        root_quat=quats[:, 0],
        joint_names=skeleton.joint_names,
        joint_quat=quats[:, 1:],
        source="motions.synthetic",
        license=LICENSE,
    )

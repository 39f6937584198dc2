"""Inverse kinematics: errors and Jacobians against MuJoCo and finite differences, limits by hand."""

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest
import torch

from motions import ik
from motions.rotations import quat_conj, quat_exp, quat_log, quat_mul
from tests.motions.rigs import gait


@pytest.fixture
def model(character):
    return character.model


@pytest.fixture
def pose(model):
    q = model.qpos0.copy()
    rng = np.random.default_rng(0)
    mujoco.mj_integratePos(model, q, 0.3 * rng.normal(size=model.nv), 1.0)
    return q


def configuration(model, q):
    import mink

    return mink.Configuration(model, q)


def test_the_error_points_away_from_the_target(model, pose):
    task = ik.BodyPoses(model, [3], np.ones(1), np.ones(1))
    now = configuration(model, pose)
    turn = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    task.pos = now.data.xpos[[3]] - [[0.1, -0.2, 0.05]]
    task.quat = quat_mul(quat_exp(-turn), torch.from_numpy(now.data.xquat[[3]])).numpy()
    np.testing.assert_allclose(task.compute_error(now), [0.1, -0.2, 0.05, 0.1, -0.2, 0.3], atol=1e-9)
    task.quat = -task.quat
    np.testing.assert_allclose(task.compute_error(now)[3:], [0.1, -0.2, 0.3], atol=1e-9)


def test_large_errors_are_cut(model, pose):
    task = ik.BodyPoses(model, [3], np.ones(1), np.ones(1))
    now = configuration(model, pose)
    task.pos, task.quat = now.data.xpos[[3]] + [[0.0, 3.0, 4.0]], now.data.xquat[[3]].copy()
    np.testing.assert_allclose(task.compute_error(now)[:3], [0.0, -0.3, -0.4], atol=1e-9)


def test_the_jacobian_is_the_errors_derivative(model, pose):
    bodies = [2, 5, 9]
    task = ik.BodyPoses(model, bodies, np.ones(3), np.ones(3))
    now = configuration(model, pose)
    task.pos, task.quat = now.data.xpos[bodies].copy(), now.data.xquat[bodies].copy()  # the orientation part is exact at the target
    jacobian = task.compute_jacobian(now).copy()
    step, numeric = 1e-6, np.empty_like(jacobian)
    for k in range(model.nv):
        q = pose.copy()
        mujoco.mj_integratePos(model, q, step * np.eye(model.nv)[k], 1.0)
        numeric[:, k] = task.compute_error(configuration(model, q)) / step
    np.testing.assert_allclose(jacobian, numeric, atol=1e-5)


def test_log_between_is_the_left_difference():
    torch.manual_seed(0)
    a, b = (quat_exp(torch.randn(40, 3, dtype=torch.float64)) for _ in range(2))
    expected = quat_log(quat_mul(a, quat_conj(b)))
    np.testing.assert_allclose(ik._log_between(a.numpy(), b.numpy()), expected.numpy(), atol=1e-12)


def test_solving_reaches_a_pose_that_can_be_reached(model, skeleton, pose):
    pose[:3] = [1.0, 2.0, 0.8]
    pose = ik.limits_of(model).apply(pose)
    there = configuration(model, pose)
    bodies = ik.body_ids(model, skeleton)
    task = ik.BodyPoses(model, bodies, np.ones(15), np.ones(15))
    pos, quat = there.data.xpos[bodies].copy(), there.data.xquat[bodies].copy()
    q = ik.solve(model, task, pos[None].repeat(2, 0), quat[None].repeat(2, 0), model.qpos0, ik.IkSettings(step_rad=1e-6))
    for row in q:
        np.testing.assert_allclose(configuration(model, row).data.xpos[bodies], pos, atol=1e-3)


def test_limits_by_hand(model):
    limits = ik.limits_of(model)
    q = np.tile(model.qpos0, (2, 1))
    ankle, knee = (int(model.joint(name).qposadr[0]) for name in ("left_ankle", "left_knee"))
    axis = np.array([0.6, 0.0, -0.8])
    q[1, ankle : ankle + 4] = [-math.cos(0.6), *(-math.sin(0.6) * axis)]  # 1.2 rad, the quaternion's other sign
    q[1, knee] = -0.25
    room = limits.room(q)
    assert room[1].min() == pytest.approx(-0.25)
    assert sorted(room[1])[1] == pytest.approx(math.radians(55) - 1.2)
    assert room[0].min() == pytest.approx(0.0)  # knees and elbows rest at the end of their range
    held = limits.apply(q[1])
    assert held[knee] == pytest.approx(ik.LIMIT_MARGIN_RAD)
    got = quat_log(torch.from_numpy(held[ankle : ankle + 4]))
    np.testing.assert_allclose(got, (math.radians(55) - ik.LIMIT_MARGIN_RAD) * axis, atol=1e-9)
    assert limits.room(held[None]).min() == pytest.approx(ik.LIMIT_MARGIN_RAD)
    q[1, knee] = 3.0
    assert limits.apply(q[1])[knee] == pytest.approx(math.radians(160) - ik.LIMIT_MARGIN_RAD)


def test_ranges_by_name(model, skeleton):
    ranges = ik.joint_ranges(model, skeleton)
    assert ranges.keys() == set(skeleton.joint_names)
    assert ranges["left_elbow"] == pytest.approx((math.radians(-160), 0.0))
    assert ranges["neck"] == pytest.approx((0.0, math.radians(60)))
    assert (ik.bending_sign(model, "left_elbow"), ik.bending_sign(model, "left_knee")) == (-1.0, 1.0)


def test_packing_is_undone_by_unpacking(model, skeleton):
    clip = gait(skeleton)
    parts = [part.numpy() for part in clip.poses_on(skeleton)]
    q = ik.pack(model, skeleton, *parts)
    assert q[3, model.joint("left_elbow").qposadr[0]] < 0 < q[3, model.joint("left_knee").qposadr[0]]
    for got, wanted in zip(ik.unpack(model, skeleton, q), parts, strict=True):
        np.testing.assert_allclose(np.abs((got * wanted).sum(-1)), (wanted * wanted).sum(-1), atol=1e-12)
    pos, _ = skeleton.forward_kinematics(*(torch.from_numpy(p) for p in parts))
    np.testing.assert_allclose(configuration(model, q[5]).data.xpos[ik.body_ids(model, skeleton)], pos[5], atol=1e-6)


def test_a_hinge_turns_alike_under_either_sign_of_a_quaternion(model, skeleton):
    root_pos, root_quat, joint_quat = (part.numpy() for part in gait(skeleton).poses_on(skeleton))
    hinges = [int(model.joint(joint.name).qposadr[0]) for joint in skeleton.joints if joint.kind == "hinge"]
    plain, other = (ik.pack(model, skeleton, root_pos, root_quat, sign * joint_quat)[:, hinges] for sign in (1.0, -1.0))
    np.testing.assert_allclose(other, plain, atol=1e-12)

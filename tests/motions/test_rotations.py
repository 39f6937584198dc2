"""Quaternion algebra against MuJoCo's own routines and against definitions."""

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest
import torch

from motions import rotations as R


@pytest.fixture
def q(rng) -> torch.Tensor:
    return R.quat_normalize(torch.randn(64, 4, generator=rng, dtype=torch.float64))


@pytest.fixture
def p(rng) -> torch.Tensor:
    torch.manual_seed(1)
    return R.quat_normalize(torch.randn(64, 4, dtype=torch.float64))


@pytest.fixture
def v() -> torch.Tensor:
    torch.manual_seed(2)
    return torch.randn(64, 3, dtype=torch.float64)


def by_mujoco(size: int, function, *columns: torch.Tensor) -> torch.Tensor:
    """Applies ``function(result, *rows)`` of MuJoCo to every row."""
    rows = []
    for row in zip(*(c.numpy() for c in columns), strict=True):
        out = np.zeros(size)
        function(out, *row)
        rows.append(out)
    return torch.from_numpy(np.array(rows))


def test_product_is_mujocos(q, p):
    torch.testing.assert_close(R.quat_mul(q, p), by_mujoco(4, mujoco.mju_mulQuat, q, p))


def test_product_broadcasts(q, p):
    torch.testing.assert_close(R.quat_mul(q.unsqueeze(1), p[:3])[5, 2], R.quat_mul(q[5], p[2]))


def test_conjugate_is_mujocos(q):
    torch.testing.assert_close(R.quat_conj(q), by_mujoco(4, mujoco.mju_negQuat, q))


def test_rotation_of_a_vector_is_mujocos(q, v):
    torch.testing.assert_close(R.quat_rotate(q, v), by_mujoco(3, mujoco.mju_rotVecQuat, v, q))


def test_inverse_rotation_undoes_rotation(q, v):
    torch.testing.assert_close(R.quat_rotate_inverse(q, R.quat_rotate(q, v)), v)


def test_matrix_is_mujocos(q):
    torch.testing.assert_close(R.quat_to_mat(q).flatten(1), by_mujoco(9, mujoco.mju_quat2Mat, q))


def test_tan_norm_is_the_rotated_x_axis_then_the_rotated_z_axis(q):
    mat = R.quat_to_mat(q)
    torch.testing.assert_close(R.quat_to_tan_norm(q), torch.cat((mat[..., 0], mat[..., 2]), dim=-1))


def test_log_is_mujocos(q):
    torch.testing.assert_close(R.quat_log(q), by_mujoco(3, lambda out, row: mujoco.mju_quat2Vel(out, row, 1.0), q))


def test_exp_is_mujocos(v):
    angle = v.norm(dim=-1)
    expected = by_mujoco(4, mujoco.mju_axisAngle2Quat, v / angle.unsqueeze(-1), angle)
    torch.testing.assert_close(R.quat_exp(v), expected)
    torch.testing.assert_close(R.axis_angle_quat(v / angle.unsqueeze(-1), angle), expected)


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-7, 1e-4, 0.1, 1.0, 3.1])
def test_log_undoes_exp(v, size):
    turn = size * v / v.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(R.quat_log(R.quat_exp(turn)), turn, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("size", [1e-5, 1e-3, 0.5])
def test_log_is_accurate_in_single_precision(v, size):
    turn = (size * v / v.norm(dim=-1, keepdim=True)).float()
    torch.testing.assert_close(R.quat_log(R.quat_exp(turn)), turn, rtol=1e-5, atol=0.0)


def test_log_is_the_same_for_both_signs_of_a_quaternion(q):
    torch.testing.assert_close(R.quat_log(-q), R.quat_log(q))


def test_normalize_keeps_direction(q):
    torch.testing.assert_close(R.quat_normalize(3.7 * q), q)


def test_slerp_starts_at_a_and_ends_at_b(q, p):
    for blend, end in ((0.0, q), (1.0, p)):
        got = R.quat_slerp(q, p, torch.full((64, 1), blend, dtype=torch.float64))
        torch.testing.assert_close(R.quat_to_mat(got), R.quat_to_mat(end))


def test_slerp_turns_at_a_constant_rate_along_the_shorter_arc(q, p):
    for a, b in ((q, p), (q, -p)):
        whole = R.quat_log(R.quat_mul(R.quat_conj(q), p))
        for blend in (0.1, 0.5, 0.8):
            got = R.quat_slerp(a, b, torch.full((64, 1), blend, dtype=torch.float64))
            torch.testing.assert_close(R.quat_log(R.quat_mul(R.quat_conj(a), got)), blend * whole)


def test_slerp_between_close_rotations(q):
    b = R.quat_mul(q, R.quat_exp(torch.tensor([0.0, 0.0, 1e-6], dtype=torch.float64)))
    half = R.quat_slerp(q, b, torch.full((64, 1), 0.5, dtype=torch.float64))
    torch.testing.assert_close(R.quat_log(R.quat_mul(R.quat_conj(q), half))[:, 2], torch.full((64,), 5e-7, dtype=torch.float64), rtol=1e-6, atol=0.0)


def test_heading_is_the_yaw_of_the_rotated_x_axis(q):
    x = R.quat_to_mat(q)[..., 0]
    torch.testing.assert_close(R.heading(q), torch.atan2(x[:, 1], x[:, 0]))


def test_heading_of_a_left_turn_is_positive_and_ignores_pitch():
    turn = R.yaw_quat(torch.tensor(0.5))
    pitched = R.quat_mul(turn, R.quat_exp(torch.tensor([0.0, 0.8, 0.0])))
    assert R.heading(turn) == pytest.approx(0.5)
    assert R.heading(pitched) == pytest.approx(0.5)


def test_heading_quat_is_the_yaw_alone(q):
    left = R.quat_rotate(R.heading_quat(q), torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64).expand(64, 3))
    x = R.quat_to_mat(q)[..., 0].clone()
    x[:, 2] = 0.0
    torch.testing.assert_close(left, x / x.norm(dim=-1, keepdim=True))


@pytest.mark.parametrize("angle", [-3.0, -0.4, 0.0, 0.4, 3.0])
def test_twist_is_the_turn_about_the_axis(angle):
    axis = torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64)
    twist = R.axis_angle_quat(axis, torch.tensor(angle, dtype=torch.float64))
    swing = R.quat_exp(torch.tensor([0.7, 0.0, 0.0], dtype=torch.float64))  # about an axis at a right angle
    for quat in (twist, -twist, R.quat_mul(swing, twist)):
        assert float(R.twist_angle(quat, axis)) == pytest.approx(angle, abs=1e-12)


def test_twist_stays_within_half_a_turn():
    axis = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    angle = torch.linspace(-6.0, 6.0, 41, dtype=torch.float64)
    got = R.twist_angle(R.axis_angle_quat(axis.expand(41, 3), angle), axis)
    torch.testing.assert_close(got, torch.remainder(angle + math.pi, 2 * math.pi) - math.pi)


def test_make_continuous_flips_signs_only(q, rng):
    path = R.quat_exp(torch.linspace(0, 6, 64, dtype=torch.float64).unsqueeze(-1) * torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64))
    flipped = path * torch.where(torch.rand(64, 1, generator=rng) < 0.5, -1.0, 1.0)
    got = R.make_continuous(flipped)
    assert ((got[1:] * got[:-1]).sum(-1) > 0).all()
    torch.testing.assert_close(got * got[:1] @ torch.ones(4, 1, dtype=torch.float64), path * path[:1] @ torch.ones(4, 1, dtype=torch.float64))
    torch.testing.assert_close(got.abs(), path.abs())

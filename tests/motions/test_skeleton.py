"""The kinematic tree on small hand-made bodies, and the state that everything shares."""

from __future__ import annotations

import math

import pytest
import torch

from motions import synthetic
from motions.library import MotionLibrary
from motions.rotations import quat_exp, quat_mul
from motions.skeleton import CharacterState, Joint, Skeleton


def arm(third_joint: bool) -> Skeleton:
    """Four bodies in a row along x, 1 m apart; the second turns as a ball, the last as a hinge about y, the third is welded or a hinge about z."""
    joints = [Joint("ball", 1, "ball"), Joint("middle", 2, "hinge", (0.0, 0.0, 1.0)), Joint("hinge", 3, "hinge", (0.0, 1.0, 0.0))]
    return Skeleton(
        body_names=("a", "b", "c", "d"),
        parents=(-1, 0, 1, 2),
        offsets=torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]]),
        joints=tuple(j for j in joints if third_joint or j.name != "middle"),
        point_bodies=torch.tensor([0, 3]),
        point_offsets=torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]]),
        point_radii=torch.tensor([0.1, 0.2]),
    )


def test_positions_by_hand_with_a_welded_body():
    quarter = math.pi / 2
    quats = quat_exp(torch.tensor([[[0.0, 0.0, quarter], [0.0, quarter, 0.0]]]))  # the ball turns left, the hinge points down
    pos, mat = arm(False).forward_kinematics(torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]]), quats)
    torch.testing.assert_close(pos[0], torch.tensor([[0.0, 0, 2], [1, 0, 2], [1, 1, 2], [1, 2, 2]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(mat[0, 2], mat[0, 1])
    torch.testing.assert_close(mat[0, 3, :, 0], torch.tensor([0.0, 0.0, -1.0]), atol=1e-6, rtol=0)
    assert float(arm(False).lowest_point(pos, mat)) == pytest.approx(2.0 - 0.5 - 0.2, abs=1e-6)


def test_the_root_turns_everything():
    root = quat_exp(torch.tensor([[0.0, 0.0, math.pi / 2]]))
    pos, _ = arm(True).forward_kinematics(torch.zeros(1, 3), root, quat_exp(torch.zeros(1, 3, 3)))
    torch.testing.assert_close(pos[0, 3], torch.tensor([0.0, 3.0, 0.0]), atol=1e-6, rtol=0)


def test_kinematics_keep_leading_dimensions_and_precision(skeleton, rng):
    quats = quat_exp(torch.randn(2, 3, 12, 3, generator=rng, dtype=torch.float64))
    root, pos = quat_exp(torch.randn(2, 3, 3, generator=rng, dtype=torch.float64)), torch.randn(2, 3, 3, generator=rng, dtype=torch.float64)
    body_pos, body_mat = skeleton.forward_kinematics(pos, root, quats)
    assert body_pos.dtype == torch.float64
    assert body_mat.shape == (2, 3, 15, 3, 3)
    for lead in ((1, 2), (0, 0)):
        one_pos, one_mat = skeleton.forward_kinematics(pos[lead], root[lead], quats[lead])
        torch.testing.assert_close(one_pos, body_pos[lead])
        torch.testing.assert_close(one_mat, body_mat[lead])
    empty, _ = skeleton.forward_kinematics(pos[:0], root[:0], quats[:0])
    assert empty.shape == (0, 3, 15, 3)


def test_hinges_are_reduced_to_the_turn_about_their_axis(skeleton):
    knee, hip = skeleton.joint_names.index("left_knee"), skeleton.joint_names.index("left_hip")
    swing, twist = quat_exp(torch.tensor([0.6, 0.0, 0.0])), quat_exp(torch.tensor([0.0, -0.9, 0.0]))
    quats = quat_exp(torch.zeros(12, 3))
    quats[knee] = quats[hip] = quat_mul(swing, twist)
    got = skeleton.project_hinges(quats)
    torch.testing.assert_close(got[knee], twist)
    torch.testing.assert_close(got[hip], quats[hip])


def test_columns_of_each_joint():
    assert arm(True).num_dofs == 5
    assert arm(True).dof_slices == (slice(0, 3), slice(3, 4), slice(4, 5))


@pytest.fixture
def states(skeleton) -> CharacterState:
    library = MotionLibrary([synthetic.sine_gait(skeleton)], skeleton)
    return library.state_at(torch.zeros(6, dtype=torch.long), torch.linspace(0, 1, 6))


def test_states_are_indexed_reshaped_and_merged(states):
    torch.testing.assert_close(states[2:4].body_pos_w, states.body_pos_w[2:4])
    torch.testing.assert_close(states.reshape(2, 3)[1, 0].joint_vel, states.joint_vel[3])
    mask = torch.tensor([True, False, True, False, False, True])
    merged = states.where(mask, states[[5, 4, 3, 2, 1, 0]])
    torch.testing.assert_close(merged.body_mat_w, states.body_mat_w[[0, 4, 2, 2, 1, 5]])
    torch.testing.assert_close(merged.root_pos, states.root_pos[[0, 4, 2, 2, 1, 5]])

"""What the networks see: frames, columns and invariance."""

import math
from dataclasses import replace

import pytest
import torch

from envs.features import MUCH_SPEED, MUCH_TURN, FeatureLayout, joint_features, observe
from envs.resets import default_state
from motions.rotations import axis_angle_quat, quat_exp, quat_mul, quat_rotate, yaw_quat
from tests.envs.helpers import random_state

HEIGHT, TILT, LIN_VEL, ANG_VEL = slice(0, 1), slice(1, 7), slice(7, 10), slice(10, 13)
BALLS, HINGES, JOINT_VEL, BODIES = slice(13, 61), slice(61, 65), slice(65, 93), slice(93, 135)


@pytest.fixture(scope="module")
def layout(character):
    return FeatureLayout.of(character)


def changed(character, state, **fields):
    state = replace(state, **fields)
    return character.skeleton.state(state.root_pos, state.root_quat, state.root_lin_vel, state.root_ang_vel, state.joint_quat, state.joint_vel)


def moved(character, state, yaw, shift):
    """The same character in a world turned by ``yaw`` and shifted on the ground."""
    turn = yaw_quat(torch.full((len(state.root_pos),), yaw))
    return changed(
        character,
        state,
        root_pos=quat_rotate(turn, state.root_pos) + shift,
        root_quat=quat_mul(turn, state.root_quat),
        root_lin_vel=quat_rotate(turn, state.root_lin_vel),
        root_ang_vel=quat_rotate(turn, state.root_ang_vel),
    )


@pytest.mark.parametrize("yaw", [0.0, 0.7, math.pi / 2, -2.5, math.pi])
def test_turning_or_shifting_the_world_changes_nothing(character, yaw):
    state = random_state(character.skeleton, 50)
    other = moved(character, state, yaw, torch.tensor([3.0, -8.0, 0.0]))
    torch.testing.assert_close(observe(other, character.skeleton), observe(state, character.skeleton), rtol=0, atol=5e-5)


def test_every_part_of_the_state_is_seen(character):
    skeleton = character.skeleton
    state = random_state(skeleton, 1)
    before = observe(state, skeleton)
    tilt = quat_exp(torch.tensor([[0.0, 0.2, 0.0]]))
    changes = {
        "root_pos": (state.root_pos + torch.tensor([0.0, 0.0, 0.3]), [HEIGHT]),
        "root_quat": (quat_mul(state.root_quat, tilt), [TILT, LIN_VEL, ANG_VEL, BODIES]),
        "root_lin_vel": (state.root_lin_vel + 1, [LIN_VEL]),
        "root_ang_vel": (state.root_ang_vel + 1, [ANG_VEL]),
        "joint_quat": (torch.cat((quat_mul(state.joint_quat[:, :1], tilt.unsqueeze(0)), state.joint_quat[:, 1:]), dim=1), [BALLS, BODIES]),
        "joint_vel": (state.joint_vel + 1, [JOINT_VEL]),
    }
    for field, (value, expected) in changes.items():
        differs = (observe(changed(character, state, **{field: value}), skeleton) - before).abs()[0] > 1e-4
        seen = [s for s in (HEIGHT, TILT, LIN_VEL, ANG_VEL, BALLS, HINGES, JOINT_VEL, BODIES) if differs[s].any()]
        assert seen == expected, field


def test_the_rest_pose_reads_as_zero_rotations_and_the_models_offsets(character):
    obs = observe(default_state(character, 1), character.skeleton)[0]
    axes = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    assert obs[HEIGHT].tolist() == pytest.approx([0.89])
    assert obs[TILT].tolist() == pytest.approx(axes)
    assert obs[BALLS].view(8, 6).tolist() == [axes] * 8
    assert obs[HINGES].tolist() == pytest.approx([0.0] * 4, abs=1e-6)
    assert not obs[LIN_VEL].any()
    assert not obs[JOINT_VEL].any()
    places = dict(zip(character.skeleton.body_names[1:], obs[BODIES].view(14, 3).tolist(), strict=True))
    assert places["torso"] == pytest.approx([0, 0, 0.236151])
    assert places["right_hand"] == pytest.approx([-0.02405, -0.18311, 0.236151 + 0.2435 - 0.274788 - 0.258947], abs=1e-6)
    assert places["left_foot"] == pytest.approx([0, 0.084887, -0.421546 - 0.40987], abs=1e-6)


def test_velocities_and_bodies_are_seen_along_the_heading(character):
    """Facing world y and moving that way is moving forward; turning left is turning left."""
    state = default_state(character, 1)
    state = changed(
        character,
        state,
        root_quat=yaw_quat(torch.tensor([math.pi / 2])),
        root_lin_vel=torch.tensor([[-1.0, 2.0, 3.0]]),
        root_ang_vel=torch.tensor([[-4.0, 5.0, 6.0]]),
    )
    obs = observe(state, character.skeleton)[0]
    assert obs[LIN_VEL].tolist() == pytest.approx([2.0, 1.0, 3.0], abs=1e-5)
    assert obs[ANG_VEL].tolist() == pytest.approx([5.0, 4.0, 6.0], abs=1e-5)
    hand = obs[BODIES].view(14, 3)[character.skeleton.body_names.index("left_hand") - 1]
    assert hand[1].item() == pytest.approx(0.18311, abs=1e-5), "the left hand stays on the left"


def test_the_root_is_coded_by_its_axes_with_the_yaw_removed(character):
    pitch = axis_angle_quat(torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([0.3]))
    state = changed(character, default_state(character, 1), root_quat=quat_mul(yaw_quat(torch.tensor([1.2])), pitch))
    obs = observe(state, character.skeleton)[0]
    assert obs[TILT].tolist() == pytest.approx([math.cos(0.3), 0, -math.sin(0.3), math.sin(0.3), 0, math.cos(0.3)], abs=1e-6)


def test_joints_have_their_own_columns(character):
    skeleton = character.skeleton
    balls = [j.name for j in skeleton.joints if j.kind == "ball"]
    hinges = [j.name for j in skeleton.joints if j.kind == "hinge"]
    for k, joint in enumerate(skeleton.joints):
        state = default_state(character, 1)
        quats = state.joint_quat.clone()
        quats[:, k] = axis_angle_quat(torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([0.5]))
        vel = torch.zeros(1, 28)
        vel[:, skeleton.dof_slices[k]] = 7.0
        obs = observe(changed(character, state, joint_quat=quats, joint_vel=vel), skeleton)[0]
        assert (obs[JOINT_VEL] == 7).nonzero().flatten().tolist() == list(range(*skeleton.dof_slices[k].indices(28)))
        rotated = (obs[BALLS].view(8, 6) - torch.tensor([1.0, 0, 0, 0, 0, 1.0])).abs().amax(-1) > 1e-3
        assert [balls[i] for i in rotated.nonzero().flatten()] == [n for n in balls if n == joint.name]
        assert obs[HINGES].tolist() == pytest.approx([0.5 if n == joint.name else 0.0 for n in hinges], abs=1e-6)
        if joint.kind == "ball":
            code = obs[BALLS].view(8, 6)[balls.index(joint.name)]
            assert code.tolist() == pytest.approx([math.cos(0.5), 0, -math.sin(0.5), math.sin(0.5), 0, math.cos(0.5)], abs=1e-6)


def test_layout_sizes(character, layout):
    assert layout.obs_dim == 135 == observe(default_state(character, 1), character.skeleton).shape[-1]
    assert layout.style_dim == 135 - 3 * (14 - 4) == 105
    assert layout.num_joint_columns == 52


def test_the_discriminator_sees_the_positions_of_the_key_bodies_only(character, layout):
    state = random_state(character.skeleton, 4)
    style = observe(state, character.skeleton)[:, layout.style_columns]
    assert torch.equal(style[:, :93], observe(state, character.skeleton)[:, :93])
    names = character.skeleton.body_names
    at_heading_zero = moved(character, state, 0.0, torch.zeros(3))
    for k, name in enumerate(("right_hand", "left_hand", "right_foot", "left_foot")):
        offset = at_heading_zero.body_pos_w[:, names.index(name)] - at_heading_zero.root_pos
        found = style[:, 93 + 3 * k : 96 + 3 * k]
        torch.testing.assert_close(found[:, 2], offset[:, 2], rtol=0, atol=1e-5)
        torch.testing.assert_close(found[:, :2].norm(dim=-1), offset[:, :2].norm(dim=-1), rtol=0, atol=1e-5)
        distance = state.body_pos_w - state.root_pos.unsqueeze(1)
        others = [i for i in range(1, 15) if names[i] != name]
        assert (found[:, None].norm(dim=-1) - distance[:, others].norm(dim=-1)).abs().amin(0).max() > 1e-3


def test_leading_dimensions_are_free(character):
    state = random_state(character.skeleton, 6)
    flat = observe(state, character.skeleton)
    torch.testing.assert_close(observe(state.reshape(2, 3), character.skeleton), flat.view(2, 3, -1))
    torch.testing.assert_close(observe(state[0], character.skeleton), flat[0])


def test_features_of_a_joint_are_those_that_change_when_it_moves(character):
    skeleton = character.skeleton
    rest = default_state(character, 1)
    for k, dofs in enumerate(skeleton.dof_slices):
        quat, vel = rest.joint_quat.clone(), rest.joint_vel.clone()
        ball = skeleton.joints[k].kind == "ball"
        quat[:, k] = quat_exp(torch.tensor([0.3, 0.4, 0.5])) if ball else axis_angle_quat(torch.tensor(skeleton.joints[k].axis), torch.tensor(0.5))
        vel[:, dofs] = 1.0
        moved = skeleton.state(rest.root_pos, rest.root_quat, rest.root_lin_vel, rest.root_ang_vel, quat, vel)
        changed = ((observe(moved, skeleton) - observe(rest, skeleton)).abs()[0] > 1e-6).nonzero().flatten()
        bodies = character.skeleton.num_dofs + 13 + sum(6 if j.kind == "ball" else 1 for j in skeleton.joints)
        columns, units = joint_features(skeleton, [k])
        assert sorted(columns.tolist()) == [c for c in changed.tolist() if c < bodies]
        assert units.tolist() == [MUCH_TURN] * (6 if ball else 1) + [MUCH_SPEED] * (3 if ball else 1)
    both, _ = joint_features(skeleton, [0, 3])
    assert torch.equal(both, torch.cat((joint_features(skeleton, [0])[0], joint_features(skeleton, [3])[0])))
    assert len(joint_features(skeleton, [])[0]) == 0

"""The conversion to MuJoCo's vectors, against MuJoCo itself."""

import mujoco
import numpy as np
import pytest
import torch

from envs.state import StateCodec
from motions.rotations import quat_conj, quat_log, quat_mul, quat_to_mat
from tests.envs.helpers import random_state

FIELDS = ("root_pos", "root_quat", "root_lin_vel", "root_ang_vel", "joint_quat", "joint_vel", "body_pos_w", "body_mat_w")


@pytest.fixture(scope="module")
def codec(character):
    return StateCodec(character.skeleton)


def simulated(character, qpos, qvel):
    data = mujoco.MjData(character.model)
    data.qpos, data.qvel = qpos.double().numpy(), qvel.double().numpy()
    mujoco.mj_forward(character.model, data)
    return data


def test_decode_undoes_encode(character, codec):
    state = random_state(character.skeleton, 20)
    back = codec.decode(*codec.encode(state))
    for field in FIELDS:
        a, b = getattr(back, field), getattr(state, field)
        if field == "joint_quat":  # a rotation has two quaternions
            a, b = quat_to_mat(a), quat_to_mat(b)
        torch.testing.assert_close(a, b, rtol=0, atol=2e-6 * (10 if field.startswith("body") else 1), msg=field)


def test_encode_undoes_decode(character, codec):
    qpos, qvel = codec.encode(random_state(character.skeleton, 20, seed=1))
    again = codec.encode(codec.decode(qpos, qvel))
    torch.testing.assert_close(again[0], qpos, rtol=0, atol=1e-6)
    torch.testing.assert_close(again[1], qvel, rtol=0, atol=2e-6)


def test_bodies_stand_where_mujoco_puts_them(character, codec):
    qpos, qvel = codec.encode(random_state(character.skeleton, 5, seed=2))
    state = codec.decode(qpos, qvel)
    first = character.model.body(character.skeleton.body_names[0]).id
    for k in range(5):
        data = simulated(character, qpos[k], qvel[k])
        np.testing.assert_allclose(state.body_pos_w[k].numpy(), data.xpos[first:], atol=2e-6)
        np.testing.assert_allclose(state.body_mat_w[k].numpy(), data.xmat[first:].reshape(-1, 3, 3), atol=2e-6)


def spin(character, data, body):
    """A body's angular velocity, by MuJoCo: in the world frame and in its own."""
    found = np.zeros((2, 6))
    for local in (0, 1):
        mujoco.mj_objectVelocity(character.model, data, mujoco.mjtObj.mjOBJ_XBODY, character.model.body(body).id, found[local], local)
    return found[0, :3], found[1, :3]


def test_velocities_are_in_the_documented_frames(character, codec):
    qpos, qvel = codec.encode(random_state(character.skeleton, 5, seed=3))
    state = codec.decode(qpos, qvel)
    names, parents = character.skeleton.body_names, character.skeleton.parents
    for k in range(5):
        data = simulated(character, qpos[k], qvel[k])
        world, _ = spin(character, data, names[0])
        np.testing.assert_allclose(state.root_ang_vel[k].numpy(), world, atol=1e-5)
        np.testing.assert_allclose(state.root_lin_vel[k].numpy(), data.qvel[:3], atol=1e-6)
        for joint, columns in zip(character.skeleton.joints, character.skeleton.dof_slices, strict=True):
            own_world, _ = spin(character, data, names[joint.body])
            parent_world, _ = spin(character, data, names[parents[joint.body]])
            relative = data.body(names[joint.body]).xmat.reshape(3, 3).T @ (own_world - parent_world)  # in the child frame
            found = state.joint_vel[k, columns].numpy()
            expected = relative if joint.kind == "ball" else [relative @ np.array(joint.axis)]
            np.testing.assert_allclose(found, expected, atol=2e-5, err_msg=joint.name)


def test_a_tiny_step_along_the_velocities_turns_and_moves_as_they_say(character, codec):
    dt = 1e-3
    qpos, qvel = codec.encode(random_state(character.skeleton, 1, seed=4))
    moved = qpos[0].double().numpy().copy()
    mujoco.mj_integratePos(character.model, moved, qvel[0].double().numpy(), dt)
    now, later = codec.decode(qpos.double(), qvel.double()), codec.decode(torch.from_numpy(moved).unsqueeze(0), qvel.double())
    turned = quat_log(quat_mul(later.root_quat, quat_conj(now.root_quat))) / dt
    torch.testing.assert_close(turned, now.root_ang_vel, rtol=0, atol=1e-4)
    torch.testing.assert_close((later.root_pos - now.root_pos) / dt, now.root_lin_vel, rtol=0, atol=1e-6)


def test_a_clips_velocities_are_the_differences_mujoco_finds(character, codec, library):
    """The library's states and this codec together: what a simulation is started with is what the clip is doing."""
    dt, times = 1 / 60, torch.tensor([0.5, 0.75, 1.25])
    ids = torch.zeros(3, dtype=torch.long)
    (before, _), (after, _), (_, qvel) = (codec.encode(library.state_at(ids, times + shift)) for shift in (-dt, dt, 0.0))
    for k in range(3):
        difference = np.zeros(character.model.nv)
        mujoco.mj_differentiatePos(character.model, difference, 2 * dt, before[k].double().numpy(), after[k].double().numpy())
        np.testing.assert_allclose(qvel[k].numpy(), difference, atol=0.04)
    assert qvel.abs().amax(0).median() > 1, "the clip must move for this to mean anything"


def test_leading_dimensions_are_free(character, codec):
    flat = random_state(character.skeleton, 6, seed=5)
    qpos, qvel = codec.encode(flat)
    shaped = codec.decode(qpos.view(2, 3, -1), qvel.view(2, 3, -1))
    assert shaped.body_pos_w.shape == (2, 3, 15, 3)
    assert shaped.joint_quat.shape == (2, 3, 12, 4)
    flat_again = codec.decode(qpos, qvel)
    for field in FIELDS:
        assert torch.equal(getattr(shaped, field).flatten(0, 1), getattr(flat_again, field)), field
    again = codec.encode(shaped)
    assert again[0].shape == (2, 3, 43)
    torch.testing.assert_close(again[0].view(6, -1), qpos, rtol=0, atol=1e-6)
    single = codec.decode(qpos[0], qvel[0])
    assert single.root_pos.shape == (3,)
    torch.testing.assert_close(single.body_pos_w, flat_again.body_pos_w[0])

"""What clips take of the actuators, against MuJoCo's forward dynamics and what a body in the air, on its feet and on the floor does with it."""

import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch

from envs.clip_actions import clip_actions, floor_forces
from envs.state import StateCodec
from motions.library import MotionLibrary
from motions.synthetic import constant_spin, standing
from tests.envs.helpers import gait_clip, make_env

DT = 1 / 30


def one(clip, character):
    library = MotionLibrary([clip], character.skeleton)
    return library, clip_actions(character, library, DT)


def test_moments_are_half_a_control_step_apart_and_as_frequent_as_their_clip(character):
    skeleton = character.skeleton
    library = MotionLibrary([gait_clip(skeleton, "a", seconds=2.0), gait_clip(skeleton, "b", seconds=1.0, seed=1)], skeleton, [3.0, 1.0])
    found = clip_actions(character, library, DT)
    assert torch.bincount(found.clip).tolist() == [121, 61]
    assert found.weight[found.clip == 0].sum().item() == pytest.approx(0.75)
    env = make_env(character, library, 3)
    assert found.obs.shape == (182, env.obs_dim)
    assert found.action.shape == (182, 28)
    env.start_on_clip(torch.arange(3), torch.tensor([0, 0, 1]), torch.tensor([0.0, 10.5, 20.0]) * DT)
    torch.testing.assert_close(env.obs, found.obs[[0, 21, 121 + 40]], atol=1e-4, rtol=1e-4)


def test_it_is_told_which_clips_stand_still(character):
    skeleton = character.skeleton
    library = MotionLibrary([gait_clip(skeleton, "a"), standing(skeleton, 0.421546, 0.409870, 0.89), gait_clip(skeleton, "b", seed=1)], skeleton)
    found = clip_actions(character, library, DT)
    assert torch.equal(found.still, found.clip == 1)


def test_torques_in_the_air_give_the_accelerations_of_the_clip(character):
    """Forward dynamics are the independent value: held at the root by what it lacks, the body accelerates as the clip does. Targets are for the middle of a step; here, for now."""
    library, found = one(gait_clip(character.skeleton, height_m=3.0), character)
    model, codec = character.model, StateCodec(character.skeleton)
    times = torch.tensor([0.5, 1.4])  # no part of the body touches another
    clip = torch.zeros(2, dtype=torch.long)
    qpos, qvel = (x.double().numpy() for x in codec.encode(library.state_at(clip, times)))
    before, after = (codec.encode(library.state_at(clip, times + s))[1].double().numpy() for s in (-DT, DT))
    middle = make_env(character, library, 2)
    middle.start_on_clip(torch.arange(2), clip, times + DT / 2)
    for k, row in enumerate((2 * times / DT).round().long()):
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:] = middle.physics.qpos[k].double().numpy(), 0.0
        mujoco.mj_forward(model, data)
        ahead = data.actuator_length.copy()  # joint coordinates half a step later
        data.qpos[:], data.qvel[:] = qpos[k], qvel[k]
        mujoco.mj_forward(model, data)
        target = (character.action_offset + character.action_scale * found.action[row]).double().numpy()
        data.ctrl[:] = data.actuator_length + target - ahead
        wanted = (after[k] - before[k]) / (2 * DT)
        data.qacc[:] = wanted
        mujoco.mj_inverse(model, data)
        data.qfrc_applied[:6] = data.qfrc_inverse[:6]  # what holds the root
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(data.qacc[6:], wanted[6:], atol=1.0)
        assert np.abs(wanted[6:]).max() > 10


def test_targets_lead_by_what_joint_damping_takes(character):
    """An elbow at constant rates: damping over stiffness is 0.1 s, so targets are 0.1 s and half a control step ahead, or behind."""
    pulls, last = {}, {}
    for rate in (-2.0, 2.0):
        _, found = one(constant_spin(character.skeleton, {"right_elbow": (0.0, rate, 0.0)}, {"right_elbow": (0.0, -1.2, 0.0)}, height_m=3.0, duration_s=0.4), character)
        column = next(columns for joint, columns in zip(character.skeleton.joints, character.skeleton.dof_slices, strict=True) if joint.name == "right_elbow").start
        pulls[rate] = (character.action_offset + character.action_scale * found.action[12])[column].item() - (-1.2 + rate * 6 * DT)
        last[rate] = (character.action_offset + character.action_scale * found.action[24])[column].item() - (-1.2 + rate * 12 * DT)
    assert (pulls[2.0] - pulls[-2.0]) / 2 == pytest.approx(2.0 * (0.1 + DT / 2), abs=0.01)
    assert (last[2.0] - last[-2.0]) / 2 == pytest.approx(2.0 * 0.1, abs=0.003), "the clip ends, it does not stop"


def test_who_crouches_is_carried_by_the_floor(character):
    """With these targets the knees of a crouching character bear it; with those of one that hangs in the air they give way."""
    bend = 0.7  # radians at the hips, twice that at the knees
    starts = {f"{side}_{joint}": (0.0, turn * bend, 0.0) for side in ("right", "left") for joint, turn in (("hip", -1.0), ("knee", 2.0), ("ankle", -1.0))}
    clip = constant_spin(character.skeleton, {}, starts, height_m=3.0)
    state = MotionLibrary([clip], character.skeleton).state_at(torch.zeros(1, dtype=torch.long), torch.zeros(1))
    clip = lifted(clip, -float(character.skeleton.lowest_point(state.body_pos_w, state.body_mat_w)))
    sunk = {}
    for height in (0.0, 2.0):
        _, found = one(lifted(clip, height), character)
        env = make_env(character, MotionLibrary([clip], character.skeleton), 1, terminate_on_fall=False)
        env.start_on_clip(torch.arange(1), torch.zeros(1, dtype=torch.long), torch.tensor([0.2]))
        before = env.state.root_pos[0, 2].item()
        for _ in range(8):
            env.step(found.action[[12]])
        sunk[height] = before - env.state.root_pos[0, 2].item()
    assert abs(sunk[0.0]) < 0.005
    assert sunk[2.0] > 0.02


def lifted(clip, metres):
    return replace(clip, root_pos=clip.root_pos + np.array([0.0, 0.0, metres]))


def test_floor_forces_supply_what_the_root_lacks_through_the_points_that_are_down():
    points = np.array([[0.1, 0.1, 0.0], [0.1, -0.1, 0.0], [-0.1, 0.1, 0.0], [-0.1, -0.1, 0.0], [0.0, 0.0, 1.0]])
    jacobian = np.concatenate([np.concatenate((np.eye(3), -cross(p)), axis=1) for p in points])
    wanted = np.array([0.0, 0.0, 400.0, 8.0, 0.0, 0.0])  # 400 N whose centre lies 2 cm to the left
    force = floor_forces(wanted, jacobian, np.array([1.0, 1.0, 1.0, 1.0, 1e-9]))
    np.testing.assert_allclose(force[:4].sum(0), [0.0, 0.0, 400.0], atol=2.0)
    np.testing.assert_allclose(force[[0, 2], 2].sum() - force[[1, 3], 2].sum(), 8.0 / 0.1, rtol=0.25)
    assert np.abs(force[4]).max() < 1e-3
    assert np.abs(floor_forces(wanted, jacobian, np.full(5, 1e-8))).max() < 1e-2, "nothing is near the floor"


def cross(p):
    return np.array([[0.0, -p[2], p[1]], [p[2], 0.0, -p[0]], [-p[1], p[0], 0.0]])


def test_actions_stay_in_range_and_the_model_is_left_as_it_was(character):
    flags = character.model.opt.disableflags
    rates = {"right_knee": (0.0, 40.0, 0.0)}
    _, found = one(constant_spin(character.skeleton, rates, {"right_knee": (0.0, 0.2, 0.0)}, duration_s=math.pi / 60), character)
    assert found.action.abs().max() == 1.0
    assert character.model.opt.disableflags == flags

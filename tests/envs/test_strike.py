"""The strike task: a box that is a body of the world, hit, knocked over, and touched by the wrong limb."""

import math
from dataclasses import replace

import mujoco
import pytest
import torch

from envs.character import load_character
from envs.physics_cpu import CpuPhysics
from envs.props import Prop
from envs.resets import StartMix, default_state
from envs.task_env import TaskEnv
from envs.tasks import TASKS, TaskSettings, make_task, task_prop
from envs.tasks.strike import StrikeConfig, strike_prop, strike_reward
from motions.rotations import quat_mul, yaw_quat
from tests.envs.helpers import make_env

DT = 1 / 30
X, Y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
UPRIGHT = torch.tensor([1.0, 0.0, 0.0, 0.0])
LYING = torch.tensor([math.cos(math.pi / 4), 0.0, math.sin(math.pi / 4), 0.0])


@pytest.fixture(scope="module")
def striker():
    return load_character(prop=strike_prop(StrikeConfig()))


def strike_env(striker, library, num_envs=4, seed=0, **config):
    env = make_env(striker, library, num_envs, seed=seed, start=StartMix(clip=0, default=1), physics=CpuPhysics(striker.model, num_envs, 1))
    settings = TaskSettings(strike=replace(StrikeConfig(), **config))
    return TaskEnv(env, make_task("strike", settings, striker, num_envs, DT, torch.Generator().manual_seed(seed)))


def hold(env, steps):
    """Steps with the rest pose as the target."""
    for _ in range(steps):
        step = env.step(env.rest_action.expand(env.num_envs, -1))
    return step


def put(env, env_id, offset, height=0.9, quat=UPRIGHT):
    """Puts a box relative to a character."""
    ground = env.env.state.root_pos[env_id, :2]
    place = torch.tensor([[float(ground[0]) + offset[0], float(ground[1]) + offset[1], height]])
    env.task.box.put(torch.tensor([env_id]), place, quat.unsqueeze(0))


def test_strike_reward():
    here, far = torch.zeros(1, 2), torch.tensor([[2.0, 0.0]])
    up = torch.tensor([1.0])
    assert strike_reward(here, X, far, up).item() == pytest.approx(0.4)
    assert strike_reward(here, 0.5 * X, far, up).item() == pytest.approx(0.4 * math.exp(-1.0))
    assert strike_reward(here, -X, far, up).item() == 0.0
    assert strike_reward(here, Y, far, torch.tensor([0.5])).item() == pytest.approx(0.3)
    assert strike_reward(here, -X, far, torch.tensor([0.19])).item() == 1.0
    assert strike_reward(here, -X, far, torch.tensor([-1.0])).item() == 1.0


def test_the_box_is_one_of_the_papers_size_behind_everything_else(striker, character):
    model, plain = striker.model, character.model
    assert (model.nq, model.nv, model.nu) == (plain.nq + 7, plain.nv + 6, plain.nu)
    assert model.body("prop").mass[0] == pytest.approx(0.4 * 0.4 * 1.8 * 30)
    assert striker.skeleton.body_names == character.skeleton.body_names
    assert striker.default_height_m == character.default_height_m
    assert [model.sensor(k).name for k in range(plain.nsensor)] == [plain.sensor(k).name for k in range(plain.nsensor)]
    assert [model.sensor(plain.nsensor + k).name for k in range(3)] == ["prop_pelvis", "prop_torso", "prop_head"]
    assert task_prop("heading", TaskSettings()) is None


def test_it_stands_where_the_settings_say_and_stays(striker, library):
    env = strike_env(striker, library, 400)
    env.reset()
    offset = env.task.box.pos[:, :2] - env.env.state.root_pos[:, :2]
    distance = offset.norm(dim=-1)
    assert 0.5 <= distance.min() < 0.52
    assert 9.5 < distance.max() <= 10.0
    assert 0.5 < (distance <= 1.5).float().mean() < 0.6, "half of them, and a tenth of the others"
    assert (offset / distance.unsqueeze(-1)).mean(0).norm() < 0.12
    torch.testing.assert_close(env.task.up, torch.ones(400))
    before = env.task.box.pos[:4].clone()
    hold(env, 15)
    torch.testing.assert_close(env.task.box.pos[:4], before, rtol=0, atol=2e-3)
    assert not env.task.success(env.env.state)[:4].any()


def test_the_character_moves_as_it_would_without_a_box_far_away(striker, character, library):
    env = strike_env(striker, library, 1, min_m=8.0, near_m=8.0, far_m=8.0)
    alone = make_env(character, library, 1, start=StartMix(clip=0, default=1))
    obs, same = env.reset(), alone.reset()
    torch.testing.assert_close(obs[:, :-15], same)
    action = 0.1 * torch.randn(1, env.action_dim, generator=torch.Generator().manual_seed(0))
    for _ in range(10):
        obs, same = env.step(action).obs, alone.step(action).obs
    torch.testing.assert_close(obs[:, :-15], same, rtol=1e-3, atol=1e-3)


def test_what_is_seen_is_the_box_in_the_heading_frame(striker, library):
    env = strike_env(striker, library, 1)
    env.reset()
    state = replace(default_state(striker, 1), root_quat=yaw_quat(torch.tensor([math.pi / 2])))
    env.physics.qpos[0, -7:] = torch.tensor([2.0, 0.0, 0.9, *yaw_quat(torch.tensor(math.pi / 2)).tolist()])
    env.physics.qvel[0, -6:] = torch.tensor([1.0, 0.0, 0.5, 0.3, 0.0, 0.0])
    seen = env.task.observe(state)[0]
    torch.testing.assert_close(seen[:3], torch.tensor([0.0, -2.0, 0.9]), rtol=0, atol=1e-6)
    torch.testing.assert_close(seen[3:9], torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0, 1.0]), rtol=0, atol=1e-6)
    torch.testing.assert_close(seen[9:12], torch.tensor([0.0, -1.0, 0.5]), rtol=0, atol=1e-6)
    torch.testing.assert_close(seen[12:], torch.tensor([0.3, 0.0, 0.0]), rtol=0, atol=1e-6)


def test_a_turned_and_shifted_world_looks_the_same(striker, library):
    env = strike_env(striker, library, 1)
    env.reset()
    env.physics.qvel[0, -6:] = torch.tensor([0.4, -0.2, 0.1, 0.3, 0.2, -0.5])
    state, yaw = default_state(striker, 1), torch.tensor(0.8)
    seen, reward = env.task.observe(state), env.task.reward(replace(state, root_lin_vel=torch.tensor([[0.5, 0.1, 0.0]])))
    turn = torch.tensor([[yaw.cos(), -yaw.sin(), 0.0], [yaw.sin(), yaw.cos(), 0.0], [0.0, 0.0, 1.0]])
    shift = torch.tensor([3.0, -2.0, 0.0])
    there = replace(state, root_pos=state.root_pos + shift, root_quat=yaw_quat(yaw).unsqueeze(0), root_lin_vel=(turn @ torch.tensor([0.5, 0.1, 0.0])).unsqueeze(0))
    box = env.task.box
    pos, quat, vel = turn @ box.pos[0] + shift, quat_mul(yaw_quat(yaw), box.quat[0]), turn @ box.lin_vel[0]
    env.physics.qpos[0, -7:], env.physics.qvel[0, -6:-3] = torch.cat((pos, quat)), vel
    torch.testing.assert_close(env.task.observe(there), seen, rtol=0, atol=1e-5)
    torch.testing.assert_close(env.task.reward(there), reward, rtol=0, atol=1e-5)


def test_a_box_that_lies_is_success_and_full_reward_and_may_be_touched_by_anything(striker, library):
    env = strike_env(striker, library, 2)
    env.reset()
    put(env, 0, (0.6, 0.0), height=0.2, quat=LYING)
    put(env, 1, (0.05, 0.0), height=0.2, quat=LYING)
    step = hold(env, 1)
    assert env.task.success(env.env.state).tolist() == [True, True]
    assert env.task.box.touched[1].any(), "this one is in the box"
    assert step.reward[0].item() == 1.0
    assert not env.task.failed(env.env.state).any()


def test_the_torso_at_the_standing_box_ends_the_episode_as_a_failure(striker, library):
    env = strike_env(striker, library, 3)
    env.reset()
    put(env, 0, (0.25, 0.0))
    step = hold(env, 1)
    torso = striker.skeleton.body_names.index("torso")
    assert env.task.box.touched[0, torso]
    assert step.terminated.tolist() == [True, False, False]
    assert step.reward[0].item() == 0.0
    assert env.asked.tolist() == [1, 0, 0]
    assert env.met.tolist() == [0, 0, 0]


def test_a_hand_or_foot_may_touch_it(striker, library):
    env = strike_env(striker, library, 1)
    env.reset()
    names = striker.skeleton.body_names
    foot = env.env.state.body_pos_w[0, names.index("right_foot")]
    put(env, 0, (float(foot[0]) + 0.22, float(foot[1]) - 0.16))
    step = hold(env, 1)
    assert [names[k] for k in env.task.box.touched[0].nonzero()] == ["right_shin", "right_foot"]
    assert not step.terminated.any()


def test_a_shove_knocks_it_over_in_physics(striker, library):
    env = strike_env(striker, library, 2, min_m=3.0, near_m=3.0, far_m=3.0)
    env.reset()
    box = env.physics.model.body("prop").id
    for _ in range(12):
        env.physics.force[0, box, 0] = 60.0
        env.physics.force[0, box, 4] = 40.0
        hold(env, 1)
    env.physics.force[0] = 0.0
    for _ in range(30):
        hold(env, 1)
    assert (env.task.up < 0.2).tolist() == [True, False]


def test_saved_and_restored_the_box_is_where_it_was(striker, library):
    env = strike_env(striker, library, 3)
    env.reset()
    env.physics.qvel[:, -6:] = 0.2
    hold(env, 1)
    saved = env.state_dict()
    expected = hold(env, 5).obs.clone()
    other = strike_env(striker, library, 3, seed=9)
    other.reset()
    other.load_state_dict(saved)
    assert torch.equal(hold(other, 5).obs, expected)


def test_a_reset_puts_up_a_new_box_and_leaves_the_others(striker, library):
    env = strike_env(striker, library, 3)
    env.reset()
    put(env, 1, (0.7, 0.0), height=0.2, quat=LYING)
    before = env.task.box.pos.clone()
    env.reset(torch.tensor([1]))
    assert torch.equal(env.task.box.pos[[0, 2]], before[[0, 2]])
    assert env.task.up.tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert env.task.box.pos[1, 2].item() == pytest.approx(0.9)


def test_bad_settings_are_one_line(character):
    generator = torch.Generator()
    for config, text in (
        ({"near_m": 20.0}, "task strike: got min_m 0.5, near_m 20, far_m 10; expected 0 < min_m <= near_m <= far_m"),
        ({"strike_bodies": ("tail",)}, "task strike: strike_bodies: got tail; expected some of the character's. Available: pelvis, torso"),
    ):
        with pytest.raises(ValueError, match=text):
            make_task("strike", TaskSettings(strike=replace(StrikeConfig(), **config)), character, 1, DT, generator)
    with pytest.raises(ValueError, match=r"prop: got size_m \(0.4, 0.0, 1.8\), density 30; expected all of them above 0"):
        Prop((0.4, 0.0, 1.8), 30.0)


def test_strike_is_offered():
    assert "strike" in TASKS


def test_all_sensors_of_the_box_are_contacts(striker):
    kinds = {int(striker.model.sensor_type[k]) for k in range(striker.model.nsensor)}
    assert kinds == {int(mujoco.mjtSensor.mjSENS_CONTACT)}

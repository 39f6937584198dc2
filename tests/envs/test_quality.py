"""How well characters move: on motions whose jerk, skate and effort are known."""

import math

import pytest
import torch

from envs.quality import QualityRecorder, clip_motions, limit_pressing, mean_jerk
from envs.resets import StartMix
from motions.library import MotionLibrary
from motions.rotations import axis_angle_quat
from tests.envs.helpers import ScriptedPhysics, gait_clip, make_env

DT = 1 / 30
DEFAULT = StartMix(clip=0.0, default=1.0)


def test_jerk_of_a_cubic_is_six_times_its_factor_and_of_a_parabola_nothing():
    t = (torch.arange(40, dtype=torch.float64) * DT).view(-1, 1, 1)
    zero = torch.zeros_like(t)
    assert mean_jerk(torch.cat((3.0 * t**3, 4.0 * t**3, t), dim=-1), DT) == pytest.approx(30.0)
    assert mean_jerk(torch.cat((t**2, zero, 1 - t), dim=-1), DT) == pytest.approx(0.0, abs=1e-6)


def test_a_joint_presses_its_limit_within_a_degree_of_it(character):
    skeleton = character.skeleton
    knee = skeleton.joint_names.index(next(name for name in skeleton.joint_names if "knee" in name))
    quats = torch.zeros(3, len(skeleton.joints), 4)
    quats[..., 0] = 1.0
    axis = torch.tensor(skeleton.joints[knee].axis)
    quats[:, knee] = axis_angle_quat(axis, torch.tensor([0.5, 0.985, 1.2]))
    share = limit_pressing(quats, skeleton, {skeleton.joint_names[knee]: (0.2, 1.0)})
    assert share == pytest.approx(2 / 3 / len(skeleton.joints))
    assert limit_pressing(quats, skeleton, {skeleton.joint_names[knee]: (0.2, 1.01)}) == pytest.approx(1 / 3 / len(skeleton.joints))


def recorded(character, library, act, n=2, steps=20, **settings):
    env = make_env(character, library, n, start=DEFAULT, **settings)
    env.reset()
    recorder = QualityRecorder(env)
    for k in range(steps):
        env.step(act(k, env))
        recorder()
    return recorder.measures()


def test_a_replayed_clip_is_as_good_as_the_clip(character):
    """A physics engine that is put into the clip's states gives quotients of one."""
    clip = gait_clip(character.skeleton, seconds=2.0)
    library = MotionLibrary([clip], character.skeleton)
    physics = ScriptedPhysics(character, 1)
    env = make_env(character, library, 1, physics=physics, start=DEFAULT)
    env.reset()
    recorder = QualityRecorder(env)
    for k in range(60):
        qpos, qvel = env.codec.encode(library.state_at(torch.zeros(1, dtype=torch.long), torch.tensor([k * DT])))
        physics.qpos, physics.qvel = qpos, qvel
        env.step(torch.zeros(1, 28))
        recorder()
    found = recorder.measures()
    assert found["jerk_ratio"] == pytest.approx(1.0, rel=0.1)
    assert found["limit_pressing"] == pytest.approx(found["clip_limit_pressing"], abs=0.02)
    assert found["power_w_kg"] == 0.0


def test_shaking_shows_in_jerk_and_power(character, library):
    rest = recorded(character, library, lambda k, env: env.rest_action.expand(2, -1))
    shaken = recorded(character, library, lambda k, env: env.rest_action + 0.1 * (-1) ** k)
    assert shaken["jerk_m_s3"] > 3 * rest["jerk_m_s3"]
    assert shaken["power_w_kg"] > 5 * rest["power_w_kg"] > 0


def test_power_is_effort_times_rate(character, library):
    physics = ScriptedPhysics(character, 2)
    env = make_env(character, library, 2, physics=physics, start=DEFAULT)
    env.reset()
    recorder = QualityRecorder(env)
    physics.effort[:, 7], physics.qvel[:, 7] = 10.0, torch.tensor([3.0, -3.0])
    physics.effort[:, 2], physics.qvel[:, 2] = 100.0, 1.0  # the root has no actuator
    for _ in range(10):
        env.step(torch.zeros(2, 28))
        recorder()
    assert recorder.measures()["power_w_kg"] == pytest.approx(15.0 / 48.9, rel=0.01), "what the body does to the actuator counts for nothing"


def test_who_fell_is_left_out(character, library):
    physics = ScriptedPhysics(character, 2)
    env = make_env(character, library, 2, physics=physics, start=DEFAULT, min_root_height_m=0.3)
    env.reset()
    recorder = QualityRecorder(env)
    for k in range(10):
        physics.qpos[1, :3] = torch.tensor([(-1.0) ** k, 0.0, 0.1])
        env.step(torch.zeros(2, 28))
        recorder()
    assert recorder.measures()["jerk_m_s3"] < 1e-3
    physics.qpos[:, 2] = 0.1
    env.step(torch.zeros(2, 28))
    recorder()
    assert recorder.measures() == {}


def test_looping_clips_are_measured_for_longer_than_a_cycle(character):
    skeleton = character.skeleton
    library = MotionLibrary([gait_clip(skeleton, "once", 2.0), gait_clip(skeleton, "again", 1.0, loop="wrap")], skeleton)
    assert [math.ceil(len(m.root_pos) * DT) for m in clip_motions(library, DT)] == [3, 5]

"""Thrown boxes: they hit, when they should, and are saved with the rest."""

import pytest
import torch

from envs.character import load_character
from envs.physics_cpu import CpuPhysics
from envs.props import AWAY_M
from envs.resets import StartMix
from envs.throws import ThrowConfig
from tests.envs.helpers import make_env

STANDING = StartMix(clip=0, default=1)


@pytest.fixture(scope="module")
def target():
    return load_character(prop=ThrowConfig(every_s=1.0).prop)


def throwing_env(target, library, num_envs, seed=0, every_s=3600.0, **config):
    throw = ThrowConfig(every_s=every_s, **config)
    return make_env(target, library, num_envs, seed=seed, start=STANDING, physics=CpuPhysics(target.model, num_envs, 1), throw=throw, terminate_on_fall=False)


def hold(env, steps):
    for _ in range(steps):
        step = env.step(env.rest_action.expand(env.num_envs, -1))
    return step


def test_the_box_has_its_mass_and_waits_far_away(target, library):
    assert target.model.body("prop").mass[0] == pytest.approx(5.0)
    env = throwing_env(target, library, 3)
    env.reset()
    hold(env, 10)
    assert (env.throws.box.pos[:, 0] > 0.9 * AWAY_M).all()
    assert env.standing.all()
    assert ThrowConfig().prop is None


def test_a_throw_flies_at_the_root_and_hits_it(target, library):
    env = throwing_env(target, library, 64, low_m=0.0, high_m=0.0)
    env.reset()
    env.disturb(torch.arange(64))
    box, root = env.throws.box, env.state.root_pos
    offset = box.pos - root
    torch.testing.assert_close(offset[:, :2].norm(dim=-1), torch.full((64,), 1.5), rtol=0, atol=1e-4)
    level = box.lin_vel[:, :2]
    speed = level.norm(dim=-1)
    assert 5.0 <= speed.min() < 5.6
    assert 9.4 < speed.max() <= 10.0
    torch.testing.assert_close((level * offset[:, :2]).sum(-1), -1.5 * speed, rtol=1e-4, atol=0)
    assert offset[:, :2].mean(0).norm() < 0.4, "from all sides"
    flight = 1.5 / speed
    torch.testing.assert_close(box.lin_vel[:, 2] * flight, 0.5 * 9.81 * flight.square(), rtol=1e-4, atol=0)
    touched = torch.zeros(64, dtype=torch.bool)
    for _ in range(12):
        hold(env, 1)
        touched |= box.touched.any(-1)
    assert touched.float().mean() > 0.9
    assert (env.state.root_lin_vel[:, :2].norm(dim=-1) > 0.1).float().mean() > 0.9, "who was hit moves"


def test_a_throw_at_a_moving_character_leads_it(target, library):
    env = throwing_env(target, library, 1)
    env.reset()
    qpos, qvel = env.physics.qpos.clone(), env.physics.qvel.clone()
    qvel[:, 0] = 3.0
    env.physics.set_state(torch.arange(1), qpos, qvel)
    env._state = None
    env.disturb(torch.arange(1))
    relative, offset = env.throws.box.lin_vel[0, :2] - torch.tensor([3.0, 0.0]), (env.throws.box.pos - env.state.root_pos)[0, :2]
    assert 5.0 <= relative.norm() <= 10.0
    torch.testing.assert_close(relative / relative.norm(), -offset / offset.norm(), rtol=0, atol=1e-4)


def test_throws_come_when_they_should(target, library):
    env = throwing_env(target, library, 200, every_s=1.0)
    env.reset()
    assert env.throws.wait.min() >= 15
    assert env.throws.wait.max() <= 45
    wait = env.throws.wait[:2].clone()
    thrown = torch.zeros(2, dtype=torch.long)
    for t in range(1, 46):
        hold(env, 1)
        new = (env.throws.box.pos[:2, 0] < AWAY_M / 2) & (thrown == 0)
        thrown[new] = t
    assert torch.equal(thrown, wait)


def test_saved_and_restored_throws_go_on(target, library):
    env = throwing_env(target, library, 3, every_s=0.5)
    env.reset()
    hold(env, 7)
    saved = env.state_dict()
    expected = hold(env, 20).obs.clone()
    other = throwing_env(target, library, 3, seed=5, every_s=0.5)
    other.reset()
    other.load_state_dict(saved)
    assert torch.equal(hold(other, 20).obs, expected)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"every_s": -1.0}, "throw: got every_s -1, "),
        ({"min_speed_m_s": 12.0}, "speeds 12 to 10, "),
        ({"mass_kg": 0.0}, "mass_kg 0, "),
        ({"distance_m": 0.5}, "distance_m 0.5, aimed -0.3 to 0.5; expected every_s >= 0, 0 < min_speed_m_s"),
    ],
)
def test_bad_settings_are_one_line(settings, text):
    with pytest.raises(ValueError, match=text) as found:
        ThrowConfig(**settings)
    assert "\n" not in str(found.value)

"""How episodes end: falls, time limits, and simulations that diverge."""

import logging

import pytest
import torch

from envs.features import observe
from envs.physics_cpu import CpuPhysics
from envs.resets import StartMix, default_state
from tests.envs.helpers import actions, held, make_env

DT = 1 / 30
ALL_CLIP, ALL_DEFAULT = StartMix(clip=1.0, default=0.0), StartMix(clip=0.0, default=1.0)


def test_an_episode_is_cut_off_at_its_length_with_the_true_observation(character, library):
    env = make_env(character, library, 3, start=ALL_DEFAULT, episode_length_s=0.5)
    env.reset()
    cut = []
    for k in range(1, 23):
        step = env.step(env.rest_action.expand(3, -1))
        assert not step.terminated.any()
        cut += [(k, e) for e in step.truncated.nonzero().flatten().tolist()]
        if step.truncated.any():
            true_next = observe(env.codec.decode(env.physics.qpos, env.physics.qvel), character.skeleton)
            torch.testing.assert_close(step.obs, true_next, rtol=0, atol=0)
            env.reset(step.truncated.nonzero().squeeze(-1))
        if k == 7:
            env.reset(torch.tensor([1]))
    assert cut == [(15, 0), (15, 2), (22, 1)]


# Divergence


@pytest.mark.parametrize("kind", ["position", "velocity", "speed", "speed backwards"])
def test_a_diverged_simulation_is_isolated_counted_and_restarted(character, library, kind, caplog):
    env, other = make_env(character, library, 5), make_env(character, library, 5)
    for e in (env, other):
        e.reset()
        e.step(actions(5))
    if kind == "position":
        env.physics.qpos[3, 11] = torch.nan
    elif kind == "velocity":
        env.physics.qvel[3, 2] = torch.inf
    else:
        env.physics.qvel[3, 20] = 1e7 if kind == "speed" else -1e7
    with caplog.at_level(logging.WARNING):
        step, normal = env.step(actions(5, 1)), other.step(actions(5, 1))
    assert "environments [3]" in caplog.text
    assert env.num_diverged == 1
    assert step.terminated.tolist() == [False, False, False, True, False] or normal.terminated.any()
    assert step.terminated[3]
    assert not step.truncated[3]
    others = [0, 1, 2, 4]
    assert torch.equal(step.obs[others], normal.obs[others])
    assert torch.equal(step.terminated[others], normal.terminated[others])
    assert torch.isfinite(step.obs).all()
    assert torch.isfinite(step.disc_obs).all()
    torch.testing.assert_close(step.obs[3], observe(default_state(character, 1), character.skeleton)[0], rtol=0, atol=1e-6)
    env.reset(torch.tensor([3]))
    fresh = CpuPhysics(character.model, 5, 1)
    fresh.set_state(torch.arange(5), env.physics.qpos.clone(), env.physics.qvel.clone())
    for engine in (env.physics, fresh):
        engine.step(actions(5, 2), 4)
    assert torch.equal(env.physics.qpos[3], fresh.qpos[3]), "nothing of the divergence survives in the warm start"
    assert env.num_diverged == 1


def test_too_fast_backwards_is_divergence_too(character, library):
    env = make_env(character, library, 3)
    env.reset()
    assert not env._isolate_diverged().any()
    env.physics.qvel[1, 8] = -2e3
    assert env._isolate_diverged().tolist() == [False, True, False]


def test_staggered_episodes_end_at_different_times(character, library):
    env = make_env(character, library, 200, start=ALL_DEFAULT, episode_length_s=1.0)  # 30 steps
    env.reset()
    env.stagger(5)
    ages = env.episode_step.clone()
    assert set(ages.tolist()) == {0, 5, 10, 15, 20, 25}, "in strides, and none is over"
    ends = torch.zeros(200, dtype=torch.long)
    for t in range(1, 31):
        ends = torch.where(env.step(env.rest_action.expand(200, -1)).truncated & (ends == 0), t, ends)
    assert torch.equal(ends, 30 - ages)


def test_a_fall_at_the_time_limit_is_a_failure_and_no_truncation(character, library):
    env = make_env(character, library, 3, start=StartMix(clip=0, default=1), episode_length_s=1 / 30, min_root_height_m=5.0)
    env.reset()
    step = env.step(actions(3))
    assert step.terminated.all()
    assert not step.truncated.any()


def test_fast_motion_is_not_divergence(character, library):
    env = held(character, library)
    env.physics.qvel[:] = 900.0
    assert not env.step(actions(1)).terminated.item()
    assert env.num_diverged == 0

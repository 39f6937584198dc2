"""The benchmarks: that what they compare is the same work, and that they give figures."""

from __future__ import annotations

import math
import time
from dataclasses import asdict

import mjbatch
import pytest
import torch

from envs.bench import bench_env, bench_scaling, device_clock, make_env, peak_memory_bytes, record, run_bare, run_env, torch_threads
from envs.bench_async import bench_async
from envs.character import load_character
from envs.clip_actions import joint_coordinates
from envs.clip_pilot import ClipPilot
from envs.humanoid import EnvConfig
from envs.resets import StartMix
from motions.library import MotionLibrary
from motions.synthetic import sine_gait

CONFIG = EnvConfig(num_envs=12, num_threads=2, episode_length_s=0.8, start=StartMix(fallen=0.2, grace_s=0.2))


@pytest.fixture(scope="module")
def character():
    return load_character()


@pytest.fixture(scope="module")
def library(character):
    return MotionLibrary([sine_gait(character.skeleton, height_m=character.default_height_m)], character.skeleton)


def test_bare_physics_and_the_environment_do_the_recorded_work_bit_for_bit(character, library):
    env = make_env(character, library, CONFIG)
    recording = record(env, 30)
    assert recording.num_restarts > 12
    assert recording.num_steps == 30 * 12
    batch = mjbatch.Batch(character.model, CONFIG.num_envs, num_threads=1)
    assert run_bare(batch, recording, CONFIG.num_substeps) > 0
    assert torch.equal(torch.from_numpy(batch.bind("state").copy()), recording.end)
    assert run_env(env, recording) > 0
    assert torch.equal(env.physics.get_full_state(), recording.end)
    assert not torch.equal(recording.start["physics"], recording.end)


def test_a_replay_that_does_other_work_is_refused(character, library):
    env = make_env(character, library, CONFIG)
    recording = record(env, 3)
    unbroken = next(k for k in range(CONFIG.num_envs) if not any((ids == k).any() for ids, _ in recording.restarts))
    recording.ctrl[1, unbroken, 7] += 1e-3
    with pytest.raises(AssertionError, match="bare physics did not repeat the recording"):
        run_bare(mjbatch.Batch(character.model, CONFIG.num_envs, num_threads=1), recording, CONFIG.num_substeps)
    recording.actions[1, unbroken, 7] = 0.9
    with pytest.raises(AssertionError, match="the environment did not repeat its recording"):
        run_env(env, recording)


def test_parts_of_a_step_are_timed_by_the_environments_clock(character, library):
    """A clock that gains a second whenever it is asked: one for physics, one for features, and none in between."""
    env = make_env(character, library, CONFIG)
    env.clock = iter(range(100)).__next__
    for _ in range(2):
        env.step(torch.zeros(CONFIG.num_envs, env.action_dim))
    assert env.seconds == {"physics": 2.0, "features": 2.0}
    assert device_clock(torch.device("cpu")) is time.perf_counter


def test_the_pilot_targets_the_clip_one_step_ahead_of_where_a_character_is(character, library):
    env = make_env(character, library, CONFIG)
    times = torch.arange(12) * CONFIG.control_dt + 0.3
    env.start_on_clip(torch.arange(12), torch.zeros(12, dtype=torch.long), times)
    pilot = ClipPilot(env, torch.Generator(), noise=0.0)
    ahead = joint_coordinates(library.state_at(torch.zeros(12, dtype=torch.long), times + CONFIG.control_dt), character.skeleton)
    torch.testing.assert_close(character.action_offset + character.action_scale * pilot.act(), ahead, atol=1e-4, rtol=0)


def test_joint_coordinates_are_what_the_actuators_measure(character, library):
    """MuJoCo's own actuator lengths of the same pose are the independent value."""
    env = make_env(character, library, CONFIG)
    env.start_on_clip(torch.arange(12), torch.zeros(12, dtype=torch.long), torch.linspace(0.2, 1.9, 12))
    batch = mjbatch.Batch(character.model, 12, num_threads=1)
    lengths = batch.bind("actuator_length")
    batch.bind("qpos")[...] = env.physics.qpos.numpy()
    batch.forward()
    torch.testing.assert_close(joint_coordinates(env.state, character.skeleton), torch.from_numpy(lengths).float(), atol=1e-4, rtol=0)


def test_figures_are_positive_and_thread_settings_are_restored(character, library):
    with torch_threads(1):
        speed = bench_env(character, library, num_envs=8, num_threads=2, seconds=0.01, steps=4)
        rates = bench_scaling(character, library, sizes=(4, 8), num_threads=2, seconds=0.01, steps=4)
        assert torch.get_num_threads() == 1
    assert all(math.isfinite(value) and value > 0 for name, value in asdict(speed).items() if name != "restart_share")
    assert (speed.num_envs, speed.num_threads, speed.repetitions) == (8, 2, 3)
    assert 0 <= speed.restart_share <= 1
    assert speed.physics_share < 1
    assert list(rates) == [4, 8]
    assert all(math.isfinite(rate) and rate > 0 for rate in rates.values())


def test_worker_processes_take_the_same_episodes(library):
    """That they do is asserted within."""
    rate = bench_async(library, workers=2, seconds=0.01, config=EnvConfig(episode_length_s=0.5), steps=20)
    assert math.isfinite(rate)
    assert rate > 0


def test_peak_memory_counts_what_is_held():
    before = peak_memory_bytes()
    held = torch.ones(64 * 2**20)
    assert peak_memory_bytes() >= before
    assert peak_memory_bytes() > held.nbytes

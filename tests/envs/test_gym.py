"""The Gymnasium interface: Gymnasium's own checks, and the promises of its vector environments held against `HumanoidEnv` and `SyncVectorEnv`."""

from __future__ import annotations

import re
import warnings
from functools import partial

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils import env_checker
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from envs.character import load_character
from envs.gym import ENV_ID, HumanoidGymEnv, HumanoidVectorEnv, make_env, seed_env
from envs.resets import StartMix
from motions.synthetic import sine_gait

SHORT = {"episode_length_s": 0.5, "num_threads": 1}  # 15 steps


def refused(start: str):
    """Expects a ValueError whose message begins so."""
    return pytest.raises(ValueError, match=f"^{re.escape(start)}")


@pytest.fixture(scope="module")
def clip():
    character = load_character()
    return sine_gait(character.skeleton, height_m=character.default_height_m)


@pytest.fixture
def stick(monkeypatch):
    """Flat figures: no OpenGL to look for."""
    monkeypatch.setenv("CHARACTER_RENDERER", "stick")


def test_check_env_passes_on_the_single_environment(stick):
    env = gymnasium.make(ENV_ID, width=32, height=32, **SHORT)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    unbounded = [w for w in caught if "infinity" in str(w.message)]  # features in metres and radians per second have no bounds
    assert [str(w.message) for w in caught if w not in unbounded] == []
    assert len(unbounded) == 2
    env.close()


def test_those_of_gymnasiums_checks_that_take_a_vector_environment_pass():
    """`check_env` refuses a vector environment, so its parts are called one by one.

    Left out: `check_step_determinism` and the passive step checker, which assert that rewards and ends are scalars. `check_returned_data_not_reused` branches on
    them, so it runs with a single environment. Gymnasium offers no check of its own for the vector interface; the tests below compare with `SyncVectorEnv`.
    """
    envs = HumanoidVectorEnv(3, **SHORT)
    with pytest.raises(TypeError):
        check_env(envs)  # type: ignore[arg-type]
    for space in (envs.observation_space, envs.single_observation_space):
        env_checker.check_observation_space(space)
    for space in (envs.action_space, envs.single_action_space):
        env_checker.check_action_space(space)
    for check in ("seed_deprecation", "reset_return_info_deprecation", "reset_return_type", "reset_seed_determinism", "reset_options"):
        getattr(env_checker, f"check_{check}")(envs)
    env_checker.env_reset_passive_checker(envs)  # type: ignore[arg-type]
    env_checker.check_returned_data_not_reused(HumanoidVectorEnv(1, **SHORT))  # type: ignore[arg-type]


def test_make_vec_builds_one_batched_environment(tmp_path, clip):
    clip.save(tmp_path / "gait.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs = gymnasium.make_vec(ENV_ID, num_envs=5, vectorization_mode="vector_entry_point", clips=[tmp_path / "gait.npz"], **SHORT)
        obs, info = envs.reset(seed=1)
    assert isinstance(envs, HumanoidVectorEnv)
    assert envs.env.library.names == ("sine_gait",)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert envs.observation_space == batch_space(envs.single_observation_space, 5)
    assert envs.action_space == batch_space(envs.single_action_space, 5)
    assert obs in envs.observation_space
    obs, reward, terminated, truncated, info = envs.step(envs.action_space.sample())
    assert obs in envs.observation_space
    assert obs.dtype == np.float32
    assert (reward.dtype, terminated.dtype, truncated.dtype) == (np.float64, np.bool_, np.bool_)
    assert reward.shape == terminated.shape == truncated.shape == (5,)
    layout = envs.env.layout
    assert info["disc_obs"].shape == (5, envs.env.config.history, layout.style_dim)
    np.testing.assert_array_equal(info["disc_obs"][:, -1], obs[:, layout.style_columns])
    envs.close()


def test_a_vector_environment_of_one_is_gymnasiums_vector_environment_of_the_single_one(clip):
    """Everything is compared, layout and masks of infos included, over several falls and time limits."""
    ours = HumanoidVectorEnv(1, [clip], **SHORT)
    reference = SyncVectorEnv([partial(HumanoidGymEnv, [clip], **SHORT)], autoreset_mode=AutoresetMode.SAME_STEP)
    assert data_equivalence(ours.reset(seed=3), reference.reset(seed=3), exact=True)
    ours.action_space.seed(0)
    ends = set()
    for _ in range(60):
        action = ours.action_space.sample()
        a, b = ours.step(action), reference.step(action)
        assert data_equivalence(a, b, exact=True)
        ends.add((bool(a[2][0]), bool(a[3][0])))
    assert (False, True) in ends
    assert ours.metadata["autoreset_mode"] == reference.metadata["autoreset_mode"]


def test_episodes_follow_each_other_within_a_step_and_the_true_last_observation_is_kept(clip):
    settings = {"episode_length_s": 1.2, "num_threads": 1, "start": StartMix(clip=0.5, default=0.5)}
    envs, raw = HumanoidVectorEnv(6, [clip], **settings), make_env(6, [clip], settings)
    envs.reset(seed=7)
    seed_env(raw, np.random.default_rng(np.random.SeedSequence(7)))
    raw.reset()
    generator, kinds = torch.Generator().manual_seed(0), set()
    for _ in range(100):
        action = raw.rest_action + torch.tensor([2.0, 2.0, 1.0, 1.0, 0.0, 0.0]).unsqueeze(-1) * torch.randn(6, raw.action_dim, generator=generator)  # some stand
        obs, reward, terminated, truncated, info = envs.step(action.numpy())
        step = raw.step(action)
        fallen, done = raw.fallen.clone(), step.done
        raw.reset(done.nonzero().squeeze(-1))
        np.testing.assert_array_equal(obs, raw.obs)
        np.testing.assert_array_equal(terminated, step.terminated)
        np.testing.assert_array_equal(truncated, step.truncated)
        np.testing.assert_array_equal(reward, np.where(fallen, 0.0, 1.0))
        np.testing.assert_array_equal(info["disc_obs"], raw.history)
        kinds |= set(zip(terminated.tolist(), truncated.tolist(), strict=True))
        if not done.any():
            assert "final_obs" not in info
            continue
        np.testing.assert_array_equal(info["_final_obs"], done)
        for k in range(6):
            if done[k]:
                np.testing.assert_array_equal(info["final_obs"][k], step.obs[k])
                np.testing.assert_array_equal(info["final_info"]["disc_obs"][k], step.disc_obs[k])
                assert not np.array_equal(info["final_obs"][k], obs[k])
            else:
                assert info["final_obs"][k] is None
    assert kinds == {(False, False), (True, False), (False, True)}


def test_a_seed_fixes_the_future_and_another_seed_changes_it(clip):
    mix = StartMix(clip=0.5, default=0.2, fallen=0.3, recovery=0.5, grace_s=0.1)

    def play(envs, seed):
        obs, _ = envs.reset(seed=seed)
        envs.action_space.seed(0)
        return np.stack([obs, *(envs.step(envs.action_space.sample())[0] for _ in range(20))])

    envs, other = (HumanoidVectorEnv(4, [clip], start=mix, **SHORT) for _ in range(2))
    first = play(envs, 11)
    np.testing.assert_array_equal(play(envs, 11), first)
    np.testing.assert_array_equal(play(other, 11), first)
    assert not np.array_equal(play(envs, 12)[0], first[0])
    on_clip = StartMix(clip=1.0, default=0.0)  # in the rest pose two may begin alike
    fresh = [HumanoidGymEnv([clip], start=on_clip, **SHORT).reset()[0] for _ in range(2)]
    assert not np.array_equal(*fresh)


def test_reset_options_choose_the_clip_and_the_environments(clip):
    envs = HumanoidVectorEnv(3, [clip], **SHORT)
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.step(envs.action_space.sample())
    at, _ = envs.reset(options={"clip": "sine_gait", "time_s": 1.0})
    np.testing.assert_array_equal(at[0], at[2])
    assert np.unique(envs.reset(seed=0)[0], axis=0).shape[0] > 1
    for _ in range(4):
        before, *_ = envs.step(envs.action_space.sample())
    mask = np.array([False, True, False])
    after, info = envs.reset(options={"reset_mask": mask, "clip": "sine_gait", "time_s": 1.0})
    np.testing.assert_array_equal(after[1], at[0])
    np.testing.assert_array_equal(after[~mask], before[~mask])
    np.testing.assert_array_equal(info["_disc_obs"], mask)
    assert envs.env.episode_step.tolist() == [4, 0, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speed": 1.0}, "reset option speed: got an unknown name; expected one of those available. Available: clip, time_s"),
        ({"clip": "run"}, "clip run: not in this dataset. Available: sine_gait"),
        ({"clip": "sine_gait", "time_s": 9.0}, "reset option time_s: got 9; expected 0 to 2, the length of sine_gait"),
        ({"time_s": 1.0}, "reset option time_s: got 1.0 without a clip; expected both. Available: sine_gait"),
        ({"reset_mask": np.zeros(2, dtype=bool)}, "reset option reset_mask: got bool [2], 0 set; expected bool [2] with one set"),
        ({"reset_mask": np.array([True, False])}, "reset option reset_mask: got a partial reset before the first full one; expected all set"),
    ],
)
def test_wrong_reset_options_are_refused(clip, options, message):
    with refused(message):
        HumanoidVectorEnv(2, [clip], **SHORT).reset(options=options)


def test_wrong_settings_and_actions_are_refused():
    known = "environment setting max_episode_steps: got an unknown name; expected one of those available. Available: assist, character, clips, "
    with refused(known):
        gymnasium.make_vec(ENV_ID, num_envs=2, max_episode_steps=10)
    with refused("environment setting num_envs: got an unknown name; "):
        gymnasium.make(ENV_ID, num_envs=2)
    with refused("environment setting num_envs: got 0; expected at least 1"):
        gymnasium.make_vec(ENV_ID, num_envs=0)
    with refused("start mix walking: got an unknown name; expected one of those available. Available: approach, clip, default, even_time, fallen, grace_s, hard_share, recovery"):
        HumanoidGymEnv(start={"walking": 1.0})
    with refused("environment setting render_mode: got ansi; expected one of those available. Available: rgb_array, None"):
        HumanoidGymEnv(render_mode="ansi")
    with refused("clip file missing.npz: not found"):
        HumanoidGymEnv("missing.npz")
    envs = HumanoidVectorEnv(2, **SHORT)
    envs.reset()
    with refused("action: got shape [28]; expected [2, 28]"):
        envs.step(np.zeros(28, dtype=np.float32))
    bad = np.zeros((2, 28), dtype=np.float32)
    bad[1, 3] = np.nan
    with refused("action of environment 1: got NaN or infinity; expected finite numbers"):
        envs.step(bad)


def test_without_clips_every_episode_starts_in_the_rest_pose():
    env = gymnasium.make(ENV_ID, **SHORT).unwrapped
    poses = np.stack([(env.reset(seed=seed), env.env.physics.qpos[0].numpy().copy())[1] for seed in range(4)])
    np.testing.assert_allclose(poses, np.tile(env.env.character.model.qpos0, (4, 1)), atol=1e-5)
    steps = [env.step(env.env.rest_action.numpy()) for _ in range(15)]
    assert [reward for _, reward, *_ in steps] == [1.0] * 15
    assert [truncated for *_, truncated, _ in steps] == [False] * 14 + [True]


def test_a_specification_survives_json_with_its_start_mix():
    env = gymnasium.make(ENV_ID, start=StartMix(clip=0.0, default=1.0), **SHORT)
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.env.config == env.unwrapped.env.config


def test_gymnasiums_episode_statistics_agree_with_the_reward(clip):
    """`RecordEpisodeStatistics` reads the autoreset mode and masks; a return is the number of steps survived."""
    envs = RecordEpisodeStatistics(HumanoidVectorEnv(4, [clip], **SHORT))
    envs.reset(seed=0)
    seen = 0
    for _ in range(32):
        _, _, terminated, truncated, info = envs.step(envs.action_space.sample())
        for k in np.flatnonzero(terminated | truncated):
            assert info["episode"]["r"][k] == info["episode"]["l"][k] - terminated[k]
            seen += 1
    assert seen >= 4


def test_pictures_follow_the_character(stick):
    envs = HumanoidVectorEnv(2, render_mode="rgb_array", width=40, height=24, **SHORT)
    envs.reset(seed=0)
    first = envs.render()
    assert [(frame.shape, frame.dtype) for frame in first] == [((24, 40, 3), np.uint8)] * 2
    np.testing.assert_array_equal(first[0], first[1])
    for _ in range(10):
        envs.step(np.stack([np.ones(28), np.zeros(28)]).astype(np.float32))
    later = envs.render()
    assert not np.array_equal(later[0], later[1])
    envs.close()
    envs.close()
    assert HumanoidGymEnv(**SHORT).render() is None


def test_gymnasiums_worker_processes_repeat_the_episodes_of_this_process(clip):
    makers = [partial(HumanoidGymEnv, [clip], **SHORT)] * 2
    here = SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)
    there = AsyncVectorEnv(makers, context="spawn", autoreset_mode=AutoresetMode.SAME_STEP)
    try:
        np.testing.assert_array_equal(here.reset(seed=5)[0], there.reset(seed=5)[0])
        here.action_space.seed(0)
        for _ in range(20):
            action = here.action_space.sample()
            a, b = here.step(action), there.step(action)
            np.testing.assert_allclose(a[0], b[0], atol=1e-5)
            np.testing.assert_array_equal(a[3], b[3])
    finally:
        there.close()

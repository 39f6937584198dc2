"""Tasks on skill latents through Gymnasium, and a foreign trainer on them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils import env_checker

import cfg.gym

ROOT = Path(__file__).parents[1]
SHORT = {"episode_length_s": 1.0, "num_threads": 1}


def make(trained: Path, num_envs: int = 3, **settings) -> cfg.gym.TaskVectorEnv:
    made = gymnasium.make_vec(cfg.gym.TASK_ID, num_envs=num_envs, vectorization_mode="vector_entry_point", skills=str(trained), **SHORT | settings)
    return made.unwrapped


def test_actions_are_latents_and_observations_hold_the_task(trained: Path) -> None:
    envs = make(trained)
    assert envs.single_action_space.shape == (4,)
    obs, info = envs.reset(seed=0)
    assert obs.shape == (3, envs.characters.obs_dim + 5)
    assert obs.dtype == np.float32
    assert info["disc_obs"].shape[0] == 3
    obs, reward, terminated, truncated, _ = envs.step(envs.action_space.sample())
    assert envs.observation_space.contains(obs)
    assert reward.shape == terminated.shape == truncated.shape == (3,)
    assert (envs.characters.episode_step == 5).all()


def test_a_seed_makes_everything_reproducible(trained: Path) -> None:
    runs = []
    for _ in range(2):
        envs = make(trained, task="location")
        first, _ = envs.reset(seed=3)
        actions = np.random.default_rng(0).uniform(-1, 1, (12, 3, 4)).astype(np.float32)
        rest = [envs.step(action) for action in actions]
        runs.append(np.concatenate([first, *(obs for obs, *_ in rest)]))
    np.testing.assert_array_equal(runs[0], runs[1])


def test_ended_episodes_are_followed_by_the_next(trained: Path) -> None:
    envs = make(trained)
    envs.reset(seed=0)
    for _ in range(6):
        obs, _, terminated, truncated, info = envs.step(np.zeros((3, 4), np.float32))
        if (terminated | truncated).any():
            break
    done = terminated | truncated
    assert done.any(), "an episode holds six steps"
    k = int(done.argmax())
    assert info["final_obs"][k].shape == obs[k].shape
    assert not np.array_equal(info["final_obs"][k], obs[k])


def test_the_returned_data_is_not_reused(trained: Path) -> None:
    env_checker.check_returned_data_not_reused(make(trained, 1))  # type: ignore[arg-type]


def test_from_scratch_actions_are_joint_targets(trained: Path) -> None:
    envs = make(trained, from_scratch=True)
    assert envs.single_action_space.shape == (28,)
    envs.reset(seed=0)
    envs.step(np.zeros((3, 28), np.float32))
    assert (envs.characters.episode_step == 1).all()


def test_pictures_show_the_target(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARACTER_RENDERER", "stick")
    envs = make(trained, 1, render_mode="rgb_array", width=96, height=96)
    envs.reset(seed=0)
    with_arrow = envs.render()[0]
    monkeypatch.setattr(envs.batch.env.task, "markers", lambda k, state: [])
    assert (with_arrow != envs.render()[0]).any()


def test_bad_settings_are_named(trained: Path) -> None:
    with pytest.raises(ValueError, match="environment setting speed: got an unknown name; expected one of those available"):
        make(trained, speed=3)
    with pytest.raises(ValueError, match="task headin: unknown. Closest: heading."):  # noqa: RUF043
        make(trained, task="headin")
    with pytest.raises(ValueError, match="reset option clip: got an unknown name"):
        make(trained).reset(options={"clip": "walk"})


@pytest.mark.slow
def test_stable_baselines_trains_on_latents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SB3's PPO learns to steer: after 400 k control steps clearly better than random latents (0.42)."""
    pytest.importorskip("stable_baselines3", reason="pip install -e '.[examples]'")
    monkeypatch.chdir(ROOT)
    spec = importlib.util.spec_from_file_location("sb3_skills", ROOT / "docs" / "examples" / "sb3_skills.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "sb3_skills", module)
    spec.loader.exec_module(module)
    measures = module.main(module.Args(control_steps=400_000, num_envs=128, episodes=64, out=tmp_path))
    assert measures["normalized_return"] > 0.55

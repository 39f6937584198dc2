"""A task on top of characters, and latents as actions."""

import math

import pytest
import torch
import torch.nn.functional as F

from envs.resets import StartMix
from envs.skill_env import SkillEnv, SkillEnvConfig
from envs.task_env import TaskEnv
from envs.tasks import TaskSettings, make_task
from tests.envs.helpers import ScriptedPhysics, make_env

N, A, Z = 4, 28, 3
DEFAULT = StartMix(clip=0.0, default=1.0)


def task_env(character, library, name="location", num_envs=N, physics=None, seed=0, **config):
    env = make_env(character, library, num_envs, seed=seed, physics=physics, start=DEFAULT, **config)
    return TaskEnv(env, make_task(name, TaskSettings(), character, num_envs, env.config.control_dt, torch.Generator().manual_seed(seed)))


def skill_env(env, style=0.0, discount=0.99, **config):
    """Latents over ``env`` whose low-level policy holds still; what it was asked for is kept in ``asked``."""
    asked = []

    def act(obs, z):
        asked.append((obs.clone(), z.clone()))
        return env.rest_action.expand(env.num_envs, -1)

    skills = SkillEnv(env, act, lambda windows: torch.full((env.num_envs,), style), Z, discount, SkillEnvConfig(**config))
    return skills, asked


def fallen(env, env_id):
    """Makes a character touch the floor with its lowest sensed body for good (scripted physics)."""
    env.physics.qpos[env_id, 2] = 0.05
    env.physics.touch[env_id] = 1.0


# Task


def test_the_observation_is_the_characters_and_then_the_tasks(character, library):
    env = task_env(character, library)
    obs = env.reset()
    assert obs.shape == (N, env.obs_dim) == (N, env.env.obs_dim + 2)
    torch.testing.assert_close(obs[:, :-2], env.env.obs)
    torch.testing.assert_close(obs[:, -2:], env.task.observe(env.env.state))
    step = env.step(env.rest_action.expand(N, -1))
    torch.testing.assert_close(step.obs[:, -2:], env.task.observe(env.env.state))
    torch.testing.assert_close(step.reward, env.task.reward(env.env.state))


def test_a_partial_reset_changes_only_its_own_targets_and_counts(character, library):
    env = task_env(character, library)
    env.reset()
    for _ in range(3):
        env.step(env.rest_action.expand(N, -1))
    before, returns = env.task.target.clone(), env.task_return.clone()
    env.reset(torch.tensor([1]))
    assert (env.task.target[1] != before[1]).all()
    others = torch.tensor([0, 2, 3])
    assert torch.equal(env.task.target[others], before[others])
    assert torch.equal(env.task_return[others], returns[others])
    assert env.task_return[1] == 0


def test_a_fall_earns_nothing_and_nothing_after_it_counts(character, library):
    physics = ScriptedPhysics(character, N)
    env = task_env(character, library, physics=physics)
    env.reset()
    env.task.target = env.env.state.root_pos[:, :2].clone()  # everybody is there
    env.step(torch.zeros(N, A))
    first = env.task_return.clone()
    assert first.min() > 0.9
    fallen(env.env, 2)
    step = env.step(torch.zeros(N, A))
    assert step.terminated.tolist() == [False, False, True, False]
    assert step.reward[2] == 0
    env.step(torch.zeros(N, A))
    assert env.task_return[2] == first[2]
    assert env.task_return[0] == pytest.approx(3 * first[0].item(), rel=1e-5)
    assert env.asked.tolist() == [0, 0, 1, 0]
    assert env.met.tolist() == [0, 0, 0, 0], "a fall fails its target"


def test_targets_are_counted_when_their_time_ends_and_at_the_end(character, library):
    env = task_env(character, library, physics=ScriptedPhysics(character, N), episode_length_s=0.2)
    env.reset()
    pos = env.env.state.root_pos[:, :2]
    env.task.target = pos + torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    env.task.steps_left[:] = torch.tensor([2, 2, 100, 100])
    for _ in range(6):
        env.step(torch.zeros(N, A))
    assert env.asked.tolist() == [2, 2, 1, 1]
    assert env.met.tolist()[:3] == [1 + int(env.task.success(env.env.state)[0]), int(env.task.success(env.env.state)[1]), 1]
    env.step(torch.zeros(N, A))
    assert env.asked.tolist() == [2, 2, 1, 1], "the episode is over"


def test_as_many_targets_as_characters(character, library):
    env = make_env(character, library, 2)
    with pytest.raises(ValueError, match="task heading: num_envs: got 3; expected 2, as many as there are characters"):
        TaskEnv(env, make_task("heading", TaskSettings(), character, 3, 1 / 30, torch.Generator()))


def test_saved_and_restored_it_goes_on_as_it_would_have(character, library):
    env, other = (task_env(character, library, "heading", seed=seed) for seed in (0, 5))
    env.reset()
    other.reset()
    for _ in range(4):
        env.step(env.rest_action.expand(N, -1))
    saved = env.state_dict()
    runs = []
    for target in (env, other):
        if target is other:
            target.load_state_dict(saved)
        steps = [target.step(target.rest_action.expand(N, -1)) for _ in range(3)]
        runs.append(torch.cat([torch.cat((s.obs, s.reward.unsqueeze(-1)), dim=-1) for s in steps]))
    assert torch.equal(runs[0], runs[1])
    assert torch.equal(env.task_return, other.task_return)


# Latents


def test_a_latent_is_projected_onto_the_sphere_and_held(character, library):
    skills, asked = skill_env(task_env(character, library))
    skills.reset()
    action = torch.tensor([[0.3, 0.0, -0.4], [0.0, 0.1, 0.0], [5.0, -5.0, 0.0], [1.0, 1.0, 1.0]])
    skills.step(action)
    assert len(asked) == 5
    expected = F.normalize(action.clamp(-1, 1), dim=-1)
    for obs, z in asked:
        torch.testing.assert_close(z, expected)
        assert obs.shape == (N, skills.env.env.obs_dim), "the low-level policy does not see the task"
    assert not torch.equal(asked[0][0], asked[1][0]), "the low-level policy sees every control step"


def test_the_reward_is_the_discounted_mean_of_its_control_steps(character, library):
    env = task_env(character, library, physics=ScriptedPhysics(character, N))
    skills, _ = skill_env(env, style=0.5, hold_steps=2, discount=0.5, task_weight=0.9, style_weight=0.1)
    skills.reset()
    rewards = iter([torch.tensor([1.0, 0.0, 0.0, 0.4]), torch.tensor([0.0, 1.0, 0.0, 0.4])])
    env.task.reward = lambda state: next(rewards)
    step = skills.step(torch.ones(N, Z))
    task = torch.tensor([1.0, 0.5, 0.0, 0.6]) / 1.5
    torch.testing.assert_close(step.reward, 0.9 * task + 0.05)
    assert skills.macro_discount == 0.25


def test_rewards_after_the_end_of_an_episode_do_not_count(character, library):
    physics = ScriptedPhysics(character, N)
    env = task_env(character, library, physics=physics)
    skills, _ = skill_env(env, style=1.0, hold_steps=3, discount=1.0)
    skills.reset()
    count = 0

    def reward(state):
        nonlocal count
        count += 1
        if count == 2:
            fallen(env.env, 0)  # from the third control step on
        return torch.ones(N)

    env.task.reward = reward
    step = skills.step(torch.ones(N, Z))
    assert step.terminated.tolist() == [True, False, False, False]
    torch.testing.assert_close(step.reward, torch.tensor([0.9 * 2 / 3, 1.0, 1.0, 1.0]))
    assert skills.style[0] == 0


def test_a_fall_within_a_step_ends_it_even_if_the_character_is_up_again(character, library):
    physics = ScriptedPhysics(character, N)
    env = task_env(character, library, physics=physics)
    skills, _ = skill_env(env, hold_steps=5)
    skills.reset()
    up = env.physics.qpos.clone()
    count = 0

    def reward(state):
        nonlocal count
        count += 1
        if count == 1:
            fallen(env.env, 3)
        if count == 2:
            env.physics.qpos[:] = up
            env.physics.touch[:] = 0
        return torch.ones(N)

    env.task.reward = reward
    step = skills.step(torch.ones(N, Z))
    assert step.terminated.tolist() == [False, False, False, True]
    earned = sum(0.99**k for k in range(5))
    torch.testing.assert_close(step.reward, 0.9 * torch.tensor([1.0, 1.0, 1.0, 1.0 / earned]), msg="what it earns after getting up belongs to no episode")
    assert env.task_return.tolist() == [5.0, 5.0, 5.0, 1.0]
    assert env.take_mean_reward() == pytest.approx((3 * 5 + 1) / (3 * 5 + 2)), "the fall's own step counts, with nothing; what follows does not"
    assert env.take_mean_reward() == 0, "asked again at once: nothing since"


def test_a_time_limit_is_a_truncation_at_the_end_of_a_step(character, library):
    skills, _ = skill_env(task_env(character, library, physics=ScriptedPhysics(character, N), episode_length_s=10 / 30))
    skills.reset()
    assert not skills.step(torch.ones(N, Z)).done.any()
    step = skills.step(torch.ones(N, Z))
    assert step.truncated.all()
    assert not step.terminated.any()


def test_an_episode_must_hold_whole_steps(character, library):
    with pytest.raises(ValueError, match="skill environment: hold_steps: got 7; expected a divisor of the 300 control steps of an episode"):
        skill_env(task_env(character, library), hold_steps=7)


def test_discounting_is_that_of_the_control_steps(character, library):
    """The return of two steps here equals the control steps' own, up to a constant."""
    env = task_env(character, library, physics=ScriptedPhysics(character, N))
    skills, _ = skill_env(env, hold_steps=2, discount=0.9, task_weight=1.0, style_weight=0.0)
    skills.reset()
    flow = [0.3, 0.9, 0.1, 0.7]
    rewards = iter(flow)
    env.task.reward = lambda state: torch.full((N,), next(rewards))
    first, second = skills.step(torch.ones(N, Z)).reward[0].item(), skills.step(torch.ones(N, Z)).reward[0].item()
    control = sum(r * 0.9**k for k, r in enumerate(flow))
    assert math.isclose((1 + 0.9) * (first + skills.macro_discount * second), control, rel_tol=1e-6)

"""Learning from what was acted before."""

import pytest
import torch

from ase.off_policy import Critic, Memory, OffPolicyConfig, strip_returns
from ase.rollout import Rollout
from ase.symmetry import Mirror
from tests.ase.test_learning import Seen, train
from tests.ase.toys import CPU, PointMass, Scripted, make_learner, tiny_config

NEVER = torch.zeros(1, 3, dtype=torch.bool)


def returns(terminated=NEVER, truncated=NEVER, lam=0.5):
    """Of three steps with rewards 1, 2, 3 between states worth 10, 20, 30, or 100 where time was up, discounted by a half."""
    reward, value = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[10.0, 20.0, 30.0]])
    return strip_returns(reward, value, torch.full((1, 3), 100.0), terminated, truncated, discount=0.5, lam=lam)[0].tolist()


@pytest.mark.parametrize(("lam", "expected"), [(0.0, [6.0, 12.0, 18.0]), (1.0, [6.5, 11.0, 18.0]), (0.5, [6.375, 11.5, 18.0])])
def test_returns_mix_what_the_states_after_are_worth_and_what_came_of_them(lam, expected):
    assert returns(lam=lam) == pytest.approx(expected)


def test_returns_end_with_the_episode():
    second = torch.tensor([[False, True, False]])
    assert returns(terminated=second) == pytest.approx([1 + 0.5 * (0.5 * 10 + 0.5 * 2), 2.0, 18.0])
    assert returns(truncated=second) == pytest.approx([1 + 0.5 * (0.5 * 10 + 0.5 * 52), 52.0, 18.0])


def test_a_critic_sees_no_sides():
    """One action turns left, the other right; of two observations one is odd. Without the action's mirror image the values differ."""
    mirror = Mirror(torch.tensor([0, 1]), torch.tensor([1.0, -1.0]), torch.tensor([1, 0]), torch.ones(2))
    critic = Critic(2, 3, 2, (16,), mirror)
    obs, z, action = torch.randn(8, 2), torch.randn(8, 3), torch.rand(8, 2)
    there = z * torch.tensor([-1.0, 1.0, 1.0])
    with torch.no_grad():
        assert torch.equal(critic(obs, z, action), critic(mirror.obs(obs), there, mirror.action(action)))
        assert (critic(obs, z, action) - critic(mirror.obs(obs), there, action)).abs().max() > 1e-4


def test_a_critic_values_what_the_environment_makes_of_an_action():
    critic = Critic(2, 0, 1, (16,), None)
    obs, z = torch.randn(8, 2), torch.zeros(8, 0)
    with torch.no_grad():
        assert torch.equal(critic(obs, z, torch.full((8, 1), 1.0)), critic(obs, z, torch.full((8, 1), 3.0)))
        assert not torch.equal(critic(obs, z, torch.full((8, 1), 1.0)), critic(obs, z, torch.full((8, 1), 0.9)))


def remembered(steps: int, rollouts: int) -> Memory:
    """A memory of two environments, of rollouts of three steps; observation and reward are the time."""
    memory = Memory(steps, 2, 1, 0, 1, (1, 1), CPU)
    for k in range(rollouts):
        time = (3.0 * k + torch.arange(3.0)).view(3, 1).expand(3, 2)
        flat = {name: time.unsqueeze(-1) for name in ("obs", "action")} | {"reward": time, "z": torch.zeros(3, 2, 0), "windows": time.view(3, 2, 1, 1)}
        memory.push(**flat, **dict.fromkeys(("end_value", "terminated", "truncated", "evidence"), time * 0))
    return memory


@pytest.mark.parametrize("rollouts", [2, 3, 7])
def test_strips_are_consecutive_steps_of_one_environment_among_the_latest(rollouts):
    memory = remembered(8, rollouts)
    ids = memory.draw(500, 2, torch.Generator().manual_seed(0))
    time, last = memory.held["reward"][ids], 3 * rollouts - 1
    assert (time.diff(dim=1) == 1).all()
    assert (ids % 2 == ids[:, :1] % 2).all()
    assert set(time[:, 0].tolist()) == set(range(max(0, last - 7), last - 1))


def learning(**settings):
    env = PointMass(8, 0)
    config = tiny_config(
        ppo={"rollout_steps": 6, "policy_lr": 1e-2},
        style={"style_weight": 0.5, "skill_weight": 1.0},
        latents={"dim": 4},
        off_policy=OffPolicyConfig(**{"updates": 4, "batch_size": 16, "strip": 2, "stored_steps": 12, "alone_samples": 0, "critic_hidden": (16,)} | settings),
    )
    learner = make_learner(env, config)
    learner.learn_off_policy()
    return env, learner, learner.off_policy


def acted(env, learner) -> Rollout:
    """A rollout in which everything is random and nothing ends."""
    rollout = Rollout.empty(6, env.num_envs, 2, 4, 2, env.window, CPU)
    rollout.windows.begin(env.history)
    for t in range(6):
        never = torch.zeros(8, dtype=torch.bool)
        values = {"obs": torch.randn(8, 2), "z": learner.latents.z, "action": torch.randn(8, 2), "task_reward": torch.full((8,), 10.0), "end_value": torch.zeros(8)}
        rollout.store(t, **values, terminated=never, truncated=never, evidence=never | (t > 2))
        rollout.windows.append(t, torch.randn(8, 2))
    rollout.windows.finish()
    return rollout


def test_rewards_are_given_anew_whenever_steps_are_drawn():
    """What no network gave stays; a discriminator that changes its mind changes style; skill counts only where a window is evidence."""
    env, learner, off = learning()
    off.remember(acted(env, learner))
    ids = torch.arange(6 * 8)
    first = off.rewards(ids, bf16=False)
    with torch.no_grad():
        learner.style.discriminator.mlp.output.bias += 1.0
    second = off.rewards(ids, bf16=False)
    assert (second > first).all()
    windows, z = off.memory.held["windows"].float()[ids], off.memory.held["z"][ids]
    style, skill = learner.style.rewards(windows, z)
    expected = 10.0 + 0.5 * style + torch.where(ids >= 3 * 8, skill, 0.0)
    torch.testing.assert_close(second, expected)


def test_a_policy_that_is_kept_near_the_last_goes_less_far():
    moved = {}
    for weight in (0.0, 30.0):
        torch.manual_seed(0)
        env, learner, off = learning(updates=40, keep_weight=weight)
        learner.update_obs_statistics(torch.randn(256, 2))
        moved[weight] = off.improve(acted(env, learner), 0.0, False, None)["ppo/kl"]
    assert 0 < moved[30.0] < 0.5 * moved[0.0]


def test_the_critic_learns_alone_at_first():
    env, learner, off = learning(alone_samples=100)
    learner.update_obs_statistics(torch.randn(256, 2))
    policy, critic = learner.policy.mlp.output.weight.clone(), off.critic.nets[0].output.weight.clone()
    assert "ppo/kl" not in off.improve(acted(env, learner), 0.0, False, None)
    assert torch.equal(learner.policy.mlp.output.weight, policy)
    assert not torch.equal(off.critic.nets[0].output.weight, critic)
    learner.samples = 100
    assert "ppo/kl" in off.improve(acted(env, learner), 0.0, False, None)
    assert not torch.equal(learner.policy.mlp.output.weight, policy)


@pytest.mark.parametrize("seed", [0, 1])
def test_it_drives_a_point_to_the_origin_with_a_quarter_of_the_steps_that_ppo_gets(seed):
    env = PointMass(32, seed)
    ppo = {"rollout_steps": 5, "action_std": 0.3, "policy_lr": 3e-3, "discount": 0.9, "bound_weight": 1.0}
    off = OffPolicyConfig(updates=32, batch_size=256, strip=4, critic_lr=3e-3, critic_hidden=(32, 32), alone_samples=480, keep_weight=0.1)
    learner = make_learner(env, tiny_config(ppo=ppo, off_policy=off), seed)
    learner.learn_off_policy()
    train(env, learner, iterations=30)
    test = PointMass(200, seed=100 + seed)
    obs = test.reset()
    for _ in range(15):
        obs = test.step(learner.act(obs, torch.zeros(200, 0))).obs
    assert obs.norm(dim=-1).mean() < 0.15


@pytest.mark.parametrize(("end", "expected"), [("truncate", 10.0), ("terminate", 4.0951)])
def test_critics_look_past_a_time_limit_but_not_past_a_failure(end, expected):
    """A reward of 1 a step, discounted by 0.9: forever it is worth 10, for five steps 4.0951."""
    ends = {(t, env) for t in range(4, 10_000, 5) for env in range(4)}
    env = Seen(Scripted(4, 1, **{end: ends}), [0.0, 0.2 if end == "terminate" else 0.0, 0.0])
    off = OffPolicyConfig(updates=16, batch_size=64, strip=3, critic_lr=3e-3, critic_hidden=(16,), alone_samples=10**9, target_step=0.1)
    learner = make_learner(env, tiny_config(ppo={"rollout_steps": 10, "discount": 0.9}, off_policy=off), seed=0)
    learner.learn_off_policy()
    train(env, learner, iterations=60)
    at_start = learner.values(learner.obs_normalizer(torch.zeros(1, 3)), torch.zeros(1, 0))
    assert at_start.item() == pytest.approx(expected, rel=0.08)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"updates": -1}, "off_policy: got updates -1, strip 8; expected at least 0, and 1 to less than stored_steps, which are 200"),
        ({"strip": 200}, "off_policy: got updates 0, strip 200; expected at least 0, and 1 to less than stored_steps, which are 200"),
        ({"lam": 1.5}, "off_policy: lam: got 1.5; expected 0 to 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        OffPolicyConfig(**settings)


def test_an_unfinished_strip_is_waited_for():
    """But what was seen counts for the statistics of observations at once."""
    env, learner, off = learning(strip=11)
    assert off.improve(acted(env, learner), 0.0, False, None) == {}
    assert learner.obs_normalizer.count == 6 * 8
    assert off.improve(acted(env, learner), 0.0, False, None)

"""High-level training on a toy: the loop, its counters, and that it learns."""

import pytest
import torch

from ase.actor_critic import ActorCritic
from ase.evaluate_task import play_episodes, spread_over_seeds
from ase.latents import LatentConfig
from ase.nets import Policy
from ase.ppo import PpoConfig
from ase.task_train import TaskTrainConfig, task_train
from tests.ase.toys import CPU, PointMass, ToyStep

SMALL = {"rollout_steps": 20, "num_epochs": 4, "minibatch_size": 320, "action_std": 0.3, "policy_hidden": (32, 32), "value_hidden": (32, 32)}
SMALL |= {"deterministic_share": 0.0, "diversity_weight": 0.0, "policy_lr": 3e-3, "value_lr": 3e-3, "discount": 0.9}


def make(env, config, seed=0, squash=True):
    return ActorCritic(config.ppo, LatentConfig(dim=0), env.obs_dim, env.rest_action, env.num_envs, 1.0, CPU, seed, squash=squash)


def run(iterations=60, **config):
    env = PointMass(64, seed=1)
    settings = TaskTrainConfig(max_samples=10**9, bf16="off", ppo=PpoConfig(**SMALL | config))
    learner, log = make(env, settings), []

    def on_iteration(metrics):
        log.append(metrics)
        return len(log) < iterations

    task_train(env, learner, settings, 5, env.reset(), on_iteration)
    return learner, log


def test_it_learns_to_get_to_the_origin():
    learner, log = run()
    first, last = (sum(m["reward/total"] for m in part) / len(part) for part in (log[:3], log[-3:]))
    assert first < 0.4
    assert last > 0.75
    pos = torch.tensor([[0.8, 0.0], [0.0, -0.8]])
    action = learner.act(pos, torch.zeros(2, 0))
    assert action[0, 0] < -0.3
    assert action[1, 1] > 0.3


def test_samples_are_counted_in_control_steps():
    learner, log = run(iterations=2)
    assert learner.samples == 2 * 20 * 64 * 5
    assert learner.iteration == 2
    assert log[-1]["time/samples_per_s"] == pytest.approx(20 * 64 * 5 / log[-1]["time/iteration_s"])
    assert log[-1]["time/iteration_s"] == pytest.approx(log[-1]["time/act_s"] + log[-1]["time/update_s"])


def test_it_ends_at_its_samples():
    env = PointMass(8, seed=1)
    settings = TaskTrainConfig(max_samples=1000, bf16="off", ppo=PpoConfig(**SMALL))
    learner = make(env, settings)
    task_train(env, learner, settings, 1, env.reset(), lambda metrics: True)
    assert learner.samples == 1120, "whole iterations of 160"


def test_a_squashed_mean_stays_in_range_and_starts_at_zero():
    rest = torch.tensor([0.5, -0.5])
    torch.manual_seed(0)
    policy, plain = (Policy(3, 0, rest, (8,), 0.1, squash=squash) for squash in (True, False))
    obs, none = 1000 * torch.randn(50, 3), torch.zeros(50, 0)
    policy.mlp.output.weight.data *= 1e4
    assert policy(obs, none).abs().max() <= 1.0
    assert policy(obs, none).abs().max() > 0.99
    zero = torch.zeros(1, 3)
    assert policy(zero, none[:1]).abs().max() < 1e-6
    torch.testing.assert_close(plain(zero, none[:1]), rest[None])


class Counted(PointMass):
    """Two episodes; the second falls at its third step."""

    task_return, asked, met = torch.tensor([6.0, 3.0]), torch.tensor([2, 2]), torch.tensor([2, 1])

    def step(self, action):
        step = super().step(action)
        fell = torch.tensor([False, bool(self.age[1] >= 3)])
        return ToyStep(step.obs, step.reward, fell, step.truncated, step.disc_obs)


def test_episodes_are_measured_as_defined():
    env = Counted(2, seed=0)
    measures = play_episodes(env, env, lambda obs: torch.zeros(2, 2), lambda windows: torch.tensor([1.0, 3.0]), steps=5, steps_each=2)
    assert measures["normalized_return"] == pytest.approx(4.5 / 10)
    assert measures["success_rate"] == 0.75
    assert measures["fall_rate"] == 0.5
    assert measures["style_reward"] == pytest.approx((5 * 1.0 + 2 * 3.0) / 7), "only while upright"


def test_spread_over_seeds():
    found = spread_over_seeds([{"a": 1.0}, {"a": 2.0}, {"a": 6.0}])
    assert found == {"a": {"mean": 3.0, "std": 2.6458, "each": [1.0, 2.0, 6.0]}}
    assert spread_over_seeds([{"a": 1.0}])["a"]["std"] == 0.0


def noise(memory, steps, seed=0):
    env = PointMass(500, seed=1)
    learner = make(env, TaskTrainConfig(ppo=PpoConfig(**SMALL | {"noise_memory": memory})), seed)
    mean = torch.ones(500, 2)
    return learner, torch.stack([learner.draw_noise(mean) for _ in range(steps)])


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_noise_is_standard_normal_and_remembers_what_it_was(memory):
    _, drawn = noise(memory, 40)
    for part in (drawn[0], drawn[20], drawn[-1]):
        assert part.mean().item() == pytest.approx(0.0, abs=0.1)
        assert part.std().item() == pytest.approx(1.0, abs=0.08)
    for apart in (1, 3):
        assert (drawn[apart:] * drawn[:-apart]).mean().item() == pytest.approx(memory**apart, abs=0.05)
    assert (drawn[:, :, 0] * drawn[:, :, 1]).mean().abs() < 0.05


def test_noise_goes_on_as_saved():
    learner, _ = noise(0.8, 5)
    other, _ = noise(0.8, 2, seed=3)
    other.load_own_state(learner.own_state())
    mean = torch.zeros(500, 2)
    for _ in range(3):
        assert torch.equal(learner.draw_noise(mean), other.draw_noise(mean))


def test_a_memory_that_never_forgets_is_refused():
    with pytest.raises(ValueError, match="ppo: noise_memory: got 1; expected at least 0 and less than 1"):
        PpoConfig(noise_memory=1.0)

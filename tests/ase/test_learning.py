"""Tiny problems that the whole learner solves in seconds."""

from dataclasses import replace

import pytest
import torch

from ase.latents import sample_latents
from ase.pretrain import pretrain
from tests.ase.toys import Demonstrations, PointMass, Scripted, make_learner, still, tiny_config


def train(env, learner, iterations, demos=None):
    count = 0

    def on_iteration(metrics):
        nonlocal count
        count += 1
        return count < iterations

    pretrain(env, demos or still(*env.window), learner, env.reset(), on_iteration)


class Seen:
    """A toy environment of which only scaled observations and rewards are seen."""

    def __init__(self, env: PointMass | Scripted, obs_scale: list[float], reward: float = 1.0):
        self._env, self._scale, self._reward = env, torch.tensor(obs_scale), reward

    def __getattr__(self, name):
        return getattr(self._env, name)

    def reset(self, env_ids=None):
        return self._env.reset(env_ids) * self._scale

    def step(self, action):
        step = self._env.step(action)
        return replace(step, obs=step.obs * self._scale, reward=step.reward * self._reward)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ppo_drives_a_point_to_the_origin(seed):
    env = PointMass(32, seed)
    ppo = {"rollout_steps": 20, "action_std": 0.3, "policy_lr": 3e-3, "value_lr": 3e-3, "num_epochs": 4, "discount": 0.9, "bound_weight": 1.0}
    learner = make_learner(env, tiny_config(ppo=ppo), seed)
    train(env, learner, iterations=30)
    test = PointMass(200, seed=100 + seed)
    obs = test.reset()
    start = obs.norm(dim=-1).mean()
    for _ in range(15):
        obs = test.step(learner.act(obs, torch.zeros(200, 0))).obs
    assert start > 0.7
    assert obs.norm(dim=-1).mean() < 0.1


@pytest.mark.parametrize(("end", "expected"), [("truncate", 10.0), ("terminate", 4.0951)])
def test_values_look_past_a_time_limit_but_not_past_a_failure(end, expected):
    """A reward of 1 a step, discounted by 0.9: forever it is worth 10, for five steps 4.0951."""
    ends = {(t, env) for t in range(4, 10_000, 5) for env in range(4)}
    # Time is visible where it matters; without it the state after a time limit, in which nothing ever acts, looks like the others.
    env = Seen(Scripted(4, 1, **{end: ends}), [0.0, 0.2 if end == "terminate" else 0.0, 0.0])
    ppo = {"rollout_steps": 10, "discount": 0.9, "value_lr": 1e-2, "policy_lr": 0.0, "num_epochs": 4, "value_hidden": (16,), "minibatch_size": 40}
    learner = make_learner(env, tiny_config(ppo=ppo), seed=0)
    train(env, learner, iterations=120)
    with torch.no_grad():
        at_start = learner.value(learner.obs_normalizer(torch.zeros(1, 3)), torch.zeros(1, 0))
    assert learner.return_normalizer.inverse(at_start.unsqueeze(-1)).item() == pytest.approx(expected, rel=0.06)


def test_ase_sends_different_latents_in_different_directions():
    """Two clips, one of steady motion to the left and one to the right; every latent should become one of them, and both should occur."""
    history = 3
    generator = torch.Generator().manual_seed(0)
    sign = torch.where(torch.rand(400, 1, 1, generator=generator) < 0.5, -1.0, 1.0)
    clips = Demonstrations(torch.cat((sign, torch.zeros_like(sign)), dim=-1).expand(-1, history, -1) * 0.8 + 0.05 * torch.randn(400, history, 2, generator=generator))
    env = Seen(PointMass(64, seed=0, history=history), [0.0, 0.0], reward=0.0)  # style is all that counts, so the position is hidden
    learner = make_learner(
        env,
        tiny_config(
            ppo={"rollout_steps": 16, "action_std": 0.2, "policy_lr": 2e-3, "value_lr": 3e-3, "num_epochs": 4, "discount": 0.8, "diversity_weight": 0.05}
            | {"deterministic_share": 0.2},
            style={"style_weight": 0.5, "skill_weight": 0.5, "disc_lr": 1e-3, "encoder_lr": 3e-3, "updates": 4, "batch_size": 256, "replay_size": 4096, "replay_push": 256},
            latents={"dim": 2, "min_hold_s": 6.0, "max_hold_s": 12.0},
        ),
    )
    train(env, learner, iterations=100, demos=clips)

    z = sample_latents(200, 2, torch.Generator().manual_seed(1))
    velocity = learner.act(torch.zeros(200, 2), z).clamp(-1, 1)
    left, right = velocity[:, 0] < -0.4, velocity[:, 0] > 0.4
    assert left.float().mean() > 0.2
    assert right.float().mean() > 0.2
    assert (left | right).float().mean() > 0.5
    assert torch.dot(z[left].mean(0), z[right].mean(0)) < 0, "each direction belongs to its own part of the circle of latents"
    assert velocity[:, 1].abs().mean() < 0.25
    windows = velocity.unsqueeze(1).expand(-1, history, -1)
    assert learner.style.rewards(windows, z)[1].mean() > 0.8

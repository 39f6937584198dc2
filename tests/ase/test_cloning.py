"""Teaching a policy the clips' actions before it acts."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ase.cloning import CloneConfig, clone
from tests.ase.toys import PointMass, make_learner, tiny_config

LATENTS = {"dim": 8, "clip_share": 0.5, "clip_focus": 0.9}


@dataclass
class Lessons:
    obs: Tensor
    action: Tensor
    clip: Tensor
    weight: Tensor


def lessons(env, n=400):
    """The same moments in two clips, which ask for opposite actions; and a third that is never drawn."""
    obs = 5 + 3 * torch.randn(n, env.obs_dim, generator=torch.Generator().manual_seed(1))
    clip = torch.arange(n) % 3
    side = torch.tensor([1.0, -1.0, 9.0])[clip].unsqueeze(-1)
    return Lessons(obs, side * 0.1 * (obs[:, :2] - 5), clip, (clip < 2).float() / n)


def taught(**settings):
    env = PointMass(4, seed=0)
    learner = make_learner(env, tiny_config(latents=LATENTS), mirrored_clips=torch.tensor([-1, -1, -1]))
    lesson = lessons(env)
    return learner, lesson, clone(learner, lesson, CloneConfig(**settings), bf16=False)


def test_a_policy_does_what_each_clip_asks_for_under_its_latents():
    learner, lesson, error = taught(steps=400, batch_size=256, lr=1e-2, obs_noise=0.0)
    for k in (0, 1):
        mine = lesson.clip == k
        done = learner.act(lesson.obs[mine], learner.anchors.points[[k]].expand(int(mine.sum()), -1))
        torch.testing.assert_close(done, lesson.action[mine], atol=0.12, rtol=0)
    assert error < 0.05
    assert taught(steps=1, batch_size=256)[2] > 0.2


def test_the_normaliser_knows_the_moments_as_often_as_they_occur():
    learner, lesson, _ = taught(steps=1)
    drawn = lesson.obs[lesson.weight > 0]
    torch.testing.assert_close(learner.obs_normalizer(drawn).mean(0), torch.zeros(drawn.shape[1]), atol=0.05, rtol=0)
    torch.testing.assert_close(learner.obs_normalizer(drawn).std(0), torch.ones(drawn.shape[1]), atol=0.05, rtol=0)


def test_noise_on_what_is_seen_evens_the_actions_out():
    sharp, blurred = (taught(steps=300, batch_size=256, lr=1e-2, obs_noise=noise) for noise in (0.0, 1.0))
    assert blurred[2] > 2 * sharp[2]


def test_latents_stand_for_clips_or_are_any():
    env = PointMass(4, seed=0)
    learner = make_learner(env, tiny_config(latents=LATENTS), mirrored_clips=torch.tensor([-1, -1, -1]))
    ids = torch.arange(60) % 3
    assert learner.anchors.cell(learner.latents_for(ids)).tolist() == ids.tolist()
    free = make_learner(env, tiny_config(latents={"dim": 8})).latents_for(ids)
    assert free.shape == (60, 8)
    assert free.norm(dim=-1).tolist() == pytest.approx([1.0] * 60, abs=1e-5)
    assert make_learner(env, tiny_config(latents={"dim": 0})).latents_for(ids).shape == (60, 0)

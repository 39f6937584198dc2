"""Teaching a policy the clips' actions before it acts."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from ase.cloning import CloneConfig, clone, falls, known, lesson, rehearsal, remember
from tests.ase.toys import PointMass, Scripted, make_learner, tiny_config

LATENTS = {"dim": 8, "clip_share": 0.5, "clip_focus": 0.9}


@dataclass
class Lessons:
    obs: Tensor
    action: Tensor
    clip: Tensor
    weight: Tensor
    still: Tensor


def lessons(env, n=400):
    """The same moments in two clips, which ask for opposite actions; and a third that is never drawn."""
    obs = 5 + 3 * torch.randn(n, env.obs_dim, generator=torch.Generator().manual_seed(1))
    clip = torch.arange(n) % 3
    side = torch.tensor([1.0, -1.0, 9.0])[clip].unsqueeze(-1)
    return Lessons(obs, side * 0.1 * (obs[:, :2] - 5), clip, (clip < 2).float() / n, torch.zeros(n, dtype=torch.bool))


def taught(seen=None, **settings):
    env = PointMass(4, seed=0)
    learner = make_learner(env, tiny_config(latents=LATENTS), mirrored_clips=torch.tensor([-1, -1, -1]))
    lesson = lessons(env)
    return learner, lesson, clone(learner, lesson, lesson.obs if seen is None else seen, CloneConfig(**settings), bf16=False)


def test_a_policy_does_what_each_clip_asks_for_under_its_latents():
    learner, lesson, error = taught(steps=400, batch_size=256, lr=1e-2, obs_noise=0.0)
    for k in (0, 1):
        mine = lesson.clip == k
        done = learner.act(lesson.obs[mine], learner.anchors.points[[k]].expand(int(mine.sum()), -1))
        torch.testing.assert_close(done, lesson.action[mine], atol=0.12, rtol=0)
    assert error < 0.05
    assert taught(steps=1, batch_size=256)[2] > 0.2


def test_the_normaliser_knows_the_moments_as_often_as_they_occur_and_what_is_seen_in_falls():
    seen = 11 + torch.randn(1000, 2, generator=torch.Generator().manual_seed(3))
    learner, lesson, _ = taught(seen, steps=1)
    both = torch.cat((lesson.obs[lesson.weight > 0], seen[: int((lesson.weight > 0).sum())]))
    torch.testing.assert_close(learner.obs_normalizer(both).mean(0), torch.zeros(2), atol=0.05, rtol=0)
    torch.testing.assert_close(learner.obs_normalizer(both).std(0), torch.ones(2), atol=0.05, rtol=0)


def test_what_skills_do_is_remembered_under_latents_of_the_clips_that_they_know():
    """The copy does not change with the learner; who falls starts anew; latents are held for a while."""
    env = PointMass(16, seed=0)
    learner = make_learner(env, tiny_config(latents=LATENTS), mirrored_clips=torch.tensor([-1, -1, -1]))
    memory = remember(env, learner, torch.tensor([0, 2]), 50)
    assert memory.obs.shape == (16 * 51, env.obs_dim)
    shown = known(learner, memory, 300)
    assert sorted(learner.anchors.cell(shown.z).unique().tolist()) == [0, 2]
    torch.testing.assert_close(learner.policy(shown.obs, shown.z), shown.action)
    before = memory.act(memory.obs[:300], shown.z)
    with torch.no_grad():
        for parameter in learner.policy.parameters():
            parameter.mul_(3.0)
    assert (learner.policy(shown.obs, shown.z) - shown.action).abs().max() > 0.005
    assert torch.equal(memory.act(memory.obs[:300], shown.z), before)
    torch.testing.assert_close(known(learner, memory, 300).obs.mean(), learner.obs_normalizer(memory.obs).mean(), atol=0.3, rtol=0)


def test_characters_act_with_noise_while_they_are_remembered():
    env = Scripted(4, 3, terminate={(2, 1)})
    learner = make_learner(env, tiny_config(ppo={"action_std": 0.5}, latents=LATENTS), mirrored_clips=torch.tensor([-1, -1, -1]))
    remember(env, learner, torch.tensor([1]), 5)
    assert len(env.actions) == 5
    assert torch.cat(env.actions).std().item() == pytest.approx(0.5, abs=0.15)
    assert env.resets == [(0, [0, 1, 2, 3]), (3, [1])]


def test_falls_are_seen_to_their_end_and_start_anew():
    env = Scripted(4, 3, terminate={(2, 1)})
    seen = falls(env, 5).view(5, 4, 3)
    assert seen[2, 1, 1] == 3, "the last observation of the fall"
    assert seen[3, 1, 1] == 1
    assert env.resets == [(0, [0, 1, 2, 3]), (3, [1])]
    assert all(torch.equal(action, torch.zeros(4, 2)) for action in env.actions)


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


def test_what_a_standing_clip_takes_is_shown_from_where_others_stand():
    """Of four clips two stand still; a moment's first feature tells its clip, and so does its action. What the others take is shown from their own moments alone."""
    env = PointMass(4, seed=0)
    learner = make_learner(env, tiny_config(latents=LATENTS), mirrored_clips=torch.tensor([-1, -1, -1, -1]))
    clip = torch.arange(400) % 4
    obs = torch.stack((clip.float(), torch.zeros(400)), dim=-1)
    teacher = Lessons(obs, clip.float().unsqueeze(-1), clip, torch.full((400,), 1 / 400), clip < 2)
    learner.update_obs_statistics(obs)
    shown = lesson(learner, teacher, 4000, 0.0)
    told, seen = learner.anchors.cell(shown.z), (learner.obs_normalizer(obs)[:4, 0] - shown.obs[:, :1]).abs().argmin(1)
    assert torch.equal(told, shown.action[:, 0].long()), "the action is that of the clip asked for"
    assert torch.equal(seen[told >= 2], told[told >= 2])
    for standing, other in ((0, 1), (1, 0)):
        assert set(seen[told == standing].tolist()) == {0, 1}
        assert (seen[told == standing] == other).float().mean().item() == pytest.approx(0.35, abs=0.06), "half of what is seen from elsewhere"
    teacher.still[:] = False
    assert torch.equal((learner.obs_normalizer(obs)[:4, 0] - lesson(learner, teacher, 50, 0.0).obs[:, :1]).abs().argmin(1).sort().values.unique(), torch.arange(4))


def test_the_clips_are_rehearsed_less_and_less():
    config = CloneConfig(rehearse_weight=0.2, rehearse_samples=1000)
    assert [config.rehearse_weight_at(n) for n in (0, 500, 1000, 2000)] == pytest.approx([0.2, 0.1, 0.0, 0.0])
    assert CloneConfig().rehearse_weight_at(0) == 0.0
    env = PointMass(4, seed=0)
    learner = make_learner(env, tiny_config(latents=LATENTS), mirrored_clips=torch.tensor([-1] * 3))
    few = replace(config, rehearse_batch=32)
    assert rehearsal(learner, None, few, 0) is None
    found = rehearsal(learner, lessons(env), few, 250)
    assert found.weight == pytest.approx(0.15)
    shown = found.draw()
    assert shown.obs.shape == (32, env.obs_dim)
    sides = torch.tensor([1.0, -1.0])[learner.anchors.cell(shown.z)]
    assert (sides.unsqueeze(-1) * shown.action * shown.obs[:, :2]).sum().item() > 0, "actions, latents and what is seen belong together"
    assert rehearsal(learner, lessons(env), few, 1000) is None


def test_what_is_seen_is_normalised_and_noisy():
    learner, taught_by, _ = taught(steps=1)
    assert lesson(learner, taught_by, 4000, 0.0).obs.std().item() == pytest.approx(1.0, abs=0.05)
    assert lesson(learner, taught_by, 4000, 1.0).obs.std().item() == pytest.approx(2**0.5, abs=0.07)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"steps": -1}, "clone: steps, rehearse_weight, rehearse_samples: got -1, 0, 0; expected at least 0"),
        ({"rehearse_weight": 0.1}, "clone: rehearse_samples: got 0 with rehearse_weight 0.1; expected the control steps until nothing is rehearsed"),
    ],
)
def test_settings_that_say_nothing_are_refused(settings, said):
    with pytest.raises(ValueError, match=r"^clone") as caught:
        CloneConfig(**settings)
    assert str(caught.value) == said

"""An episode that leaves the clip which it began on ends as a failure."""

import math

import pytest
import torch

from ase.learner import Learner
from ase.practice import MEMORY_S, Practice
from ase.pretrain import pretrain, restart_lost
from tests.ase.toys import CPU, Demonstrations, Scripted, tiny_config

DT = 1 / 30


def practice(lost_below=0.4, num_envs=4):
    made = Practice(lost_below, num_envs, DT, CPU)
    made.begin(torch.arange(num_envs - 1))  # the last one did not start on a clip
    return made


def test_the_level_is_a_running_mean_of_style_relative_to_all_and_never_above_one():
    steps, style = 12, torch.tensor([2.0, 1.0, 0.2, 0.8])  # of mean 1
    p = practice()
    p.update(style.expand(steps, 4), torch.full((4,), steps))
    keep = math.exp(-steps * DT / MEMORY_S)
    torch.testing.assert_close(p.level, torch.tensor([1.0, 1.0, keep + (1 - keep) * 0.2, 1.0]))


def test_only_steps_with_the_present_latent_count():
    style = torch.zeros(10, 2)
    style[:6], style[6:, 0] = 2.0, 0.5  # a character that began anew after step 5 is judged from there
    p = Practice(0.1, 2, DT, CPU)
    p.begin(torch.arange(2))
    p.update(style, torch.tensor([4, 4]))
    keep, mean = math.exp(-4 * DT / MEMORY_S), float(style.mean())
    torch.testing.assert_close(p.level, torch.tensor([keep + (1 - keep) * 0.5 / mean, keep]))


def test_motion_unlike_its_clip_is_lost_after_a_moment_and_no_other_is():
    p, style = practice(), torch.tensor([1.0, 0.9, 0.1, 0.1]).expand(3, 4) / 0.525
    when = {}
    for step in range(3, 60, 3):
        for env in p.update(style, torch.full((4,), step)).nonzero().flatten().tolist():
            when.setdefault(env, step * DT)
    expected = -MEMORY_S * math.log((0.4 - 0.1 / 0.525) / (1 - 0.1 / 0.525))
    assert set(when) == {2}
    assert when[2] == pytest.approx(expected, abs=3 * DT)


def test_nothing_is_lost_with_another_latent_or_where_it_is_switched_off():
    style, age = torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(90, 4), torch.full((4,), 90)
    p = practice()
    p.end(torch.tensor([2]))
    assert not p.update(style, age).any()
    p = practice()
    p.level[2] = 0.01
    p.end(torch.tensor([2]))
    assert not p.update(style, age).any(), "with another latent an old level means nothing"
    assert not practice(lost_below=0.0).update(style, age).any()
    assert practice().update(style, age).tolist() == [False, False, True, False]


def learner_on(env, clip_share, loops=(True, True)):
    config = tiny_config(latents={"dim": 4, "clip_share": clip_share, "lost_below": 0.4})
    return Learner(config, env.obs_dim, env.rest_action, env.window, env.num_envs, DT, CPU, 0, mirrored_clips=torch.tensor([-1, -1]), looping_clips=torch.tensor(loops))


def test_practice_begins_with_a_latent_of_the_clip_and_ends_with_the_next():
    env = Scripted(3, 3)
    learner = learner_on(env, clip_share=1.0)
    learner.begin_on_clips(torch.arange(3), torch.tensor([0, -1, 1]), env.history)
    assert learner.practice.active.tolist() == [True, False, True]
    assert learner.anchors.cell(learner.latents.z)[[0, 2]].tolist() == [0, 1]
    learner.switch_latents(torch.tensor([2]))
    assert learner.practice.active.tolist() == [True, False, False]


def test_a_clip_that_ends_cannot_be_lost():
    env = Scripted(2, 3)
    learner = learner_on(env, clip_share=1.0, loops=(True, False))
    learner.begin_on_clips(torch.arange(2), torch.tensor([0, 1]), env.history)
    assert learner.practice.active.tolist() == [True, False]
    assert learner.anchors.cell(learner.latents.z).tolist() == [0, 1], "its latents are practised all the same"


def test_lost_episodes_fail_and_begin_anew():
    env = Scripted(3, 3)
    env.reset()
    env.start_clip = torch.tensor([0, 0, 1])
    learner = learner_on(env, clip_share=1.0)
    before = learner.latents.z.clone()
    obs = restart_lost(env, learner, torch.tensor([1, 2]))
    assert env.failed == [(0, [1, 2])]
    assert env.resets[-1] == (0, [1, 2])
    assert torch.equal(obs, env.obs)
    assert (learner.latents.z != before).any(-1).tolist() == [False, True, True]
    assert learner.practice.active.tolist() == [False, True, True]


def test_it_is_saved_with_the_training():
    p, other = practice(), practice()
    p.update(torch.tensor([1.0, 0.5, 0.2, 0.1]).expand(6, 4), torch.full((4,), 6))
    p.end(torch.tensor([1]))
    other.load_state_dict(p.state_dict())
    assert torch.equal(other.level, p.level)
    assert torch.equal(other.active, p.active)


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_a_share_out_of_range_is_refused(value):
    with pytest.raises(ValueError, match=f"latents: lost_below: got {value:g}; expected at least 0 and less than 1"):
        tiny_config(latents={"dim": 4, "lost_below": value})


def test_training_ends_lost_episodes_as_failures_in_their_last_step(monkeypatch):
    env, seen = Scripted(3, 3), []
    learner = learner_on(env, clip_share=1.0)
    env.start_clip = torch.tensor([0, 0, 1])
    monkeypatch.setattr(learner.practice, "update", lambda style, age: torch.tensor([False, True, False]))
    improve = learner.improve
    monkeypatch.setattr(learner, "improve", lambda rollout, *rest: (seen.append(rollout.terminated.clone()), improve(rollout, *rest))[1])
    metrics = []
    pretrain(env, Demonstrations(torch.randn(50, 3, 3, generator=torch.Generator().manual_seed(0))), learner, env.reset(), lambda told: bool(metrics.append(told)))
    steps = len(seen[0])
    assert seen[0].nonzero().tolist() == [[steps - 1, 1]]
    assert env.resets[-1] == (steps, [1])
    assert metrics[0]["episode/lost_per_1000_steps"] == pytest.approx(1000 / (3 * steps))

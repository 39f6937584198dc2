"""Doing what a clip does at its pace: clips here are straight lines, so that every reward is known."""

import math

import pytest
import torch

from ase.anchors import Anchors
from ase.imitation import FAR, ON_THE_WAY, PACES, WIDE, Imitation
from ase.learner import Learner
from ase.pretrain import pretrain
from ase.windows import FrameLog
from envs.ways import Ways
from tests.ase.toys import CPU, Demonstrations, PointMass, Scripted, make_learner, tiny_config

DT = 0.1


def lines():
    """Clip k moves by k + 1 a second along the first feature; the second stays 0. Ten seconds each, then they are over."""
    times = DT * torch.arange(101)
    frames = torch.cat([torch.stack((times * speed, torch.zeros(101)), dim=-1) for speed in (1, 2)])
    after = torch.arange(1, 203)
    after[100], after[201] = 100, 201
    return Ways.apart(frames, after, torch.arange(2).repeat_interleave(101), 2)


@pytest.fixture
def anchors():
    return Anchors(torch.tensor([-1, -1]), 4)


def log(before, motion):
    """A rollout's windows: ``motion [T, N]`` along the first feature, after ``before [N]``."""
    steps, count = motion.shape
    frames = FrameLog(steps, count, (2, 2))
    both = [torch.stack((x, torch.zeros_like(x)), dim=-1) for x in (before, *motion)]
    frames.begin(both[0].unsqueeze(1).expand(-1, 2, -1))
    for t in range(steps):
        frames.append(t, both[t + 1])
    frames.finish()
    return frames


def imitation(anchors, num_envs=2, weights=(2.0, 3.0), stray_s=0.0):
    return Imitation(lines(), anchors, torch.tensor(weights), num_envs, DT, stray_s)


def still(steps):
    """The reward of who stands still while a clip moves by ``steps`` of `DT` metres, at the least pace."""
    return math.exp(-2.0 * (PACES[0] * DT * steps) ** 2)


def latents(anchors, clips, steps):
    return anchors.points[clips].expand(steps, -1, -1)


def test_whoever_keeps_pace_has_the_whole_reward_and_who_stands_still_ever_less(anchors):
    z = latents(anchors, [0, 1], 4)
    motion = torch.stack((1.0 + DT * torch.arange(1.0, 5.0), torch.full((4,), 3.0)), dim=-1)  # the first moves with clip 0, the other stands where clip 1 is after 1.5 s
    found = imitation(anchors).rewards(z, log(torch.tensor([1.0, 3.0]), motion))
    assert found[:, 0].tolist() == pytest.approx([1.0] * 4)
    assert found[:, 1].tolist() == pytest.approx([still(2 * n) for n in range(1, 5)])


def test_who_is_far_from_the_clip_has_more_of_the_wide_part(anchors):
    """The clock runs as before: who is far begins anew by the narrow part."""
    config = tiny_config(latents={"dim": 4, "clip_share": 1.0}, imitation_weight=0.5, imitation_wide=0.25)
    learner = Learner(config, 3, torch.zeros(2), (2, 2), 1, DT, CPU, 0, mirrored_clips=torch.tensor([-1, -1]))
    learner.imitate(lines(), torch.tensor([2.0, 3.0]))
    spot = torch.zeros(1)
    found = learner.imitation.rewards(latents(learner.anchors, [1], 9), log(spot, spot.expand(9, 1)))[:, 0]
    assert found.tolist() == pytest.approx([0.75 * still(2 * n) + 0.25 * still(2 * n) ** (1 / WIDE) for n in range(1, 10)], rel=1e-4)


def test_a_little_slower_or_faster_than_the_clip_will_do(anchors):
    z, start = latents(anchors, [0, 0, 0, 0], 9), torch.zeros(4)
    found = imitation(anchors, 4).rewards(z, log(start, DT * torch.arange(1.0, 10.0).unsqueeze(-1) * torch.tensor([0.6, 1.4, 0.3, 2.0])))
    assert found[-1, :2].tolist() == pytest.approx([1.0, 1.0])
    assert found[-1, 2:].tolist() == pytest.approx([math.exp(-2.0 * (0.3 * 9 * DT) ** 2), math.exp(-2.0 * (0.6 * 9 * DT) ** 2)], rel=1e-4)


def test_who_is_far_from_the_clip_for_a_second_begins_anew(anchors):
    z, spot = latents(anchors, [1], 40), torch.zeros(1)
    found = imitation(anchors, 1).rewards(z, log(spot, spot.expand(40, 1)))[:, 0]
    first = int((found < FAR).nonzero()[0])
    assert found[: first + 10].diff().max() < 0
    assert found[first + 10].item() == pytest.approx(still(2), rel=1e-4)


def test_at_its_end_a_clip_begins_anew_wherever_the_character_is(anchors):
    """Who stays at the end has the whole reward; so has who does it all again."""
    z, start = latents(anchors, [1, 1], 4), torch.tensor([19.8, 19.8])
    made = imitation(anchors)
    assert made.rewards(z, log(start, torch.full((4, 2), 20.0)))[:, 0].tolist() == pytest.approx([1.0, 1.0, 1.0, 1.0])
    again = torch.stack((torch.full((4,), 20.0), 2.0 * DT * torch.arange(1.0, 5.0)), dim=-1)
    assert made.rewards(z, log(torch.tensor([20.0, 0.0]), again))[1:].flatten().tolist() == pytest.approx([1.0] * 6)


def test_the_clock_goes_on_in_the_next_rollout_and_where_it_is_saved(anchors):
    z, spot = latents(anchors, [0, 1], 3), torch.tensor([1.0, 3.0])
    first = imitation(anchors)
    first.rewards(z, log(spot, spot.expand(3, 2)))
    other = imitation(anchors)
    other.load_state_dict(first.state_dict())
    for one in (first, other):
        found = one.rewards(z, log(spot, spot.expand(3, 2)))
        assert found[0].tolist() == pytest.approx([still(4), still(8)])


def test_with_another_latent_it_begins_anew_where_the_character_is(anchors):
    z = torch.cat((latents(anchors, [0, 0], 2), latents(anchors, [1, 0], 2)))
    spot = torch.tensor([1.0, 1.0])
    found = imitation(anchors).rewards(z, log(spot, spot.expand(4, 2)))
    assert found[:, 1].tolist() == pytest.approx([still(n) for n in range(1, 5)])
    assert found[2:, 0].tolist() == pytest.approx([still(2 * n) for n in range(1, 3)])


def test_a_new_episode_begins_where_its_own_history_ends(anchors):
    """After step 0 the character is put where clip 0 is at 7 s."""
    z = torch.cat((latents(anchors, [0], 1), latents(anchors, [1], 2)))
    frames = FrameLog(3, 1, (2, 2))
    frames.begin(torch.zeros(1, 2, 2))
    frames.append(0, torch.tensor([[DT, 0.0]]))
    frames.restart(torch.tensor([0]), torch.tensor([[[6.8, 0.0], [7.0, 0.0]]]))
    frames.append(1, torch.tensor([[7.2, 0.0]]))
    frames.append(2, torch.tensor([[7.4, 0.5]]))
    frames.finish()
    found = imitation(anchors, 1).rewards(z, frames)
    assert found[:, 0].tolist() == pytest.approx([1.0, 1.0, math.exp(-3.0 * 0.25)], rel=1e-4)


def test_who_is_on_the_way_has_a_part_of_the_reward_and_who_has_changed_the_whole(anchors):
    """Clip 0 goes round along y = 0 and leads to clip 1, along y = 1, from moment 4 to moment 12; the first two go there, the third stays on the first, the fourth walks on;
    the last is not far from its way yet, though it has little of the reward."""
    x = torch.arange(10.0)
    frames = torch.cat((torch.stack((x, torch.zeros(10)), dim=-1), torch.stack((x, torch.ones(10)), dim=-1)))
    after = torch.cat((torch.arange(1, 10), torch.tensor([0]), torch.arange(11, 20), torch.tensor([10])))
    leave, enter = (torch.tensor([[-1, moment], [-1, -1]]) for moment in (4, 12))
    ways = Ways(frames, after, torch.arange(2).repeat_interleave(10), torch.ones(20, dtype=torch.bool), torch.tensor([[0, 1], [1, 1]]), leave, enter)
    made = Imitation(ways, anchors, torch.tensor([1.0, 2.0]), 5, DT)
    goes, walks_on, drifts = ((3.0, 0.0), (2.0, 1.0), (3.0, 1.0)), ((3.0, 0.0), (4.0, 0.0), (5.0, 0.0)), ((2.6, 0.0), (3.2, 0.0), (3.8, -1.0))
    seen = FrameLog(3, 5, (2, 2))
    seen.begin(torch.tensor([2.0, 0.0]).expand(5, 2, 2))
    for t in range(3):
        seen.append(t, torch.tensor([goes[t], goes[t], walks_on[t], walks_on[t], drifts[t]]))
    seen.finish()
    found = made.rewards(latents(anchors, [1, 1, 0, 1, 1], 3), seen)
    assert found[:, :3].tolist() == [pytest.approx([ON_THE_WAY, ON_THE_WAY, 1.0]), pytest.approx([1.0] * 3), pytest.approx([1.0] * 3)]
    assert found[1, 3] == pytest.approx(ON_THE_WAY * math.exp(-(0.2**2)), rel=1e-4), "at a pace of 0.8 it is not yet where it should change"
    assert found[2, 3] == pytest.approx(math.exp(-2.0 - (5.0 - 3.2) ** 2), rel=1e-4), "the clock has changed, the character has not"
    assert found[2, 4] == pytest.approx(ON_THE_WAY * math.exp(-2.0), rel=1e-4)
    assert found[2, 4] < FAR
    assert made.far_s[4] == 0
    assert made.moment.tolist() == [13, 13, 5, 13, 3]


def strayed(made, anchors, steps, clips=(1, 1, 1), speeds=(0.0, 0.0, 2.0)):
    """Who has strayed after so many steps of one rollout: clip 1 moves by 2 a second."""
    motion = DT * torch.arange(1.0, steps + 1).unsqueeze(-1) * torch.tensor(speeds)
    made.rewards(latents(anchors, list(clips), steps), log(torch.zeros(3), motion))
    return made.strayed.tolist()


def test_an_episode_that_is_far_from_its_clip_for_too_long_has_strayed(anchors):
    first_far = next(n for n in range(1, 99) if still(2 * n) < FAR)
    for steps, expected in ((first_far + 2, False), (first_far + 4, True)):  # far from the first of these on
        made = imitation(anchors, 3, stray_s=0.45)
        made.begin(torch.tensor([0, 2]))  # the second did not begin on its clip, the third keeps pace
        assert strayed(made, anchors, steps) == [expected, False, False]
    assert strayed(made, anchors, 2) == [True, False, False]  # the next rollout


def test_nobody_strays_with_another_latent_or_where_it_is_switched_off(anchors):
    for stray_s, ended in ((0.45, [0]), (0.0, [])):
        made = imitation(anchors, 3, stray_s=stray_s)
        made.begin(torch.arange(3))
        made.end(torch.tensor(ended, dtype=torch.long))
        assert strayed(made, anchors, 20) == [False, stray_s > 0, False]


def test_who_begins_anew_in_a_rollout_has_not_strayed(anchors):
    """The old episode was far at last; the new one, with a latent of its own, is where its clip is."""
    made = imitation(anchors, 1, stray_s=0.45)
    made.begin(torch.tensor([0]))
    z = torch.cat((latents(anchors, [1], 14), latents(anchors, [0], 1)))
    made.rewards(z, log(torch.zeros(1), torch.zeros(15, 1)))
    assert not made.strayed.any()
    other = imitation(anchors, 1, stray_s=0.45)
    other.load_state_dict(made.state_dict())
    assert other.started.tolist() == [True]


def test_episodes_that_stray_end_as_failures_and_begin_again():
    """A learner's episodes begin on clips with latents of these, and stray only under these."""
    env = Scripted(2, 3)
    config = tiny_config(latents={"dim": 4, "clip_share": 1.0}, imitation_weight=0.5, imitation_stray_s=0.2)
    learner = Learner(config, env.obs_dim, env.rest_action, env.window, 2, DT, CPU, 0, mirrored_clips=torch.tensor([-1, -1]))
    learner.imitate(lines(), torch.ones(2))
    learner.begin_on_clips(torch.arange(2), torch.tensor([0, -1]), env.history)
    assert learner.imitation.stray_s == 0.2
    assert learner.imitation.started.tolist() == [True, False]
    learner.switch_latents(torch.tensor([0]))
    assert learner.imitation.started.tolist() == [False, False]


def test_training_ends_strayed_episodes_in_their_last_step(monkeypatch):
    env, seen = Scripted(3, 3), []
    config = tiny_config(latents={"dim": 4, "clip_share": 1.0}, imitation_weight=0.5, imitation_stray_s=0.2)
    learner = Learner(config, env.obs_dim, env.rest_action, env.window, 3, DT, CPU, 0, mirrored_clips=torch.tensor([-1, -1]))
    learner.imitate(lines(), torch.ones(3))
    learner.imitation.strayed = torch.tensor([False, True, False])
    monkeypatch.setattr(learner.imitation, "rewards", lambda z, windows: torch.zeros(z.shape[:2]))
    improve = learner.improve
    monkeypatch.setattr(learner, "improve", lambda rollout, *rest: (seen.append(rollout.terminated.clone()), improve(rollout, *rest))[1])
    pretrain(env, Demonstrations(torch.randn(50, 3, 3, generator=torch.Generator().manual_seed(0))), learner, env.reset(), lambda told: False)
    assert seen[0].nonzero().tolist() == [[len(seen[0]) - 1, 1]]
    assert env.failed[0][1] == [1]


def test_a_share_that_is_none_is_named():
    with pytest.raises(ValueError, match=r"imitation_wide: got 1.5; expected 0 to 1"):
        tiny_config(imitation_wide=1.5)


def test_a_time_that_would_never_be_reached_is_named():
    with pytest.raises(ValueError, match=r"imitation_stray_s: got 1.5; expected 0 \(never\) to 1"):
        tiny_config(imitation_stray_s=1.5)


def test_a_difference_that_would_be_rewarded_is_named():
    with pytest.raises(ValueError, match=r"imitation_travel: got \(0.1, -0.2\); expected two weights of at least 0"):
        tiny_config(imitation_travel=(0.1, -0.2))


def test_it_needs_latents_that_stand_for_clips():
    learner = make_learner(PointMass(4, seed=0), tiny_config(imitation_weight=0.5))
    with pytest.raises(ValueError, match=r"train: imitation_weight: got 0.5 with latents.clip_share 0; expected a share above 0"):
        learner.imitate(lines(), torch.ones(2))

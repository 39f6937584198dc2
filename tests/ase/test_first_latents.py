"""Which latents episodes begin with, and which are drawn."""

import pytest
import torch

from ase.collect import collect
from ase.latents import sample_latents
from ase.learner import FORGET
from ase.pretrain import pretrain
from ase.rollout import FALLEN, Rollout
from tests.ase.toys import PointMass, Scripted, make_learner, still, tiny_config

HISTORY, STEPS = 3, 12
LATENTS = {"dim": 4, "min_hold_s": 5.0, "max_hold_s": 5.0}  # a hold is five steps of one second


def test_episodes_that_start_on_a_clip_begin_with_a_latent_of_its_cell():
    ends = {(t, e) for t in range(10 * STEPS) for e in range(4)}
    inside = {}
    for share in (0.5, 1.0):
        env = Scripted(4, HISTORY, terminate=ends)  # every step begins an episode
        env.start_clip[:] = torch.tensor([0, 3, -1, 2])
        learner = make_learner(env, tiny_config(latents=LATENTS | {"clip_share": share}), mirrored_clips=torch.tensor([1, 0, 3, 2]))
        rollout = Rollout.empty(STEPS, 4, 3, 4, 2, env.window, torch.device("cpu"))
        cells = []
        obs = env.reset()
        for _ in range(10):
            obs, _ = collect(env, learner, rollout, obs, bf16=False)
            cells.append(learner.anchors.cell(rollout.z[1:].flatten(0, 1)).view(STEPS - 1, 4))
        inside[share] = (torch.cat(cells) == env.start_clip).float().mean(0)
        spread = torch.cat(cells)[:, 2].bincount(minlength=4).float() / (10 * (STEPS - 1))
        assert spread.min() > 0.1, "starts off the clips may have any latent"
    assert inside[1.0][[0, 1, 3]].tolist() == [1.0] * 3
    assert inside[0.5][[0, 1, 3]].mean().item() == pytest.approx(0.5 + 0.5 / 4, abs=0.08)


def test_without_a_share_or_clips_there_are_no_cells():
    env = Scripted(4, HISTORY)
    assert make_learner(env, tiny_config(latents=LATENTS), mirrored_clips=torch.tensor([-1])).anchors is None
    assert make_learner(env, tiny_config(latents=LATENTS | {"clip_share": 1.0})).anchors is None


def test_a_share_of_clip_starts_begins_with_the_latent_that_the_encoder_reads():
    found = []
    for share in (0.0, 1.0):
        env = Scripted(4, HISTORY, terminate={(1, 1), (1, 2)})
        env.start_clip[:] = torch.tensor([0, 3, -1, 0])
        learner = make_learner(env, tiny_config(latents=LATENTS | {"recognized_share": share}))
        rollout = Rollout.empty(STEPS, 4, 3, 4, 2, env.window, torch.device("cpu"))
        collect(env, learner, rollout, env.reset(), bf16=False)
        windows = torch.tensor([[[1.0, 0.0, 2.0]], [[2.0, 0.0, 2.0]]]).expand(2, HISTORY, 3)  # environments 1 and 2, no step yet, second episode
        read = learner.style.encode(windows)
        found.append([torch.allclose(rollout.z[t, e], read[0]) for t, e in ((1, 1), (2, 1), (6, 1), (7, 1), (2, 0), (2, 3))])
        assert not torch.allclose(rollout.z[2, 2], read[1]), "not after a start off the clips"
    assert found[0] == [False] * 6
    assert found[1] == [False, True, True, False, False, False], "from the reset to the end of the hold"


def test_latents_are_uniform_until_the_focus_begins():
    env = PointMass(4, seed=0)
    settings = LATENTS | {"clip_share": 0.5, "clip_focus": 0.9, "focus_from_samples": 48}
    learner = make_learner(env, tiny_config(ppo={"rollout_steps": 6}, latents=settings), mirrored_clips=torch.tensor([-1, -1]))
    assert learner.anchors.focus == 0.9, "outside training skills are what training ends with"
    seen = []
    demos = still(env.history.shape[1])
    demos.clips = torch.arange(64) % 2
    pretrain(env, demos, learner, env.reset(), lambda metrics: seen.append(learner.anchors.focus) or len(seen) < 4)
    assert seen == [0.0, 0.0, 0.9, 0.9], "24 control steps an iteration"


def test_random_skills_are_drawn_as_in_training():
    env = PointMass(4, seed=0)
    generator = torch.Generator().manual_seed(0)
    focused = make_learner(env, tiny_config(latents=LATENTS | {"clip_share": 0.5, "clip_focus": 1.0}), mirrored_clips=torch.tensor([-1, -1]))
    drawn = focused.draw_latents(50, generator)
    torch.testing.assert_close((drawn @ focused.anchors.points.t()).amax(-1), torch.ones(50))
    focused.switch_latents(torch.arange(4))
    torch.testing.assert_close((focused.latents.z @ focused.anchors.points.t()).amax(-1), torch.ones(4))
    weighted = make_learner(env, focused.config, mirrored_clips=torch.tensor([-1, -1]), clip_weights=torch.tensor([0.0, 1.0]))
    for _ in range(5):
        weighted.switch_latents(torch.arange(4))
        torch.testing.assert_close(weighted.latents.z, weighted.anchors.points[[1, 1, 1, 1]])
    both = weighted.draw_latents(50, generator)
    assert 0 < ((both @ weighted.anchors.points[0]) > 0.99).sum() < 50, "whatever is practised most, all clips are measured equally often"
    plain = make_learner(env, tiny_config(latents=LATENTS))
    assert torch.equal(plain.draw_latents(50, torch.Generator().manual_seed(3)), sample_latents(50, 4, torch.Generator().manual_seed(3)))


def test_latents_under_which_characters_fall_are_drawn_more_often():
    """The first of four clips fails in a quarter of its latents, the second in half, the last two never; the last weighs twice as much."""
    env = PointMass(4, seed=0)
    settings = LATENTS | {"clip_share": 0.5, "clip_focus": 1.0, "hard_share": 0.8}
    learner = make_learner(env, tiny_config(latents=settings), mirrored_clips=torch.full((4,), -1), clip_weights=torch.tensor([1.0, 1.0, 1.0, 2.0]))
    assert learner.failure.tolist() == [1.0] * 4, "nothing is known yet"
    learner.failure = torch.tensor([0.25, 0.5, 0.0, 0.0])
    drawn = learner.anchors.cell(learner._draw(20_000, generator=torch.Generator().manual_seed(0))).bincount(minlength=4) / 20_000
    assert drawn.tolist() == pytest.approx([part / 2.2 for part in (0.6, 1.0, 0.2, 0.4)], abs=0.01)
    learner.failure.zero_()
    drawn = learner.anchors.cell(learner._draw(20_000, generator=torch.Generator().manual_seed(0))).bincount(minlength=4) / 20_000
    assert drawn.tolist() == pytest.approx([0.2, 0.2, 0.2, 0.4], abs=0.01)
    even = learner.anchors.cell(learner.draw_latents(20_000, torch.Generator().manual_seed(0))).bincount(minlength=4) / 20_000
    assert even.tolist() == pytest.approx([0.25] * 4, abs=0.01), "measured equally often"


def test_what_is_known_of_latents_is_what_became_of_those_that_ended():
    """Environment 1 falls in every second step, 0 at the end of its episode, once; 2 and 3 never."""
    env = Scripted(4, HISTORY, terminate={(t, 1) for t in range(1, STEPS, 2)} | {(7, 0)})
    learner = make_learner(env, tiny_config(latents=LATENTS | {"clip_share": 0.01}), mirrored_clips=torch.full((4,), -1))
    learner.switch_latents = lambda ids: None
    learner.latents.z = learner.anchors.points.clone()
    learner.latents.steps_left = torch.tensor([50, 50, 3, 50])
    learner.failure.fill_(0.5)
    collect(env, learner, Rollout.empty(STEPS, 4, 3, 4, 2, env.window, torch.device("cpu")), env.reset(), bf16=False)
    keep = 1 - FORGET
    ended = STEPS - 2  # the third one's latent is over in each step from the third on, for nobody draws another here
    assert learner.failure.tolist() == pytest.approx([1 - 0.5 * keep, 1 - 0.5 * keep ** (STEPS // 2), 0.5 * keep**ended, 0.5], rel=1e-4)
    learner.learn_falls(torch.tensor([3, 3, 3]), torch.tensor([True, False, True]))
    assert learner.failure[3].item() == pytest.approx(2 / 3 + keep**3 * (0.5 - 2 / 3), rel=1e-4)
    other = make_learner(env, learner.config, mirrored_clips=torch.full((4,), -1))
    other.load_own_state(learner.own_state())
    assert torch.equal(other.failure, learner.failure)
    plain = make_learner(env, tiny_config(latents=LATENTS))
    plain.learn_falls(torch.tensor([0]), torch.tensor([True]))
    assert not len(plain.failure)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_an_impossible_share_of_hard_latents_is_refused(share):
    with pytest.raises(ValueError, match=rf"latents: hard_share: got {share:g}; expected at least 0 and less than 1"):
        tiny_config(latents=LATENTS | {"hard_share": share})


@pytest.mark.parametrize("focus", [-0.1, 1.5])
def test_an_impossible_focus_is_refused(focus):
    with pytest.raises(ValueError, match=rf"latents: clip_focus: got {focus:g}; expected 0 to 1"):
        tiny_config(latents=LATENTS | {"clip_focus": focus})


def test_who_starts_on_the_floor_begins_with_a_latent_that_fits_how_it_lies():
    windows = torch.tensor([[[1.0, 0.0, 2.0]], [[2.0, 0.0, 2.0]]]).expand(2, HISTORY, 3)  # environments 1 and 2, no step yet, second episode
    for settings in ({"fallen_hold_s": 0.0}, {"fallen_hold_s": 3.0}, {"fallen_hold_s": 3.0, "clip_share": 0.5, "clip_focus": 1.0}):
        env = Scripted(4, HISTORY, terminate={(1, 1), (1, 2)})
        env.start_clip[:] = torch.tensor([FALLEN, FALLEN, -1, 0])
        learner = make_learner(env, tiny_config(latents=LATENTS | settings), mirrored_clips=torch.tensor([-1, -1]))
        rollout = Rollout.empty(STEPS, 4, 3, 4, 2, env.window, torch.device("cpu"))
        collect(env, learner, rollout, env.reset(), bf16=False)
        read = learner.style.encode(windows)
        if learner.anchors is not None:
            read = learner.anchors.points[learner.anchors.cell(read)]
        held = [bool(torch.allclose(rollout.z[t, 1], read[0], atol=1e-6)) for t in range(1, 7)]
        expected = [False, True, True, True, False, False] if settings["fallen_hold_s"] else [False] * 6
        length = 6 if learner.anchors is None else 4  # the next random latent may be of the same clip
        assert held[:length] == expected[:length], "for three steps from the fall on"
        assert learner.anchors is not None or not torch.allclose(rollout.z[2, 2], read[1]), "who starts on its feet has any latent"


def test_clips_that_were_known_keep_their_cells():
    anchors = make_learner(PointMass(4, seed=0), tiny_config(latents=LATENTS | {"clip_share": 0.5}), mirrored_clips=torch.tensor([-1, -1, -1])).anchors
    old = torch.nn.functional.normalize(torch.randn(2, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
    anchors.keep(("walk", "new", "run"), old, ("run", "walk"))
    assert torch.equal(anchors.points[[2, 0]], old)
    new, known = (torch.nn.functional.normalize(part[:, 1:], dim=-1) for part in (anchors.points[1:2], old))
    torch.testing.assert_close(new @ known.t(), torch.zeros(1, 2), rtol=0, atol=1e-5)

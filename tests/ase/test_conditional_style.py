"""Discriminators that know which clip is asked for, in its pace, and those that see travel alone."""

import pytest
import torch

from ase.anchors import Anchors
from ase.rewards import style_reward
from ase.style import Style, StyleConfig, style_update
from tests.ase.styles import CONFIG, WINDOW, gaussian, make_style, train
from tests.ase.toys import Demonstrations, log_of


def test_a_conditional_discriminator_rewards_the_clip_that_is_asked_for():
    """Two clips; the agent plays the first whatever it is asked for. Without the condition that is perfect style; with it, it is no success where the second is asked for."""
    clips = torch.arange(600) % 2
    first, second = gaussian(1.0, 600), gaussian(-1.0, 600, seed=5)
    demos = Demonstrations(torch.where(clips[:, None, None] == 0, first, second))
    demos.clips = clips
    anchors, yes = Anchors(torch.tensor([-1, -1]), 4), torch.ones(600, dtype=torch.bool)
    z = anchors.points[clips]
    gap = {}
    for conditional in (True, False):
        style = make_style(latent_dim=4, anchors=anchors, conditional=conditional)
        for _ in range(30):
            style_update(style, log_of(first), z, yes, yes, demos, torch.Generator().manual_seed(1), bf16=False)
        reward, _ = style.rewards(gaussian(1.0, 600, seed=7), z)
        gap[conditional] = (reward[clips == 0].mean() / reward[clips == 1].mean()).item()
    assert gap[True] > 2
    assert gap[False] == pytest.approx(1.0, abs=0.2)


def test_replayed_windows_keep_the_clip_they_were_asked_for():
    """The agent plays what it is asked for, and then stops acting well: the discriminator must judge old windows by the clip asked for then."""
    anchors, yes = Anchors(torch.tensor([-1, -1]), 4), torch.ones(100, dtype=torch.bool)
    style = make_style(latent_dim=4, anchors=anchors, conditional=True, replay_push=100, input_noise=0.0)
    clips = torch.arange(100) % 2
    windows = clips.float()[:, None, None].expand(100, *WINDOW)
    style_update(style, log_of(windows), anchors.points[clips], yes, yes, Demonstrations(windows), torch.Generator().manual_seed(0), bf16=False)
    drawn, tags = style.replay.sample(500, torch.Generator().manual_seed(0))
    assert torch.equal(drawn[:, 0, 0].long(), tags)
    assert 0.3 < tags.float().mean() < 0.7
    seen = []
    judge = style.discriminator.forward
    style.discriminator.forward = lambda x, asked=None: seen.append((x, asked)) or judge(x, asked)
    style.normalizer.forward = lambda frames: frames
    other = anchors.points[:1].expand(100, -1)
    style_update(style, log_of(torch.zeros(100, *WINDOW)), other, yes, yes, Demonstrations(windows), torch.Generator().manual_seed(0), bf16=False)
    agent, asked = seen[0]
    half = len(agent) // 2
    assert (anchors.cell(asked[:half]) == 0).all(), "recent windows: the clip asked for now"
    old = agent[half:].mean(-1).round().long()
    assert 0 < (old == 1).sum() < half, "from the replay of both rounds"
    assert (anchors.cell(asked[half:])[old == 1] == 1).all(), "old windows: the clip asked for then"


def test_without_cells_the_condition_is_ignored():
    assert not make_style(latent_dim=4, conditional=True).conditional


def test_likeness_is_that_of_the_most_alike_clip():
    anchors = Anchors(torch.tensor([-1, -1, -1]), 4)
    style = make_style(latent_dim=4, anchors=anchors, conditional=True)
    windows = gaussian(0.3, 50)
    each = torch.stack([style.rewards(windows, point.expand(50, -1))[0] for point in anchors.points])
    assert each.std(0).max() > 1e-4, "the clips must differ for this to mean much"
    torch.testing.assert_close(style.likeness(windows), each.amax(0))
    plain = make_style(latent_dim=4)
    torch.testing.assert_close(plain.likeness(windows), plain.rewards(windows, anchors.points[:1].expand(50, -1))[0])


def paced_windows(n=300):
    """Windows of three clips, the last of which changes three times as much from frame to frame as the first two."""
    clips = torch.arange(n) % 3
    steps = torch.randn(n, *WINDOW, generator=torch.Generator().manual_seed(0))
    return torch.where(clips == 2, 0.9, 0.3)[:, None, None] * steps, clips


def test_the_pace_of_a_clip_is_its_change_from_frame_to_frame_over_the_median_and_at_least_one():
    windows, clips = paced_windows(30_000)
    style = make_style(latent_dim=4, anchors=Anchors(torch.tensor([-1, -1, -1]), 4), conditional=True)
    style.learn_pace(windows, clips)
    torch.testing.assert_close(style.pace, torch.tensor([1.0, 1.0, 3.0]), rtol=0.02, atol=0)
    assert (style.pace >= 1).all(), "slow clips are not magnified"
    style.learn_pace(windows + 0.5 * clips[:, None, None], clips)
    torch.testing.assert_close(style.pace[2], torch.tensor(3.0), rtol=0.02, atol=0, msg="where the motion is does not matter, how it changes does")


def test_a_window_is_judged_in_the_pace_of_the_clip_that_is_asked_for():
    anchors = Anchors(torch.tensor([-1, -1, -1]), 4)
    style = make_style(latent_dim=4, anchors=anchors, conditional=True)
    style.pace.copy_(torch.tensor([1.0, 2.0, 4.0]))
    window = gaussian(0.3, 1)
    for clip, pace in enumerate((1.0, 2.0, 4.0)):
        x = style.normalizer(window).flatten(1)
        expected = style_reward(style.discriminator(x / pace, anchors.points[[clip]]), style.config.style_scale)
        torch.testing.assert_close(style.rewards(window, anchors.points[[clip]])[0], expected)
    assert torch.equal(make_style(latent_dim=4).in_pace(window.flatten(1), None), window.flatten(1))


def test_training_judges_both_sides_in_pace_and_the_encoder_in_none():
    anchors, yes = Anchors(torch.tensor([-1, -1]), 4), torch.ones(100, dtype=torch.bool)
    style = make_style(latent_dim=4, anchors=anchors, conditional=True, replay_push=100, input_noise=0.0)
    style.pace.copy_(torch.tensor([1.0, 4.0]))
    clips = torch.arange(100) % 2
    demos = Demonstrations(torch.full((100, *WINDOW), 8.0))
    demos.clips = clips
    style.normalizer.forward = lambda frames: frames
    seen, shown = [], []
    judge, encode = style.discriminator.forward, style.encoder.forward
    style.discriminator.forward = lambda x, asked=None: seen.append((x.detach()[:, 0], anchors.cell(asked))) or judge(x, asked)
    style.encoder.forward = lambda x: shown.append(x.detach()[:, 0]) or encode(x)
    style_update(style, log_of(torch.full((100, *WINDOW), 4.0)), anchors.points[clips], yes, yes, demos, torch.Generator().manual_seed(0), bf16=False)
    for (x, cells), value in zip(seen[:2], (4.0, 8.0), strict=True):
        torch.testing.assert_close(x, value / style.pace[cells])
        assert 0 < cells.float().mean() < 1
    assert [set(x.tolist()) for x in shown[:2]] == [{4.0}, {8.0}]


TRAVEL = {"travel_columns": torch.tensor([0, 2])}


def make_travel_style(share, anchors=None, **config):
    torch.manual_seed(0)
    conditional = {"conditional": anchors is not None}
    return Style(StyleConfig(**CONFIG | conditional | {"travel_share": share, "travel_hidden": (16,)} | config), WINDOW, 4, anchors=anchors, **TRAVEL)


def test_the_style_reward_mixes_both_discriminators_by_the_share_of_travel():
    anchors = Anchors(torch.tensor([-1, -1]), 4)
    style = make_travel_style(0.25, anchors)
    style.pace.copy_(torch.tensor([1.0, 2.0]))
    windows, asked = gaussian(0.3, 20), anchors.points[[1]].expand(20, -1)
    x = style.normalizer(windows) / 2
    whole = style_reward(style.discriminator(x.flatten(1), asked), style.config.style_scale)
    travel = style_reward(style.travel(x[:, :, [0, 2]].flatten(1), asked), style.config.style_scale)
    assert (whole - travel).abs().max() > 1e-3, "the two must differ for this to mean much"
    torch.testing.assert_close(style.rewards(windows, asked)[0], 0.75 * whole + 0.25 * travel)


def test_the_travel_discriminator_sees_travel_alone():
    """The agent moves as the clips do, at a third of their travel, which the discriminator of everything has a hard time to notice beside what else differs."""
    demo, agent = gaussian(0.0), gaussian(0.0, seed=3)
    demo[..., 1], agent[..., 1] = demo[..., 1] + 8, agent[..., 1] - 8  # given away by what is not travel
    demo[..., 2], agent[..., 2] = 1 + 0.2 * demo[..., 2], 0.3 + 0.2 * agent[..., 2]
    gain = {}
    for share in (0.0, 0.5):
        style = make_travel_style(share, travel_lr=3e-3)
        metrics = train(style, agent, demo, rounds=30, z=torch.zeros(len(agent), 4))
        faster = agent.clone()
        faster[..., 2] += 0.7
        slow, fast = (style.rewards(windows, torch.zeros(len(agent), 4))[0].mean() for windows in (agent, faster))
        gain[share] = float(fast - slow)
        assert ("style/travel_agent_accuracy" in metrics) == (share > 0)
    assert metrics["style/travel_agent_accuracy"] > 0.9
    assert metrics["style/travel_demo_accuracy"] > 0.9
    assert gain[0.5] > 0.2, gain
    assert gain[0.5] > 2 * gain[0.0], gain


def test_both_discriminators_have_their_own_step_size():
    style = make_travel_style(0.5, disc_lr=1e-3, travel_lr=0.0)
    before = {name: [p.clone() for p in getattr(style, name).parameters()] for name in ("discriminator", "travel")}
    train(style, gaussian(-1.0), gaussian(1.0, seed=3), rounds=2, z=torch.zeros(1000, 4))
    moved = {name: any(not torch.equal(a, b) for a, b in zip(saved, getattr(style, name).parameters(), strict=True)) for name, saved in before.items()}
    assert moved == {"discriminator": True, "travel": False}


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_of_travel_beyond_reason_is_refused(share):
    with pytest.raises(ValueError, match=rf"style: travel_share: got {share:g}; expected 0 to 1"):
        StyleConfig(travel_share=share)

"""Discriminator and encoder learn what they should, from the windows that they should."""

import math

import pytest
import torch

from ase.anchors import Anchors
from ase.latents import sample_latents
from ase.rewards import style_reward
from ase.style import Style, StyleConfig, style_update
from tests.ase.toys import Demonstrations, log_of

WINDOW = (2, 3)
CONFIG = {"disc_hidden": (32,), "encoder_hidden": (32,), "disc_lr": 3e-3, "encoder_lr": 3e-3, "updates": 10, "batch_size": 128, "replay_size": 1000, "replay_push": 100}


def make_style(latent_dim=0, seed=0, anchors=None, **config):
    torch.manual_seed(seed)
    return Style(StyleConfig(**CONFIG | config), WINDOW, latent_dim, anchors=anchors)


def gaussian(center, n=1000, seed=1):
    return center + torch.randn(n, *WINDOW, generator=torch.Generator().manual_seed(seed))


def train(style, windows, demos, rounds=20, z=None, evidence=None, clean=None, seed=2):
    generator = torch.Generator().manual_seed(seed)
    n = len(windows)
    z = torch.zeros(n, 0) if z is None else z
    evidence = torch.ones(n, dtype=torch.bool) if evidence is None else evidence
    clean = torch.ones(n, dtype=torch.bool) if clean is None else clean
    for _ in range(rounds):
        metrics = style_update(style, log_of(windows), z, evidence, clean, Demonstrations(demos), generator, bf16=False)
    return metrics


def logits(style, windows):
    with torch.no_grad():
        return style.discriminator(style.normalizer(windows).flatten(1))


def test_the_discriminator_separates_two_gaussians():
    style = make_style()
    metrics = train(style, gaussian(-1.0), gaussian(1.0, seed=3))
    assert metrics["style/agent_accuracy"] > 0.95
    assert metrics["style/demo_accuracy"] > 0.95
    assert metrics["style/demo_logit"] > 1 > -1 > metrics["style/agent_logit"]
    held_out_demo, _ = style.rewards(gaussian(1.0, seed=4), torch.zeros(1000, 0))
    held_out_agent, _ = style.rewards(gaussian(-1.0, seed=5), torch.zeros(1000, 0))
    assert held_out_demo.mean() > 5 * held_out_agent.mean()


def test_the_discriminator_stays_undecided_about_equal_distributions():
    style = make_style()
    metrics = train(style, gaussian(0.0, 4000), gaussian(0.0, 4000, seed=3))
    assert metrics["style/disc_bce"] == pytest.approx(math.log(2), abs=0.05)
    assert logits(style, gaussian(0.0, seed=4)).mean().abs() < 0.1


def test_the_encoder_recovers_latents_from_a_linear_embedding():
    generator = torch.Generator().manual_seed(0)
    z, embedding = sample_latents(3000, 3, generator), torch.randn(3, 6, generator=generator)
    windows = (z @ embedding).view(-1, *WINDOW) + 0.05 * torch.randn(3000, *WINDOW, generator=generator)
    style = make_style(latent_dim=3, input_noise=0.0)
    before = style.rewards(windows, z)[1].mean()
    train(style, windows[:2000], gaussian(0.0), z=z[:2000])
    after = style.rewards(windows[2000:], z[2000:])[1]
    assert before < 0.5
    assert after.mean() > 0.97
    torch.testing.assert_close(style.encode(windows).norm(dim=-1), torch.ones(3000))


def test_windows_that_are_no_evidence_do_not_train_the_encoder():
    generator = torch.Generator().manual_seed(0)
    z, embedding = sample_latents(2000, 3, generator), torch.randn(3, 6, generator=generator)
    windows = (z @ embedding).view(-1, *WINDOW)
    evidence = torch.arange(2000) % 2 == 0
    style = make_style(latent_dim=3, input_noise=0.0)
    train(style, windows, gaussian(0.0), z=torch.where(evidence.unsqueeze(-1), z, -z), evidence=evidence)
    assert style.rewards(windows, z)[1].mean() > 0.95
    weights = [p.clone() for p in style.encoder.parameters()]
    metrics = train(style, windows, gaussian(0.0), rounds=1, z=z, evidence=torch.zeros(2000, dtype=torch.bool))
    assert all(torch.equal(a, b) for a, b in zip(weights, style.encoder.parameters(), strict=True))
    assert "style/encoder_error" not in metrics


def test_exploration_noise_counts_against_the_agent_only_if_asked():
    """Half of the agent's windows are indistinguishable from the demos, the noisy other half is far away."""
    clean = torch.arange(2000) % 2 == 0
    windows = torch.where(clean[:, None, None], gaussian(0.0, 2000), gaussian(4.0, 2000, seed=7))
    seen = {}
    for judge in (False, True):
        style = make_style(judge_noise_free=judge)
        train(style, windows, gaussian(0.0, seed=3), clean=clean)
        seen[judge] = logits(style, gaussian(4.0, seed=8)).mean(), logits(style, gaussian(0.0, seed=9)).mean()
        assert (style.replay.frames[style.replay.valid[:, 0]].float().flatten(1).mean(1) > 2).any() == (not judge)
    assert seen[False][0] < -1
    assert seen[False][1] > 0.2
    assert seen[True][1].abs() < 0.15


def test_without_any_clean_window_all_are_judged():
    style = make_style(judge_noise_free=True)
    metrics = train(style, gaussian(-1.0), gaussian(1.0, seed=3), clean=torch.zeros(1000, dtype=torch.bool))
    assert metrics["style/agent_accuracy"] > 0.9


def test_a_stronger_gradient_penalty_flattens_the_discriminator():
    slopes = []
    for weight in (0.0, 10.0):
        style = make_style(gradient_penalty=weight)
        slopes.append(train(style, gaussian(-0.5), gaussian(0.5, seed=3))["style/gradient_penalty"])
    assert slopes[1] < 0.2 * slopes[0]


def test_decay_shrinks_weights():
    size = []
    for decay in ({}, {"logit_decay": 1.0}, {"weight_decay": 0.1}):
        style = make_style(**{"logit_decay": 0.0, "weight_decay": 0.0} | decay)
        train(style, gaussian(-0.5), gaussian(0.5, seed=3))
        size.append([sum(layer.weight.square().sum().item() for layer in style.discriminator.mlp.hidden), style.discriminator.mlp.output.weight.square().sum().item()])
    (hidden, head), (_, decayed_head), (decayed_hidden, head_of_decayed) = size
    assert decayed_head < 0.3 * head
    assert decayed_hidden < 0.8 * hidden
    assert head_of_decayed < head


def test_replay_keeps_old_behaviour_rejected():
    """The agent moves on; what it did before must still be told from the demos."""
    style = make_style()
    train(style, gaussian(-2.0), gaussian(0.0, seed=3), rounds=15)
    train(style, gaussian(2.0, seed=4), gaussian(0.0, seed=3), rounds=5)
    share_old = (style.replay.frames[style.replay.valid[:, 0]].float().flatten(1).mean(1) < -1).float().mean()
    assert len(style.replay) == 1000
    assert share_old == pytest.approx(0.5, abs=0.01)


def test_rewards_of_an_undecided_discriminator_and_a_known_encoder():
    style = make_style(latent_dim=2, style_scale=3.0)
    with torch.no_grad():
        style.discriminator.mlp.output.weight.zero_()
        style.encoder.mlp.output.weight.zero_()
        style.encoder.mlp.output.bias.copy_(torch.tensor([2.0, 0.0]))
    reward, skill = style.rewards(gaussian(0.0, 3), torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]]))
    torch.testing.assert_close(reward, torch.full((3,), 3 * math.log(2)))
    torch.testing.assert_close(skill, torch.tensor([1.0, 0.6, 0.0]))


def test_without_latents_there_is_no_skill_reward():
    style = make_style()
    reward, skill = style.rewards(gaussian(0.0, 5), torch.zeros(5, 0))
    assert skill.tolist() == [0.0] * 5
    assert (reward > 0).all()


def test_rewards_see_normalised_windows():
    style = make_style(latent_dim=2)
    style.normalizer.update(gaussian(50.0))
    other = make_style(latent_dim=2)
    windows, z = gaussian(50.0, 20, seed=5), sample_latents(20, 2, torch.Generator().manual_seed(0))
    for a, b in zip(style.rewards(windows, z), other.rewards(style.normalizer(windows), z), strict=True):
        torch.testing.assert_close(a, b)


def test_same_seed_same_losses():
    assert train(make_style(2), gaussian(0.0), gaussian(0.5), 3, z=torch.ones(1000, 2)) == train(make_style(2), gaussian(0.0), gaussian(0.5), 3, z=torch.ones(1000, 2))


def test_skill_weight_grows_linearly_and_stays():
    config = StyleConfig(skill_weight=0.4, skill_weight_first=0.1, skill_ramp_samples=1000)
    assert [config.skill_weight_at(n) for n in (0, 500, 1000, 9000)] == pytest.approx([0.1, 0.25, 0.4, 0.4])
    assert StyleConfig(skill_weight=0.3).skill_weight_at(0) == 0.3


def test_the_encoder_learns_the_clips_cells_from_the_clips():
    """Two clips far apart; the agent does something else. With anchors the encoder puts each clip into its own cell, without it has no idea."""
    clips = torch.arange(600) % 2
    demos = Demonstrations(torch.where(clips[:, None, None] == 0, gaussian(3.0, 600), gaussian(-3.0, 600, seed=5)))
    demos.clips = clips
    anchors = Anchors(torch.tensor([-1, -1]), 4)
    generator = torch.Generator().manual_seed(0)
    z, agent, yes = sample_latents(600, 4, generator), gaussian(0.0, 600, seed=6), torch.ones(600, dtype=torch.bool)
    right = []
    for given in (anchors, None):
        style = make_style(latent_dim=4, anchors=given)
        for _ in range(20):
            style_update(style, log_of(agent), z, yes, yes, demos, torch.Generator().manual_seed(1), bf16=False)
        right.append((anchors.cell(style.encode(demos.windows)) == clips).float().mean().item())
    assert right[0] > 0.98
    assert right[1] < 0.8


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

"""Discriminator and encoder learn what they should, from the windows that they should."""

import math

import pytest
import torch

from ase.anchors import Anchors
from ase.latents import sample_latents
from ase.style import Style, StyleConfig, style_update
from tests.ase.styles import CONFIG, WINDOW, gaussian, logits, make_style, train
from tests.ase.toys import Demonstrations, log_of


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


def test_what_clips_hold_still_is_seen_in_a_unit_of_its_own():
    """Where the clips never vary, small deviations are as nothing, and large ones still show."""
    torch.manual_seed(0)
    style = Style(StyleConfig(**CONFIG), WINDOW, 0, still=(torch.tensor([1]), torch.tensor([0.5])))
    windows = gaussian(3.0)
    windows[..., 1] = 7.0
    style.normalizer.update(windows)
    off = windows[:1].clone()
    off[..., 1] += 0.1
    off[..., 2] += 0.1
    change = (style.see(off) - style.see(windows[:1])).view(1, *WINDOW)
    torch.testing.assert_close(change[..., 1], torch.full((1, 2), 0.2), atol=1e-4, rtol=0)
    torch.testing.assert_close(change[..., 2], torch.full((1, 2), 0.1), atol=0.01, rtol=0)
    off[..., 1] += 0.9
    assert (style.see(off) - style.see(windows[:1])).view(1, *WINDOW)[..., 1].min() > 1.9
    style.normalizer.update(windows + 4 * torch.randn(windows.shape))
    assert style.normalizer.std[1] > 0.5
    torch.testing.assert_close(style.see(off), style.normalizer(off).flatten(1), msg="once it varies more than that, its own unit counts")

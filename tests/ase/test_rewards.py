"""Style and skill rewards against numbers worked out by hand."""

import math

import pytest
import torch

from ase.rewards import skill_reward, style_reward


def test_style_reward_of_an_undecided_discriminator_is_scale_times_ln_2():
    torch.testing.assert_close(style_reward(torch.zeros(3), 2.0), torch.full((3,), 2 * math.log(2)))


def test_style_reward_rises_with_the_logit_from_zero_to_its_cap():
    logits = torch.tensor([-1e4, -2.0, 0.0, 2.0, 9.0, 50.0, 1e4])
    reward = style_reward(logits, 2.0)
    assert reward[0] == 0
    assert reward[1].item() == pytest.approx(2 * 0.126928, abs=1e-5)
    assert reward[3].item() == pytest.approx(2 * 2.126928, abs=1e-5)
    assert (reward[:5].diff() > 0).all()
    torch.testing.assert_close(reward[5:], torch.full((2,), 2 * 9.2103), rtol=0, atol=1e-3)


def test_skill_reward_is_1_0_0_for_aligned_orthogonal_and_opposite():
    z = torch.tensor([[0.6, 0.8]]).expand(4, 2)
    predicted = torch.tensor([[0.6, 0.8], [-0.8, 0.6], [-0.6, -0.8], [1.0, 0.0]])
    torch.testing.assert_close(skill_reward(predicted, z), torch.tensor([1.0, 0.0, 0.0, 0.6]))

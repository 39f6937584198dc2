"""Losses against numbers worked out by hand, and against independent implementations."""

import math

import pytest
import torch
import torch.nn.functional as F

from ase.losses import bound_loss, discriminator_loss, diversity_loss, encoder_loss, gaussian_log_prob, gradient_penalty, surrogate_loss, value_loss


def test_log_prob_is_that_of_a_diagonal_gaussian():
    generator = torch.Generator().manual_seed(0)
    mean, action = torch.randn(6, 5, generator=generator), torch.randn(6, 5, generator=generator)
    expected = torch.distributions.Independent(torch.distributions.Normal(mean, 0.3), 1).log_prob(action)
    torch.testing.assert_close(gaussian_log_prob(action, mean, 0.3), expected)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        (0.5, 1.0, -0.5, -0.5),
        (1.0, 1.0, -1.0, -1.0),
        (1.5, 1.0, -1.2, 0.0),  # better than 1 + clip already: no further push
        (0.5, -1.0, 0.8, 0.0),  # worse than 1 - clip already: no further push
        (1.0, -1.0, 1.0, 1.0),
        (1.5, -1.0, 1.5, 1.5),
    ],
)
def test_clipped_surrogate(ratio, advantage, loss, slope):
    log_prob = torch.tensor([math.log(ratio) - 2.0], requires_grad=True)
    found = surrogate_loss(log_prob, torch.tensor([-2.0]), torch.tensor([advantage]), clip=0.2)
    found.sum().backward()
    assert found.item() == pytest.approx(loss, abs=1e-5)
    assert log_prob.grad.item() == pytest.approx(slope, abs=1e-5)


def test_bound_loss_counts_the_squared_excess_on_either_side():
    mean = torch.tensor([[0.0, 1.0, -1.0], [1.5, 0.9, -3.0], [-2.0, 2.0, 0.0]])
    torch.testing.assert_close(bound_loss(mean), torch.tensor([0.0, 4.25, 2.0]))


def test_value_loss_is_half_the_mean_square():
    assert value_loss(torch.tensor([0.0, 1.0]), torch.tensor([1.0, -2.0])).item() == pytest.approx(2.5)


def test_discriminator_loss_is_ln_2_when_undecided_and_small_when_right():
    ones = torch.ones(4)
    assert discriminator_loss(0 * ones, 0 * ones).item() == pytest.approx(math.log(2))
    assert discriminator_loss(-2 * ones, 2 * ones).item() == pytest.approx(0.126928, abs=1e-5)  # ln(1 + e^-2)
    assert discriminator_loss(2 * ones, -2 * ones).item() == pytest.approx(2.126928, abs=1e-5)


def test_discriminator_loss_is_binary_cross_entropy_with_demos_as_ones():
    generator = torch.Generator().manual_seed(1)
    agent, demo = 3 * torch.randn(5, generator=generator), 3 * torch.randn(9, generator=generator)  # halves of different size weigh the same
    expected = (F.binary_cross_entropy_with_logits(agent, torch.zeros(5)) + F.binary_cross_entropy_with_logits(demo, torch.ones(9))) / 2
    torch.testing.assert_close(discriminator_loss(agent, demo), expected)


def test_gradient_penalty_of_a_linear_logit_is_the_squared_weight():
    w = torch.tensor([[1.0, -2.0], [3.0, 0.5]], requires_grad=True)
    windows = torch.randn(7, 2, 2, generator=torch.Generator().manual_seed(2)).requires_grad_()
    penalty = gradient_penalty((windows * w).sum((1, 2)), windows)
    assert penalty.item() == pytest.approx(1 + 4 + 9 + 0.25)
    penalty.backward()
    torch.testing.assert_close(w.grad, 2 * w.detach())


def test_gradient_penalty_is_a_mean_over_the_batch():
    x = torch.tensor([[3.0, 4.0], [0.0, 1.0]], requires_grad=True)
    assert gradient_penalty(0.5 * x.square().sum(-1), x).item() == pytest.approx((25 + 1) / 2)


def test_encoder_loss_for_aligned_orthogonal_and_opposite():
    z = torch.tensor([[1.0, 0.0]]).expand(3, 2)
    predicted = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    torch.testing.assert_close(encoder_loss(predicted, z), torch.tensor([-1.0, 0.0, 1.0]))


def test_diversity_loss_is_zero_at_its_target_and_grows_as_actions_collapse():
    a, opposite = torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 0.0]])

    def loss(half: float, other=opposite, target: float = 1.0) -> float:
        action = torch.full((1, 4), half)
        return diversity_loss(action, -action, a, other, target).item()

    assert loss(0.5) == pytest.approx(0.0, abs=1e-8)  # mean squared difference 1 for latents at distance 1
    assert loss(0.25) == pytest.approx(0.75**2, abs=1e-4)
    assert loss(0.0) == pytest.approx(1.0)
    assert loss(0.5, target=2.0) == pytest.approx(1.0, abs=1e-4)
    assert loss(math.sqrt(0.5) / 2, other=torch.tensor([[0.0, 1.0]])) == pytest.approx(0.0, abs=1e-8)  # orthogonal latents are half as far apart
    assert loss(7.0) == pytest.approx(9.0, abs=1e-3)  # actions count up to their bounds: |1 - -1|² = 4


def test_diversity_loss_of_identical_latents_stays_finite():
    z, action = torch.tensor([[0.6, 0.8]]), torch.zeros(1, 3)
    assert diversity_loss(action, action, z, z).item() == pytest.approx(1.0)

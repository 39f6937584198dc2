"""Distances of sets of motion, on sets whose distance is known."""

from __future__ import annotations

import math

import pytest
import torch

from ase.motion_sets import earth_movers_distance, frechet_distance, heldout_disc_accuracy, heldout_disc_noise, spread


def normal(n: int, mean: float = 0.0, std: float = 1.0, seed: int = 0, size: int = 3) -> torch.Tensor:
    return mean + std * torch.randn(n, size, generator=torch.Generator().manual_seed(seed))


def test_frechet_distance_of_normal_distributions() -> None:
    """In one dimension it is (μa - μb)² + (σa - σb)²; independent dimensions add up."""
    a = normal(200_000)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(a, normal(200_000, mean=2.0, seed=1)) == pytest.approx(3 * 4.0, rel=0.02)
    assert frechet_distance(a, normal(200_000, std=3.0, seed=1)) == pytest.approx(3 * 4.0, rel=0.02)
    b = a @ torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])  # turned by a right angle, and stretched along the third axis
    assert frechet_distance(a, b) == pytest.approx(1.0, rel=0.03)


def test_earth_movers_distance_pairs_for_the_least_sum() -> None:
    a = torch.tensor([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]])
    b = torch.tensor([[20.0, 3.0], [0.0, 4.0], [10.0, 5.0]])
    assert earth_movers_distance(a, b) == pytest.approx(4.0)
    assert earth_movers_distance(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])) == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"earth mover's distance: got sets of 3 and 2; expected equal sizes"):
        earth_movers_distance(a, b[:2])


def test_a_heldout_discriminator_tells_what_differs_and_guesses_where_nothing_does() -> None:
    owner = torch.arange(2000) // 20
    far = heldout_disc_accuracy(normal(2000), normal(2000, mean=4.0, seed=1), owner, torch.Generator().manual_seed(0))
    assert far > 0.99
    same = heldout_disc_accuracy(normal(2000), normal(2000, seed=1), owner, torch.Generator().manual_seed(0))
    assert 0.44 < same < 0.56
    one = heldout_disc_accuracy(normal(200), normal(200), torch.zeros(200, dtype=torch.long), torch.Generator().manual_seed(0))
    assert math.isnan(one), "a single rollout cannot be both shown and held out"


def test_the_same_draw_gives_the_same_accuracy() -> None:
    owner = torch.arange(400) // 10
    twice = [heldout_disc_accuracy(normal(400), normal(400, mean=0.5, seed=1), owner, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert twice[0] == twice[1]


def test_a_heldout_discriminator_is_no_memory() -> None:
    """Rollouts of one constant window each are told apart from the clips only by remembering them, which does not help with those that were not shown."""
    agent, owner = normal(100, seed=1).repeat_interleave(20, dim=0), torch.arange(2000) // 20
    assert heldout_disc_accuracy(normal(2000), agent, owner, torch.Generator().manual_seed(0)) < 0.75


@pytest.mark.parametrize(("apart", "size"), [(0.5, 20), (4.0, 1)])
def test_noise_hides_a_difference_of_its_own_size(apart: float, size: int) -> None:
    """A constant difference d is told in Φ(d / 2 noise) at best, which is 0.75 at noise d / 1.349; in many dimensions as in one."""
    agent = normal(2000, mean=apart / math.sqrt(size), std=0.01, seed=1, size=size)
    assert heldout_disc_noise(normal(2000, std=0.01, size=size), agent, torch.arange(2000) // 20) == pytest.approx(apart / 1.349, rel=0.15)


def test_motion_like_the_clips_needs_no_noise() -> None:
    owner = torch.arange(2000) // 20
    assert heldout_disc_noise(normal(2000), normal(2000, seed=1), owner) == 0.0
    assert math.isnan(heldout_disc_noise(normal(200), normal(200), torch.zeros(200, dtype=torch.long))), "a single rollout cannot be both shown and held out"


def test_spread_between_and_within_latents() -> None:
    centre = torch.tensor([[0.0, 0.0], [0.0, 0.2], [6.0, 8.0], [6.0, 8.2]])  # rollouts 0 and 1 of latent 0, 2 and 3 of latent 1
    sway = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])  # a cycle, the same mean
    windows = (centre.unsqueeze(1) + sway).flatten(0, 1)
    between, within = spread(windows, torch.arange(4).repeat_interleave(2), torch.tensor([0, 0, 1, 1]))
    assert within == pytest.approx(0.2 / math.sqrt(2))
    assert between == pytest.approx(10 / math.sqrt(2), rel=0.01)
    assert math.isnan(spread(windows[:4:2], torch.tensor([0, 1]), torch.tensor([0, 1]))[1]), "no latent has two rollouts"

"""Measures of skill quality on motions whose values are known by construction."""

from __future__ import annotations

import math

import pytest
import torch

from ase.metrics import clip_coverage, clip_distances, clip_shares, nearest_clips, planar_speed, retrieval_top1, turn_rate

DT = 1 / 30


def circle(speed: float, rate: float, steps: int = 90) -> torch.Tensor:
    """Planar poses ``[T, 1, 3]`` on a circle: metres per second along it, radians per second around it."""
    t = torch.arange(steps) * DT
    radius = speed / rate
    yaw = torch.remainder(rate * t + 3.0 + math.pi, 2 * math.pi) - math.pi  # passes the seam at pi
    return torch.stack((radius * (rate * t).sin(), -radius * (rate * t).cos(), yaw), dim=-1).unsqueeze(1)


def test_speed_and_turn_of_a_circle() -> None:
    alive = torch.ones(90, 1, dtype=torch.bool)
    assert planar_speed(circle(1.2, 0.5), alive, DT).item() == pytest.approx(1.2, rel=0.01)
    assert turn_rate(circle(1.2, 0.5), alive, DT).item() == pytest.approx(0.5, rel=1e-3)
    assert turn_rate(circle(1.2, -0.5), alive, DT).item() == pytest.approx(-0.5, rel=1e-3)


def test_swaying_in_place_is_no_speed_and_steps_after_a_fall_do_not_count() -> None:
    t = torch.arange(90) * DT
    sway = torch.stack((0.05 * (2 * math.pi * 2 * t).sin(), torch.zeros(90), torch.zeros(90)), dim=-1).unsqueeze(1)
    assert planar_speed(sway, torch.ones(90, 1, dtype=torch.bool), DT).item() < 0.01
    pose = circle(1.0, 0.1)
    pose[60:] += 50.0  # put elsewhere by a reset
    alive = torch.arange(90).unsqueeze(1) < 60
    assert planar_speed(pose, alive, DT).item() == pytest.approx(1.0, rel=0.01)


def test_retrieval_is_perfect_for_an_oracle_and_chance_for_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    latents = torch.nn.functional.normalize(torch.randn(64, 16, generator=generator), dim=-1)
    owner = torch.arange(64).repeat(4)
    assert retrieval_top1(latents[owner], latents, owner, 16, generator) == 1.0
    noise = torch.nn.functional.normalize(torch.randn(256, 16, generator=generator), dim=-1)
    assert retrieval_top1(noise, latents, owner, 16, generator) == pytest.approx(1 / 16, abs=0.04)
    assert retrieval_top1(-latents[owner], latents, owner, 16, generator) < 0.01
    with pytest.raises(ValueError, match="got 65; expected at most the number of latents, 64"):
        retrieval_top1(noise, latents, owner, 65, generator)


def test_distances_and_nearest_clips_of_stretches() -> None:
    demo = torch.tensor([[0.0, 0.0], [1.0, 0.0], [10.0, 0.0]])
    distances = clip_distances(torch.tensor([[0.0, 3.0], [9.0, 0.0], [5.4, 0.0], [5.6, 0.0]]), demo, torch.tensor([0, 0, 1]), 2, chunk=3)
    torch.testing.assert_close(distances, torch.tensor([[3.0, 109.0**0.5], [8.0, 1.0], [4.4, 4.6], [4.6, 4.4]]))
    nearest, segment = nearest_clips(distances, torch.tensor([7, 7, 2, 5]))
    assert segment.tolist() == [2, 5, 7]
    assert nearest.tolist() == [0, 1, 0]  # stretch 7: 3 + 8 against 10.4 + 1 on average


def test_coverage_counts_clips_that_some_latent_plays() -> None:
    nearest = torch.tensor([0, 0, 0, 2, 1, 1, 1, 1])
    owner = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    shares = clip_shares(nearest, owner, 3, 4)
    torch.testing.assert_close(shares, torch.tensor([[0.75, 0.0, 0.25, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    assert clip_coverage(shares, 0.25).tolist() == [True, True, True, False]
    assert clip_coverage(shares, 0.3).tolist() == [True, True, False, False]

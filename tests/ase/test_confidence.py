"""Measures of several seeds as one."""

from __future__ import annotations

import math

import pytest

from ase.confidence import half_width, over_seeds


def part(fall_rate, covered, count, top=0.9, **rest):
    return {
        "fall_rate": fall_rate,
        "retrieval_top1": top,
        "speed_m_s": {"min": fall_rate, "mean": 1.0, "max": 2 + fall_rate, "per_latent": [fall_rate]},
        "clips": {"walk": {"covered": covered, "best_share": fall_rate, "share": 1.0}},
        "transitions": {"clips": ["walk", "run"], "counts": [[5, count], [0, 1]]},
        "transition_coverage": 0.0,
        "falls_by_start": {"walk": {"rollouts": 4, "fell": count}} | ({"rest": {"rollouts": 2, "fell": 1}} if covered else {}),
        "diverged": 2,
        "num_latents": 8,
        "seed": 3,
    } | rest


def test_half_width_is_students() -> None:
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(4.3027 / math.sqrt(3), rel=1e-4)  # t for 95 % with two degrees of freedom, deviation 1


def test_means_extremes_and_sums() -> None:
    found = over_seeds([part(0.1, True, 0), part(0.2, False, 3), part(0.3, True, 0)])
    assert found["fall_rate"] == pytest.approx(0.2)
    assert found["confidence"]["fall_rate"] == pytest.approx(4.3027 * 0.1 / math.sqrt(3), abs=1e-3)
    assert found["speed_m_s"] == {"min": 0.1, "mean": 1.0, "max": 2.3, "per_latent": [0.1]}
    assert found["clips"] == {"walk": {"covered": True, "best_share": 0.2, "share": 1.0}}
    assert found["transitions"]["counts"] == [[15, 3], [0, 3]]
    assert found["falls_by_start"] == {"walk": {"rollouts": 12, "fell": 3}, "rest": {"rollouts": 4, "fell": 2}}
    assert found["transition_coverage"] == 0.5, "of all seeds together"
    assert "transition_coverage" not in found["confidence"]
    assert (found["diverged"], found["num_latents"], found["seed"], found["seeds"]) == (6, 8, 3, 3)
    assert "num_latents" not in found["confidence"]


def test_what_is_absent_stays_absent() -> None:
    found = over_seeds([part(0.1, True, 0, top=None, push_recovery_time_s={"mean": None, "max": None}) for _ in range(2)])
    assert found["retrieval_top1"] is None
    assert found["push_recovery_time_s"] == {"mean": None, "max": None}
    one = over_seeds([part(0.1, True, 0)])
    assert one["confidence"] == {}
    assert one["fall_rate"] == 0.1

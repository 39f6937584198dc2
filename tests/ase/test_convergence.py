"""Verdicts on learning curves whose course is known."""

from __future__ import annotations

import math
import random

import pytest

from ase.convergence import gain, verdict

ALL = {"walk": {"covered": True}, "run": {"covered": True}, "turn": {"covered": True}}


def curve(shape, n=400, noise=0.02, seed=0):
    source = random.Random(seed)
    return [shape(k / n) + noise * source.gauss(0, 1) for k in range(n)]


def curves(shape, **settings):
    return {"reward/style": (range(400), curve(shape, **settings))}


def test_gain_of_a_straight_line_is_its_rise_over_a_fifth() -> None:
    assert gain([k / 1000 for k in range(1000)]) == pytest.approx(0.2 / 0.9, rel=0.02)
    assert gain([1 - k / 1000 for k in range(1000)]) == pytest.approx(-0.2 / 0.3, rel=0.03)


def test_noise_and_trifles_are_no_gain() -> None:
    assert all(gain(curve(lambda _: 1.0, noise=0.3, seed=seed)) == 0.0 for seed in range(20))
    assert gain(curve(lambda x: 1 + 0.02 * x, noise=0.0)) == 0.0
    assert gain([1.0, 2.0, 3.0]) == 0.0
    assert gain([math.nan] * 50 + curve(lambda _: 1.0)) == 0.0


def test_verdicts() -> None:
    assert verdict(curves(lambda x: x), ALL)["verdict"] == "still improving"
    assert verdict(curves(lambda x: 1 - math.exp(-20 * x)), ALL)["verdict"] == "converged"
    assert verdict(curves(lambda x: 1 - x), ALL)["verdict"] == "converged", "a curve that falls does not improve"
    assert verdict({}, ALL) == {"verdict": "unknown", "detail": "no learning curves"}
    some = ALL | {"run": {"covered": False}, "turn": {"covered": False}}
    assert verdict(curves(lambda x: x), some)["verdict"] == "collapsed onto walk"
    assert verdict({}, {name: {"covered": False} for name in ALL})["verdict"] == "collapsed onto none of the clips"
    assert verdict(curves(lambda x: x), {"walk": {"covered": False}})["verdict"] == "still improving", "one clip is nothing to collapse from"
    assert verdict(curves(lambda x: x, noise=0.0), ALL)["detail"].startswith("reward/style +22")

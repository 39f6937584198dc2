"""Balanced weights by hand, and a written dataset that loads again."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import yaml

from motions import synthetic
from motions.auto_dataset import auto_dataset, balanced_weights
from motions.check import lowest_points
from motions.clip import mirror
from motions.dataset import load_dataset


def test_weights_by_hand():
    """Two equal clips share what a third, unlike them, has for itself; four times the length weighs twice; beyond 10 s nothing is gained."""
    far = 9.0
    assert balanced_weights([1, 1, 1], [[0, 0, far], [0, 0, far], [far, far, 0]]) == pytest.approx([0.75, 0.75, 1.5])
    assert balanced_weights([1, 4], [[0, far], [far, 0]]) == pytest.approx([2 / 3, 4 / 3])
    assert balanced_weights([10, 40], [[0, far], [far, 0]]) == pytest.approx([1, 1])
    one, two = balanced_weights([1, 1], [[0, far], [0.3, 0]])
    assert two / one == pytest.approx(1 / (1 + math.exp(-1)))


@pytest.fixture
def clips(skeleton):
    walk = synthetic.sine_gait(skeleton, amplitude_rad=0.1, bob_m=0.0, duration_s=4.0)
    walk = replace(walk, name="walk", root_pos=walk.root_pos - [0.0, 0.0, float(lowest_points(walk, skeleton).quantile(0.05))])
    other = replace(synthetic.constant_spin(skeleton, {"neck": (0.0, 0.0, 1.0)}, {"left_hip": (0.0, -1.5, 0.0), "right_hip": (0.0, -1.5, 0.0)}), name="other")
    return walk, replace(walk, name="same"), other


def test_the_text_loads_and_explains(tmp_path, skeleton, clips):
    walk, same, other = clips
    text = auto_dataset([walk, mirror(walk), same, other], skeleton)
    (tmp_path / "auto.yaml").write_text(text)
    dataset = load_dataset("auto", tmp_path)
    weights = dict(dataset.clips)
    assert set(weights) == {"walk", "walk_mirror", "same", "same_mirror", "other", "other_mirror"}
    assert weights["walk"] == weights["same"] == pytest.approx(weights["other"], abs=0.05)  # sqrt(4) shared by two, sqrt(1) for one
    assert all(entry.ground for entry in dataset.entries)
    assert "# 4.0 s, like same (0.00)" in text
    assert "# 1.0 s, like no other" in text
    assert "exp(-(d / 0.3)^2)" in text


def test_what_is_on_the_floor_needs_no_ground(skeleton, clips):
    data = yaml.safe_load(auto_dataset(clips[:2], skeleton))
    assert data == {"mirror": True, "clips": {"walk": 1.0, "same": 1.0}}
    assert "mirror" not in yaml.safe_load(auto_dataset([mirror(clips[0])], skeleton))


def test_what_sinks_needs_ground_as_what_floats_does(skeleton, clips):
    for rise in (-0.02, 0.02):
        assert yaml.safe_load(auto_dataset([replace(clips[0], root_pos=clips[0].root_pos + np.array([0.0, 0.0, rise]))], skeleton))["ground"] is True


def test_names_are_checked(skeleton, clips):
    with pytest.raises(ValueError, match=r"dataset: got clips none; expected at least one, each name once"):
        auto_dataset([], skeleton)
    with pytest.raises(ValueError, match=r"dataset: got clips walk, walk; expected at least one"):
        auto_dataset([clips[0], clips[0]], skeleton)


@pytest.mark.parametrize("name", ["02_01", "1e5", "yes", "null", "a: b", "walk"])
def test_names_that_yaml_takes_for_something_else_are_quoted(tmp_path, skeleton, clips, name):
    (tmp_path / "auto.yaml").write_text(auto_dataset([replace(clips[0], name=name), clips[2]], skeleton))
    assert [found for found, _ in load_dataset("auto", tmp_path).clips] == [name, f"{name}_mirror", "other", "other_mirror"]

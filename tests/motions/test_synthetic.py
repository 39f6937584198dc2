"""The analytic clips at their frames; the library's tests cover the rest."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from motions import synthetic
from motions.library import MotionLibrary


def test_both_ends_are_frames(skeleton):
    clip = synthetic.constant_velocity(skeleton, (2.0, 0.0, -1.0), height_m=1.0, duration_s=0.5, fps=20)
    assert (clip.num_frames, clip.duration_s, clip.loop, clip.joint_names) == (11, 0.5, "wrap", skeleton.joint_names)
    np.testing.assert_allclose(clip.root_pos[[0, -1]], [[0.0, 0.0, 1.0], [1.0, 0.0, 0.5]])


def test_rotation_turns_after_its_start(skeleton):
    """A quarter turn about the world's z of a root that first lay on its side (about x): its own z axis ends along +x."""
    clip = synthetic.constant_spin(skeleton, {"root": (0.0, 0.0, math.pi / 2)}, {"root": (math.pi / 2, 0.0, 0.0)})
    w, x, y, z = clip.root_quat[-1]
    np.testing.assert_allclose([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], [1.0, 0.0, 0.0], atol=1e-12)


def test_neighbouring_joints_swing_against_each_other(skeleton):
    clip = synthetic.sine_gait(skeleton, amplitude_rad=0.4, period_s=1.0, fps=40)
    np.testing.assert_allclose(clip.joint_quat[10, :2, 2], [math.sin(0.2), -math.sin(0.2)])  # a quarter period: the amplitude


def test_unknown_joints_are_refused(skeleton):
    for kinds in (({"tail": (0, 0, 1)}, {}), ({}, {"tail": (0, 0, 1)})):
        with pytest.raises(ValueError, match=r"clip constant_spin: joint tail: not in the skeleton. Available: root, abdomen, neck"):
            synthetic.constant_spin(skeleton, *kinds)


def test_who_stands_keeps_both_feet_flat_and_where_they_are_and_shifts_the_weight(skeleton):
    thigh, shin, height = 0.421546, 0.409870, 0.89
    clip = synthetic.standing(skeleton, thigh, shin, height)
    assert (clip.name, clip.loop, clip.duration_s) == ("stand", "wrap", 4.0)
    library = MotionLibrary([clip], skeleton)
    state = library.state_at(torch.zeros(40, dtype=torch.long), torch.linspace(0, 4, 40))
    sway = state.root_pos[:, 1]
    assert 0.01 < sway.max() < 0.013
    assert -0.013 < sway.min() < -0.01
    head, torso = (state.body_mat_w[:, skeleton.body_names.index(name)] for name in ("head", "torso"))
    assert torch.allclose(head, torch.eye(3), atol=1e-4), "the neck takes back what the trunk breathes"
    assert not torch.allclose(torso, torch.eye(3), atol=5e-3)
    for side, sign in (("left", 1), ("right", -1)):
        foot = skeleton.body_names.index(f"{side}_foot")
        place, turned = state.body_pos_w[:, foot], state.body_mat_w[:, foot]
        assert (place - place[0]).abs().max() < 1e-3, "it slides"
        assert torch.allclose(turned, torch.eye(3), atol=5e-3), "it tilts"
        assert abs(float(place[0, 2]) - (height - thigh - shin)) < 1e-3, "it floats"
        assert sign * float(place[0, 1]) > 0.08
        hand = state.body_pos_w[:, skeleton.body_names.index(f"{side}_hand")]
        assert (sign * hand[:, 1] > 0.2).all(), "arms hang outside the body"
        assert (hand[:, 0] > 0.05).all(), "elbows bend forward"
    with pytest.raises(ValueError, match="clip stand: joint abdomen: not in the skeleton"):
        synthetic.standing(type("Bare", (), {"joint_names": ("tail",)})(), thigh, shin, height)

"""Findings and repairs on analytic clips with one fault each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from motions import synthetic
from motions.check import check_clip, drop_duplicate_frames, lowest_points, shift_to_floor


@pytest.fixture
def gait(skeleton):
    """A faultless clip: its lowest point (5 % quantile) is on the floor, its ends meet."""
    clip = synthetic.sine_gait(skeleton, bob_m=0.0, amplitude_rad=0.1)
    return at_height(replace(clip, name="gait"), -float(lowest_points(clip, skeleton).quantile(0.05)))


def at_height(clip, height_m: float):
    return replace(clip, root_pos=clip.root_pos + np.array([0.0, 0.0, height_m]))


def doubled(clip, first: int = 0):
    """The clip at twice its rate with every frame there twice, cut to start at frame ``first``."""
    parts = {f: getattr(clip, f).repeat(2, axis=0)[first:] for f in ("root_pos", "root_quat", "joint_quat")}
    return replace(clip, fps=2 * clip.fps, **parts)


def test_a_good_clip_has_no_findings(gait, skeleton):
    assert check_clip(gait, skeleton) == []


@pytest.mark.parametrize("first", [0, 1])
def test_doubled_frames_are_found_and_dropped(gait, skeleton, first):
    bad = doubled(gait, first)
    (finding,) = check_clip(bad, skeleton)
    assert finding.kind == "duplicates"
    assert finding.message.startswith(f"clip gait: {61 - first} of {122 - first} frames repeat the one before")
    assert finding.message.endswith("drop_duplicate_frames makes it 30 Hz")
    fixed = drop_duplicate_frames(bad)
    assert (fixed.fps, fixed.num_frames) == (30.0, 61)
    np.testing.assert_array_equal(fixed.joint_quat, gait.joint_quat)


def test_a_character_that_stands_still_is_not_doubled(gait, skeleton):
    still = replace(gait, **{f: getattr(gait, f)[:1].repeat(20, axis=0) for f in ("root_pos", "root_quat", "joint_quat")})
    assert drop_duplicate_frames(still) is still
    (finding,) = [f for f in check_clip(still, skeleton) if f.kind == "duplicates"]
    assert finding.message == "clip gait: 19 of 20 frames repeat the one before (95%); velocities are zero there"
    assert drop_duplicate_frames(gait) is gait


@pytest.mark.parametrize(("height", "word", "shift"), [(-0.03, "sinks into", "+0.030"), (0.05, "floats above", "-0.050")])
def test_height_above_the_floor_is_found_and_repaired(gait, skeleton, height, word, shift):
    bad = at_height(gait, height)
    (finding,) = check_clip(bad, skeleton)
    assert finding.kind == "floor"
    assert finding.value == pytest.approx(-height, abs=1e-6)
    assert f"clip gait: {word} the floor" in finding.message
    assert finding.message.endswith(f"shift_to_floor or `ground: true` moves it by {shift} m")
    np.testing.assert_allclose(shift_to_floor(bad, skeleton).root_pos, gait.root_pos, atol=1e-6)


def test_a_centimetre_is_let_be_and_few_deep_frames_do_not_lift_a_clip(gait, skeleton):
    near = at_height(gait, 0.008)
    assert shift_to_floor(near, skeleton) is near
    deep = replace(gait, root_pos=gait.root_pos.copy())
    deep.root_pos[30] -= [0.0, 0.0, 0.2]
    assert float(lowest_points(deep, skeleton).min()) < -0.15
    assert shift_to_floor(deep, skeleton) is deep


def test_a_jump_at_the_loop_seam_is_found(skeleton):
    clip = shift_to_floor(synthetic.constant_spin(skeleton, {"neck": (0.0, 0.0, 0.5)}, loop="wrap"), skeleton)
    (finding,) = check_clip(clip, skeleton)
    assert (finding.kind, finding.value) == ("seam", pytest.approx(0.5))
    assert "clip constant_spin: loop seam: neck jumps 0.50 rad (usual step 0.02)" in finding.message
    assert check_clip(replace(clip, loop="none"), skeleton) == []


def test_a_jump_of_a_joint_is_found(gait, skeleton):
    bad = replace(gait, joint_quat=gait.joint_quat.copy())
    bad.joint_quat[40:, 1] = [np.cos(0.35), np.sin(0.35), 0.0, 0.0]
    (finding,) = [f for f in check_clip(replace(bad, loop="none"), skeleton) if f.kind == "spike"]
    assert "clip gait: frame 40: neck moves 0.7" in finding.message
    assert finding.value > 10


def test_a_jump_of_the_root_is_found(gait, skeleton):
    bad = replace(gait, root_pos=gait.root_pos + np.where(np.arange(61) >= 20, 0.5, 0.0)[:, None] * [1.0, 0.0, 0.0])
    (finding,) = check_clip(bad, skeleton)
    assert finding.kind == "spike"
    assert "clip gait: frame 20: root position moves 0.53 m in 0.033 s" in finding.message


def test_a_fast_but_steady_motion_is_no_spike(skeleton):
    clip = shift_to_floor(synthetic.constant_spin(skeleton, {"neck": (0.0, 0.0, 20.0)}), skeleton)
    assert check_clip(clip, skeleton) == []


def test_short_clips_are_found(gait, skeleton):
    short = replace(gait, loop="none", **{f: getattr(gait, f)[:3] for f in ("root_pos", "root_quat", "joint_quat")})
    (finding,) = check_clip(short, skeleton)
    assert (finding.kind, finding.message) == ("short", "clip gait: lasts 0.067 s; expected at least 0.5 s")
    assert check_clip(short, skeleton, min_duration_s=0.05) == []


def test_lowest_points_follow_the_root(gait, skeleton):
    torch.testing.assert_close(lowest_points(at_height(gait, 0.3), skeleton), lowest_points(gait, skeleton) + 0.3)

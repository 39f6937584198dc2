"""Smoothing spreads jumps and leaves motion; analytic clips whose smoothed form is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from motions import synthetic
from motions.clip import Clip
from motions.dataset import build_library, load_dataset
from motions.rotations import quat_conj, quat_log, quat_mul
from motions.smooth import smooth


def quat_angle(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return quat_log(quat_mul(quat_conj(a), b)).norm(dim=-1)


def angles(clip: Clip) -> np.ndarray:
    """Largest turn of a joint between neighbouring frames, degrees, ``[T - 1]``."""
    quats = torch.from_numpy(clip.joint_quat)
    return np.degrees(quat_angle(quats[1:], quats[:-1]).amax(-1).numpy())


def test_no_smoothing_changes_nothing(skeleton):
    clip = synthetic.sine_gait(skeleton)
    assert smooth(clip, 0.0) is clip


def test_swings_shrink_by_the_stated_factor_and_travel_does_not(skeleton):
    clip, sigma = synthetic.sine_gait(skeleton, amplitude_rad=0.2, period_s=1.0, bob_m=0.05, fps=60.0), 0.06
    got = smooth(clip, sigma)
    shrink = {period: math.exp(-2 * (math.pi * sigma / period) ** 2) for period in (1.0, 0.5)}
    swing = 2 * np.arcsin(got.joint_quat[:, 0, 2]) / (2 * np.arcsin(clip.joint_quat[:, 0, 2]) + 1e-12)
    torch.testing.assert_close(torch.from_numpy(swing[5:25]), torch.full((20,), shrink[1.0], dtype=torch.float64), rtol=2e-3, atol=0)
    bob = (got.root_pos[:, 2] - 0.9) / (clip.root_pos[:, 2] - 0.9)
    assert np.allclose(bob[np.abs(clip.root_pos[:, 2] - 0.9) > 0.01], shrink[0.5], rtol=2e-3)
    assert np.allclose(got.root_pos[:, 0], clip.root_pos[:, 0], atol=1e-6), "a constant velocity is kept, at the seam too"


def test_a_loop_that_turns_stays_on_its_circle(skeleton):
    clip = synthetic.circle(skeleton, speed_mps=1.0, yaw_rate=1.5, duration_s=2.0, fps=60.0)
    got = smooth(clip, 0.05)
    shrink = math.exp(-((1.5 * 0.05) ** 2) / 2)
    radius = np.linalg.norm(got.root_pos[:, :2] - np.array([0.0, 1 / 1.5]), axis=1)
    assert np.allclose(radius, shrink / 1.5, rtol=1e-4), "every frame alike: the cycles before and after are turned, too"
    assert np.allclose(quat_angle(torch.from_numpy(got.root_quat), torch.from_numpy(clip.root_quat)).numpy(), 0, atol=1e-5)


def test_a_jump_at_the_seam_is_spread_and_the_loop_closes(skeleton):
    clip = synthetic.sine_gait(skeleton, amplitude_rad=0.3, period_s=1.0, duration_s=0.8)  # ends 72 degrees of phase before its beginning
    two = np.concatenate((clip.joint_quat[:-1], clip.joint_quat[:-1]))
    jump = angles(replace(clip, joint_quat=two, root_pos=np.zeros((len(two), 3)), root_quat=np.tile([1.0, 0, 0, 0], (len(two), 1)))).max()
    got = smooth(clip, 0.04)
    assert jump > 2 * angles(clip).max()
    assert angles(got).max() < 0.6 * jump
    assert np.allclose(quat_angle(torch.from_numpy(got.joint_quat[0]), torch.from_numpy(got.joint_quat[-1])).numpy(), 0, atol=1e-5)
    assert got.num_frames == clip.num_frames


def test_a_clip_that_does_not_loop_keeps_its_ends_and_quaternion_signs_do_not_matter(skeleton):
    clip = synthetic.sine_gait(skeleton, loop="none")
    flipped = replace(clip, joint_quat=clip.joint_quat * np.where(np.arange(clip.num_frames) % 2, 1.0, -1.0)[:, None, None])
    got, other = smooth(clip, 0.05), smooth(flipped, 0.05)
    assert np.allclose(np.abs((got.joint_quat * other.joint_quat).sum(-1)), 1.0)
    held = np.abs(got.root_pos[:, 0] - clip.root_pos[:, 0])
    assert held[0] == pytest.approx(0.05 / math.sqrt(2 * math.pi), rel=0.15), "the mean of what is held before and of what comes"
    assert held[10:-10].max() < 1e-6


def test_a_dataset_smooths_its_clips(tmp_path, skeleton):
    clip = synthetic.sine_gait(skeleton, bob_m=0.1)
    clip.save(tmp_path / "sine_gait.npz")
    heights = []
    for line in ("", "smooth_s: 0.1\n"):
        (tmp_path / "mine.yaml").write_text(f"{line}clips: {{sine_gait: 1}}")
        library = build_library(load_dataset(tmp_path / "mine.yaml", tmp_path), tmp_path, skeleton)
        heights.append(float(library.state_at(torch.tensor([0]), torch.tensor([1.0])).root_pos[0, 2]) - 0.9)
    assert heights[1] == pytest.approx(heights[0] * math.exp(-2 * (math.pi * 0.1 / 0.5) ** 2), rel=0.02)


@pytest.mark.parametrize("value", ["-0.1", "0.6", "true", "much", ".nan"])
def test_a_smoothing_out_of_range_is_refused(tmp_path, value):
    path = tmp_path / "mine.yaml"
    path.write_text(f"smooth_s: {value}\nclips: {{walk: 1}}")
    with pytest.raises(ValueError, match=r"smooth_s: got .*; expected seconds from 0 to 0\.5"):
        load_dataset(path, tmp_path)

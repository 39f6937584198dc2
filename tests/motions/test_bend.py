"""Clips bent into a turn, against circles and the lean of a point mass."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from motions.bend import bend
from motions.clip import mirror
from motions.rotations import heading, quat_rotate
from motions.synthetic import sine_gait

SPEED, TURN, HEIGHT = 2.0, 1.2, 0.9


@pytest.fixture(scope="module")
def gait(skeleton):
    return sine_gait(skeleton, speed_mps=SPEED, bob_m=0.0, height_m=HEIGHT, period_s=0.5, duration_s=2.0)


def faces(clip):
    return np.unwrap(heading(torch.from_numpy(clip.root_quat)).numpy())


@pytest.mark.parametrize("turn", [TURN, -TURN])
def test_a_straight_way_becomes_an_arc_and_the_body_leans_into_it(gait, turn):
    clip = bend(gait, turn)
    np.testing.assert_allclose(np.diff(faces(clip)) * clip.fps, turn, atol=1e-6)
    lean = math.atan(SPEED * abs(turn) / 9.81)
    np.testing.assert_allclose(clip.root_pos[:, 2], HEIGHT * math.cos(lean), atol=1e-9)
    up = quat_rotate(torch.from_numpy(clip.root_quat), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(clip.num_frames, 3)).numpy()
    np.testing.assert_allclose(up[:, 2], math.cos(lean), atol=1e-6)
    radius = SPEED / turn
    ground = clip.root_pos - HEIGHT * up  # where the feet's line is
    np.testing.assert_allclose(ground[:, 2], 0.0, atol=1e-6)
    left = np.stack((-np.sin(faces(clip)), np.cos(faces(clip))), axis=-1)
    centre = ground[:, :2] + radius * left
    np.testing.assert_allclose(centre, np.broadcast_to(centre[0], centre.shape), atol=2e-3)
    assert ((up[:, :2] * left).sum(-1) * turn > 0).all(), "it leans outwards"
    np.testing.assert_allclose(np.linalg.norm(np.diff(ground[:, :2], axis=0), axis=-1) * clip.fps, SPEED, rtol=1e-3)


def test_the_middle_goes_where_it_went_and_joints_stay(gait):
    clip = bend(gait, TURN)
    middle = gait.num_frames // 2
    assert faces(clip)[middle] == pytest.approx(faces(gait)[middle], abs=1e-6)
    np.testing.assert_array_equal(clip.joint_quat, gait.joint_quat)
    assert (clip.name, clip.loop, clip.fps, clip.license) == (gait.name, gait.loop, gait.fps, gait.license)


def test_a_turn_is_added_to_what_a_clip_turns_itself(gait):
    """Two bends after each other face as one bend by their sum does, and go along circles of the same radius."""
    twice, once = bend(bend(gait, 0.5), 0.4), bend(gait, 0.9)
    np.testing.assert_allclose(faces(twice), faces(once), atol=5e-3)
    travelled = [np.linalg.norm(np.diff(clip.root_pos[:, :2], axis=0), axis=-1).sum() for clip in (twice, once)]
    assert travelled[0] == pytest.approx(travelled[1], rel=0.05)
    up = [quat_rotate(torch.from_numpy(clip.root_quat), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(clip.num_frames, 3)) for clip in (twice, once)]
    torch.testing.assert_close(up[0], up[1], atol=0.02, rtol=0)


def test_the_mirror_image_turns_to_the_other_side(gait):
    other, same = mirror(bend(gait, TURN)), bend(mirror(gait), -TURN)
    np.testing.assert_allclose(other.root_pos, same.root_pos, atol=1e-9)
    np.testing.assert_allclose(np.abs((other.root_quat * same.root_quat).sum(-1)), 1.0, atol=1e-9)

"""Feet and floor on points whose motion is known."""

from __future__ import annotations

import math

import pytest
import torch

from motions.contacts import Floor, bearing, find_contacts, find_floor, hold, lift, runs, slip, sole_points
from motions.rotations import quat_exp

FPS = 100.0


def foot(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Two sole points 10 cm apart along x, ``[T, 2, 3]``, at ``x``, ``z`` ``[T]``."""
    points = torch.zeros(len(x), 2, 3, dtype=torch.float64)
    points[..., 0] = x[:, None] + torch.tensor([0.0, 0.1])
    points[..., 2] = z[:, None]
    return points


def steps(frames: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    """A foot that rests for a second, swings 0.6 m forward and 10 cm high within a second, and rests again."""
    t = torch.arange(frames, dtype=torch.float64) / FPS
    swing = ((t - 1) / 1).clamp(0, 1)
    return 0.6 * (3 * swing**2 - 2 * swing**3), 0.1 * torch.sin(math.pi * swing) ** 2


def test_sole_points_are_the_bounding_points_lowered_by_their_radius(skeleton):
    shin = skeleton.body_names.index("left_shin")
    pos, mat = skeleton.forward_kinematics(torch.zeros(1, 3), torch.tensor([[1.0, 0, 0, 0]]), quat_exp(torch.zeros(1, 12, 3)))
    points = sole_points(skeleton, shin, pos, mat)[0]
    assert sorted(points[:, 2].tolist()) == pytest.approx([-0.421546 - 0.355 - 0.05, -0.421546 - 0.045 - 0.05])
    assert points[:, 1].tolist() == pytest.approx([0.084887, 0.084887])


def test_the_lowest_point_bears_the_foot():
    points = torch.zeros(1, 2, 3)
    points[0, 1, 2] = 0.01 * math.log(3)  # a third of the other's weight
    torch.testing.assert_close(bearing(points), torch.tensor([[0.75, 0.25]]))


def test_slip_is_the_velocity_of_what_bears():
    """The bearing point stays while the other, 1 m above, moves at 3 m/s: no slip; the other way round: 3 m/s, with its sign."""
    points = torch.zeros(2, 2, 3, dtype=torch.float64)
    points[:, 1, 2], points[1, 1, 1] = 1.0, -0.03
    torch.testing.assert_close(slip(points, FPS), torch.zeros(1, 2, dtype=torch.float64))
    torch.testing.assert_close(slip(points * torch.tensor([1.0, 1.0, -1.0]), FPS), torch.tensor([[0.0, -3.0]], dtype=torch.float64))


def test_a_foot_rests_where_it_is_low_and_slow():
    x, z = steps()
    (first, second) = runs(find_contacts(foot(x, z), FPS))
    assert first[0] == 0
    assert second[1] == 300
    assert 100 <= first[1] <= 118  # slower than 0.5 m/s for another 0.15 s of the swing
    assert 182 <= second[0] <= 200
    assert not find_contacts(foot(x, z + 0.04), FPS).any()
    assert not find_contacts(foot(torch.arange(50) * 0.006, torch.zeros(50)), FPS).any()  # 0.6 m/s
    assert find_contacts(foot(torch.arange(50) * 0.004, torch.zeros(50)), FPS).all()


def test_a_foot_that_rolls_over_its_heel_rests():
    """The toe comes down at 1 m/s from 20 cm while the heel stays."""
    points = foot(torch.zeros(30), torch.zeros(30))
    points[:, 1, 2] = (0.2 - torch.arange(30) / FPS).clamp_min(0.0)
    assert find_contacts(points, FPS).all()


def test_a_frame_next_to_a_fast_step_is_no_contact():
    x = (torch.arange(30) - 10).clamp(0, 10) / FPS  # still up to frame 10, 1 m/s to frame 20, still again
    assert runs(find_contacts(foot(x, torch.zeros(30)), FPS)) == [(0, 10), (21, 30)]


def test_short_gaps_are_closed_and_short_contacts_dropped():
    z = torch.full((60,), 0.1, dtype=torch.float64)
    z[10:30] = 0.0
    z[20:22] = 0.031  # 0.02 s
    z[50:53] = 0.0  # 0.03 s
    x = torch.zeros(60)
    points = foot(x, z)
    low = find_contacts(points, FPS, slow_mps=100.0)
    assert runs(low) == [(10, 30)]


def test_runs_by_hand():
    assert runs(torch.tensor([True, True, False, True])) == [(0, 2), (3, 4)]
    assert runs(torch.zeros(3, dtype=torch.bool)) == []


def test_the_floor_is_the_plane_under_resting_feet():
    """A foot that rests at four places of a floor that rises by 2 cm a metre along x and falls by 1 cm a metre along y."""
    places = torch.tensor([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]], dtype=torch.float64)
    points = torch.zeros(400, 2, 3, dtype=torch.float64)
    for k, place in enumerate(places):
        points[100 * k : 100 * k + 100, :, :2] = place
    points[..., 2] = 0.07 + 0.02 * points[..., 0] - 0.01 * points[..., 1]
    for k in (0, 100, 200, 300):
        points[k : k + 5, :, 2] += 0.5  # the swings
    low = points[..., 2].amin(-1)
    floor = find_floor([points], low, FPS)
    assert (floor.height, floor.slope_x, floor.slope_y) == pytest.approx((0.07, 0.02, -0.01), abs=6e-4)
    assert floor.tilt == pytest.approx(math.hypot(0.02, 0.01), abs=6e-4)
    level = floor.level(points)
    assert level[:, 0, 2][10:95].abs().max() < 2e-3
    torch.testing.assert_close(level[..., :2], points[..., :2])


def test_stairs_are_no_floor_and_one_place_has_no_slope():
    points = torch.zeros(200, 2, 3, dtype=torch.float64)
    points[100:, :, 0], points[100:, :, 2] = 0.4, 0.2
    floor = find_floor([points], points[..., 2].amin(-1), FPS)
    assert floor.tilt == 0.0
    here = torch.zeros(100, 2, 3, dtype=torch.float64) + torch.tensor([5.0, -3.0, 0.04])
    here[50:, :, 0] += 0.01
    here[50:, :, 2] += 0.001
    floor = find_floor([here], here[..., 2].amin(-1), FPS)
    assert floor.tilt < 0.005
    assert float(floor.at(here[0, 0])) == pytest.approx(0.04, abs=1e-3)


def test_without_resting_feet_the_floor_is_the_low_quantile():
    points = torch.full((101, 2, 3), 3.0, dtype=torch.float64)
    assert find_floor([points], torch.linspace(1.0, 2.0, 101, dtype=torch.float64), FPS) == Floor(pytest.approx(1.05))


def test_a_held_foot_does_not_slide_and_is_moved_little():
    """A foot that creeps by 0.03 m/s while it rests, 1 cm too deep."""
    x, z = steps()
    points = foot(x + 0.03 * torch.arange(300) / FPS, z - 0.01)
    rests = find_contacts(points, FPS)
    shift = hold(points, rests, FPS)
    moved = points + shift[:, None]
    assert slip(points, FPS)[10:90].norm(dim=-1).mean() == pytest.approx(0.03)
    assert slip(moved, FPS)[10:90].norm(dim=-1).max() < 1e-9
    inside = torch.cat((torch.arange(10, 90), torch.arange(210, 290)))
    assert moved[inside][..., 2].abs().max() < 1e-9
    assert moved[..., 2].min() > -1e-9
    first = runs(rests)[0]
    assert shift[first[0] : first[1], 0].mean().abs() < 1e-12  # as much forward as back
    assert shift[5, 0] > 0.01  # early frames go forward, late ones back
    assert shift[95, 0] < -0.005
    speed = (moved[1:, 0] - moved[:-1, 0]) * FPS
    assert (speed[1:] - speed[:-1]).norm(dim=-1).max() < 0.15  # letting go at once would jerk by 0.5 m/s


def test_a_foot_that_really_slides_is_held_in_part():
    points = foot(0.4 * torch.arange(100, dtype=torch.float64) / FPS, torch.zeros(100, dtype=torch.float64))
    shift = hold(points, torch.ones(100, dtype=torch.bool), FPS)
    assert shift[:, 0].abs().max() == pytest.approx(0.04)


def test_without_contacts_only_what_sinks_is_moved():
    points = foot(torch.zeros(50, dtype=torch.float64), torch.full((50,), 0.2, dtype=torch.float64))
    assert hold(points, torch.zeros(50, dtype=torch.bool), FPS).abs().max() == 0.0
    points[20:25, :, 2] = -0.03
    shift = hold(points, torch.zeros(50, dtype=torch.bool), FPS)
    assert shift[20:25, 2].min() >= 0.03 - 1e-12
    assert shift[:10].abs().max() == 0.0


def test_lift_is_enough_and_spreads():
    low = torch.ones(61, dtype=torch.float64)
    low[30] = -0.02
    rise = lift(low, FPS)
    assert rise[30] == pytest.approx(0.02)
    assert rise.max() == pytest.approx(0.02)
    assert 0 < rise[25] < 0.02
    assert rise[23] == 0.0
    assert (lift(low, FPS, 0.1) > 0).sum() == 41

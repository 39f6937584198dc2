"""Joins against clips that are known: the same motion elsewhere, a pose and a speed that must die away."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from motions.joins import STEP_S, Join, closed, fade, joined
from motions.library import MotionLibrary
from motions.rotations import quat_mul, quat_rotate, yaw_quat
from motions.synthetic import circle, constant_spin, constant_velocity, sine_gait

CPU = torch.float64


def elsewhere(clip, yaw: float, by: tuple[float, float, float], name: str):
    """The clip, turned by ``yaw`` about the origin and then moved."""
    turn = yaw_quat(torch.tensor([yaw], dtype=CPU)).expand(clip.num_frames, 4)
    root_pos = quat_rotate(turn, torch.from_numpy(clip.root_pos)) + torch.tensor(by, dtype=CPU)
    return replace(clip, name=name, root_pos=root_pos.numpy(), root_quat=quat_mul(turn, torch.from_numpy(clip.root_quat)).numpy())


def at(library: MotionLibrary, times, clip: int = 0):
    times = torch.as_tensor(times, dtype=torch.float32)
    return library.state_at(torch.full(times.shape, clip), times)


@pytest.fixture
def pair(skeleton) -> MotionLibrary:
    """A gait, and the same gait elsewhere, facing another way."""
    gait = sine_gait(skeleton, speed_mps=1.2, loop="none")
    return MotionLibrary([gait, elsewhere(gait, 2.0, (3.0, -4.0, 0.0), "other")], skeleton)


@pytest.fixture
def stop(skeleton) -> MotionLibrary:
    """Someone who walks on at 1.5 m/s, knees straight, and someone who stands there, lower, with a knee bent."""
    walks = constant_velocity(skeleton, (1.5, 0.0, 0.0), 0.9, duration_s=1.0, loop="wrap")
    stands = constant_spin(skeleton, {}, {"left_knee": (0.0, 0.8, 0.0), "right_shoulder": (0.5, 0.0, 0.0)}, height_m=0.8, duration_s=2.0)
    return MotionLibrary([elsewhere(walks, -1.0, (5.0, 5.0, 0.0), "walks"), stands], skeleton)


def test_a_gap_starts_as_it_is_and_as_fast_as_it_changes_and_ends_at_rest():
    gap, rate = torch.tensor([1.0, -2.0], dtype=CPU), torch.tensor([3.0, 0.0], dtype=CPU)
    tiny = 1e-6
    left = fade(gap, rate, torch.tensor([0.0, tiny, 0.5 - tiny, 0.5, 7.0], dtype=CPU), 0.5)
    torch.testing.assert_close(left[0], gap)
    torch.testing.assert_close((left[1] - left[0]) / tiny, rate, atol=1e-4, rtol=0)
    torch.testing.assert_close((left[3] - left[2]) / tiny, torch.zeros(2, dtype=CPU), atol=1e-4, rtol=0)
    assert left[3:].abs().max() == 0.0
    assert fade(gap, rate, torch.tensor([0.25], dtype=CPU), 0.5)[0, 1] == -1.0  # half of it is left half way


def test_the_same_motion_elsewhere_goes_on_as_if_nothing_were(pair):
    whole = MotionLibrary([joined(pair, Join(1, 0.5, 0, 0.5), 0.4, 1.0, "on")], pair.skeleton)
    assert whole.durations_s[0] == pytest.approx(1.0)
    for t in (0.0, 0.1, 0.5, 0.9):
        torch.testing.assert_close(at(whole, [t]).body_pos_w, at(pair, [0.5 + t]).body_pos_w, atol=2e-4, rtol=0)


def test_who_walks_comes_to_stand(stop):
    clip = joined(stop, Join(0, 0.4, 1, 0.5), 0.6, 1.2, "stops")
    library = MotionLibrary([clip], stop.skeleton)
    first, source, goal = at(library, [0.0]), at(stop, [0.4]), at(stop, [0.5], 1)
    torch.testing.assert_close(first.joint_quat, source.joint_quat, atol=1e-5, rtol=0)
    assert first.root_pos[0].tolist() == pytest.approx([*goal.root_pos[0, :2].tolist(), 0.9], abs=1e-5)
    speed = (clip.root_pos[1] - clip.root_pos[0]) / STEP_S
    assert speed[0] == pytest.approx(1.5, rel=0.15)  # the way it faces, as the one that stands does
    assert speed[1] == pytest.approx(0.0, abs=1e-3)
    knee = stop.skeleton.joint_names.index("left_knee")
    bends = [float(quat[2]) for quat in at(library, [0.0, 0.3, 0.6]).joint_quat[:, knee]]
    assert bends == pytest.approx([0.0, torch.tensor(0.2).sin().item(), torch.tensor(0.4).sin().item()], abs=1e-4)
    last = at(library, [0.6, 1.2])
    torch.testing.assert_close(last.joint_quat, goal.joint_quat.expand(2, -1, -1), atol=1e-5, rtol=0)
    torch.testing.assert_close(last.root_pos, goal.root_pos.expand(2, 3), atol=1e-5, rtol=0)


def test_what_turns_goes_on_turning_at_first(skeleton):
    turns = constant_spin(skeleton, {"root": (0.0, 0.0, 2.0), "left_elbow": (0.0, -1.5, 0.0)}, {"left_elbow": (0.0, -0.3, 0.0)})
    library = MotionLibrary([turns, constant_velocity(skeleton, (0.0, 0.0, 0.0), loop="none")], skeleton)
    clip = joined(library, Join(0, 0.5, 1, 0.2), 0.5, 0.8, "slows")
    found = MotionLibrary([clip], skeleton)
    start, end = at(found, [0.0]), at(found, [0.6])
    assert start.root_ang_vel[0].tolist() == pytest.approx([0.0, 0.0, 2.0], abs=0.3)
    column = skeleton.dof_slices[skeleton.joint_names.index("left_elbow")]
    left = fade(torch.tensor(-1.05), torch.tensor(-1.5), torch.tensor([0.0, STEP_S]), 0.5)  # bent by 0.3 + 1.5 / 2 rad there, and straight in the second clip
    assert start.joint_vel[0, column].tolist() == pytest.approx([float(left[1] - left[0]) / STEP_S], abs=1e-3)
    assert float(end.root_ang_vel.norm()) < 1e-3


def test_a_clip_joined_to_its_own_beginning_goes_on_for_ever(skeleton):
    """A gait of one and a half cycles, which ends half a cycle from where it begins: every pose of the loop's first part is the clip's, and nothing jumps."""
    clip = elsewhere(sine_gait(skeleton, speed_mps=1.2, duration_s=1.5, loop="none"), 0.7, (1.0, 2.0, 0.0), "gait")
    loop = closed(clip, skeleton, 0.4)
    assert (loop.loop, loop.name, loop.license) == ("wrap", "gait", clip.license)
    assert loop.duration_s == pytest.approx(1.5)
    whole, own = MotionLibrary([loop], skeleton), MotionLibrary([clip], skeleton)
    torch.testing.assert_close(at(whole, [0.0, 0.5, 1.1]).body_pos_w, at(own, [0.4, 0.9, 1.5]).body_pos_w, atol=1e-4, rtol=0)
    first, last = at(whole, [0.0]), at(whole, [1.5])
    torch.testing.assert_close(last.joint_quat, first.joint_quat, atol=1e-5, rtol=0)
    torch.testing.assert_close(last.root_pos[:, 2], first.root_pos[:, 2], atol=1e-5, rtol=0)
    times = torch.arange(0.0, 4.5, STEP_S)
    places = at(whole, times).body_pos_w
    steps = (places[1:] - places[:-1]).norm(dim=-1)
    assert steps.max() < 1.8 * (at(own, [0.5 + STEP_S]).body_pos_w - at(own, [0.5]).body_pos_w).norm(dim=-1).max()
    ahead = (at(whole, [4.5]).root_pos - first.root_pos)[0]
    assert float(ahead.norm()) == pytest.approx(3 * 1.5 * 1.2, rel=0.05)
    assert float(torch.atan2(ahead[1], ahead[0])) == pytest.approx(0.7, abs=1e-3)  # the way it walks


def test_a_turn_joined_to_its_own_beginning_goes_on_turning(skeleton):
    whole = MotionLibrary([closed(circle(skeleton, yaw_rate=0.9, duration_s=2.0, loop="none"), skeleton, 0.5)], skeleton)
    state = at(whole, torch.arange(0.05, 3.9, STEP_S))
    torch.testing.assert_close(state.root_ang_vel[:, 2], torch.full((len(state.root_pos),), 0.9), atol=1e-2, rtol=0)
    torch.testing.assert_close(state.root_lin_vel.norm(dim=-1), torch.ones(len(state.root_pos)), atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("loop", "blend_s", "message"),
    [
        ("wrap", 0.3, r"clip sine_gait: loop_s: got 0.3 for a clip that loops; expected none"),
        ("none", 0.6, r"clip sine_gait: loop_s: got 0.6; expected more than 0 and at most half of its 1.000 s"),
    ],
)
def test_what_cannot_be_joined_to_itself_is_named(skeleton, loop, blend_s, message):
    with pytest.raises(ValueError, match=message):
        closed(sine_gait(skeleton, duration_s=1.0, loop=loop), skeleton, blend_s)


def test_a_join_lasts_to_the_end_of_a_clip_that_does_not_loop_and_beyond_one_that_does(pair, skeleton):
    assert joined(pair, Join(1, 0.5, 0, 1.7), 0.4, 1.0, "short").duration_s == pytest.approx(0.3, abs=1e-6)
    looping = MotionLibrary([sine_gait(skeleton, duration_s=1.0)], skeleton)
    assert joined(looping, Join(0, 0.2, 0, 0.9), 0.4, 1.0, "long").duration_s == pytest.approx(1.0)

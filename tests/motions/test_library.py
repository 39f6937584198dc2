"""The library against formulas: positions, rotations and velocities at any time, cycles, sampling, and the refusals."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch

from envs.state import StateCodec
from motions import synthetic
from motions.library import MotionLibrary
from motions.rotations import heading, quat_exp, quat_log, quat_mul, quat_to_mat

RATES = {"root": (0.9, -1.3, 2.1), "left_hip": (1.0, 2.0, -0.5), "neck": (-0.7, 0.4, 1.1), "right_knee": (0.0, 1.5, 0.0), "left_elbow": (0.0, -2.0, 0.0)}
STARTS = {"root": (0.5, 0.2, -0.9), "left_hip": (-0.3, 0.8, 0.4), "neck": (0.2, 0.2, 0.2), "right_knee": (0.0, 0.6, 0.0), "left_elbow": (0.0, -0.4, 0.0)}


def at(library: MotionLibrary, times_s, clip: int = 0):
    times_s = torch.as_tensor(times_s)
    return library.state_at(torch.full(times_s.shape, clip), times_s)


def rows(vector, n: int) -> torch.Tensor:
    return torch.tensor(vector, dtype=torch.float32).expand(n, -1)


@pytest.fixture
def times(rng) -> torch.Tensor:
    return torch.rand(50, generator=rng)


@pytest.fixture
def spin(skeleton) -> MotionLibrary:
    return MotionLibrary([synthetic.constant_spin(skeleton, RATES, STARTS)], skeleton)


def test_constant_velocity_at_any_time_and_in_any_cycle(skeleton, times):
    library = MotionLibrary([synthetic.constant_velocity(skeleton, (1.5, -0.5, 0.0))], skeleton)
    times = 6 * times - 3
    state = at(library, times)
    torch.testing.assert_close(state.root_pos, torch.stack((1.5 * times, -0.5 * times, torch.full_like(times, 0.9)), dim=-1), atol=2e-6, rtol=0)
    torch.testing.assert_close(state.root_lin_vel, rows((1.5, -0.5, 0.0), 50), atol=2e-6, rtol=0)
    torch.testing.assert_close(state.root_ang_vel, torch.zeros(50, 3))
    torch.testing.assert_close(state.joint_vel, torch.zeros(50, 28))


def test_rotations_and_their_velocities_at_any_time(spin, skeleton, times):
    """World frame for the root, the child's frame for balls, about the axis for hinges."""
    state = at(spin, times)

    def expected(name: str) -> torch.Tensor:
        return quat_mul(quat_exp(times[:, None] * torch.tensor(RATES[name])), quat_exp(torch.tensor(STARTS[name])))

    torch.testing.assert_close(quat_to_mat(state.root_quat), quat_to_mat(expected("root")), atol=2e-6, rtol=0)
    torch.testing.assert_close(state.root_ang_vel, rows(RATES["root"], 50), atol=1e-5, rtol=0)
    for k, (joint, columns) in enumerate(zip(skeleton.joints, skeleton.dof_slices, strict=True)):
        if joint.name not in RATES:
            torch.testing.assert_close(state.joint_vel[:, columns], torch.zeros(50, joint.dofs), atol=1e-6, rtol=0)
            continue
        torch.testing.assert_close(quat_to_mat(state.joint_quat[:, k]), quat_to_mat(expected(joint.name)), atol=2e-6, rtol=0)
        back = quat_to_mat(quat_exp(-torch.tensor(STARTS[joint.name])))
        own = back @ torch.tensor(RATES[joint.name])
        torch.testing.assert_close(state.joint_vel[:, columns], rows(own.tolist() if joint.kind == "ball" else (own[1].item(),), 50), atol=1e-5, rtol=0)


def test_quaternions_stay_unit_length(spin, times):
    state = at(spin, times)
    torch.testing.assert_close(state.root_quat.norm(dim=-1), torch.ones(50))
    torch.testing.assert_close(state.joint_quat.norm(dim=-1), torch.ones(50, 12))


def test_velocities_are_what_mujoco_integrates(character, skeleton, times):
    """Integrating MuJoCo's mixed-frame velocity for 20 ms carries one state of the clip to the next."""
    clip = synthetic.constant_spin(skeleton, RATES, STARTS)
    clip = replace(clip, root_pos=synthetic.constant_velocity(skeleton, (0.7, -0.4, 0.3)).root_pos)
    library, codec, times = MotionLibrary([clip], skeleton), StateCodec(skeleton), 0.95 * times
    now, then = at(library, times), at(library, times + 0.02)
    qpos, qvel = (v.double().numpy() for v in codec.encode(now))
    expected = codec.encode(then)[0].double().numpy()
    for k in range(50):
        got = qpos[k].copy()
        mujoco.mj_integratePos(character.model, got, qvel[k], 0.02)
        difference = np.zeros(character.model.nv)
        mujoco.mj_differentiatePos(character.model, difference, 1.0, got, expected[k])
        np.testing.assert_allclose(difference, 0.0, atol=5e-6)


def test_forward_kinematics_is_mujocos(character, skeleton, spin, times):
    qpos, _ = StateCodec(skeleton).encode(at(spin, times))
    state, data = at(spin, times), mujoco.MjData(character.model)
    ids = [character.model.body(name).id for name in skeleton.body_names]
    for k in range(50):
        data.qpos[:] = qpos[k]
        mujoco.mj_kinematics(character.model, data)
        np.testing.assert_allclose(state.body_pos_w[k], data.xpos[ids], atol=2e-6)
        np.testing.assert_allclose(state.body_mat_w[k], data.xmat[ids].reshape(-1, 3, 3), atol=3e-6)


def test_lowest_point_is_where_mujocos_geometry_first_touches(character, skeleton, spin, times):
    """Raised so that the lowest point is 1 mm under the floor, exactly some geometry touches it, by 1 mm."""
    state, data = at(spin, times), mujoco.MjData(character.model)
    low = skeleton.lowest_point(state.body_pos_w, state.body_mat_w)
    qpos, _ = StateCodec(skeleton).encode(state)
    floor = character.model.geom("floor").id
    for k in range(50):
        data.qpos[:] = qpos[k]
        data.qpos[2] -= float(low[k]) + 1e-3
        mujoco.mj_forward(character.model, data)
        touch = [c.dist for c in data.contact if floor in (c.geom1, c.geom2)]
        assert min(touch) == pytest.approx(-1e-3, abs=1e-5)


@pytest.mark.parametrize("start", [(0.0, 0.0), (3.0, -2.0)])
def test_cycles_of_a_circle_go_on_along_the_circle(skeleton, start):
    clip = synthetic.circle(skeleton, speed_mps=1.2, yaw_rate=0.8)
    library = MotionLibrary([replace(clip, root_pos=clip.root_pos + np.array([*start, 0.0]))], skeleton)
    times = torch.arange(-90, 120) / 30  # frames of three cycles before and four after
    state = at(library, times)
    yaw, radius = 0.8 * times, 1.2 / 0.8
    torch.testing.assert_close(state.root_pos[:, 0], start[0] + radius * yaw.sin(), atol=2e-5, rtol=0)
    torch.testing.assert_close(state.root_pos[:, 1], start[1] + radius * (1 - yaw.cos()), atol=2e-5, rtol=0)
    torch.testing.assert_close(state.root_pos[:, 2], torch.full((210,), 0.9))
    torch.testing.assert_close(heading(state.root_quat), torch.remainder(yaw + math.pi, 2 * math.pi) - math.pi, atol=1e-5, rtol=0)
    torch.testing.assert_close(state.root_ang_vel, rows((0.0, 0.0, 0.8), 210), atol=1e-5, rtol=0)
    inner = (torch.arange(210) % 30 != 0).nonzero().squeeze(-1)  # the seam's velocity is one-sided
    chord = 1.2 * math.sin(0.8 / 30) / (0.8 / 30)  # what central differences measure
    torch.testing.assert_close(state.root_lin_vel[inner, 0], chord * yaw[inner].cos(), atol=2e-5, rtol=0)
    torch.testing.assert_close(state.root_lin_vel[inner, 1], chord * yaw[inner].sin(), atol=2e-5, rtol=0)


def test_a_cycle_is_the_one_before_carried_by_the_same_turn(skeleton, times):
    """Of a root that also pitches, so that its angular velocity is not vertical; the turn is by 0.8 rad a cycle."""
    clip = synthetic.circle(skeleton, yaw_rate=0.8)
    pitch = 0.3 * torch.linspace(0, 2 * math.pi, 31, dtype=torch.float64).sin()
    pitched = quat_mul(torch.from_numpy(clip.root_quat), quat_exp(pitch.unsqueeze(-1) * torch.tensor([0.0, 1.0, 0.0])))
    library = MotionLibrary([replace(clip, root_quat=pitched.numpy())], skeleton)
    now, later = at(library, times), at(library, times + 1)
    turn = torch.tensor([[math.cos(0.8), -math.sin(0.8), 0.0], [math.sin(0.8), math.cos(0.8), 0.0], [0.0, 0.0, 1.0]])
    assert float(now.root_ang_vel[:, 1].abs().max()) > 1.0
    for field in ("root_lin_vel", "root_ang_vel"):
        torch.testing.assert_close(getattr(later, field), getattr(now, field) @ turn.T, atol=2e-5, rtol=0)
    torch.testing.assert_close(later.body_mat_w, turn @ now.body_mat_w, atol=2e-5, rtol=0)
    step = at(library, [1.0]).root_pos - at(library, [0.0]).root_pos @ turn.T
    torch.testing.assert_close(later.root_pos, now.root_pos @ turn.T + step, atol=2e-5, rtol=0)


@pytest.mark.parametrize("yaw_rate", [1e-7, 1e-4, 1e-3])
def test_cycles_of_an_almost_straight_walk(skeleton, yaw_rate):
    library = MotionLibrary([synthetic.circle(skeleton, speed_mps=1.0, yaw_rate=yaw_rate)], skeleton)
    state = at(library, [20.0])
    assert state.root_pos[0, 0] == pytest.approx(math.sin(20 * yaw_rate) / yaw_rate, rel=1e-5)
    assert state.root_pos[0, 1] == pytest.approx((1 - math.cos(20 * yaw_rate)) / yaw_rate, abs=1e-5)


def test_a_clip_that_does_not_loop_holds_its_ends_at_rest(skeleton):
    library = MotionLibrary([synthetic.sine_gait(skeleton, loop="none", duration_s=1.2)], skeleton)
    state, ends = at(library, [-0.4, 1.6]), at(library, [0.0, 1.2])
    torch.testing.assert_close(state.body_pos_w, ends.body_pos_w)
    for velocity in (state.root_lin_vel, state.root_ang_vel, state.joint_vel):
        assert (velocity == 0).all()
    assert (ends.root_lin_vel[:, 0] > 0.9).all()


def test_a_gait_at_its_frames_has_the_formulas_central_differences(skeleton):
    library = MotionLibrary([synthetic.sine_gait(skeleton, speed_mps=0.8, amplitude_rad=0.4, period_s=1.0, bob_m=0.02)], skeleton)
    t, w, dt = torch.arange(1, 60) / 30, 2 * math.pi, 1 / 30
    state = at(library, t)
    torch.testing.assert_close(state.root_pos[:, 2], 0.9 + 0.02 * (2 * w * t).cos(), atol=1e-5, rtol=0)
    torch.testing.assert_close(state.root_lin_vel[:, 2], -0.02 * (2 * w * t).sin() * math.sin(2 * w * dt) / dt, atol=1e-4, rtol=0)
    for k, (joint, columns) in enumerate(zip(skeleton.joints, skeleton.dof_slices, strict=True)):
        sign = -1.0 if k % 2 else 1.0
        torch.testing.assert_close(quat_log(state.joint_quat[:, k])[:, 1], sign * 0.4 * (w * t).sin(), atol=1e-5, rtol=0)
        about_y = state.joint_vel[:, columns][:, 1 if joint.kind == "ball" else 0]
        torch.testing.assert_close(about_y, sign * 0.4 * (w * t).cos() * math.sin(w * dt) / dt, atol=1e-4, rtol=0)


def test_velocities_at_the_ends_are_one_sided_even_in_a_loop(skeleton):
    clip = synthetic.sine_gait(skeleton, period_s=1.7, duration_s=1.0)
    state, z = at(MotionLibrary([clip], skeleton), [0.0, 1.0]), clip.root_pos[:, 2]
    torch.testing.assert_close(state.root_lin_vel[:, 2], torch.tensor([z[1] - z[0], z[-1] - z[-2]]).float() * 30, atol=1e-4, rtol=0)
    angle = 0.4 * (2 * math.pi / 1.7 * torch.tensor([0.0, 1 / 30, 29 / 30, 1.0])).sin()
    torch.testing.assert_close(state.joint_vel[:, 1], torch.stack((angle[1] - angle[0], angle[3] - angle[2])) * 30, atol=1e-4, rtol=0)


def test_nothing_reaches_across_a_loop_seam(skeleton):
    """A joint that turns from 0 to 1 rad in a looping clip jumps back at the seam; neither poses nor velocities inside the clip know of it."""
    rates = {"neck": (0.0, 1.0, 0.0)}
    looping = MotionLibrary([synthetic.constant_spin(skeleton, rates, loop="wrap")], skeleton)
    once = MotionLibrary([synthetic.constant_spin(skeleton, rates, loop="none")], skeleton)
    times = torch.linspace(0, 1, 301)
    for field in ("joint_quat", "joint_vel", "body_pos_w"):
        torch.testing.assert_close(getattr(at(looping, times), field), getattr(at(once, times), field))
    neck = skeleton.joint_names.index("neck")
    assert quat_log(at(looping, [1.0]).joint_quat[0, neck])[1] == pytest.approx(1.0, abs=1e-6)  # the very end belongs to the clip
    assert quat_log(at(looping, [1.01]).joint_quat[0, neck])[1] == pytest.approx(0.01, abs=1e-5)


def test_signs_of_quaternions_in_a_clip_do_not_matter(skeleton, times):
    clip = synthetic.constant_spin(skeleton, RATES, STARTS)
    signs = np.where(np.arange(clip.num_frames) % 3 == 0, -1.0, 1.0)[:, None]
    flipped = replace(clip, root_quat=clip.root_quat * signs, joint_quat=clip.joint_quat * signs[:, None])
    a, b = (at(MotionLibrary([c], skeleton), times) for c in (clip, flipped))
    for field in ("body_pos_w", "body_mat_w", "root_ang_vel", "joint_vel"):
        torch.testing.assert_close(getattr(a, field), getattr(b, field))


def test_each_clip_keeps_its_own_rate_and_frames(skeleton):
    clips = [synthetic.constant_velocity(skeleton, (speed, 0, 0), fps=fps, duration_s=d) for speed, fps, d in ((1.0, 30, 1.0), (2.0, 24, 0.5), (-3.0, 60, 0.7))]
    library = MotionLibrary(clips, skeleton)
    state = library.state_at(torch.tensor([0, 1, 2, 2, 0]), torch.tensor([1.0, 0.45, 0.0, 0.7, 0.015]))
    torch.testing.assert_close(state.root_pos[:, 0], torch.tensor([1.0, 0.9, 0.0, -2.1, 0.015]), atol=1e-6, rtol=0)
    torch.testing.assert_close(library.durations_s, torch.tensor([1.0, 0.5, 0.7]))


def test_leading_dimensions_are_kept(spin):
    ids, times = torch.zeros(2, 3, dtype=torch.long), torch.tensor([[0.0, 0.1, 0.2], [0.3, 0.4, 0.5]])
    state = spin.state_at(ids, times)
    assert state.body_mat_w.shape == (2, 3, 15, 3, 3)
    torch.testing.assert_close(state[1, 2].body_pos_w, at(spin, [0.5]).body_pos_w[0])
    torch.testing.assert_close(spin.state_at(ids[0, 0], times[1, 2]).joint_quat, at(spin, [0.5]).joint_quat[0])


@pytest.fixture
def three(skeleton) -> MotionLibrary:
    clips = [synthetic.constant_velocity(skeleton, duration_s=d) for d in (0.5, 1.0, 2.0)]
    return MotionLibrary([replace(c, name=n) for c, n in zip(clips, "abc", strict=True)], skeleton, weights=[1.0, 0.0, 3.0])


def test_clips_are_drawn_by_weight(three, rng):
    ids, _ = three.sample(20000, rng)
    share = torch.bincount(ids, minlength=3) / 20000
    assert share[1] == 0
    assert share[0] == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 20000))


def test_times_are_uniform_and_leave_room_for_the_window(three, rng):
    ids, times = three.sample(20000, rng, min_time_s=0.2)
    assert times.min() >= 0.2
    assert (times <= three.durations_s[ids]).all()
    for clip, length in ((0, 0.5), (2, 2.0)):
        drawn = (times[ids == clip] - 0.2) / (length - 0.2)
        assert float(drawn.mean()) == pytest.approx(0.5, abs=4 / math.sqrt(12 * len(drawn)))
        assert float(drawn.max()) > 0.99


def test_moments_are_those_of_every_clip_a_step_apart(three):
    clips, times = three.moments(0.25)
    assert clips.tolist() == [0] * 3 + [1] * 5 + [2] * 9
    torch.testing.assert_close(times, torch.cat([0.25 * torch.arange(n) for n in (3, 5, 9)]))
    assert three.moments(0.3)[0].tolist() == [0] * 2 + [1] * 4 + [2] * 7, "none beyond a clip's end"


def test_sampling_follows_its_generator(three):
    a, b = (three.sample(100, torch.Generator().manual_seed(5)) for _ in range(2))
    assert (a[0] == b[0]).all()
    assert (a[1] == b[1]).all()


def test_clips_are_found_by_name(three):
    assert three.index("c") == 2
    with pytest.raises(ValueError, match=r"clip d: not in this dataset. Available: a, b, c"):
        three.index("d")


def test_a_clip_shorter_than_the_window_is_named(three):
    three.require_window(0.5)
    with pytest.raises(ValueError, match=r"clip a: lasts 0.500 s; expected at least the history window of 0.600 s"):
        three.require_window(0.6)


@pytest.mark.parametrize("weights", [[1.0, 1.0], [-1.0], [0.0]])
def test_weights_that_make_no_sense_are_refused(skeleton, weights):
    with pytest.raises(ValueError, match=re.escape(f"motion library: weights: got {weights} for 1 clips; expected one number >= 0 a clip, not all zero")):
        MotionLibrary([synthetic.constant_velocity(skeleton)], skeleton, weights)


def test_no_clips_are_refused(skeleton):
    with pytest.raises(ValueError, match=r"motion library: got no clips; expected at least one"):
        MotionLibrary([], skeleton)


def test_a_clip_without_a_joint_is_refused(skeleton):
    clip = synthetic.constant_velocity(skeleton)
    with pytest.raises(ValueError, match=r"clip constant_velocity: joint left_ankle is missing. Available: abdomen, neck"):
        MotionLibrary([replace(clip, joint_names=clip.joint_names[:-1], joint_quat=clip.joint_quat[:, :-1])], skeleton)


def test_joints_that_no_clip_turns_by_two_degrees_are_still(skeleton):
    slight, clear = math.radians(1.5), math.radians(3.0)
    a = synthetic.constant_spin(skeleton, {"neck": (0.0, slight, 0.0), "left_knee": (0.0, clear, 0.0)}, {"right_elbow": (0.0, -0.5, 0.0)})
    b = synthetic.constant_spin(skeleton, {"right_hip": (clear, 0.0, 0.0)}, {"right_elbow": (0.0, -0.5, 0.0)})
    still = dict(zip(skeleton.joint_names, MotionLibrary([a, b], skeleton).still_joints.tolist(), strict=True))
    assert {name for name, is_still in still.items() if not is_still} == {"right_hip", "left_knee"}
    other = replace(b, name="other", joint_quat=a.joint_quat.copy())
    elsewhere = synthetic.constant_spin(skeleton, {}, {"right_elbow": (0.0, -0.9, 0.0)})
    assert not MotionLibrary([other, elsewhere], skeleton).still_joints[skeleton.joint_names.index("right_elbow")], "still in each, but not in the same place"

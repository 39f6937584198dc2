"""Following clips by trial: the cost against displacements that are known, the bookkeeping against a family tree drawn by hand, and the humanoid on an analytic gait."""

import math
from dataclasses import replace

import pytest
import torch

from envs.physics_cpu import CpuPhysics
from envs.samcon import AHEAD, FIRST_RAD, FOLLOW, LEAST_RAD, LOST, MOST_RAD, WIDER, Motion, Pass, Samcon, SamconConfig, Targets, Track, ancestors, tracking_cost
from motions.library import MotionLibrary
from motions.rotations import quat_to_mat, yaw_quat
from motions.synthetic import constant_spin, constant_velocity
from tests.envs.helpers import gait_clip

DT = 1 / 30
SMALL = SamconConfig(trials=64, survivors=8, max_passes=2, enough=1)


def make(character, clips, config=SMALL, seed=0):
    library = MotionLibrary(clips, character.skeleton)
    return Samcon(character, library, CpuPhysics(character.model, config.trials, 1), DT, config, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def gait(character):
    """Two seconds of an analytic gait that cannot be followed for long: it does not know of the floor."""
    return gait_clip(character.skeleton, "gait", seconds=2.0)


@pytest.fixture(scope="module")
def rest(character):
    """Two seconds in the rest pose."""
    return constant_velocity(character.skeleton, (0.0, 0.0, 0.0), character.default_height_m, duration_s=2.0, loop="none")


@pytest.fixture
def pair(character, gait):
    """A state of the clip and the one before it, ``[1]`` each."""
    library = MotionLibrary([gait], character.skeleton)
    states = library.state_at(torch.zeros(2, dtype=torch.long), torch.tensor([0.5, 0.5 + DT]))
    return states[:1], states[1:]


def cost(character, now, before, clip, clip_before):
    count = len(character.skeleton.body_names)
    mass = torch.arange(1.0, count + 1)
    return float(tracking_cost(now, before.body_pos_w, clip, clip_before.body_pos_w, mass / mass.sum(), character.foot_bodies, DT))


def moved(state, by):
    return replace(state, body_pos_w=state.body_pos_w + torch.tensor(by))


def test_whoever_does_what_the_clip_does_costs_nothing(character, pair):
    before, now = pair
    assert cost(character, now, before, now, before) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("by", "expected"), [((0.0, 0.0, 0.1), 20 * 0.01), ((0.1, 0.0, 0.0), 2 * 0.01), ((0.0, -0.2, 0.0), 2 * 0.04), ((0.1, 0.0, -0.1), 22 * 0.01)])
def test_a_body_beside_its_place_costs_by_the_square(character, pair, by, expected):
    """It was as far beside it before, so velocities are right."""
    before, now = pair
    assert cost(character, moved(now, by), moved(before, by), now, before) == pytest.approx(expected, rel=1e-3)


def test_a_velocity_that_is_wrong_costs_for_the_centre_and_for_the_bodies(character, pair):
    before, now = pair
    late = moved(before, (-0.5 * DT, 0.0, 0.0))  # half a metre a second too fast
    assert cost(character, now, late, now, before) == pytest.approx((0.4 + 0.15) * 0.25, rel=1e-3)


def test_bodies_that_turn_the_other_way_cost_by_their_velocity_alone(character, pair):
    """Two equal masses that move apart leave the centre where it is."""
    before, now = pair
    apart = torch.zeros_like(now.body_pos_w)
    apart[:, 1, 0], apart[:, 2, 0] = -3 * DT, 2 * DT  # masses 2 and 3 in six parts of 1 to P
    late = replace(before, body_pos_w=before.body_pos_w + apart)
    count = len(character.skeleton.body_names)
    expected = 0.15 * (2 * 9 + 3 * 4) / (count * (count + 1) / 2)
    assert cost(character, now, late, now, before) == pytest.approx(expected, rel=1e-3)


def test_a_foot_beside_its_place_costs_more_than_a_hand(character, pair):
    """The rest of what a limb costs, the shift of the centre, is as large for bodies of like mass."""
    before, now = pair
    count, foot = len(character.skeleton.body_names), int(character.foot_bodies[0])
    by = torch.zeros_like(now.body_pos_w)
    by[:, foot, 1] = 0.3
    with_foot = cost(character, replace(now, body_pos_w=now.body_pos_w + by), replace(before, body_pos_w=before.body_pos_w + by), now, before)
    share = (foot + 1) / (count * (count + 1) / 2)  # of the mass
    square = 0.09 * ((1 - share) ** 2 + (count - 1) * share**2)
    of_feet = 0.09 * ((1 - share) ** 2 + share**2)
    assert with_foot == pytest.approx(20 * square / count + 10 * of_feet / 2 + 2 * 0.09 * share**2, rel=1e-3)


def test_a_turned_body_costs_for_every_body_and_once_more_for_the_root(character, pair):
    before, now = pair
    angle = 0.3
    turned = replace(now, body_mat_w=quat_to_mat(yaw_quat(torch.tensor(angle))) @ now.body_mat_w)
    frobenius = 4 * (1 - math.cos(angle))
    assert cost(character, turned, before, now, before) == pytest.approx(1.4 * frobenius, rel=1e-3)
    root = now.body_mat_w.clone()
    root[:, 0] = turned.body_mat_w[:, 0]
    count = len(character.skeleton.body_names)
    assert cost(character, replace(now, body_mat_w=root), before, now, before) == pytest.approx(0.7 * frobenius * (1 + 1 / count), rel=1e-3)


def test_ancestors_are_those_whose_descendants_survive():
    """Four trials, two survivors: 3 and 1 go on after the first window, 0 and 2, both children of 3, after the second, 1 and 3, both children of 2, after the third."""
    parents = [torch.tensor([3, 1, 3, 1]), torch.tensor([0, 2, 0, 2]), torch.tensor([1, 3, 1, 3])]
    assert ancestors(parents, 2, 2).tolist() == [1, 3]
    assert ancestors(parents, 1, 2).tolist() == [2, 2]
    assert ancestors(parents, 0, 2).tolist() == [3, 3]
    longer = parents + [torch.tensor([0, 1, 0, 1])] * AHEAD  # what comes later than so many windows does not matter
    longer[-1] = torch.tensor([2, 2, 2, 2])
    assert ancestors(longer, 1, 2).tolist() == ancestors(longer[:-1], 1, 2).tolist()


def of(reached, cost=1.0, mean=0.5, deviation=0.2):
    none = torch.zeros(0, 1)
    return Pass(reached, cost, Targets(torch.full((reached, 1), mean), torch.full((reached, 1), deviation)), Motion(none, none, none))


def test_targets_follow_the_survivors_where_a_pass_went_through():
    after = Samcon._next(Targets.first(3, 1), of(3), 0, 0)
    assert after.mean.flatten().tolist() == pytest.approx([0.5 * FOLLOW] * 3)
    assert after.deviation.flatten().tolist() == pytest.approx([0.5 * FIRST_RAD + 0.5 * WIDER * 0.2] * 3)
    assert Samcon._next(Targets.first(3, 1), of(3, deviation=0.0), 0, 0).deviation.min() == pytest.approx(LEAST_RAD)


def test_what_comes_before_the_place_where_passes_get_stuck_is_tried_more_widely_each_time():
    count, end = 3 * AHEAD, 2 * AHEAD + 2
    start = Targets(torch.full((count, 1), 0.3), torch.full((count, 1), 0.01))
    wide = [Samcon._next(start, of(end, deviation=0.0), end, stuck).deviation.flatten() for stuck in (1, 2, 50)]
    assert wide[0][:2].tolist() == pytest.approx([LEAST_RAD] * 2)  # long before it nothing changes
    assert wide[0][2 : end + 1].tolist() == pytest.approx([FIRST_RAD * WIDER**2] * (end - 1))
    assert wide[1][2 : end + 1].tolist() == pytest.approx([FIRST_RAD * WIDER**3] * (end - 1))
    assert wide[2].max() == pytest.approx(MOST_RAD)
    assert wide[0][end + 1 :].tolist() == pytest.approx([FIRST_RAD] * (count - end - 1))  # nobody has been there


def test_a_pass_that_ends_early_keeps_what_was_known_of_the_rest():
    start = Targets(torch.full((6, 1), 0.3), torch.full((6, 1), 0.2))
    assert Samcon._next(start, of(2), 5, 1).mean.flatten().tolist() == pytest.approx([0.3 + FOLLOW * 0.2] * 2 + [0.3] * 4)
    assert Samcon._next(start, of(5), 5, 1).mean[5] == 0.0


def test_those_who_keep_to_the_clip_go_on_in_place_of_the_others(character, rest):
    """Standing for two seconds with random targets: without selection (all survive) most fall."""
    chosen, alone = make(character, [rest]), make(character, [rest], replace(SMALL, survivors=64))
    with_selection, without = (one.follow(0, Targets.first(20, 28)) for one in (chosen, alone))
    assert with_selection.reached == 20
    assert with_selection.cost < 0.3 * without.cost
    assert with_selection.path.qpos.shape == (20 * 3, 43)
    assert with_selection.path.qpos[-1, 2] > 0.8


def test_a_clip_that_nobody_can_follow_has_no_path(character):
    """Someone who is spun by more than any body stands."""
    spun = constant_spin(character.skeleton, {"root": (0.0, 0.0, 60.0)}, height_m=0.89, duration_s=1.0)
    track = make(character, [spun]).track(0)
    assert (track.reached_s, track.length_s, track.cost) == (0.0, pytest.approx(1.0), math.inf)
    assert len(track.path.action) == 0


def test_a_pass_ends_where_nobody_is_near_the_clip(character, gait):
    made = make(character, [gait]).follow(0, Targets.first(20, 28))
    assert 0 < made.reached < 20
    assert made.cost < LOST
    assert len(made.path.action) == made.reached * 3
    assert len(made.found.mean) == made.reached


def test_the_path_is_one_simulation(character, rest):
    """Whoever goes on takes over a whole state: what one trial did in all windows, simulated alone, gives the path. Around wrong targets another trial is the best each time."""
    samcon = make(character, [rest], replace(SMALL, trials=16, survivors=1))
    wrong = 0.15 * torch.randn(6, 28, generator=torch.Generator().manual_seed(1))
    made = samcon.follow(0, Targets(wrong, torch.full((6, 28), 0.12)))
    assert made.reached == 6
    alone = CpuPhysics(character.model, 1, 1)
    qpos, qvel = samcon._codec.encode(samcon.library.state_at(torch.zeros(1, dtype=torch.long), torch.zeros(1)))
    alone.set_state(torch.zeros(1, dtype=torch.long), qpos, qvel)
    for state, rate, action in zip(made.path.qpos, made.path.qvel, made.path.action, strict=True):
        torch.testing.assert_close(alone.qpos[0], state, atol=1e-5, rtol=0)
        torch.testing.assert_close(alone.qvel[0], rate, atol=1e-3, rtol=0)
        alone.step(character.action_offset + character.action_scale * action.unsqueeze(0), 4)


@pytest.mark.parametrize(("reached_s", "cost", "expected"), [(2.0, 1.9, True), (2.0, 2.1, False), (1.9, 0.1, False)])
def test_a_track_is_complete_that_is_near_the_clip_to_its_end(reached_s, cost, expected):
    none = torch.zeros(0, 1)
    assert Track(reached_s, 2.0, 3, cost, Motion(none, none, none)).complete == expected


def test_the_same_seed_follows_in_the_same_way(character, gait):
    tracks = [make(character, [gait], seed=seed).track(0) for seed in (3, 3, 4)]
    assert torch.equal(tracks[0].path.action, tracks[1].path.action)
    assert not torch.equal(tracks[0].path.qpos[3:], tracks[2].path.qpos[3 : len(tracks[0].path.qpos)])


def test_a_looping_clip_is_followed_beyond_its_end_and_another_to_its_end(character, gait):
    samcon = make(character, [gait, replace(gait, name="b", loop="wrap")])
    assert samcon.windows(0) == 20
    assert samcon.windows(1) == 35


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"survivors": 100}, "samcon: trials, survivors: got 1024, 100; expected trials a multiple of survivors, and at least 1 of both"),
        ({"survivors": 0}, "samcon: trials, survivors: got 1024, 0; expected trials a multiple of survivors, and at least 1 of both"),
        ({"max_passes": 0}, "samcon: window_steps, max_passes, enough: got 3, 0, 3; expected at least 1 of each"),
    ],
)
def test_settings_that_cannot_be_are_named(wrong, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        SamconConfig(**wrong)

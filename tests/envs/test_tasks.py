"""Tasks: rewards by hand, targets in the heading frame, and when targets change."""

import math
from dataclasses import replace

import pytest
import torch

from envs.marker import Marker
from envs.resets import default_state
from envs.tasks import TASKS, TaskSettings, make_task
from envs.tasks.base import facing
from envs.tasks.heading import HeadingConfig, heading_reward
from envs.tasks.location import LocationConfig, approach, location_reward
from envs.tasks.reach import ReachConfig, reach_reward
from motions.rotations import quat_mul, yaw_quat
from tests.envs.helpers import random_state

DT = 1 / 30
FREE = tuple(name for name in TASKS if name != "strike")  # which need no world; that one: test_strike.py
X, Y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def task_of(name, character, num_envs=4, seed=0, **config):
    settings = TaskSettings()
    settings = replace(settings, **{name: replace(getattr(settings, name), **config)})
    return make_task(name, settings, character, num_envs, DT, generator(seed))


def moved(state, yaw, shift):
    """The same characters in a world turned about z by ``yaw`` and then shifted on the ground."""
    turn = yaw_quat(torch.tensor(yaw))
    cos, sin = math.cos(yaw), math.sin(yaw)
    rotate = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    offset = torch.tensor([*shift, 0.0])
    return replace(
        state,
        root_pos=state.root_pos @ rotate.T + offset,
        root_quat=quat_mul(turn.expand_as(state.root_quat), state.root_quat),
        root_lin_vel=state.root_lin_vel @ rotate.T,
        root_ang_vel=state.root_ang_vel @ rotate.T,
        body_pos_w=state.body_pos_w @ rotate.T + offset,
    )


# Rewards, by hand


def test_heading_reward():
    speed = torch.tensor([1.5])
    assert heading_reward(1.5 * X, X, X, speed, X).item() == pytest.approx(1.0)
    assert heading_reward(1.5 * X, -X, X, speed, X).item() == pytest.approx(0.7)
    assert heading_reward(0.5 * X, Y, X, speed, Y).item() == pytest.approx(0.7 * math.exp(-0.25) + 0.3)
    assert heading_reward(2.5 * X, -Y, X, speed, Y).item() == pytest.approx(0.7 * math.exp(-0.25))
    assert heading_reward(-1.5 * X, X, X, speed, X).item() == pytest.approx(0.3), "away from the direction"
    assert heading_reward(torch.zeros(1, 2), X, X, speed, X).item() == pytest.approx(0.3), "standing still"
    diagonal = torch.tensor([[1.0, 1.0]]) / math.sqrt(2)
    assert heading_reward(1.5 * X, diagonal, X, speed, X).item() == pytest.approx(0.7 + 0.3 / math.sqrt(2))


def test_drifting_sideways_costs_the_same_to_both_sides_and_on_both_axes():
    speed = torch.tensor([1.0])
    expected = 0.7 * math.exp(-0.25 * 0.1 * 4.0) + 0.3
    for side in (2.0, -2.0):
        assert heading_reward(X + side * Y, X, X, speed, X).item() == pytest.approx(expected)
    # a direction at 45 degrees: both components of the sideways velocity have the same size and opposite signs, whose sum would be zero
    along, across = torch.tensor([[1.0, 1.0]]) / math.sqrt(2), torch.tensor([[-1.0, 1.0]]) / math.sqrt(2)
    assert heading_reward(along + 2.0 * across, along, along, speed, along).item() == pytest.approx(expected)


def test_approach_rewards_the_speed_toward_the_target():
    assert approach(1.0 * X, X, 1.0).item() == 1.0
    assert approach(3.0 * X, X, 1.0).item() == 1.0, "faster is not punished"
    assert approach(0.5 * X, X, 1.0).item() == pytest.approx(math.exp(-1.0))
    assert approach(1.5 * X, X, 3.0).item() == pytest.approx(math.exp(-1.0)), "half of what is asked for, whatever that is"
    assert approach(-0.1 * X, X, 1.0).item() == 0.0
    assert approach(1.0 * Y, X, 1.0).item() == 0.0


def test_location_reward():
    here, far = torch.zeros(1, 2), torch.tensor([[2.0, 0.0]])
    assert location_reward(here, X, X, far, 1.0).item() == pytest.approx(0.5 * math.exp(-2.0) + 0.5)
    assert location_reward(here, 0.5 * X, Y, far, 1.0).item() == pytest.approx(0.5 * math.exp(-2.0) + 0.4 * math.exp(-1.0))
    assert location_reward(here, X, Y, far, 4.0).item() == pytest.approx(0.5 * math.exp(-2.0) + 0.4 * math.exp(-2.25)), "slower than it should"
    assert location_reward(here, -X, -X, far, 1.0).item() == pytest.approx(0.5 * math.exp(-2.0))
    assert location_reward(here, here, -X, 0.4 * X, 1.0).item() == pytest.approx(0.5 * math.exp(-0.08) + 0.5), "near the target all that counts is to be there"
    assert location_reward(here, here, -X, 0.6 * X, 1.0).item() == pytest.approx(0.5 * math.exp(-0.18)), "0.5 m is a distance, not its square"


def test_reach_reward():
    target = torch.tensor([[1.0, 0.0, 1.0]])
    assert reach_reward(target, target).item() == 1.0
    assert reach_reward(target + torch.tensor([[0.0, 0.3, 0.4]]), target).item() == pytest.approx(math.exp(-1.0))


# Observation


@pytest.mark.parametrize("name", FREE)
def test_what_is_seen_turns_and_moves_with_the_world(name, character):
    state = random_state(character.skeleton, 4)
    task, other = task_of(name, character), task_of(name, character)
    task.begin(torch.arange(4), state)
    yaw, shift = 1.1, (3.0, -2.0)
    there = moved(state, yaw, shift)
    other.load_state_dict(task.state_dict())
    cos, sin = math.cos(yaw), math.sin(yaw)
    rotate = torch.tensor([[cos, -sin], [sin, cos]])
    for key in ("direction", "target_facing", "target"):
        if hasattr(task, key):
            value = getattr(task, key)
            ground = value[:, :2] @ rotate.T + (torch.tensor(shift) if key == "target" else 0.0)
            setattr(other, key, torch.cat((ground, value[:, 2:]), dim=-1))
    torch.testing.assert_close(other.observe(there), task.observe(state), rtol=0, atol=1e-5)
    torch.testing.assert_close(other.reward(there), task.reward(state), rtol=0, atol=1e-5)
    assert torch.equal(other.success(there), task.success(state))
    assert task.observe(state).shape == (4, task.num_obs)


def test_a_character_that_faces_left_sees_what_lies_in_the_x_direction_to_its_right(character):
    state = default_state(character, 1)
    state = replace(state, root_quat=yaw_quat(torch.tensor([math.pi / 2])))
    heading = task_of("heading", character, 1)
    heading.direction, heading.target_facing, heading.speed = X.clone(), Y.clone(), torch.tensor([1.2])
    torch.testing.assert_close(heading.observe(state), torch.tensor([[0.0, -1.0, 1.2, 1.0, 0.0]]), rtol=0, atol=1e-6)
    location = task_of("location", character, 1)
    location.target = torch.tensor([[2.0, 0.0]])
    torch.testing.assert_close(location.observe(state), torch.tensor([[0.0, -2.0]]), rtol=0, atol=1e-6)
    reach = task_of("reach", character, 1)
    reach.target = torch.tensor([[0.5, 0.0, 1.4]])
    torch.testing.assert_close(reach.observe(state), torch.tensor([[0.0, -0.5, 1.4]]), rtol=0, atol=1e-6)


# Targets


def test_targets_are_where_the_settings_say(character):
    state = random_state(character.skeleton, 2000)
    ids = torch.arange(2000)
    heading = task_of("heading", character, 2000, min_speed_m_s=0.5, max_speed_m_s=2.5)
    heading.begin(ids, state)
    assert 0.5 <= heading.speed.min() < 0.6
    assert 2.4 < heading.speed.max() <= 2.5
    assert heading.direction.mean(0).norm() < 0.1
    assert torch.equal(heading.direction, heading.target_facing)
    free = task_of("heading", character, 2000, free_facing=True)
    free.begin(ids, state)
    assert (free.direction * free.target_facing).sum(-1).mean().abs() < 0.1
    location = task_of("location", character, 2000, reach_m=3.0)
    location.begin(ids, state)
    offset = location.target - state.root_pos[:, :2]
    assert 2.9 < offset.abs().max() <= 3.001
    assert offset.mean(0).norm() < 0.2
    reach = task_of("reach", character, 2000)
    reach.begin(ids, state)
    offset = reach.target[:, :2] - state.root_pos[:, :2]
    assert 0.95 < offset.abs().max() <= 1.001
    assert 0.2 <= reach.target[:, 2].min() < 0.25
    assert 1.95 < reach.target[:, 2].max() <= 2.0


def test_training_asks_for_nearer_places_and_a_run_first(character):
    state = random_state(character.skeleton, 2000)
    state = replace(state, root_lin_vel=torch.tensor([1.0, 0.0, 0.0]).expand(2000, 3))
    task = task_of("location", character, 2000, first_samples=100, first_reach_m=2.0, first_speed_m_s=4.0)
    for samples, reach, speed in ((None, 10.0, 1.0), (99, 2.0, 4.0), (100, 10.0, 1.0), (0, 2.0, 4.0)):
        if samples is not None:
            task.trained_for(samples)
        task.begin(torch.arange(2000), state)
        offset = task.target - state.root_pos[:, :2]
        assert 0.98 * reach < offset.abs().max() <= reach + 0.001
        task.target = state.root_pos[:, :2] + 9 * torch.tensor([1.0, 0.0])
        assert task.reward(state).sub(0.1 * facing(state)[:, 0].clamp_min(0.0)).max().item() == pytest.approx(0.4 * math.exp(-4 * (1 - 1 / speed) ** 2), abs=1e-5)


def test_a_target_stays_for_its_time_and_only_its_own(character):
    state = random_state(character.skeleton, 3)
    task = task_of("location", character, 3, min_hold_s=5 * DT, max_hold_s=5 * DT)
    task.begin(torch.arange(2), state)
    task.steps_left[2] = 100
    first = task.target.clone()
    for _ in range(4):
        assert not task.advance(state).any()
    assert torch.equal(task.target, first)
    assert task.advance(state).tolist() == [True, True, False]
    assert (task.target[:2] != first[:2]).all()
    assert torch.equal(task.target[2], first[2])
    assert task.steps_left.tolist() == [5, 5, 95]


def test_hold_times_spread_over_their_range(character):
    state = default_state(character, 3000)
    task = task_of("heading", character, 3000)
    task.begin(torch.arange(3000), state)
    assert task.steps_left.min() == 100
    assert task.steps_left.max() == 200


def test_a_frozen_target_stays(character):
    state = default_state(character, 1)
    task = task_of("heading", character, 1, min_hold_s=DT, max_hold_s=DT)
    task.frozen, task.direction = True, Y.clone()
    for _ in range(3):
        task.begin(torch.arange(1), state)
        task.advance(state)
    assert torch.equal(task.direction, Y)


@pytest.mark.parametrize("name", FREE)
def test_success(name, character):
    state = default_state(character, 2)
    task = task_of(name, character, 2)
    if name == "heading":
        task.direction, task.speed = Y.repeat(2, 1), torch.tensor([1.0, 1.0])
        state = replace(state, root_lin_vel=torch.tensor([[0.0, 1.4, 0.0], [0.4, 0.6, 0.3]]) + torch.tensor([[0.0, 0.0, 0.0], [0.0, -0.1, 0.0]]))
        assert task.success(state).tolist() == [True, False]
    elif name == "location":
        task.target = torch.tensor([[0.3, 0.39], [0.3, 0.41]])
        assert task.success(state).tolist() == [True, False]
    else:
        hand = state.body_pos_w[:, task.body]
        task.target = hand + torch.tensor([[0.0, 0.19, 0.0], [0.0, 0.0, 0.21]])
        assert task.success(state).tolist() == [True, False]


def test_reach_measures_the_body_that_is_named(character):
    assert task_of("reach", character, body="left_foot").body == character.skeleton.body_names.index("left_foot")
    state = default_state(character, 1)
    task = task_of("reach", character, 1, body="head")
    task.target = state.body_pos_w[:, task.body].clone()
    assert task.reward(state).item() == 1.0


@pytest.mark.parametrize("name", FREE)
def test_markers_show_the_target(name, character):
    state = default_state(character, 2)
    task = task_of(name, character, 2)
    task.begin(torch.arange(2), state)
    found = task.markers(1, state)
    assert found
    if name == "heading":
        way = torch.tensor(found[0].to)[:2] - torch.tensor(found[0].pos)[:2]
        torch.testing.assert_close(way / way.norm(), task.direction[1], rtol=0, atol=1e-5)
        assert len(task_of(name, character, 2, free_facing=True).markers(0, state)) == 2
    else:
        assert found[0].pos[:2] == pytest.approx(task.target[1, :2].tolist())


@pytest.mark.parametrize("name", FREE)
def test_same_seed_same_targets(name, character):
    state = default_state(character, 4)
    targets = []
    for seed in (0, 0, 1):
        task = task_of(name, character, seed=seed)
        task.begin(torch.arange(4), state)
        targets.append(task.observe(state))
    assert torch.equal(targets[0], targets[1])
    assert not torch.equal(targets[0], targets[2])


# Errors


def test_bad_settings_are_one_line(character):
    cases = [
        ("heading", {"min_hold_s": 2.0, "max_hold_s": 1.0}, "task heading: min_hold_s: got 2 with max_hold_s 1; expected 0 < min_hold_s <= max_hold_s"),
        ("heading", {"min_speed_m_s": 2.0, "max_speed_m_s": 1.0}, "task heading: min_speed_m_s: got 2 with max_speed_m_s 1; expected 0 <= min <= max"),
        ("location", {"reach_m": 0.0}, "task location: reach_m: got 0; expected more than 0"),
        ("location", {"speed_m_s": -1.0}, "task location: speed_m_s: got -1; expected more than 0"),
        ("location", {"first_reach_m": 0.0}, "task location: first_reach_m: got 0; expected more than 0"),
        ("location", {"first_speed_m_s": 0.0}, "task location: first_speed_m_s: got 0; expected more than 0"),
        ("reach", {"min_height_m": -1.0}, r"task reach: got reach_m 1, heights -1 to 2; expected reach_m > 0 and 0 <= min_height_m <= max_height_m"),
        ("reach", {"body": "tail"}, "task reach: body: got tail; expected one of the character's. Available: pelvis, torso"),
    ]
    for name, config, text in cases:
        with pytest.raises(ValueError, match=text):
            task_of(name, character, **config)
    with pytest.raises(ValueError, match=r"task dance: unknown\. Available: heading, location"):
        make_task("dance", TaskSettings(), character, 1, DT, generator())
    with pytest.raises(ValueError, match=r"marker cube: unknown\. Available: arrow, ball, post"):
        Marker("cube", (0.0, 0.0, 0.0))


def test_settings_have_the_figures_of_the_paper():
    assert HeadingConfig().min_hold_s == pytest.approx(100 / 30)
    assert LocationConfig().reach_m == 10.0
    assert ReachConfig().max_hold_s == pytest.approx(100 / 30)

"""How far a character is from where the clip that its episode began on would have it."""

import math

import pytest
import torch

from envs.straying import SHIFTS_S, farthest, straying
from motions.rotations import quat_rotate, yaw_quat
from tests.envs.helpers import make_env

DT = 1 / 30


def turned(points, yaw):
    return quat_rotate(yaw_quat(torch.tensor(yaw)).expand(*points.shape[:-1], 4), points)


@pytest.fixture
def places():
    return torch.tensor([[[0.6, -0.2, 1.0], [0.2, 0.3, 1.1], [0.3, -0.1, 0.05], [-0.3, 0.1, 0.1]]])


@pytest.mark.parametrize("yaw", [0.0, 0.7, -2.0, math.pi])
def test_direction_does_not_matter(places, yaw):
    assert farthest(turned(places, yaw), places) == pytest.approx(0.0, abs=1e-6)
    assert farthest(places, turned(places, yaw)) == pytest.approx(0.0, abs=1e-6)


def test_it_is_the_distance_of_the_farthest_body(places):
    up = places.clone()
    up[0, 2, 2] += 0.7  # height is not for turning
    up[0, 0, 2] += 0.2
    assert farthest(up, places) == pytest.approx(0.7)
    apart = torch.tensor([[[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]])
    assert farthest(1.5 * apart, apart) == pytest.approx(0.5)


def test_the_clip_itself_is_not_strayed_from_nor_is_it_a_little_late(library, character):
    ids, times = torch.tensor([0, 1, 1, 0]), torch.tensor([0.4, 0.7, 3.1, 1.0])
    bodies = character.key_bodies
    now = library.state_at(ids, times)
    torch.testing.assert_close(straying(now, library, ids, times, bodies), torch.zeros(4), atol=1e-5, rtol=0)
    late = straying(now, library, ids, times + SHIFTS_S[-1], bodies)
    torch.testing.assert_close(late, torch.zeros(4), atol=1e-4, rtol=0)
    assert (straying(now, library, ids, times + 0.5, bodies) > 0.01).all()


def test_there_is_nothing_to_stray_from_without_a_clip_or_after_its_end(library, character):
    other = library.state_at(torch.tensor([1, 1, 1, 1]), torch.full((4,), 0.2))
    ids, times = torch.tensor([0, 0, -1, -2]), torch.tensor([1.9, 2.1, 0.5, 0.5])  # the first clip ends after 2 s
    away = straying(other, library, ids, times, character.key_bodies)
    assert (away > 0.1).tolist() == [True, False, False, False]
    assert straying(other, library, ids + 1, times, character.key_bodies)[1] > 0.05, "the second goes on for ever"


def test_environments_know_where_in_a_clip_they_are(library, character):
    env = make_env(character, library)
    ids, times = torch.tensor([0, 1, 1, 0]), torch.tensor([0.5, 0.4, 0.9, 0.7])
    env.start_on_clip(torch.arange(4), ids, times)
    torch.testing.assert_close(env.straying(), torch.zeros(4), atol=1e-3, rtol=0)
    for _ in range(12):
        env.step(env.rest_action.expand(4, -1))
    expected = straying(env.state, library, ids, times + 12 * DT, character.key_bodies)
    torch.testing.assert_close(env.straying(), expected)
    assert (expected > 0.05).all()


def test_ages_that_are_spread_out_do_not_move_them(library, character):
    env = make_env(character, library)
    env.start_on_clip(torch.arange(4), torch.tensor([0, 1, 1, 0]), torch.tensor([0.5, 0.4, 0.9, 0.7]))
    env.stagger()
    assert env.episode_step.any()
    torch.testing.assert_close(env.straying(), torch.zeros(4), atol=1e-3, rtol=0)

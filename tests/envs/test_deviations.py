"""Differences between states: they are added and taken again, know nothing of place and heading, and cost what following a clip does."""

import pytest
import torch

from envs.deviations import Deviations, slopes
from envs.features import observe
from envs.mirror import mirror_map
from envs.samcon import tracking_cost
from motions.library import MotionLibrary
from motions.rotations import quat_mul, yaw_quat
from tests.envs.helpers import gait_clip


@pytest.fixture(scope="module")
def deviations(character):
    return Deviations(character)


@pytest.fixture(scope="module")
def states(character, deviations):
    """Sixteen moments of a motion in which everything moves: ``qpos``, ``qvel``."""
    library = MotionLibrary([gait_clip(character.skeleton)], character.skeleton)
    return deviations.codec.encode(library.along(0, torch.linspace(0.1, 1.9, 16)))


@pytest.fixture(scope="module")
def small(deviations):
    """Small deviations, none of the place on the ground or about the vertical, ``[16, E]``."""
    off = deviations.steps * torch.randn(16, len(deviations.steps), generator=torch.Generator().manual_seed(0))
    off[:, :2] = 0.0
    off[:, 3:6] = 0.0
    return off


def turned(qpos, qvel, angle, by):
    turn = yaw_quat(torch.tensor(angle)).expand(len(qpos), 4)
    place = torch.cat((torch.tensor(by).expand(len(qpos), 2), qpos[:, 2:3]), dim=-1)
    c, s = torch.tensor(angle).cos(), torch.tensor(angle).sin()
    x, y = qvel[:, 0], qvel[:, 1]
    return torch.cat((place, quat_mul(turn, qpos[:, 3:7]), qpos[:, 7:]), -1), torch.cat((torch.stack((c * x - s * y, s * x + c * y), -1), qvel[:, 2:]), -1)


def test_what_is_added_is_the_difference(deviations, states, small):
    torch.testing.assert_close(deviations.between(*deviations.added(*states, small), *states), small, atol=2e-5, rtol=1e-4)


def test_the_root_is_turned_in_its_own_frame(deviations, states):
    """Pitch and roll of an upright root are seen as they are; what is about the vertical is not."""
    rest = torch.zeros(1, states[0].shape[1])
    rest[:, 3] = rest[0, deviations.codec.columns_on(rest.device)[0][:, 0]] = 1.0
    off = torch.zeros(1, len(deviations.steps))
    off[0, 4], off[0, 2] = 0.2, 0.1
    still = torch.zeros(1, deviations.num_dofs)
    torch.testing.assert_close(deviations.between(*deviations.added(rest, still, off), rest, still), off, atol=1e-6, rtol=0)
    about = torch.zeros_like(off)
    about[0, 5] = 0.3
    assert deviations.between(*deviations.added(rest, still, about), rest, still).abs().max() < 1e-6


@pytest.mark.parametrize(("angle", "by"), [(0.7, (3.0, -1.0)), (-2.5, (0.0, 9.0))])
def test_where_somebody_is_and_looks_makes_no_difference(deviations, states, small, angle, by):
    there = deviations.added(*states, small)
    torch.testing.assert_close(deviations.between(*turned(*there, angle, by), *states), small, atol=3e-5, rtol=1e-4)
    torch.testing.assert_close(deviations.errors(*turned(*there, angle, by), *states), turned_errors(deviations, there, states, angle), atol=2e-4, rtol=1e-3)


def turned_errors(deviations, there, states, angle):
    """The errors as somebody sees them who is turned himself."""
    return deviations.errors(*turned(*there, angle, (0.0, 0.0)), *turned(*states, angle, (0.0, 0.0)))


def test_errors_of_poses_cost_what_following_says(character, deviations, states, small):
    qpos, qvel = deviations.added(*states, small)
    here, there = (deviations.codec.decode(*pair) for pair in ((qpos, qvel), states))
    cost = torch.cat(
        [
            tracking_cost(here[k : k + 1], here.body_pos_w[k : k + 1], there[k : k + 1], there.body_pos_w[k : k + 1], character.mass_shares, character.foot_bodies, 1.0)
            for k in range(16)
        ]
    )
    mass = character.mass_shares.unsqueeze(-1)
    aside = ((here.body_pos_w - there.body_pos_w) * mass).sum(1)[:, :2].square().sum(-1)  # of the place, which errors know nothing of
    errors = deviations.errors(qpos, states[1], *states)
    torch.testing.assert_close(errors.square().sum(-1), cost - 2 * aside, atol=2e-3, rtol=2e-2)
    rates = deviations.errors(states[0], states[1] + 1.0, *states).square().sum(-1)
    torch.testing.assert_close(rates, torch.full_like(rates, 3 * 0.4 + 3 * 0.05 + 28 * 0.004), atol=1e-3, rtol=1e-3)


def test_slopes_tell_what_small_deviations_do_to_the_errors(deviations, states, small):
    slope = deviations.error_slopes(states[0])
    tiny = 0.1 * small
    told = torch.einsum("mef,me->mf", slope, tiny)
    found = deviations.errors(*deviations.added(*states, tiny), *states)
    for part in (slice(0, -deviations.num_dofs), slice(-deviations.num_dofs, None)):
        assert (told - found)[:, part].norm() < 0.02 * found[:, part].norm()
    assert (slope[:, :2] == 0).all()


def test_slopes_are_central_differences():
    steps = torch.tensor([0.1, 0.2])
    values = torch.cat((3 * steps + steps**2, -3 * steps + steps**2)).view(1, 4, 1)
    torch.testing.assert_close(slopes(values, steps), torch.full((1, 2, 1), 3.0))


def test_mirror_images_are_seen_as_mirror_images(character, deviations, states):
    reflection = mirror_map(character)
    image = deviations.mirrored(*states, reflection.action_index, reflection.action_sign)
    here, there = (observe(deviations.codec.decode(*pair), character.skeleton) for pair in (states, image))
    torch.testing.assert_close(there, here[:, reflection.obs_index] * reflection.obs_sign, atol=1e-4, rtol=1e-4)
    for once, twice in zip(states, deviations.mirrored(*image, reflection.action_index, reflection.action_sign), strict=True):
        torch.testing.assert_close(twice, once, atol=1e-5, rtol=1e-4)

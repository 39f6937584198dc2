"""Starts on the way to a clip."""

from __future__ import annotations

import math

import pytest
import torch

from envs.approach import Approaches, between, stands
from envs.features import FeatureLayout, observe
from envs.resets import NO_CLIP, StartMix, default_state
from motions.clip import make_clip
from motions.library import MotionLibrary
from motions.rotations import heading, quat_conj, quat_log, quat_mul, quat_rotate, yaw_quat
from tests.envs.helpers import random_state
from tests.envs.test_resets import DT, make_bank


def test_who_stands_is_upright_high_slow_and_on_the_floor(character):
    skeleton, rest = character.skeleton, default_state(character, 7)
    pos, quat, vel = rest.root_pos.clone(), rest.root_quat.clone(), rest.root_lin_vel.clone()
    pos[1, 2] += 0.05  # in the air
    vel[2, 0] = 1.6
    vel[3, 0] = 1.4
    lean = torch.tensor([0.0, 1.0, 0.0])
    for row, angle in ((4, 0.6), (5, 0.5)):
        quat[row] = torch.cat((torch.tensor([math.cos(angle / 2)]), lean * math.sin(angle / 2)))
    state = skeleton.state(pos, quat, vel, rest.root_ang_vel, rest.joint_quat, rest.joint_vel)
    pos[4:, 2] -= skeleton.lowest_point(state.body_pos_w, state.body_mat_w)[4:]
    pos[6, 2] = 0.79 * character.default_height_m
    state = skeleton.state(pos, quat, vel, rest.root_ang_vel, rest.joint_quat, rest.joint_vel)
    assert stands(state, character).tolist() == [True, False, False, True, False, True, False]


def apart(a, b):
    """Angle in radians between rotations."""
    return quat_log(quat_mul(quat_conj(a), b)).norm(dim=-1)


def test_between_two_states_lie_all_shares_of_the_way(character):
    skeleton = character.skeleton
    here, there = random_state(skeleton, 6, seed=1), random_state(skeleton, 6, seed=2)
    none, part, whole = (between(here, there, torch.full((6,), share), character) for share in (0.0, 0.25, 1.0))
    for name in ("root_pos", "root_lin_vel", "root_ang_vel", "joint_vel", "body_pos_w"):
        torch.testing.assert_close(getattr(none, name), getattr(here, name), atol=1e-4, rtol=0)
    turn = yaw_quat(heading(here.root_quat) - heading(there.root_quat))
    turned = quat_mul(turn, there.root_quat)
    torch.testing.assert_close(heading(whole.root_quat), heading(here.root_quat), atol=1e-3, rtol=0)
    assert apart(whole.root_quat, turned).max() < 1e-2
    torch.testing.assert_close(apart(part.root_quat, here.root_quat), apart(turned, here.root_quat) / 4, atol=1e-2, rtol=0)
    torch.testing.assert_close(apart(part.joint_quat, here.joint_quat), apart(there.joint_quat, here.joint_quat) / 4, atol=1e-2, rtol=0)
    torch.testing.assert_close(whole.root_lin_vel, quat_rotate(turn, there.root_lin_vel), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(whole.root_ang_vel, quat_rotate(turn, there.root_ang_vel), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(part.joint_vel, here.joint_vel + (there.joint_vel - here.joint_vel) / 4)
    low = [skeleton.lowest_point(each.body_pos_w, each.body_mat_w) for each in (here, there)]
    for state, share in ((none, 0.0), (part, 0.25), (whole, 1.0)):
        torch.testing.assert_close(skeleton.lowest_point(state.body_pos_w, state.body_mat_w), low[0] + share * (low[1] - low[0]), atol=1e-4, rtol=0)
        torch.testing.assert_close(state.root_pos[:, :2], here.root_pos[:, :2])


@pytest.fixture
def posed(character):
    """Two clips: one in which the character stands still, but in the air in its second half, and one in which it lies."""
    skeleton, frames = character.skeleton, 61
    rest = default_state(character, 1)
    quats, pos = rest.joint_quat.expand(frames, -1, -1).numpy(), torch.zeros(frames, 3)
    pos[:, 2] = character.default_height_m + 0.3 * (torch.arange(frames) > 30)
    lying = torch.tensor([math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0]).expand(frames, 4)
    up = rest.root_quat.expand(frames, 4)

    def clip(name, root_pos, root_quat):
        return make_clip(name=name, fps=30.0, loop="none", root_pos=root_pos.numpy(), root_quat=root_quat.numpy(), joint_names=skeleton.joint_names, joint_quat=quats)

    return MotionLibrary([clip("hop", pos, up), clip("lie", torch.tensor([0.0, 0.0, 0.15]).expand(frames, 3), lying)], skeleton)


def test_a_clip_is_approached_where_it_stands_or_anywhere_if_it_never_does(character, posed):
    ways = Approaches(posed, character, DT, default_state(character, 1))
    state, clips = ways.draw(4000, torch.tensor([1.0, 3.0]), torch.Generator().manual_seed(0))
    assert (clips == 1).float().mean() == pytest.approx(0.75, abs=0.03)
    hop, lie = state[clips == 0], state[clips == 1]
    torch.testing.assert_close(hop.root_pos[:, 2], torch.full_like(hop.root_pos[:, 2], character.default_height_m), atol=1e-3, rtol=0)
    up = 1 - 2 * lie.root_quat[:, 1:3].square().sum(-1)
    shares = torch.acos(up.clamp(-1, 1)) / (math.pi / 2)  # 1: lies; 0: stands
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        assert (shares < share).float().mean() == pytest.approx(share, abs=0.03)
    one_clip, _ = ways.draw(100, torch.tensor([0.0, 1.0]), torch.Generator().manual_seed(0))
    assert len(one_clip.root_pos) == 100


def test_half_of_the_ways_come_from_the_rest_pose(character):
    skeleton, frames = character.skeleton, 61
    rest = default_state(character, 1)
    bent = random_state(skeleton, 1, swing=0.02).joint_quat.expand(frames, -1, -1)
    pos = torch.tensor([0.0, 0.0, character.default_height_m]).expand(frames, 3)
    clip = make_clip(
        name="bent", fps=30.0, loop="none", root_pos=pos.numpy(), root_quat=rest.root_quat.expand(frames, 4).numpy(), joint_names=skeleton.joint_names, joint_quat=bent.numpy()
    )
    state, _ = Approaches(MotionLibrary([clip], skeleton), character, DT, rest).draw(2000, torch.ones(1), torch.Generator().manual_seed(0))
    same = apart(state.joint_quat, bent[:1]).amax(-1) < 1e-4  # from the clip to itself
    assert same.float().mean() == pytest.approx(0.5, abs=0.04)


def test_a_bank_begins_a_share_of_its_clip_starts_on_the_way(character, library):
    bank = make_bank(character, library, StartMix(clip=1.0, default=0.0, approach=0.4), size=400)
    starts = bank.take(2000)
    still = (starts.history == starts.history[:, -1:]).all(-1).all(-1)  # nothing is known of what was before
    assert still.float().mean() == pytest.approx(0.4, abs=0.04)
    assert (starts.clip != NO_CLIP).all()
    assert not starts.grace_steps[still].any()
    some = starts.rows(still)
    obs = observe(bank._codec.decode(some.qpos, some.qvel), character.skeleton)
    torch.testing.assert_close(some.obs, obs)
    torch.testing.assert_close(some.history[:, -1], obs[:, FeatureLayout.of(character).style_columns])
    mine, others = make_bank(character, library, StartMix(clip=1.0, default=0.0)), make_bank(character, library, StartMix(clip=1.0, default=0.0, approach=0.0))
    assert torch.equal(mine.take(20).qpos, others.take(20).qpos)


def test_hard_clips_are_approached_more_often(character, library):
    bank = make_bank(character, library, StartMix(clip=1.0, default=0.0, hard_share=0.9, approach=0.99), size=1000)
    bank.learn(torch.zeros(300, dtype=torch.long), torch.zeros(300, dtype=torch.bool), torch.full((300,), 2.0))
    assert (bank.take(1000).clip == 1).float().mean() > 0.8

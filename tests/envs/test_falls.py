"""When a character has fallen, what follows, and who gets a grace period."""

import math
from dataclasses import replace

import pytest
import torch

from envs.humanoid import rise_reward
from envs.resets import SOON_S, StartMix, default_state
from motions.library import MotionLibrary
from tests.envs.helpers import actions, gait_clip, held, make_env, set_state

DT = 1 / 30
ALL_CLIP, ALL_DEFAULT = StartMix(clip=1.0, default=0.0), StartMix(clip=0.0, default=1.0)


def names(character):
    return [character.skeleton.body_names[i] for i in character.fall_bodies]


@pytest.mark.parametrize(
    ("root_height", "touching", "falls"),
    [
        (0.10, [], False),  # low, in the air
        (0.89, ["pelvis"], False),  # touching, not low
        (0.10, ["head"], False),  # the head touches but is high, the pelvis is low but does not touch
        (0.10, ["pelvis"], True),
        (0.10, ["head", "pelvis"], True),
        (0.16, ["pelvis"], False),  # just above its height
    ],
)
def test_a_fall_needs_one_body_that_both_touches_and_is_low(character, library, root_height, touching, falls):
    env = held(character, library)
    env.physics.qpos[0, 2] = root_height  # the trunk above it stays upright
    for name in touching:
        env.physics.touch[0, names(character).index(name)] = 1
    step = env.step(actions(1))
    assert step.terminated.item() == falls
    assert env.fallen.item() == falls


def test_the_head_has_a_height_of_its_own(character, library):
    env = held(character, library, 2)
    head_above_root = 0.236151 + 0.223894
    env.physics.qpos[:, 2] = torch.tensor([0.29, 0.31]) + head_above_root
    env.physics.qpos[:, 3:7] = torch.tensor([0.0, 1.0, 0.0, 0.0])  # upside down
    env.physics.touch[:, names(character).index("head")] = 1
    assert env.step(actions(2)).terminated.tolist() == [True, False]


def test_a_low_root_can_count_as_a_fall_without_contact(character, library):
    env = held(character, library, 2, min_root_height_m=0.5)
    env.physics.qpos[:, 2] = torch.tensor([0.49, 0.51])
    assert env.step(actions(2)).terminated.tolist() == [True, False]


def test_falling_need_not_end_an_episode(character, library):
    env = held(character, library, terminate_on_fall=False, episode_length_s=2 * DT)
    env.physics.qpos[0, 2] = 0.1
    env.physics.touch[0, 0] = 1
    step = env.step(actions(1))
    assert not step.terminated.item()
    assert env.fallen.item()
    assert env.step(actions(1)).truncated.item()


def test_a_failure_in_the_last_step_is_no_time_limit(character, library):
    env = held(character, library, 2, episode_length_s=DT)
    env.physics.qpos[0, 2] = 0.1
    env.physics.touch[0, 0] = 1
    step = env.step(actions(2))
    assert step.terminated.tolist() == [True, False]
    assert step.truncated.tolist() == [False, True]


def test_a_dropped_character_falls_in_simulation(character, library):
    env = make_env(character, library, 1, start=ALL_DEFAULT)
    env.reset()
    state = default_state(character, 1)
    pos = state.root_pos + torch.tensor([0.0, 0.0, -0.6])
    quat = torch.tensor([[0.5**0.5, 0.0, 0.5**0.5, 0.0]])
    set_state(env, torch.arange(1), character.skeleton.state(pos, quat, state.root_lin_vel, state.root_ang_vel, state.joint_quat, state.joint_vel))
    ended = [env.step(env.rest_action.expand(1, -1)).terminated.item() for _ in range(15)]
    assert not ended[0], "still in the air"
    assert any(ended)


# Grace and recovery


def test_after_a_fallen_start_falls_do_not_count_for_the_grace_period(character, library):
    env = make_env(character, library, 6, start=StartMix(clip=0.0, default=0.0, fallen=1.0, grace_s=0.2))
    env.reset()
    assert env.state.root_pos[:, 2].max() < 0.5
    torch.testing.assert_close(env.history, env.obs[:, None, env.layout.style_columns].expand(-1, 6, -1), rtol=0, atol=1e-5)
    rest = env.rest_action.expand(6, -1)  # stretches, which may lift a character for a moment
    for _ in range(6):
        assert not env.step(rest).terminated.any()
    ended = torch.stack([env.step(rest).terminated for _ in range(15)])
    assert ended[0].any(), "right after the grace period"
    assert ended.any(0).float().mean() > 0.8, "as soon as they touch the floor again"


def test_a_start_on_a_lying_clip_gets_grace_and_on_a_standing_one_does_not(character):
    skeleton = character.skeleton
    library = MotionLibrary([gait_clip(skeleton, "upright"), gait_clip(skeleton, "lying", height_m=0.15, tilt=torch.pi / 2)], skeleton)
    env = make_env(character, library, 2, start=StartMix(clip=1.0, default=0.0, grace_s=1.0))
    env.start_on_clip(torch.arange(2), torch.tensor([0, 1]), torch.tensor([1.0, 1.0]))
    assert env.grace_steps.tolist() == [0, 30]


def test_a_start_on_the_way_to_the_floor_gets_grace_too(character):
    """The clip lies down at 1.5 s."""
    clip = gait_clip(character.skeleton, "lies down", seconds=2.0)
    pos = clip.root_pos.copy()
    pos[round(1.5 * clip.fps) :, 2] = 0.2
    env = make_env(character, MotionLibrary([replace(clip, root_pos=pos)], character.skeleton), 4, start=StartMix(clip=1.0, default=0.0, grace_s=1.0))
    times = torch.tensor([1.5 - SOON_S - 0.1, 1.5 - SOON_S + 0.1, 1.4, 1.99])
    env.start_on_clip(torch.arange(4), torch.zeros(4, dtype=torch.long), times)
    assert env.grace_steps.tolist() == [0, 30, 30, 30]


def test_falls_do_not_count_for_as_long_as_allowed_and_a_grace_to_get_up(character, library):
    env = make_env(character, library, 4, start=StartMix(clip=0.0, default=1.0, grace_s=0.2))
    env.reset()
    env.grace_steps[:] = torch.tensor([0, 20, 3, 0])
    env.allow_floor(torch.tensor([0, 1, 2]), torch.tensor([10, 10, 0]))
    assert env.grace_steps.tolist() == [16, 20, 3, 0], "what is longer stays; nothing changes where nothing is allowed"
    assert env.may_lie.tolist() == [True, True, False, False]
    env.allow_floor(torch.tensor([1]), torch.tensor([0]))
    assert env.may_lie.tolist() == [True, False, False, False]
    env.reset(torch.tensor([0]))
    assert not env.may_lie.any(), "a new episode is told anew"


def test_whoever_may_lie_earns_as_much_as_if_it_stood(character, library):
    env = held(character, library, 2, start=StartMix(clip=0.0, default=1.0), rise_weight=0.5)
    env.physics.qpos[:, 2] = 0.12
    env.allow_floor(torch.tensor([0]), torch.tensor([5]))
    reward = env.step(actions(2)).reward
    assert reward[0].item() == 0.5
    assert 0 < reward[1].item() < 0.2


def fallen(character, library, recovery, n=400):
    env = held(character, library, n, start=StartMix(clip=0.5, default=0.5, recovery=recovery, grace_s=0.1))
    env.physics.qpos[:, 2] = 0.12
    env.physics.touch[: n // 2, 0] = 1
    assert env.step(actions(n)).terminated.sum() == n // 2
    poses = env.physics.qpos.clone()
    env.reset()
    return env, (env.physics.qpos == poses).all(-1)


def test_recovery_leaves_a_share_of_the_fallen_where_they_lie(character, library):
    env, stayed = fallen(character, library, recovery=0.3)
    assert stayed[:200].float().mean().item() == pytest.approx(0.3, abs=0.08)
    assert not stayed[200:].any(), "only what has fallen recovers"
    assert (env.grace_steps[stayed] == 3).all()
    assert not env.fallen.any()
    columns = env.layout.style_columns
    torch.testing.assert_close(env.history[stayed], env.obs[stayed][:, None, columns].expand(-1, 6, -1), rtol=0, atol=1e-5)
    for _ in range(3):
        assert not env.step(actions(400)).terminated[stayed].any()
    env.physics.touch[:, 0] = 1
    assert env.step(actions(400)).terminated[stayed].all()


def test_without_recovery_nobody_stays_down(character, library):
    _, stayed = fallen(character, library, recovery=0.0)
    assert not stayed.any()


def test_how_far_a_character_has_got_up():
    height = torch.tensor([0.9, 0.9, 0.9, 0.45, 1.2, -0.1])
    turn, over = math.sqrt(0.5), 1.0
    quat = torch.tensor([[1.0, 0, 0, 0], [turn, 0, turn, 0], [0, over, 0, 0], [1.0, 0, 0, 0], [turn, 0, 0, turn], [1.0, 0, 0, 0]])  # upright, prone, head down, ...
    pos = torch.stack((torch.zeros(6), torch.zeros(6), height), dim=-1)
    torch.testing.assert_close(rise_reward(pos, quat, 0.9), torch.tensor([1.0, 0.5, 0.0, 0.5, 1.0, 0.0]), atol=1e-6, rtol=0)


def test_being_up_is_rewarded_if_asked_for(character, library):
    mix = StartMix(clip=0, default=0.5, fallen=0.5)
    env = make_env(character, library, 8, start=mix, rise_weight=2.0)
    env.reset()
    step = env.step(actions(8))
    torch.testing.assert_close(step.reward, 2.0 * rise_reward(env.state.root_pos, env.state.root_quat, character.default_height_m))
    assert step.reward.max() > 1.9, "who stands"
    assert step.reward.min() < 0.5, "who lies"
    plain = make_env(character, library, 3, start=mix)
    plain.reset()
    assert plain.step(actions(3)).reward.tolist() == [0.0] * 3

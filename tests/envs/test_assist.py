"""Help in getting up: how strong, for whom, and how it goes away."""

import math
import re

import pytest
import torch

from envs.assist import Assist, AssistConfig
from envs.resets import FALLEN, StartMix
from tests.envs.helpers import actions, make_env

ALL_FALLEN = StartMix(clip=0.0, default=0.0, fallen=1.0, grace_s=0.1)  # three steps


def assist(n=1000, lift=0.8, step=0.01, hold=0.0):
    return Assist(AssistConfig(lift, step, hold, step), n, 90, 500.0, 0.9, torch.Generator().manual_seed(0))


def test_those_who_begin_fallen_are_lifted_and_the_others_held_by_up_to_the_strongest_help():
    some = assist(hold=2.0)
    fallen = torch.arange(1000) % 2 == 0
    some.begin(torch.arange(1000), fallen)
    for help, helped, strongest in ((some.lift, fallen, 0.8), (some.hold, ~fallen, 2.0)):
        assert (help.share[~helped] == 0).all()
        assert help.share[helped].mean().item() == pytest.approx(strongest / 2, rel=0.08)
        assert 0.98 * strongest < help.share.max() <= strongest


def test_help_that_there_is_none_of_takes_no_random_numbers():
    some, drawn = assist(), torch.Generator().manual_seed(0)
    some.begin(torch.arange(5), torch.ones(5, dtype=torch.bool))
    torch.rand(5, generator=drawn)
    assert torch.equal(some.lift.generator.get_state(), drawn.get_state())


def test_the_force_fades_as_the_root_comes_up():
    some = assist(5)
    some.lift.share = torch.tensor([1.0, 0.5, 0.5, 0.5, 0.0])
    height = 0.9 * torch.tensor([0.1, 0.7, 0.8, 0.9, 0.1])
    torch.testing.assert_close(some.force(height), torch.tensor([500.0, 250.0, 125.0, 0.0, 0.0]), atol=1e-3, rtol=0)


def test_success_takes_help_away_and_failure_gives_it_back_up_to_what_it_was_at_first():
    some = assist(4, step=0.1)
    everybody, strong = torch.ones(4, dtype=torch.bool), torch.full((4,), 0.8)
    some.lift.share = torch.tensor([0.5, 0.8, 0.5, 0.5])
    some.judge_lift(torch.tensor([True, True, True, False]), torch.tensor([True, True, False, True]))
    assert some.lift.level.item() == pytest.approx(0.7)
    assert some.lift.share.tolist() == [0, 0, 0, 0.5]
    for _ in range(9):
        some.lift.share = strong
        some.judge_lift(everybody, ~everybody)
    assert some.lift.level.item() == pytest.approx(0.8)
    some.lift.share = torch.tensor([0.39, 0.41, 0.2, 0.0])
    some.judge_lift(everybody, everybody)
    assert some.lift.level.item() == pytest.approx(0.7), "only more than half of the strongest help counts"
    for _ in range(30):
        some.lift.share = strong
        some.judge_lift(everybody, everybody)
    assert some.lift.level.item() == 0.0


def test_the_environment_lifts_the_chest_while_there_is_grace(character, library):
    env = make_env(character, library, 4, start=ALL_FALLEN, assist=AssistConfig(0.8, 0.01), terminate_on_fall=False)
    env.reset()
    assert (env.start_clip == FALLEN).all()
    env.assist.lift.share[:] = torch.tensor([0.8, 0.7, 0.6, 0.5])
    lift, chest = env.assist.lift.share.clone(), character.chest_id
    env.assist.lift.level = torch.tensor(0.5)
    for _ in range(3):
        env.step(actions(4))
        torch.testing.assert_close(env.physics.force[:, chest, 2], lift * character.weight_n)
    assert env.assist.lift.level.item() == pytest.approx(0.54), "nobody stands after three steps"
    env.step(actions(4))
    assert (env.physics.force == 0).all()
    assert character.model.body(chest).name == "torso"


def test_only_who_begins_fallen_is_helped_and_counted(character, library):
    env = make_env(character, library, 12, start=StartMix(clip=0.0, default=0.5, fallen=0.5), assist=AssistConfig(0.8, 0.01), terminate_on_fall=False)
    env.reset()
    fallen = env.start_clip == FALLEN
    assert 0 < fallen.sum() < 12
    assert torch.equal(env.assist.lift.share > 0, fallen)
    env.assist.lift.level, env.assist.lift.share[:], env.grace_steps[:] = torch.tensor(0.5), 0.8, 1
    env.step(env.rest_action.expand(12, -1))
    assert env.standing[~fallen].all()
    assert env.assist.lift.level.item() == pytest.approx(0.5 + 0.01 * int(fallen.sum())), "nobody who fell stands after a step; who stood from the start is no success"


def test_the_torque_turns_a_leaning_body_upright_and_stops_it():
    some = assist(3)
    some.hold.share = torch.tensor([1.0, 0.5, 1.0])
    lean = 0.3
    forward = torch.tensor([math.sin(lean), 0.0, math.cos(lean)])
    still = torch.zeros(3)
    torque = some.torque(torch.stack((forward, forward, torch.tensor([0.0, 0.0, 1.0]))), torch.stack((still, still, torch.tensor([1.0, -2.0, 3.0]))))
    # who leans forward by 0.3 rad about y is turned back about y; 500 N at 0.9 m topple with 450 N m a radian
    torch.testing.assert_close(torque[0], torch.tensor([0.0, -450.0 * math.sin(lean), 0.0]))
    torch.testing.assert_close(torque[1], torque[0] / 2)
    torch.testing.assert_close(torque[2], torch.tensor([-45.0, 90.0, 0.0]))


def test_who_is_held_succeeds_when_it_has_been_on_its_feet_for_long_enough():
    some = assist(6, hold=1.0, step=0.1)
    some.hold.level = torch.tensor(0.5)
    some.hold.share = torch.tensor([0.5, 0.5, 0.5, 0.5, 0.2, 0.0])
    age, fell = torch.tensor([90, 89, 91, 90, 90, 90]), torch.zeros(6, dtype=torch.bool)
    some.judge_hold(age, fell)
    assert some.hold.level.item() == pytest.approx(0.3), "the first and the fourth; the fifth is hardly held"
    some.hold.level = torch.tensor(0.5)
    some.judge_hold(age, ~fell)
    assert some.hold.level.item() == pytest.approx(0.8), "who falls later counts no more"


def test_the_environment_holds_chests_that_lean_until_it_lets_them_down(character, library):
    env = make_env(character, library, 4, start=StartMix(clip=0.0, default=1.0), assist=AssistConfig(hold=1.0, hold_step=0.01), terminate_on_fall=False)
    env.reset()
    env.assist.hold.share[:] = torch.tensor([1.0, 1.0, 1.0, 0.0])
    env.allow_floor(torch.tensor([0, 1]), torch.tensor([5, 0]))
    assert env.assist.hold.share.tolist() == [0, 1, 1, 0]
    for _ in range(8):
        up, spin = env.state.body_mat_w[:, 0, :, 2].clone(), env.state.root_ang_vel.clone()
        env.step(actions(4))
    moment = character.weight_n * character.default_height_m * torch.tensor([0.0, 1.0, 1.0, 0.0]).unsqueeze(-1)
    wanted = moment * (torch.linalg.cross(up, torch.tensor([0.0, 0.0, 1.0]).expand(4, 3)) - 0.1 * spin)
    wanted[:, 2] = 0
    torch.testing.assert_close(env.physics.force[:, character.chest_id, 3:], wanted)
    assert wanted[1:3].norm(dim=-1).min() > 1.0


def test_held_characters_have_done_well_after_three_seconds_or_a_whole_shorter_episode(character, library):
    for length_s, steps in ((4.0, 90), (1.0, 30)):
        env = make_env(character, library, 4, start=StartMix(clip=0.0, default=1.0), assist=AssistConfig(hold=1.0, hold_step=0.01), episode_length_s=length_s)
        env.reset()
        for step in range(steps):
            assert env.assist.hold.level == 1.0, step
            env.assist.hold.share[:] = 0.8
            env.step(env.rest_action.expand(4, -1))
        assert env.assist.hold.level.item() == pytest.approx(0.96)


def test_held_characters_stay_up_where_others_fall(character, library):
    """At rest targets the character topples from a push; a torque of its toppling moment rights it."""

    def low(hold):
        env = make_env(character, library, 8, start=StartMix(clip=0.0, default=1.0), assist=AssistConfig(hold=1.0), terminate_on_fall=False)
        env.reset()
        env.assist.hold.share[:] = hold
        qvel = env.physics.qvel.clone()
        qvel[:, 0] = torch.linspace(0.6, 1.2, 8)
        env.physics.set_state(torch.arange(8), env.physics.qpos.clone(), qvel)
        for _ in range(45):
            env.step(env.rest_action.expand(8, -1))
        return int((~env.standing).sum())

    assert low(0.0) >= 6
    assert low(1.0) <= 1


def test_a_saved_environment_goes_on_with_the_same_help(character, library):
    def made():
        env = make_env(character, library, 4, start=ALL_FALLEN, assist=AssistConfig(0.8, 0.01), terminate_on_fall=False)
        env.reset()
        env.assist.lift.level, env.assist.lift.share[:] = torch.tensor(0.5), torch.tensor([0.8, 0.7, 0.6, 0.5])
        return env

    env, other = made(), made()
    for _ in range(2):
        env.step(actions(4))
    other.load_state_dict(env.state_dict())
    for _ in range(3):
        assert torch.equal(env.step(actions(4)).obs, other.step(actions(4)).obs)
    assert other.assist.lift.level == env.assist.lift.level > 0.5


def test_impossible_help_is_refused():
    with pytest.raises(ValueError, match=re.escape("assist: got lift 1.5, step 0.1, hold 1, hold_step 0.001; expected lift in [0, 1], the others >= 0")):
        AssistConfig(lift=1.5, step=0.1, hold=1.0)
    with pytest.raises(ValueError, match=re.escape("hold -1")):
        AssistConfig(hold=-1.0)

"""Help in getting up: how strong, for whom, and how it goes away."""

import re

import pytest
import torch

from envs.assist import Assist, AssistConfig
from envs.resets import FALLEN, StartMix
from tests.envs.helpers import actions, make_env

ALL_FALLEN = StartMix(clip=0.0, default=0.0, fallen=1.0, grace_s=0.1)  # three steps


def assist(n=1000, lift=0.8, step=0.01):
    return Assist(AssistConfig(lift, step), n, 500.0, 0.9, torch.Generator().manual_seed(0))


def test_those_who_begin_fallen_are_helped_by_up_to_the_strongest_help():
    some = assist()
    fallen = torch.arange(1000) % 2 == 0
    some.begin(torch.arange(1000), fallen)
    assert (some.lift[~fallen] == 0).all()
    assert some.lift[fallen].mean().item() == pytest.approx(0.4, abs=0.03)
    assert 0.79 < some.lift.max() <= 0.8


def test_the_force_fades_as_the_root_comes_up():
    some = assist(5)
    some.lift = torch.tensor([1.0, 0.5, 0.5, 0.5, 0.0])
    height = 0.9 * torch.tensor([0.1, 0.7, 0.8, 0.9, 0.1])
    torch.testing.assert_close(some.force(height), torch.tensor([500.0, 250.0, 125.0, 0.0, 0.0]), atol=1e-3, rtol=0)


def test_success_takes_help_away_and_failure_gives_it_back_up_to_what_it_was_at_first():
    some = assist(4, step=0.1)
    everybody, strong = torch.ones(4, dtype=torch.bool), torch.full((4,), 0.8)
    some.lift = torch.tensor([0.5, 0.8, 0.5, 0.5])
    some.judge(torch.tensor([True, True, True, False]), torch.tensor([True, True, False, True]))
    assert some.level.item() == pytest.approx(0.7)
    assert some.lift.tolist() == [0, 0, 0, 0.5]
    for _ in range(9):
        some.lift = strong
        some.judge(everybody, ~everybody)
    assert some.level.item() == pytest.approx(0.8)
    some.lift = torch.tensor([0.39, 0.41, 0.2, 0.0])
    some.judge(everybody, everybody)
    assert some.level.item() == pytest.approx(0.7), "only more than half of the strongest help counts"
    for _ in range(30):
        some.lift = strong
        some.judge(everybody, everybody)
    assert some.level.item() == 0.0


def test_the_environment_lifts_the_chest_while_there_is_grace(character, library):
    env = make_env(character, library, 4, start=ALL_FALLEN, assist=AssistConfig(0.8, 0.01), terminate_on_fall=False)
    env.reset()
    assert (env.start_clip == FALLEN).all()
    env.assist.lift[:] = torch.tensor([0.8, 0.7, 0.6, 0.5])
    lift, chest = env.assist.lift.clone(), character.chest_id
    env.assist.level = torch.tensor(0.5)
    for _ in range(3):
        env.step(actions(4))
        torch.testing.assert_close(env.physics.force[:, chest, 2], lift * character.weight_n)
    assert env.assist.level.item() == pytest.approx(0.54), "nobody stands after three steps"
    env.step(actions(4))
    assert (env.physics.force == 0).all()
    assert character.model.body(chest).name == "torso"


def test_only_who_begins_fallen_is_helped_and_counted(character, library):
    env = make_env(character, library, 12, start=StartMix(clip=0.0, default=0.5, fallen=0.5), assist=AssistConfig(0.8, 0.01), terminate_on_fall=False)
    env.reset()
    fallen = env.start_clip == FALLEN
    assert 0 < fallen.sum() < 12
    assert torch.equal(env.assist.lift > 0, fallen)
    env.assist.level, env.assist.lift[:], env.grace_steps[:] = torch.tensor(0.5), 0.8, 1
    env.step(env.rest_action.expand(12, -1))
    assert env.standing[~fallen].all()
    assert env.assist.level.item() == pytest.approx(0.5 + 0.01 * int(fallen.sum())), "nobody who fell stands after a step; who stood from the start is no success"


def test_a_saved_environment_goes_on_with_the_same_help(character, library):
    def made():
        env = make_env(character, library, 4, start=ALL_FALLEN, assist=AssistConfig(0.8, 0.01), terminate_on_fall=False)
        env.reset()
        env.assist.level, env.assist.lift[:] = torch.tensor(0.5), torch.tensor([0.8, 0.7, 0.6, 0.5])
        return env

    env, other = made(), made()
    for _ in range(2):
        env.step(actions(4))
    other.load_state_dict(env.state_dict())
    for _ in range(3):
        assert torch.equal(env.step(actions(4)).obs, other.step(actions(4)).obs)
    assert other.assist.level == env.assist.level > 0.5


def test_impossible_help_is_refused():
    with pytest.raises(ValueError, match=re.escape("assist: got lift 1.5, step 0.1; expected lift in [0, 1], step >= 0")):
        AssistConfig(lift=1.5, step=0.1)

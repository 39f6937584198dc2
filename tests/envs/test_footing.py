"""How fast feet slide on the floor."""

from dataclasses import replace

import pytest
import torch

from envs.footing import foot_slide
from envs.resets import default_state
from tests.envs.helpers import ScriptedPhysics, held

DT = 1 / 30


def moved(state, offset):
    offset = torch.tensor(offset)
    return replace(state, root_pos=state.root_pos + offset, body_pos_w=state.body_pos_w + offset)


def test_speed_of_each_foot_counts_horizontally_while_it_is_down(character):
    here = default_state(character, 2)
    feet, skeleton = character.foot_bodies.tolist(), character.skeleton
    here = moved(here, (0.0, 0.0, -float(skeleton.lowest_point(here.body_pos_w, here.body_mat_w)[0])))
    there = moved(here, (0.01, 0.0, 0.005))
    torch.testing.assert_close(foot_slide(here, there, skeleton, feet, DT), torch.full((2,), 2 * 0.3))
    torch.testing.assert_close(foot_slide(here, there, skeleton, feet[:1], DT), torch.full((2,), 0.3))
    assert (foot_slide(here, moved(here, (0.01, 0.0, 0.02)), skeleton, feet, DT) == 0).all(), "it was lifted"
    assert (foot_slide(here, here, skeleton, feet, DT) == 0).all()


def test_the_environment_takes_it_off_the_reward(character, library):
    class Sliding(ScriptedPhysics):
        def step(self, ctrl, num_substeps):
            self.qpos[:, 0] += 0.01

    env = held(character, library, n=2, slide_weight=0.5)
    env.physics.__class__ = Sliding
    state = env.state
    env.physics.qpos[:, 2] -= float(character.skeleton.lowest_point(state.body_pos_w, state.body_mat_w)[0])
    env._state = None
    assert env.step(torch.zeros(2, env.action_dim)).reward.tolist() == pytest.approx([-0.5 * 2 * 0.3] * 2, rel=1e-3)

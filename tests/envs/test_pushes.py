"""Random pushes: when, how hard, and what they do to a simulation."""

import pytest
import torch

from envs.physics_cpu import CpuPhysics
from envs.pushes import PushConfig, Pushes
from envs.resets import StartMix
from tests.envs.helpers import ScriptedPhysics, make_env

DT = 1 / 30
DEFAULT = StartMix(clip=0.0, default=1.0)


def pushes(num_envs=2000, seed=0, **config):
    return Pushes(PushConfig(**{"every_s": 1.0} | config), num_envs, DT, torch.Generator().manual_seed(seed))


def test_a_force_is_mass_times_acceleration(character):
    """In free fall a horizontal force on the root moves the centre of mass by F t / m, whatever the joints do."""
    physics = CpuPhysics(character.model, 2, 1)
    qpos, qvel = physics.qpos.clone(), torch.zeros_like(physics.qvel)
    qpos[:, 2] = 10.0
    physics.set_state(torch.arange(2), qpos, qvel)
    physics.force[1, character.root_id, :3] = torch.tensor([300.0, -100.0, 0.0])
    physics.step(torch.zeros(2, 28), 12)
    mass = torch.as_tensor(character.model.body_mass).float()
    state = make_env(character, _library(character), 2, physics=ScriptedPhysics(character, 2)).codec.decode(physics.qpos, physics.qvel)
    inertial = torch.as_tensor(character.model.body_ipos[1:]).float()
    centres = state.body_pos_w + (state.body_mat_w @ inertial.unsqueeze(-1)).squeeze(-1)
    com = (centres * mass[1:, None]).sum(1) / mass[1:].sum()
    shift = com[1] - com[0]
    expected = torch.tensor([300.0, -100.0, 0.0]) / mass.sum() * 0.5 * 0.1 * (0.1 + 1 / 120)  # semi-implicit steps
    torch.testing.assert_close(shift, expected, rtol=0.02, atol=2e-4)


def _library(character):
    from motions.library import MotionLibrary
    from tests.envs.helpers import gait_clip

    return MotionLibrary([gait_clip(character.skeleton)], character.skeleton)


def test_a_restart_takes_the_force_away(character):
    physics = CpuPhysics(character.model, 2, 1)
    physics.force[:, character.root_id, 0] = 100.0
    physics.set_state(torch.tensor([1]), physics.qpos[1:].clone(), physics.qvel[1:].clone())
    assert physics.force[0, character.root_id, 0] == 100.0
    assert physics.force[1].abs().max() == 0.0


def test_sizes_and_directions_spread_over_their_range():
    some = pushes()
    some.push(torch.arange(2000))
    force = some.advance()
    size = force[:, :2].norm(dim=-1)
    assert 500 <= size.min() < 510
    assert 990 < size.max() <= 1000
    assert size.mean().item() == pytest.approx(750, abs=15)
    assert force[:, :2].mean(0).norm() < 40
    assert (force[:, 2] == 0).all()


def test_a_push_lasts_as_long_as_it_should_and_comes_when_it_should():
    some = pushes(num_envs=500, seconds=0.2)
    first = some.wait.clone()
    assert first.min() == 15
    assert first.max() == 45
    seen = torch.stack([some.advance().norm(dim=-1) > 0 for _ in range(52)])
    for k in range(500):
        begin = int(first[k]) - 1
        assert not seen[:begin, k].any()
        assert seen[begin : begin + 6, k].all()
        assert not seen[begin + 6, k]


def test_a_reset_ends_a_push():
    some = pushes(num_envs=3)
    some.push(torch.arange(3))
    some.advance()
    some.begin(torch.tensor([1]))
    assert (some.advance().norm(dim=-1) > 0).tolist() == [True, False, True]


def test_the_environment_pushes_roots_and_goes_on_as_saved(character, library):
    physics = ScriptedPhysics(character, 3)
    env = make_env(character, library, 3, physics=physics, start=DEFAULT, push=PushConfig(every_s=0.1))
    env.reset()
    env.pushes.push(torch.tensor([0, 2]))
    env.step(torch.zeros(3, 28))
    assert (physics.force[:, character.root_id, :2].norm(dim=-1) > 499).tolist()[::2] == [True, True]
    assert physics.force[:, character.root_id + 1 :].abs().max() == 0
    assert physics.force[..., 3:].abs().max() == 0
    other = make_env(character, library, 3, start=DEFAULT, push=PushConfig(every_s=0.1))
    env = make_env(character, library, 3, start=DEFAULT, push=PushConfig(every_s=0.1))
    env.reset()
    env.step(torch.zeros(3, 28))
    other.load_state_dict(env.state_dict())
    for _ in range(6):
        assert torch.equal(env.step(torch.zeros(3, 28)).obs, other.step(torch.zeros(3, 28)).obs)


def test_a_character_stands_high_and_on_its_feet_only(character, library):
    physics = ScriptedPhysics(character, 3)
    env = make_env(character, library, 3, physics=physics, start=DEFAULT)
    env.reset()
    physics.qpos[1, 2] = 0.74 * character.default_height_m
    physics.touch[2, 0] = 1.0
    env.step(torch.zeros(3, 28))
    assert env.standing.tolist() == [True, False, False]


def test_impossible_pushes_are_refused():
    with pytest.raises(ValueError, match="push: got every_s 1, forces 5 to 2, seconds 0.5; expected every_s >= 0, 0 <= min_force_n <= max_force_n, seconds > 0"):  # noqa: RUF043
        PushConfig(every_s=1.0, min_force_n=5.0, max_force_n=2.0)

"""The CPU engine: independent simulations, exact restarts, MuJoCo's own motion."""

import mujoco
import numpy as np
import pytest
import torch

from envs.physics_cpu import CpuPhysics
from envs.state import StateCodec
from tests.envs.helpers import random_state


def random_start(character, n, seed=0):
    return StateCodec(character.skeleton).encode(random_state(character.skeleton, n, seed))


def targets(n, seed=1):
    return 0.5 * torch.randn(n, 28, generator=torch.Generator().manual_seed(seed))


def started(character, n=6, threads=1, seed=0):
    physics = CpuPhysics(character.model, n, threads)
    physics.set_state(torch.arange(n), *random_start(character, n, seed))
    return physics


def test_moves_as_mujoco_does(character):
    physics = started(character, 3)
    datas = []
    for qpos, qvel, ctrl in zip(*random_start(character, 3), targets(3), strict=True):
        data = mujoco.MjData(character.model)
        data.qpos, data.qvel, data.ctrl = qpos.double().numpy(), qvel.double().numpy(), ctrl.double().numpy()
        datas.append(data)
    for _ in range(3):
        physics.step(targets(3), num_substeps=4)
        for k, data in enumerate(datas):
            for _ in range(4):
                mujoco.mj_step(character.model, data)
            np.testing.assert_allclose(physics.qpos[k].numpy(), data.qpos, atol=1e-5)
            np.testing.assert_allclose(physics.qvel[k].numpy(), data.qvel, atol=1e-4)


def test_set_state_is_read_back_and_leaves_the_others_alone(character):
    physics = started(character)
    physics.step(targets(6), 4)
    before = physics.get_full_state()
    qpos, qvel = random_start(character, 2, seed=9)
    physics.set_state(torch.tensor([1, 4]), qpos, qvel)
    torch.testing.assert_close(physics.qpos[[1, 4]], qpos, rtol=0, atol=0)
    torch.testing.assert_close(physics.qvel[[1, 4]], qvel, rtol=0, atol=0)
    others = [0, 2, 3, 5]
    assert torch.equal(physics.get_full_state()[others], before[others])
    untouched = started(character)
    untouched.step(targets(6), 4)
    for engine in (physics, untouched):
        engine.step(targets(6, seed=2), 4)
    assert torch.equal(physics.get_full_state()[others], untouched.get_full_state()[others])


@pytest.mark.parametrize("bad", ["wild", "nan"])
def test_a_restart_forgets_what_was_before(character, bad):
    physics, fresh = started(character), CpuPhysics(character.model, 6, 1)
    physics.step(10 * targets(6), 8)
    if bad == "nan":
        physics.qpos[2, 9] = torch.nan
        physics.step(targets(6), 1)
        assert not torch.isfinite(physics.qpos[2]).all()
    qpos, qvel = random_start(character, 2, seed=9)
    for engine in (physics, fresh):
        engine.set_state(torch.tensor([2, 3]), qpos, qvel)
        engine.step(targets(6), 4)
    assert torch.equal(physics.qpos[2:4], fresh.qpos[2:4])
    assert torch.equal(physics.qvel[2:4], fresh.qvel[2:4])
    assert torch.isfinite(physics.qpos).all()


def test_touch_is_current_after_a_restart(character):
    physics = CpuPhysics(character.model, 2, 1)
    standing, qvel = torch.from_numpy(character.model.qpos0).float(), torch.zeros(1, 34)
    lying = standing.clone()
    lying[:3], lying[3:7] = torch.tensor([0.0, 0.0, 0.08]), torch.tensor([0.5**0.5, 0.0, 0.5**0.5, 0.0])
    physics.set_state(torch.tensor([1]), lying.unsqueeze(0), qvel)
    assert physics.touch[0].sum() == 0
    names = [character.skeleton.body_names[i] for i in character.fall_bodies]
    assert physics.touch[1, names.index("pelvis")] > 0
    assert physics.touch[1, names.index("torso")] > 0
    physics.set_state(torch.tensor([1]), standing.unsqueeze(0), qvel)
    assert physics.touch[1].sum() == 0


def test_a_full_state_continues_bit_for_bit(character):
    physics = started(character)
    physics.qpos[:, 2] = 0.9  # among contacts, where the warm start matters
    physics.step(targets(6), 20)
    saved = physics.get_full_state()
    kept = saved.clone()
    physics.step(targets(6, seed=2), 8)
    expected = physics.get_full_state()
    assert torch.equal(saved, kept), "a saved state must be a copy"
    assert not torch.equal(saved, expected)
    other = started(character, seed=5)
    for engine in (physics, other):
        engine.set_full_state(saved)
        assert torch.equal(engine.get_full_state(), saved)
        assert torch.equal(engine.qpos.double(), saved[:, 1:44].float().double())
        engine.step(targets(6, seed=2), 8)
        assert torch.equal(engine.get_full_state(), expected)


def test_neither_threads_nor_neighbours_change_a_simulation(character):
    many, alone = started(character, 6, threads=2), CpuPhysics(character.model, 1, 1)
    qpos, qvel = random_start(character, 6)
    alone.set_state(torch.tensor([0]), qpos[3:4], qvel[3:4])
    for _ in range(3):
        many.step(targets(6), 4)
        alone.step(targets(6)[3:4], 4)
    assert torch.equal(many.get_full_state()[3], alone.get_full_state()[0])


def test_tensors_stay_bound_to_the_engine(character):
    physics = started(character)
    qpos, qvel, touch = physics.qpos, physics.qvel, physics.touch
    before = qpos.clone()
    physics.step(targets(6), 4)
    assert physics.qpos is qpos
    assert physics.qvel is qvel
    assert physics.touch is touch
    assert (qpos != before).any(-1).all()
    assert physics.sim_dt == pytest.approx(1 / 120)

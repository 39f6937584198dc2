"""MuJoCo Warp against MuJoCo: the same kinematics, the same motion without contact, the same outcome with it. On warp's CPU device, where compiling takes minutes
the first time."""

import copy
import functools
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from cfg.wiring import load_policy, load_skills
from envs import engines
from envs.humanoid import EnvConfig, HumanoidEnv
from envs.physics_cpu import CpuPhysics
from envs.resets import StartMix
from envs.state import StateCodec
from motions.library import MotionLibrary
from motions.synthetic import sine_gait
from tests.envs.helpers import random_state

SKILLS = Path(__file__).parents[2] / "ase/pretrained/locomotion"

pytestmark = pytest.mark.slow
warp = pytest.importorskip("envs.physics_warp", reason="mujoco-warp is not installed (pip install mujoco-warp==3.14.0)")


def targets(n, seed=1):
    return 0.5 * torch.randn(n, 28, generator=torch.Generator().manual_seed(seed))


def both(model, n):
    return warp.WarpPhysics(model, n, "cpu"), CpuPhysics(model, n, 2)


def put(physics, qpos, qvel):
    physics.set_state(torch.arange(len(qpos)), qpos, qvel)


def test_kinematics_agree(character):
    import mujoco_warp as mjw
    import warp as wp

    physics = warp.WarpPhysics(character.model, 4, "cpu")
    state = random_state(character.skeleton, 4, 0)
    qpos, qvel = StateCodec(character.skeleton).encode(state)
    put(physics, qpos, qvel)
    mjw.kinematics(physics._model, physics._data)
    found = wp.to_torch(physics._data.xpos)
    for k in range(4):
        data = mujoco.MjData(character.model)
        data.qpos = qpos[k].double().numpy()
        mujoco.mj_kinematics(character.model, data)
        np.testing.assert_allclose(found[k].numpy(), data.xpos, atol=1e-5)
        np.testing.assert_allclose(state.body_pos_w[k].numpy(), data.xpos[1:], atol=1e-5)


def test_motion_without_contact_agrees(character):
    model = copy.copy(character.model)
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
    engines_ = both(model, 4)
    qpos, qvel = StateCodec(character.skeleton).encode(random_state(character.skeleton, 4, 0))
    for physics in engines_:
        put(physics, qpos, 0.3 * qvel)
        for k in range(5):
            physics.step(targets(4, k), 4)
    one, other = engines_
    assert (one.qpos - qpos).abs().max() > 0.1, "it must move for this to mean much"
    torch.testing.assert_close(one.qpos, other.qpos, rtol=0, atol=1e-3)
    torch.testing.assert_close(one.qvel, other.qvel, rtol=0, atol=2e-2)


def test_both_stand_for_a_second_and_fall_alike_without_torque(character):
    limp = copy.copy(character.model)
    limp.actuator_gainprm[:], limp.actuator_biasprm[:] = 0.0, 0.0
    fell_at = []
    for standing, falling in zip(both(character.model, 1), both(limp, 1), strict=True):
        for _ in range(30):
            standing.step(torch.zeros(1, 28), 4)
        assert standing.qpos[0, 2] > 0.85
        push = falling.qvel.clone()
        push[:, 0] = 1.5  # m/s forward
        falling.set_state(torch.arange(1), falling.qpos.clone(), push)
        heights = []
        for _ in range(120):
            falling.step(torch.zeros(1, 28), 4)
            heights.append(float(falling.qpos[0, 2]))
        assert heights[-1] < 0.5
        fell_at.append(next(k for k, height in enumerate(heights) if height < 0.5))
    assert abs(fell_at[0] - fell_at[1]) <= 3


def test_the_environment_runs_on_it(character, library):
    config = EnvConfig(num_envs=6, start=StartMix(clip=0.5, default=0.3, fallen=0.2), episode_length_s=0.3)
    physics = engines.make_physics("warp", character.model, 6, 0, torch.device("cpu"))
    env = HumanoidEnv(config, character, physics, library, torch.Generator().manual_seed(0))
    env.reset()
    physics.qvel[2, 9] = torch.nan
    ended = 0
    for k in range(12):
        step = env.step(targets(6, k))
        assert torch.isfinite(step.obs).all()
        others = [n for n in range(6) if n not in step.done.nonzero().flatten().tolist()]
        before = physics.get_full_state()[others]
        env.reset(step.done.nonzero().squeeze(-1))
        assert torch.equal(physics.get_full_state()[others], before), "a partial reset leaves the others"
        ended += int(step.done.sum())
    assert env.num_diverged == 1
    assert ended >= 6
    assert physics.num_overflows == 0


def test_skills_trained_on_one_engine_walk_and_run_alike_on_the_other(character):
    """The shipped skills, trained on MuJoCo, from the rest pose: each latent as fast on both, nobody falls on either."""
    config, tree = load_skills(SKILLS)
    clips = len(tree["style"]["pace"])  # the skills' clips are not part of the repository; these only stand in for their number
    gaits = [replace(sine_gait(character.skeleton), name=f"gait{k}") for k in range(clips)]
    library = MotionLibrary(gaits, character.skeleton, [1.0] * clips)
    settings = replace(config.env, num_envs=24, start=StartMix(clip=0, default=1), episode_length_s=60.0)
    distance, fell = [], []
    for engine in ("cpu", "warp"):
        physics = engines.make_physics(engine, character.model, 24, 1, torch.device("cpu"))
        env = HumanoidEnv(settings, character, physics, library, torch.Generator().manual_seed(0))
        learner = load_policy(config, tree, env, SKILLS)
        z = learner.draw_latents(24, torch.Generator().manual_seed(0))
        obs, down, travelled = env.reset(), torch.zeros(24, dtype=torch.bool), torch.zeros(24)
        for _ in range(120):
            step = env.step(learner.act(obs, z))
            obs = step.obs
            down |= step.terminated
            travelled += env.state.root_lin_vel[:, :2].norm(dim=-1) / 30
        distance.append(travelled)
        fell.append(float(down.float().mean()))
    assert max(fell) <= 0.05, fell
    assert distance[0].max() > 2 * distance[0].min(), "different skills"
    assert (distance[0] - distance[1]).abs().mean() < 0.1 * distance[0].mean()


def test_a_restart_forgets_what_was_before_and_a_saved_state_continues(character):
    physics, fresh = warp.WarpPhysics(character.model, 2, "cpu"), warp.WarpPhysics(character.model, 2, "cpu")
    physics.step(10 * targets(2), 4)
    physics.qpos[1, 9] = torch.nan
    physics.step(targets(2), 1)
    qpos, qvel = StateCodec(character.skeleton).encode(random_state(character.skeleton, 2, 9))
    for engine in (physics, fresh):
        put(engine, qpos, qvel)
        engine.step(targets(2), 4)
    assert torch.equal(physics.qpos, fresh.qpos)
    saved = physics.get_full_state()
    physics.step(targets(2, 2), 4)
    fresh.set_full_state(saved)
    fresh.step(targets(2, 2), 4)
    assert torch.equal(physics.get_full_state(), fresh.get_full_state())


def test_contacts_that_do_not_fit_are_counted(character, monkeypatch):
    monkeypatch.setattr(warp, "contact_capacity", lambda model: (2, 8))
    physics = warp.WarpPhysics(character.model, 3, "cpu")
    for _ in range(3):
        physics.step(torch.zeros(3, 28), 4)
    assert 0 < physics.num_overflows <= 9


def test_capacity_covers_a_body_lying_flat(character):
    contacts, rows = warp.contact_capacity(character.model)
    data = mujoco.MjData(character.model)
    mujoco.mj_resetData(character.model, data)
    for _ in range(20):
        mujoco.mj_step(character.model, data)
    assert data.ncon == 8, "both feet"
    most = functools.reduce(max, (_settled_contacts(character.model, data, seed) for seed in range(10)), data.ncon)
    assert most <= contacts
    assert rows == 4 * contacts + int(character.model.jnt_limited.sum())


def _settled_contacts(model, data, seed):
    mujoco.mj_resetData(model, data)
    data.qpos[3:7] = np.random.default_rng(seed).normal(size=4)
    for _ in range(240):
        mujoco.mj_step(model, data)
    return data.ncon

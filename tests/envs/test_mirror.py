"""The reflection of observations and actions against a mirrored simulation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ase.nets import Policy, Value
from ase.symmetry import Mirror
from cfg.presets import task_preset
from cfg.task_wiring import load_task_world
from envs.character import Character
from envs.features import observe
from envs.mirror import mirror_map
from envs.physics_cpu import CpuPhysics
from envs.resets import StartMix
from envs.state import StateCodec
from envs.tasks import TaskSettings, make_task
from envs.tasks.reach import Reach
from envs.tasks.strike import Strike
from motions.rotations import quat_normalize
from motions.skeleton import CharacterState


def random_states(character: Character, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    codec = StateCodec(character.skeleton)
    qpos = torch.from_numpy(character.model.qpos0).float().repeat(n, 1)
    qpos[:, :3] += torch.randn(n, 3, generator=generator) * 0.3 + torch.tensor([0.0, 0.0, 2.0])
    qpos[:, 3:] += 0.3 * torch.randn(n, codec.num_qpos - 3, generator=generator)
    qpos[:, 3:7] /= qpos[:, 3:7].norm(dim=-1, keepdim=True)
    column = 7
    for joint in character.skeleton.joints:
        if joint.kind == "ball":
            qpos[:, column : column + 4] /= qpos[:, column : column + 4].norm(dim=-1, keepdim=True)
        column += 4 if joint.kind == "ball" else 1
    return qpos, torch.randn(n, character.model.nv, generator=generator)


def reflect(character: Character, state: CharacterState) -> CharacterState:
    """The state seen in the mirror, written out from the geometry: positions flip y, rotations become S R S, angular velocities flip x and z."""
    names = character.skeleton.joint_names
    swap = [names.index(n.replace("left_", "#").replace("right_", "left_").replace("#", "right_")) for n in names]
    polar, axial = torch.tensor([1.0, -1.0, 1.0]), torch.tensor([-1.0, 1.0, -1.0])
    quat = torch.tensor([1.0, -1.0, 1.0, -1.0])
    parts = state.joint_vel.split([j.dofs for j in character.skeleton.joints], dim=-1)
    joint_vel = torch.cat([parts[k] * axial if parts[k].shape[-1] == 3 else parts[k] for k in swap], dim=-1)
    return character.skeleton.state(
        state.root_pos * polar, state.root_quat * quat, state.root_lin_vel * polar, state.root_ang_vel * axial, state.joint_quat[..., swap, :] * quat, joint_vel
    )


def test_mirrored_observation_is_the_observation_of_the_mirrored_state(character: Character) -> None:
    found = mirror_map(character)
    assert found is not None
    state = StateCodec(character.skeleton).decode(*random_states(character, 32))
    seen, mirrored = observe(state, character.skeleton), observe(reflect(character, state), character.skeleton)
    torch.testing.assert_close(seen[:, found.obs_index] * found.obs_sign, mirrored, atol=1e-5, rtol=1e-5)


def test_mirrored_action_moves_the_mirrored_character(character: Character) -> None:
    found, codec, n = mirror_map(character), StateCodec(character.skeleton), 8
    assert found is not None
    qpos, qvel = random_states(character, n)
    state = codec.decode(qpos, qvel)
    action = 0.5 * torch.randn(n, character.num_actions, generator=torch.Generator().manual_seed(1))
    ends = []
    for start, act in ((state, action), (reflect(character, state), action[:, found.action_index] * found.action_sign)):
        physics = CpuPhysics(character.model, n, 1)
        physics.set_state(torch.arange(n), *codec.encode(start))
        physics.step(character.action_offset + character.action_scale * act, 4)
        ends.append(observe(codec.decode(physics.qpos, physics.qvel), character.skeleton))
    torch.testing.assert_close(ends[0][:, found.obs_index] * found.obs_sign, ends[1], atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("latent_dim", [4, 0])
def test_policy_and_value_are_equivariant(character: Character, latent_dim: int) -> None:
    found = mirror_map(character)
    assert found is not None
    mirror = Mirror(found.obs_index, found.obs_sign, found.action_index, found.action_sign)
    generator = torch.Generator().manual_seed(0)
    size = len(found.obs_sign)
    obs, z = torch.randn(16, size, generator=generator), torch.randn(16, latent_dim, generator=generator)
    flipped = z * torch.tensor([-1.0, 1.0, 1.0, 1.0])[:latent_dim]
    torch.manual_seed(0)
    policy, value = Policy(size, latent_dim, torch.randn(character.num_actions), (32,), 0.05, mirror), Value(size, latent_dim, (32,), mirror)
    if not latent_dim:
        plain = Policy(size, 0, torch.zeros(character.num_actions), (32,), 0.05)
        plain.mlp = policy.mlp
        expected = (plain(obs, z) + mirror.action(plain(mirror.obs(obs), z))) / 2
        torch.testing.assert_close(policy(obs, z), expected)
    torch.nn.init.normal_(policy.mlp.output.weight)
    torch.testing.assert_close(policy(mirror.obs(obs), flipped), mirror.action(policy(obs, z)))
    torch.testing.assert_close(value(mirror.obs(obs), flipped), value(obs, z))
    assert not torch.allclose(policy(mirror.obs(obs), z), policy(obs, z), atol=1e-2)
    assert torch.equal(mirror.obs(mirror.obs(obs)), obs)
    left = character.skeleton.joint_names.index("left_shoulder")
    raised = torch.zeros(character.num_actions)
    raised[character.skeleton.dof_slices[left]] = torch.tensor([0.1, 0.2, 0.3])
    right = character.skeleton.joint_names.index("right_shoulder")
    torch.testing.assert_close(mirror.action(raised)[character.skeleton.dof_slices[right]], torch.tensor([-0.1, 0.2, -0.3]))


def test_what_a_task_shows_in_the_mirror(character: Character) -> None:
    qpos, qvel = random_states(character, 8)
    state = StateCodec(character.skeleton).decode(qpos, qvel)
    image, polar = reflect(character, state), torch.tensor([1.0, -1.0, 1.0])
    random = torch.Generator().manual_seed(1)
    box = SimpleNamespace(pos=torch.randn(8, 3, generator=random), lin_vel=torch.randn(8, 3, generator=random), ang_vel_b=torch.randn(8, 3, generator=random))
    box.quat = quat_normalize(torch.randn(8, 4, generator=random))
    seen = {}
    for name in ("heading", "location", "strike"):
        tasks = [make_task(name, TaskSettings(), character, 8, 1 / 30, torch.Generator().manual_seed(2)) for _ in range(2)]
        if isinstance(tasks[0], Strike) and isinstance(tasks[1], Strike):
            tasks[0].box = box  # type: ignore[assignment]
            tasks[1].box = SimpleNamespace(  # type: ignore[assignment]
                pos=box.pos * polar, lin_vel=box.lin_vel * polar, quat=box.quat * torch.tensor([1.0, -1.0, 1.0, -1.0]), ang_vel_b=box.ang_vel_b * -polar
            )
        else:
            tasks[0].draw(torch.arange(8), state)
            for target in tasks[0].targets:
                value = getattr(tasks[0], target)
                setattr(tasks[1], target, value if value.dim() == 1 else value * polar[: value.shape[-1]])
        signs = tasks[0].mirror_signs
        assert signs is not None
        seen[name] = tasks[0].observe(state)
        torch.testing.assert_close(seen[name] * torch.tensor(signs), tasks[1].observe(image), atol=1e-5, rtol=1e-5)
    assert Reach.mirror_signs is None, "one hand is to reach"


def test_symmetric_controllers(trained: Path) -> None:
    for task, symmetric in (("heading", True), ("strike", True), ("reach", False)):
        for scratch in (False, True):
            config = replace(task_preset(task, scratch), skills=str(trained), num_envs=2, num_threads=1)
            world = load_task_world(config, trained)
            env = world.make_env(2, 0, StartMix(clip=0, default=1))
            learner = world.make_learner(env)
            assert (learner.mirror is not None) == symmetric
            if learner.mirror is None:
                continue
            obs, z = torch.randn(4, env.obs_dim, generator=torch.Generator().manual_seed(0)), torch.zeros(4, 0)
            learner.policy.mlp.output.weight.data.normal_()
            image = learner.policy(learner.mirror.obs(obs), z)
            if not scratch:
                torch.testing.assert_close(image, learner.policy(obs, z) * torch.tensor([-1.0] + [1.0] * (env.action_dim - 1)))
            torch.testing.assert_close(image, learner.mirror.action(learner.policy(obs, z)), atol=1e-5, rtol=1e-4)
    plain = replace(config, task="heading", train=replace(config.train, symmetric=False))
    world = load_task_world(plain, trained)
    assert world.make_learner(world.make_env(2, 0)).mirror is None

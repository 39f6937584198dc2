"""The reflection of observations and actions against a mirrored simulation."""

from __future__ import annotations

import torch

from ase.nets import Policy, Value
from ase.symmetry import Mirror
from envs.character import Character
from envs.features import observe
from envs.mirror import mirror_map
from envs.physics_cpu import CpuPhysics
from envs.state import StateCodec
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


def test_policy_and_value_are_equivariant(character: Character) -> None:
    found = mirror_map(character)
    assert found is not None
    mirror = Mirror(found.obs_index, found.obs_sign, found.action_index, found.action_sign)
    generator = torch.Generator().manual_seed(0)
    obs, z = torch.randn(16, len(found.obs_sign), generator=generator), torch.randn(16, 4, generator=generator)
    flipped = z * torch.tensor([-1.0, 1.0, 1.0, 1.0])
    torch.manual_seed(0)
    policy, value = Policy(len(found.obs_sign), 4, torch.randn(character.num_actions), (32,), 0.05, mirror), Value(len(found.obs_sign), 4, (32,), mirror)
    torch.nn.init.normal_(policy.mlp.output.weight)
    torch.testing.assert_close(policy(mirror.obs(obs), flipped), mirror.action(policy(obs, z)))
    torch.testing.assert_close(value(mirror.obs(obs), flipped), value(obs, z))
    assert not torch.allclose(policy(obs, flipped), policy(obs, z), atol=1e-2)
    assert torch.equal(mirror.obs(mirror.obs(obs)), obs)
    left = character.skeleton.joint_names.index("left_shoulder")
    raised = torch.zeros(character.num_actions)
    raised[character.skeleton.dof_slices[left]] = torch.tensor([0.1, 0.2, 0.3])
    right = character.skeleton.joint_names.index("right_shoulder")
    torch.testing.assert_close(mirror.action(raised)[character.skeleton.dof_slices[right]], torch.tensor([-0.1, 0.2, -0.3]))

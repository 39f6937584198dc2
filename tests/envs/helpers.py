"""Clips, environments and a scripted physics engine for tests of `envs`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from envs.character import Character
from envs.humanoid import COUNTED, EnvConfig, HumanoidEnv
from envs.physics_cpu import CpuPhysics
from envs.resets import StartMix
from motions.clip import Clip, make_clip
from motions.library import MotionLibrary
from motions.rotations import axis_angle_quat, quat_exp, quat_mul, quat_normalize, yaw_quat
from motions.skeleton import CharacterState, Skeleton


def gait_clip(skeleton: Skeleton, name: str = "gait", seconds: float = 2.0, height_m: float = 0.95, tilt: float = 0.0, loop: str = "none", seed: int = 0) -> Clip:
    """A smooth motion in which everything moves: the root advances, bobs, yaws, pitches and rolls, and every joint swings with its own phase.

    Args:
        tilt: constant pitch in radians; pi / 2 lies face down.
    """
    generator = torch.Generator().manual_seed(seed)
    fps = 60.0
    t = torch.arange(round(seconds * fps) + 1, dtype=torch.float64) / fps
    w = 2 * np.pi * t
    sway = torch.stack((0.1 * (w + 1).sin(), tilt + 0.15 * (1.3 * w).sin(), 0.0 * w), dim=-1)
    root_quat = quat_mul(yaw_quat(0.6 * w.sin() + 2.0), quat_exp(sway))
    joints = []
    for joint in skeleton.joints:
        amplitude, phase = 0.4 * torch.rand(3, generator=generator, dtype=torch.float64), 6 * torch.rand(3, generator=generator, dtype=torch.float64)
        if joint.kind == "ball":
            joints.append(quat_exp(amplitude * (w.unsqueeze(-1) + phase).sin()))
        else:
            centre = 0.8 if "knee" in joint.name else -0.8
            joints.append(axis_angle_quat(torch.tensor(joint.axis, dtype=torch.float64), centre + amplitude[0] * (w + phase[0]).sin()))
    root_pos = torch.stack((0.9 * t, 0.2 * w.sin(), height_m + 0.02 * (2 * w).cos()), dim=-1)
    return make_clip(
        name=name, fps=fps, loop=loop, root_pos=root_pos.numpy(), root_quat=root_quat.numpy(), joint_names=skeleton.joint_names, joint_quat=torch.stack(joints, dim=1).numpy()
    )


def make_env(character: Character, library: MotionLibrary, num_envs: int = 4, seed: int = 0, physics=None, start: StartMix | None = None, **config) -> HumanoidEnv:
    settings = EnvConfig(num_envs=num_envs, start=start or StartMix(), **config)
    physics = physics or CpuPhysics(character.model, num_envs, num_threads=1)
    return HumanoidEnv(settings, character, physics, library, torch.Generator().manual_seed(seed))


def random_state(skeleton: Skeleton, n: int, seed: int = 0, swing: float = 0.6) -> CharacterState:
    """Random poses and velocities; hinges within half a turn."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    quats = quat_exp(swing * randn(n, len(skeleton.joints), 3))
    return skeleton.state(
        randn(n, 3) + torch.tensor([0.0, 0.0, 2.0]),
        quat_normalize(randn(n, 4)),
        randn(n, 3),
        2 * randn(n, 3),
        skeleton.project_hinges(quats),
        2 * randn(n, skeleton.num_dofs),
    )


class ScriptedPhysics:
    """An engine that does nothing: states stay as they were set, contacts are what a test writes into ``touch``."""

    def __init__(self, character: Character, num_envs: int):
        self.model, self.num_envs, self.device, self.sim_dt = character.model, num_envs, torch.device("cpu"), 1 / 120
        self.qpos, self.qvel = torch.zeros(num_envs, self.model.nq), torch.zeros(num_envs, self.model.nv)
        self.touch = torch.zeros(num_envs, len(character.fall_bodies))
        self.force, self.effort = torch.zeros(num_envs, self.model.nbody, 6), torch.zeros(num_envs, self.model.nv)
        self.steps: list[tuple[Tensor, int]] = []

    def set_state(self, env_ids: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        self.qpos[env_ids], self.qvel[env_ids] = qpos, qvel

    def step(self, ctrl: Tensor, num_substeps: int) -> None:
        self.steps.append((ctrl.clone(), num_substeps))


def actions(n, seed=0, size=0.5):
    """Random actions of the humanoid, ``[n, 28]``."""
    return size * torch.randn(n, 28, generator=torch.Generator().manual_seed(seed))


def held(character, library, n=1, **settings):
    """An environment whose characters stay where a test puts them."""
    env = make_env(character, library, n, physics=ScriptedPhysics(character, n), start=settings.pop("start", StartMix(clip=0.0, default=1.0)), **settings)
    env.reset()
    return env


def everything(env):
    """All state of the environment, each environment a row."""
    return {**{k: getattr(env, k) for k in COUNTED}, "physics": env.physics.get_full_state()}


def set_state(env, ids, state):
    env.physics.set_state(ids, *env.codec.encode(state))

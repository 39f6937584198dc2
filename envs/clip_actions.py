"""Actions that carry a character along the clips: what its actuators must do in each moment, by inverse dynamics. A policy can be taught them before it acts for the first
time (`ase.cloning`); by themselves they keep nobody upright for long.

Shapes: ``M`` moments of all clips, ``O`` observation, ``A`` action, ``D`` joint degrees of freedom, ``V`` degrees of freedom (6 of the root and ``D``), ``G`` points on the floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
import torch
from torch import Tensor

from envs.character import Character
from envs.features import observe
from envs.state import StateCodec
from motions.contacts import sole_points
from motions.library import MotionLibrary
from motions.rotations import quat_log, twist_angle
from motions.skeleton import CharacterState, Skeleton

MOMENTS_EACH = 2  # moments in a control step
REACH_M = 0.03  # a point this far above the floor is trusted with a third of the force of one that touches it
STILL = 0.05  # deviation of actions below which nobody moves
FLIGHT = 1e-2  # regularises the floor's forces: where nothing is near the floor there are none


@dataclass(frozen=True)
class ClipActions:
    """``obs [M, O]``, ``action [M, A]`` in [-1, 1], ``clip [M]``, ``weight [M]``, how often a moment occurs when clips are drawn by the library's weights, and
    ``still [M]``, whether it is of a clip that stands still (`STILL`)."""

    obs: Tensor
    action: Tensor
    clip: Tensor
    weight: Tensor
    still: Tensor


def joint_coordinates(state: CharacterState, skeleton: Skeleton) -> Tensor:
    """Joint angles as actuators count them, ``[..., D]`` radians: a ball joint's rotation vector, a hinge's angle."""
    columns = []
    for k, joint in enumerate(skeleton.joints):
        turn = state.joint_quat[..., k, :]
        columns.append(quat_log(turn) if joint.kind == "ball" else twist_angle(turn, torch.tensor(joint.axis, device=turn.device)).unsqueeze(-1))
    return torch.cat(columns, dim=-1)


def floor_forces(root_force: np.ndarray, jacobian: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """Forces of the floor ``[G, 3]`` that supply what the root lacks: those of the least squares ``f_i² / trust_i`` for which the points' forces add up to it.

    Args:
        root_force: ``[6]`` generalised force at the root that no actuator supplies. jacobian: ``[3 G, 6]`` velocities of the points by those of the root.
        trust: ``[G]`` how readily each point carries force.
    """
    spread = np.repeat(trust, 3)[:, None] * jacobian  # [3 G, 6]
    return (spread @ np.linalg.solve(jacobian.T @ spread + FLIGHT * np.eye(6), root_force)).reshape(-1, 3)


def clip_actions(character: Character, library: MotionLibrary, control_dt: float) -> ClipActions:
    """The action of every moment of every clip, half a control step apart.

    An action is held for a control step, so its targets are the joint angles in the middle of that, plus what their stiffness must be pulled by for the torques that the motion
    takes: inertia, gravity and joint damping (MuJoCo's inverse dynamics), less what the floor carries (`floor_forces`). Targets are clamped to the range of actions.
    """
    skeleton, codec = character.skeleton, StateCodec(character.skeleton)
    counts = (library.durations_s * MOMENTS_EACH / control_dt + 1e-3).long() + 1
    clip = torch.arange(library.num_clips, device=library.device).repeat_interleave(counts)
    times = torch.cat([torch.arange(int(n), device=library.device) for n in counts]) * control_dt / MOMENTS_EACH
    times = times.minimum(library.durations_s[clip])  # not a rounding error beyond
    here = library.state_at(clip, times)
    loops, first, last = library.loops[clip], times - control_dt, times + control_dt
    first, last = torch.where(loops, first, first.clamp_min(0.0)), torch.where(loops, last, last.minimum(library.durations_s[clip]))  # beyond its ends a clip stands still
    before, after = (codec.encode(library.state_at(clip, moment))[1] for moment in (first, last))
    pull = torch.from_numpy(_pull(character, here, codec, (after - before) / (last - first).unsqueeze(-1))).to(times)
    target = joint_coordinates(library.state_at(clip, times + control_dt / 2), skeleton) + pull
    action = (target - character.action_offset.to(target)) / character.action_scale.to(target)
    action = action.clamp(-1.0, 1.0)
    still = torch.stack([action[clip == k].std(0).max() < STILL for k in range(library.num_clips)])
    return ClipActions(observe(here, skeleton), action, clip, (library.weights / counts)[clip], still[clip])


def _pull(character: Character, states: CharacterState, codec: StateCodec, acceleration: Tensor) -> np.ndarray:
    """Torques that ``acceleration [M, V]`` takes in ``states [M]``, over the joints' stiffness: how far targets lie ahead, ``[M, D]`` radians."""
    model, skeleton = character.model, character.skeleton
    qpos, qvel = (x.double().cpu().numpy() for x in codec.encode(states))
    qacc, size = acceleration.double().cpu().numpy(), 6 + skeleton.num_dofs
    bodies = skeleton.point_bodies.unique().tolist()
    soles = [sole_points(skeleton, body, states.body_pos_w, states.body_mat_w) for body in bodies]
    owners = [character.root_id + body for body, mine in zip(bodies, soles, strict=True) for _ in range(mine.shape[1])]
    points = torch.cat(soles, dim=1).double().cpu().numpy()  # [M, G, 3] where each body could touch the floor
    stiffness = model.actuator_gainprm[:, 0]
    data, jacobian = mujoco.MjData(model), np.zeros((3, model.nv))
    pull = np.zeros((len(qpos), skeleton.num_dofs))
    flags = model.opt.disableflags
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT  # clips float and sink by centimetres; the floor is reckoned with below
    for k in range(len(qpos)):
        data.qpos[: qpos.shape[1]], data.qvel[:size], data.qacc[:size] = qpos[k], qvel[k], qacc[k]
        mujoco.mj_inverse(model, data)
        trust = np.exp(-np.maximum(points[k, :, 2], 0.0) / REACH_M)
        rows = []
        for point, body in zip(points[k], owners, strict=True):
            mujoco.mj_jac(model, data, jacobian, None, point, body)
            rows.append(jacobian[:, :size].copy())
        whole = np.concatenate(rows)  # [3 G, V]
        force = floor_forces(data.qfrc_inverse[:6], whole[:, :6], trust)
        pull[k] = (data.qfrc_inverse[6:size] - whole[:, 6:].T @ force.ravel()) / stiffness
    model.opt.disableflags = flags
    return pull

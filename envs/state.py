"""Conversion between `CharacterState` and MuJoCo's ``qpos``/``qvel``: the one place that knows MuJoCo's mixed frames."""

from __future__ import annotations

import torch
from torch import Tensor

from motions.rotations import axis_angle_quat, quat_rotate, quat_rotate_inverse, twist_angle
from motions.skeleton import CharacterState, Skeleton


class StateCodec:
    """Column maps between a skeleton's joints and MuJoCo's vectors (``qpos``: root 7, then 4 a ball and 1 a hinge, in joint order)."""

    def __init__(self, skeleton: Skeleton):
        self.skeleton = skeleton
        balls, hinges, ball_columns, hinge_columns, column = [], [], [], [], 7
        for k, joint in enumerate(skeleton.joints):
            if joint.kind == "ball":
                balls.append(k)
                ball_columns.append(list(range(column, column + 4)))
                column += 4
            else:
                hinges.append(k)
                hinge_columns.append(column)
                column += 1
        self.num_qpos = column
        self._balls, self._hinges = torch.tensor(balls, dtype=torch.long), torch.tensor(hinges, dtype=torch.long)
        self._ball_columns, self._hinge_columns = torch.tensor(ball_columns, dtype=torch.long), torch.tensor(hinge_columns, dtype=torch.long)
        self._axes = torch.tensor([skeleton.joints[k].axis for k in hinges]).reshape(-1, 3)

    def decode(self, qpos: Tensor, qvel: Tensor) -> CharacterState:
        """MuJoCo's ``qpos [..., nq]`` and ``qvel [..., nv]`` as a state (what follows the joints is left out), velocities of the root in the world frame."""
        lead = qpos.shape[:-1]
        q, v = qpos.reshape(-1, qpos.shape[-1]).t().contiguous(), qvel.reshape(-1, qvel.shape[-1]).t().contiguous()  # batch innermost: see motions.rotations
        joint_quat = q.new_empty(4, len(self.skeleton.joints), q.shape[1])
        joint_quat[:, self._balls] = q[self._ball_columns].movedim(1, 0)
        joint_quat[:, self._hinges] = axis_angle_quat(self._axes.to(q).unsqueeze(1), q[self._hinge_columns]).permute(2, 0, 1)
        root_quat = q[3:7].t()
        state = self.skeleton.state(
            root_pos=q[:3].t(),
            root_quat=root_quat,
            root_lin_vel=v[:3].t(),
            root_ang_vel=quat_rotate(root_quat, v[3:6].t()),
            joint_quat=joint_quat.permute(2, 1, 0),
            joint_vel=v[6 : 6 + self.skeleton.num_dofs].t(),
        )
        return state if len(lead) == 1 else state.reshape(*lead)

    def encode(self, state: CharacterState) -> tuple[Tensor, Tensor]:
        """A state as MuJoCo's ``qpos [..., nq]`` and ``qvel [..., nv]``; the inverse of `decode`."""
        qpos = state.root_pos.new_empty(*state.root_pos.shape[:-1], self.num_qpos)
        qpos[..., :3], qpos[..., 3:7] = state.root_pos, state.root_quat
        qpos[..., self._ball_columns] = state.joint_quat[..., self._balls, :]
        qpos[..., self._hinge_columns] = twist_angle(state.joint_quat[..., self._hinges, :], self._axes.to(qpos))
        ang_vel = quat_rotate_inverse(state.root_quat, state.root_ang_vel)
        return qpos, torch.cat((state.root_lin_vel, ang_vel, state.joint_vel), dim=-1)

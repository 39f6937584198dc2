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
        ball_columns, hinge_columns, column = [], [], 7
        for joint in skeleton.joints:
            if joint.kind == "ball":
                ball_columns.append(list(range(column, column + 4)))
                column += 4
            else:
                hinge_columns.append(column)
                column += 1
        self.num_qpos = column
        self._columns = {torch.device("cpu"): (torch.tensor(ball_columns, dtype=torch.long), torch.tensor(hinge_columns, dtype=torch.long))}

    def columns_on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Columns of ``qpos`` of the ball joints ``[balls, 4]`` and of the hinges ``[hinges]``."""
        if device not in self._columns:
            balls, hinges = self._columns[torch.device("cpu")]
            self._columns[device] = balls.to(device), hinges.to(device)
        return self._columns[device]

    def decode(self, qpos: Tensor, qvel: Tensor) -> CharacterState:
        """MuJoCo's ``qpos [..., nq]`` and ``qvel [..., nv]`` as a state (what follows the joints is left out), velocities of the root in the world frame."""
        lead = qpos.shape[:-1]
        q, v = qpos.reshape(-1, qpos.shape[-1]).t().contiguous(), qvel.reshape(-1, qvel.shape[-1]).t().contiguous()  # batch innermost: see motions.rotations
        joint_quat = q.new_empty(4, len(self.skeleton.joints), q.shape[1])
        joints, (balls, hinges) = self.skeleton.joint_index(q), self.columns_on(q.device)
        joint_quat[:, joints.balls] = q[balls].movedim(1, 0)
        joint_quat[:, joints.hinges] = axis_angle_quat(joints.axes.unsqueeze(1), q[hinges]).permute(2, 0, 1)
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
        joints, (balls, hinges) = self.skeleton.joint_index(qpos), self.columns_on(qpos.device)
        qpos[..., balls] = state.joint_quat[..., joints.balls, :]
        qpos[..., hinges] = twist_angle(state.joint_quat[..., joints.hinges, :], joints.axes)
        ang_vel = quat_rotate_inverse(state.root_quat, state.root_ang_vel)
        return qpos, torch.cat((state.root_lin_vel, ang_vel, state.joint_vel), dim=-1)

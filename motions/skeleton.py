"""The kinematic tree of a character, its state, and forward kinematics.

Shapes: ``P`` bodies, ``J`` joints, ``D`` joint degrees of freedom (3 for a ball, 1 for a hinge), ``K`` key points of the geometry.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

from motions.rotations import axis_angle_quat, quat_to_mat, twist_angle


@dataclass(frozen=True)
class Joint:
    """One joint at the origin of ``body``. ``kind`` is ``"ball"`` or ``"hinge"``; ``axis`` is the hinge's unit axis in the body frame."""

    name: str
    body: int
    kind: str
    axis: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def dofs(self) -> int:
        return 3 if self.kind == "ball" else 1


@dataclass(frozen=True)
class CharacterState:
    """Everything that is known of characters at an instant; the one type that clips, physics, resets, features and rendering share.

    Leading dimensions are free. Positions in metres, velocities per second, quaternions ``wxyz``.

    Attributes:
        root_pos: ``[..., 3]`` world.
        root_quat: ``[..., 4]`` root frame to world.
        root_lin_vel: ``[..., 3]`` world frame.
        root_ang_vel: ``[..., 3]`` world frame.
        joint_quat: ``[..., J, 4]`` child frame to parent frame; for a hinge a turn about its axis.
        joint_vel: ``[..., D]`` ball: angular velocity in the child frame; hinge: rate about its axis.
        body_pos_w: ``[..., P, 3]`` world.
        body_mat_w: ``[..., P, 3, 3]`` body frame to world.
    """

    root_pos: Tensor
    root_quat: Tensor
    root_lin_vel: Tensor
    root_ang_vel: Tensor
    joint_quat: Tensor
    joint_vel: Tensor
    body_pos_w: Tensor
    body_mat_w: Tensor

    def __getitem__(self, index) -> CharacterState:
        return CharacterState(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def reshape(self, *lead: int) -> CharacterState:
        """The same states with the leading dimensions reshaped to ``lead``."""
        old = self.root_pos.dim() - 1
        return CharacterState(**{f.name: (v := getattr(self, f.name)).reshape(*lead, *v.shape[old:]) for f in fields(self)})

    def where(self, mask: Tensor, other: CharacterState) -> CharacterState:
        """This state where ``mask [N]`` holds, ``other`` elsewhere."""

        def pick(a: Tensor, b: Tensor) -> Tensor:
            return torch.where(mask.view(-1, *[1] * (a.dim() - 1)), a, b)

        return CharacterState(**{f.name: pick(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)})


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Bodies in depth-first order (body 0 is the root), their joints, and the points that bound their geometry.

    Attributes:
        body_names: ``P`` names.
        parents: ``P`` indices, ``-1`` for the root.
        offsets: ``[P, 3]`` body origin in the parent's frame, metres.
        joints: at most one joint a body, in depth-first order.
        point_bodies, point_offsets, point_radii: ``[K]``, ``[K, 3]``, ``[K]`` spheres whose hull bounds the geometry (capsule ends, box corners).
    """

    body_names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Tensor
    joints: tuple[Joint, ...]
    point_bodies: Tensor
    point_offsets: Tensor
    point_radii: Tensor

    @property
    def joint_names(self) -> tuple[str, ...]:
        return tuple(j.name for j in self.joints)

    @property
    def num_dofs(self) -> int:
        return sum(j.dofs for j in self.joints)

    @cached_property
    def dof_slices(self) -> tuple[slice, ...]:
        """For each joint its columns in ``joint_vel`` and in an action."""
        starts = [0]
        for joint in self.joints:
            starts.append(starts[-1] + joint.dofs)
        return tuple(slice(a, b) for a, b in zip(starts[:-1], starts[1:], strict=True))

    @cached_property
    def _levels(self) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Bodies by depth, so that a whole level is one batched operation: (bodies, rows of their parents in the level above, joints or J, offsets)."""
        joint_of = {j.body: k for k, j in enumerate(self.joints)}
        levels, above = [], [0]
        while bodies := [b for b, parent in enumerate(self.parents) if parent in above]:
            rows = torch.tensor([above.index(self.parents[b]) for b in bodies])
            joints = torch.tensor([joint_of.get(b, len(self.joints)) for b in bodies])
            levels.append((torch.tensor(bodies), rows, joints, self.offsets[bodies]))
            above = bodies
        return levels

    @cached_property
    def _body_order(self) -> Tensor:
        """Where each body stands in the concatenated levels (root first)."""
        order = torch.cat([torch.zeros(1, dtype=torch.long), *(bodies for bodies, *_ in self._levels)])
        return order.argsort()

    def forward_kinematics(self, root_pos: Tensor, root_quat: Tensor, joint_quat: Tensor) -> tuple[Tensor, Tensor]:
        """World pose of every body.

        Computed with the batch as the innermost dimension of memory (vectors ``[3, bodies, n]``, matrices ``[3, 3, bodies, n]``); results are views of that.

        Args:
            root_pos: ``[..., 3]`` metres. root_quat: ``[..., 4]``. joint_quat: ``[..., J, 4]``.

        Returns:
            ``body_pos_w [..., P, 3]`` and ``body_mat_w [..., P, 3, 3]``.
        """
        lead, device = root_pos.shape[:-1], root_pos.device
        n, num_joints = lead.numel(), len(self.joints)
        local = quat_to_mat(joint_quat.reshape(n, num_joints, 4).permute(1, 0, 2)).permute(2, 3, 0, 1)  # [3, 3, J, n]
        mat = quat_to_mat(root_quat.reshape(n, 4)).permute(1, 2, 0).unsqueeze(2)  # [3, 3, 1, n]
        pos = root_pos.reshape(n, 3).t().unsqueeze(1)  # [3, 1, n]
        all_pos, all_mat = [pos], [mat]
        for _, rows, joints, offsets in self._levels:
            parent_mat = mat.index_select(2, rows.to(device))
            pos = pos.index_select(1, rows.to(device)) + (parent_mat * offsets.t().to(pos).unsqueeze(-1)).sum(1)
            jointed = (joints < num_joints).nonzero().squeeze(-1).to(device)
            if len(jointed) == len(joints):
                turn = local.index_select(2, joints.to(device))
                mat = (parent_mat.unsqueeze(2) * turn.unsqueeze(0)).sum(1)
            else:  # bodies welded to their parent keep its orientation
                turn = local.index_select(2, joints[joints < num_joints].to(device))
                turned = (parent_mat.index_select(2, jointed).unsqueeze(2) * turn.unsqueeze(0)).sum(1)
                mat = parent_mat.index_copy(2, jointed, turned)
            all_pos.append(pos)
            all_mat.append(mat)
        order = self._body_order.to(device)
        body_pos = torch.cat(all_pos, dim=1).index_select(1, order).permute(2, 1, 0)
        body_mat = torch.cat(all_mat, dim=2).index_select(2, order).permute(3, 2, 0, 1)
        return body_pos.unflatten(0, lead) if len(lead) != 1 else body_pos, body_mat.unflatten(0, lead) if len(lead) != 1 else body_mat

    def state(self, root_pos: Tensor, root_quat: Tensor, root_lin_vel: Tensor, root_ang_vel: Tensor, joint_quat: Tensor, joint_vel: Tensor) -> CharacterState:
        """A full state from its independent parts (shapes and frames as in `CharacterState`)."""
        return CharacterState(root_pos, root_quat, root_lin_vel, root_ang_vel, joint_quat, joint_vel, *self.forward_kinematics(root_pos, root_quat, joint_quat))

    def project_hinges(self, joint_quat: Tensor) -> Tensor:
        """Joint rotations with each hinge's rotation reduced to the turn about its axis, ``[..., J, 4]``."""
        out = joint_quat.clone()
        for k, joint in enumerate(self.joints):
            if joint.kind == "hinge":
                axis = torch.tensor(joint.axis, dtype=out.dtype, device=out.device)
                out[..., k, :] = axis_angle_quat(axis, twist_angle(joint_quat[..., k, :], axis))
        return out

    def lowest_point(self, body_pos_w: Tensor, body_mat_w: Tensor) -> Tensor:
        """Height in metres of the lowest point of the geometry above the plane z = 0, from poses ``[..., P, 3]``, ``[..., P, 3, 3]``; ``[...]``."""
        bodies = self.point_bodies.to(body_pos_w.device)
        rise = (body_mat_w[..., bodies, 2, :] * self.point_offsets.to(body_pos_w)).sum(-1)
        return (body_pos_w[..., bodies, 2] + rise - self.point_radii.to(body_pos_w)).amin(-1)

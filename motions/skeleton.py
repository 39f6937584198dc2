"""The kinematic tree of a character, its state, and forward kinematics.

Shapes: ``P`` bodies, ``J`` joints, ``D`` joint degrees of freedom (3 for a ball, 1 for a hinge), ``K`` key points of the geometry.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

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


@dataclass(frozen=True, eq=False)
class JointIndex:
    """Joints by kind: indices ``balls``, ``hinges``, and the hinges' ``axes [hinges, 3]``."""

    balls: Tensor
    hinges: Tensor
    axes: Tensor


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

    def to(self, device: torch.device | str) -> CharacterState:
        """The same on a device."""
        return CharacterState(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def reshape(self, *lead: int) -> CharacterState:
        """The same states with the leading dimensions reshaped to ``lead``."""
        old = self.root_pos.dim() - 1
        return CharacterState(**{f.name: (v := getattr(self, f.name)).reshape(*lead, *v.shape[old:]) for f in fields(self)})

    def where(self, mask: Tensor, other: CharacterState) -> CharacterState:
        """This state where ``mask [N]`` holds, ``other`` elsewhere."""

        def pick(a: Tensor, b: Tensor) -> Tensor:
            return torch.where(mask.view(-1, *[1] * (a.dim() - 1)), a, b)

        return CharacterState(**{f.name: pick(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)})


class _Level(NamedTuple):
    """Bodies ``[b]`` at one depth, their parents ``[b]``, their joints ``[b]`` (empty: welded to the parent), and their offsets ``[3, b, 1]``."""

    bodies: Tensor
    parents: Tensor
    joints: Tensor
    offsets: Tensor


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
        return tuple(slice(a, b) for a, b in pairwise(starts))

    @cached_property
    def _joint_index(self) -> dict[tuple[torch.device, torch.dtype], JointIndex]:
        """`joint_index` by the devices and types it was asked for."""
        return {}

    def joint_index(self, like: Tensor) -> JointIndex:
        """Which joints are what, on the device of ``like`` and with axes of its type."""
        key = (like.device, like.dtype)
        if key not in self._joint_index:
            balls, hinges = ([k for k, joint in enumerate(self.joints) if joint.kind == kind] for kind in ("ball", "hinge"))
            ids = [torch.tensor(found, dtype=torch.long, device=like.device) for found in (balls, hinges)]
            self._joint_index[key] = JointIndex(ids[0], ids[1], torch.tensor([self.joints[k].axis for k in hinges]).reshape(-1, 3).to(like))
        return self._joint_index[key]

    @cached_property
    def _levels(self) -> dict[tuple[torch.device, torch.dtype], list[_Level]]:
        """`_levels_like` by the devices and types it was asked for."""
        return {}

    def _levels_like(self, like: Tensor) -> list[_Level]:
        """Bodies by depth and by whether they have a joint: each group is one batched operation."""
        key = (like.device, like.dtype)
        if key not in self._levels:
            joint_of = {joint.body: k for k, joint in enumerate(self.joints)}
            levels, above = [], [0]
            while below := [b for b, parent in enumerate(self.parents) if parent in above]:
                for bodies in ([b for b in below if b in joint_of], [b for b in below if b not in joint_of]):
                    if bodies:
                        parents, joints = [self.parents[b] for b in bodies], [joint_of[b] for b in bodies if b in joint_of]
                        index = [torch.tensor(i, dtype=torch.long, device=like.device) for i in (bodies, parents, joints)]
                        levels.append(_Level(index[0], index[1], index[2], self.offsets[bodies].t().unsqueeze(-1).to(like)))
                above = below
            self._levels[key] = levels
        return self._levels[key]

    def forward_kinematics(self, root_pos: Tensor, root_quat: Tensor, joint_quat: Tensor) -> tuple[Tensor, Tensor]:
        """World pose of every body.

        Computed with the batch as the innermost dimension of memory (vectors ``[3, bodies, n]``, matrices ``[3, 3, bodies, n]``); results are views of that.

        Args:
            root_pos: ``[..., 3]`` metres. root_quat: ``[..., 4]``. joint_quat: ``[..., J, 4]``.

        Returns:
            ``body_pos_w [..., P, 3]`` and ``body_mat_w [..., P, 3, 3]``.
        """
        lead = root_pos.shape[:-1]
        n, num_joints, num_bodies = lead.numel(), len(self.joints), len(self.parents)
        local = quat_to_mat(joint_quat.reshape(n, num_joints, 4).permute(1, 0, 2)).permute(2, 3, 0, 1)  # [3, 3, J, n]
        mat, pos = root_pos.new_empty(3, 3, num_bodies, n), root_pos.new_empty(3, num_bodies, n)
        mat[:, :, 0] = quat_to_mat(root_quat.reshape(n, 4)).permute(1, 2, 0)
        pos[:, 0] = root_pos.reshape(n, 3).t()
        for bodies, parents, joints, offsets in self._levels_like(root_pos):
            parent = mat.index_select(2, parents)
            place = pos.index_select(1, parents)
            for k in range(3):
                place.addcmul_(parent[:, k], offsets[k])
            pos.index_copy_(1, bodies, place)
            turned = parent  # a body welded to its parent keeps its orientation
            if len(joints):
                turn = local.index_select(2, joints)
                turned = parent[:, 0].unsqueeze(1) * turn[0]
                for k in (1, 2):
                    turned.addcmul_(parent[:, k].unsqueeze(1), turn[k])
            mat.index_copy_(2, bodies, turned)
        return pos.permute(2, 1, 0).reshape(*lead, num_bodies, 3), mat.permute(3, 2, 0, 1).reshape(*lead, num_bodies, 3, 3)

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

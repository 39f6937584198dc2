"""What the networks see of a character. Every feature is a pure function of `CharacterState`, so clips and simulation go through the same code.

Everything is expressed in the character's heading frame (yaw of the root removed, origin at the root), so a turn or shift of the world changes nothing.
Shapes: ``O`` policy observation, ``F`` discriminator features of one frame, ``J`` joints, ``D`` degrees of freedom, ``P`` bodies, ``K`` key bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from envs.character import Character
from motions.rotations import quat_to_mat, quat_to_tan_norm, twist_angle
from motions.skeleton import CharacterState, Skeleton

ROOT_COLUMNS = 13  # height, orientation and velocities of the root
MUCH_TURN, MUCH_SPEED = 0.5, 5.0  # rad (or of a rotated axis, 1) and rad/s: of a joint that should be still


def observe(state: CharacterState, skeleton: Skeleton) -> Tensor:
    """The policy's observation ``[..., O]``.

    In order: root height 1 (m); root orientation 6; root linear velocity 3 (m/s) and angular velocity 3 (rad/s); rotations of the ball joints, 6 each;
    angles of the hinges (rad); joint velocities D (rad/s); positions of all bodies but the root relative to it, 3 each (m). Orientations are coded by their rotated x and z
    axes. Frames: heading; joint velocities as in `CharacterState`.
    """
    lead = state.root_pos.shape[:-1]
    n = lead.numel()
    # Rows [k, n]: the batch is innermost in memory until the end, as in forward kinematics.
    root = quat_to_mat(state.root_quat.reshape(n, 4)).permute(1, 2, 0)  # [3, 3, n]
    level = (root[0, 0].square() + root[1, 0].square()).sqrt().clamp_min(1e-6)
    cos, sin = root[0, 0] / level, root[1, 0] / level

    def local(v: Tensor) -> Tensor:
        """World vectors ``[3, ..., n]`` in the heading frame."""
        return torch.stack((cos * v[0] + sin * v[1], cos * v[1] - sin * v[0], v[2]))

    quats = state.joint_quat.reshape(n, len(skeleton.joints), 4).permute(1, 0, 2)  # [J, n, 4]
    joints = skeleton.joint_index(quats)
    bodies = state.body_pos_w.reshape(n, -1, 3).permute(2, 1, 0)  # [3, P, n]
    rows = torch.cat(
        (
            state.root_pos.reshape(n, 3).t()[2:],
            local(root[:, (0, 2)]).transpose(0, 1).reshape(6, n),
            local(state.root_lin_vel.reshape(n, 3).t()),
            local(state.root_ang_vel.reshape(n, 3).t()),
            quat_to_tan_norm(quats[joints.balls]).permute(0, 2, 1).reshape(-1, n),
            twist_angle(quats[joints.hinges], joints.axes.unsqueeze(1)),
            state.joint_vel.reshape(n, -1).t(),
            local(bodies[:, 1:] - bodies[:, :1]).transpose(0, 1).reshape(-1, n),
        )
    )
    return rows.t().contiguous().reshape(*lead, -1)


@dataclass(frozen=True, eq=False)
class FeatureLayout:
    """Sizes of the observation and which of its columns the discriminator sees: all but the positions of bodies that are no key bodies.

    Attributes:
        obs_dim: ``O``. style_columns: ``[F]`` columns of an observation. num_joint_columns: columns of joint rotations. num_dofs: of joint rates.
        travel_columns: ``[3]`` features of a frame that tell how the root travels over the ground: forward, sideways (m/s), turning (rad/s).
    """

    obs_dim: int
    style_columns: Tensor
    num_joint_columns: int
    num_dofs: int
    travel_columns: Tensor

    @staticmethod
    def of(character: Character) -> FeatureLayout:
        skeleton = character.skeleton
        joint_columns = sum(6 if j.kind == "ball" else 1 for j in skeleton.joints)
        common = ROOT_COLUMNS + joint_columns + skeleton.num_dofs
        keys = (common + 3 * (character.key_bodies - 1)).unsqueeze(-1) + torch.arange(3)
        return FeatureLayout(
            obs_dim=common + 3 * (len(skeleton.body_names) - 1),
            style_columns=torch.cat((torch.arange(common), keys.flatten())),
            num_joint_columns=joint_columns,
            num_dofs=skeleton.num_dofs,
            travel_columns=torch.tensor([7, 8, 12]),
        )

    def tracking_weights(self, travel: float = 0.1, turn: float = 0.01) -> Tensor:
        """Weights of squared differences between features ``[F]``, for how far a character is from a clip: the root's height (2 a m²), its axes (0.35), velocity (0.1 a m²/s²)
        and rates (0.01 a rad²/s²); joint rotations (0.15 an axis, so 0.3 a rad² for ball joints that are not far off), joint rates (0.001) and key bodies (0.75 a m²). Characters
        that follow a clip closely (`envs.samcon`) have a sum of 0.15 to 0.2, trained walks 0.5, half a cycle away it is 1.5 to 5.

        Args:
            travel: of velocity over the ground, a m²/s². turn: of the rate of turning, a rad²/s².
        """
        keys = self.style_dim - ROOT_COLUMNS - self.num_joint_columns - self.num_dofs
        parts = ((1, 2.0), (6, 0.35), (3, 0.1), (3, 0.01), (self.num_joint_columns, 0.15), (self.num_dofs, 0.001), (keys, 0.75))
        weights = torch.cat([torch.full((count,), weight) for count, weight in parts])
        weights[self.travel_columns] = torch.tensor([travel, travel, turn])
        return weights

    @property
    def style_dim(self) -> int:
        return len(self.style_columns)


def joint_features(skeleton: Skeleton, joints: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Columns of an observation, and of the discriminator's features, that tell of ``joints``: their rotations and velocities, ``[S]``; and for each what is much, ``[S]``:
    `MUCH_TURN` and `MUCH_SPEED`."""
    rotations: dict[int, range] = {}
    first = ROOT_COLUMNS
    for joint in sorted(range(len(skeleton.joints)), key=lambda k: skeleton.joints[k].kind != "ball"):  # balls come before hinges
        rotations[joint] = range(first, first + (6 if skeleton.joints[joint].kind == "ball" else 1))
        first = rotations[joint].stop
    columns: list[int] = []
    units: list[float] = []
    for joint in joints:
        dofs = skeleton.dof_slices[joint]
        columns += [*rotations[joint], *range(first + dofs.start, first + dofs.stop)]  # velocities come after all rotations
        units += [MUCH_TURN] * len(rotations[joint]) + [MUCH_SPEED] * (dofs.stop - dofs.start)
    return torch.tensor(columns, dtype=torch.long), torch.tensor(units)

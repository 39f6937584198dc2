"""Small differences between states of a character, as numbers that can be added, and what they cost.

Shapes: ``V`` degrees of freedom (6 of the root, ``D`` of joints), ``E = 2 V`` deviations, ``P`` bodies, ``F`` errors, whose squares add up to a cost.
"""

from __future__ import annotations

import torch
from torch import Tensor

from envs.character import Character
from envs.samcon import FEET, HEIGHT, PLACE, TURN
from envs.state import StateCodec
from motions.rotations import quat_conj, quat_exp, quat_log, quat_mul, quat_rotate, yaw_quat

HEIGHT_STEP, ANGLE_STEP = 0.015, 0.03  # how far a state is disturbed to see what comes of it: m, rad; with a third of it, feet that land a step later are not seen
SPEED_STEP, TURN_STEP, RATE_STEP = 0.09, 0.3, 0.6  # and m/s and rad/s of the root, rad/s of joints
SPEED_WEIGHT, TURN_WEIGHT, RATE_WEIGHT = 0.4, 0.05, 0.004  # of squared differences of these


def slopes(values: Tensor, steps: Tensor) -> Tensor:
    """Central differences ``[M, k, ...]`` of ``values [M, 2 k, ...]`` at plus and minus ``steps [k]``."""
    ahead, behind = values.chunk(2, dim=1)
    return (ahead - behind) / (2 * steps.unsqueeze(-1))


class Deviations:
    """Differences between states of a character, wherever it is and looks: ``[E]`` of the root's place (0, 0 and its height, m), its orientation and the joints (rad, rotation
    vectors in a body's own frame), and the rates of these, as `StateCodec` orders them.

    Attributes:
        steps: ``[E]`` how far each is tried, to see what comes of it.
    """

    def __init__(self, character: Character, device: torch.device | str = "cpu"):
        skeleton = character.skeleton
        self.codec, self.num_dofs = StateCodec(skeleton), 6 + skeleton.num_dofs
        dofs = dict(zip(skeleton.joints, skeleton.dof_slices, strict=True))
        self._ball_dofs = torch.tensor([list(range(6 + at.start, 6 + at.stop)) for joint, at in dofs.items() if joint.kind == "ball"], dtype=torch.long, device=device).view(-1, 3)
        self._hinge_dofs = torch.tensor([6 + at.start for joint, at in dofs.items() if joint.kind == "hinge"], dtype=torch.long, device=device)
        self._mass, self._feet = character.mass_shares.to(device), character.foot_bodies.to(device)
        pose, rate, weight = (torch.full((self.num_dofs,), value, device=device) for value in (ANGLE_STEP, RATE_STEP, RATE_WEIGHT))
        pose[:3], rate[:3], rate[3:6] = HEIGHT_STEP, SPEED_STEP, TURN_STEP
        weight[:3], weight[3:6] = SPEED_WEIGHT, TURN_WEIGHT
        self.steps, self._rate_scale = torch.cat((pose, rate)), weight.sqrt()

    def faced(self, qpos: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """``qpos [..., nq]`` turned about the vertical, and moved, to where it differs least from ``other [..., nq]``; and that turn ``[..., 4]``."""
        qpos, other = torch.broadcast_tensors(qpos, other)
        off = quat_mul(qpos[..., 3:7], quat_conj(other[..., 3:7]))
        turn = yaw_quat(-2 * torch.atan2(off[..., 3], off[..., 0]))
        return torch.cat((other[..., :2], qpos[..., 2:3], quat_mul(turn, qpos[..., 3:7]), qpos[..., 7:]), dim=-1), turn

    def between(self, qpos: Tensor, qvel: Tensor, other_qpos: Tensor, other_qvel: Tensor) -> Tensor:
        """How states differ from others, ``[..., E]``."""
        balls, hinges = self.codec.columns_on(qpos.device)
        here, turn = self.faced(qpos, other_qpos)
        there = other_qpos.expand_as(here)
        pose = torch.zeros(*here.shape[:-1], self.num_dofs, device=here.device)
        pose[..., 2] = here[..., 2] - there[..., 2]
        pose[..., 3:6] = quat_log(quat_mul(quat_conj(there[..., 3:7]), here[..., 3:7]))
        pose[..., self._ball_dofs] = quat_log(quat_mul(quat_conj(there[..., balls]), here[..., balls]))
        pose[..., self._hinge_dofs] = here[..., hinges] - there[..., hinges]
        return torch.cat((pose, self._turned(qvel, turn) - other_qvel[..., : self.num_dofs]), dim=-1)

    def added(self, qpos: Tensor, qvel: Tensor, off: Tensor) -> tuple[Tensor, Tensor]:
        """States that differ by ``off [..., E]`` from ``qpos``, ``qvel``, which may also be moved on the ground."""
        balls, hinges = self.codec.columns_on(qpos.device)
        pose, rate = off.split(self.num_dofs, dim=-1)
        found = qpos.expand(*off.shape[:-1], -1).clone()
        found[..., :3] += pose[..., :3]
        found[..., 3:7] = quat_mul(found[..., 3:7], quat_exp(pose[..., 3:6]))
        found[..., balls] = quat_mul(found[..., balls], quat_exp(pose[..., self._ball_dofs]))
        found[..., hinges] += pose[..., self._hinge_dofs]
        return found, qvel + rate

    def mirrored(self, qpos: Tensor, qvel: Tensor, index: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
        """Mirror images of states ``[M]`` of a character whose joints' ``[D]`` images are those of ``index``, times ``sign`` (`envs.mirror.mirror_map`)."""
        level = torch.tensor([1.0, -1.0, 1.0], device=qpos.device)  # of the root's place and velocity; its turn is the other way about x and z
        turn = torch.tensor([1.0, -1.0, 1.0, -1.0], device=qpos.device)
        rest = qpos.new_zeros(qpos.shape[1])
        rest[3] = rest[self.codec.columns_on(qpos.device)[0][:, 0]] = 1.0
        joints = self.between(qpos, qvel, rest, qvel)[:, 6 : self.num_dofs]
        off = torch.cat((qpos.new_zeros(len(qpos), 6), joints[:, index] * sign, qpos.new_zeros(len(qpos), self.num_dofs)), dim=-1)
        found, _ = self.added(rest, qvel[:, : self.num_dofs], off)
        found = torch.cat((qpos[:, :3] * level, qpos[:, 3:7] * turn, found[:, 7:]), dim=-1)
        return found, torch.cat((qvel[:, :3] * level, qvel[:, 3:6] * -level, qvel[:, 6 : self.num_dofs][:, index] * sign), dim=-1)

    def errors(self, qpos: Tensor, qvel: Tensor, other_qpos: Tensor, other_qvel: Tensor) -> Tensor:
        """``[n, F]`` whose squares add up to how far states ``[n]`` are from others ``[n]``: poses as in `envs.samcon.tracking_cost`, rates by their weights."""
        there, turn = self.faced(other_qpos, qpos)
        rate = qvel[..., : self.num_dofs] - self._turned(other_qvel.expand(len(there), -1), turn)
        return torch.cat((self._features(qpos) - self._features(there), self._rate_scale * rate), dim=-1)

    def error_slopes(self, qpos: Tensor) -> Tensor:
        """By how much deviations change the errors of states ``[M]``, ``[M, E, F]``; what is on the ground alone does not."""
        poses = self.steps[: self.num_dofs].diag()
        trials = torch.cat((poses, -poses))
        tried, _ = self.added(qpos.unsqueeze(1), qpos.new_zeros(1), torch.cat((trials, 0 * trials), dim=-1).expand(len(qpos), -1, -1))
        of_pose = slopes(self._features(tried.flatten(0, 1)).view(len(qpos), len(trials), -1), self.steps[: self.num_dofs])
        of_pose[:, :2] = 0.0
        found = qpos.new_zeros(len(qpos), 2 * self.num_dofs, of_pose.shape[-1] + self.num_dofs)
        found[:, : self.num_dofs, : of_pose.shape[-1]] = of_pose
        found[:, self.num_dofs :, of_pose.shape[-1] :] = self._rate_scale.diag()
        return found

    def _turned(self, qvel: Tensor, turn: Tensor) -> Tensor:
        """Rates ``[..., V]`` of characters that are turned: the root's velocity alone is in the world's frame."""
        return torch.cat((quat_rotate(turn, qvel[..., :3].expand(*turn.shape[:-1], 3)), qvel[..., 3 : self.num_dofs].expand(*turn.shape[:-1], -1)), dim=-1)

    def _features(self, qpos: Tensor) -> Tensor:
        """What the errors of poses ``[n]`` are differences of: places of the bodies about the centre of mass and its height, orientations; weighted."""
        state = self.codec.decode(qpos, qpos.new_zeros(len(qpos), self.num_dofs))
        count = state.body_pos_w.shape[1]
        centre = (state.body_pos_w * self._mass.unsqueeze(-1)).sum(1)
        pose = state.body_pos_w - centre.unsqueeze(1)
        parts = (
            (PLACE / count, pose),
            (FEET / len(self._feet), pose[:, self._feet]),
            (HEIGHT, centre[:, 2:]),
            (TURN / count, state.body_mat_w),
            (TURN, state.body_mat_w[:, 0]),
        )
        return torch.cat([weight**0.5 * part.flatten(1) for weight, part in parts], dim=-1)

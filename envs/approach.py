"""Starts between a clip and something else: how a skill is begun.

Who has only ever been on a clip, or far from it, does it from there alone: under the latents of a spinning kick a character that stands walks off, for that pays at once. Half way
between the two it falls, and a little nearer it kicks. So episodes begin at every distance, and what is learned near the clip spreads outwards by itself, as from starts that move
away from a goal (Florensa et al. 2017, arXiv 1707.05300).

Shapes: ``n`` starts, ``U`` moments of the clips, a control step apart, ``C`` clips.
"""

from __future__ import annotations

import torch
from torch import Tensor

from envs.character import Character
from motions.library import MotionLibrary
from motions.rotations import heading, quat_mul, quat_rotate, quat_slerp, yaw_quat
from motions.skeleton import CharacterState

UPRIGHT, HIGH = 0.85, 0.8  # who stands: the cosine of the root's tilt is at least this, its height at least this share of that in the rest pose,
NEAR_M, SLOW_MPS = 0.04, 1.5  # the lowest point is at most so high, and the root at most so fast


def stands(state: CharacterState, character: Character) -> Tensor:
    """Whether characters stand or walk on the floor, ``[n]``."""
    up = 1 - 2 * state.root_quat[..., 1:3].square().sum(-1)
    low = character.skeleton.lowest_point(state.body_pos_w, state.body_mat_w)
    high = state.root_pos[..., 2] >= HIGH * character.default_height_m
    return (up >= UPRIGHT) & high & (low <= NEAR_M) & (state.root_lin_vel.norm(dim=-1) <= SLOW_MPS)


def between(here: CharacterState, there: CharacterState, share: Tensor, character: Character) -> CharacterState:
    """States ``[n]`` that differ from ``here [n]`` by a ``share [n]`` of the way to ``there [n]``, turned and moved to where the former is; their lowest points lie between those
    of both."""
    skeleton, part = character.skeleton, share.unsqueeze(-1)
    turn = yaw_quat(heading(here.root_quat) - heading(there.root_quat))

    def mixed(a: Tensor, b: Tensor) -> Tensor:
        return a + part * (b - a)

    root_quat = quat_slerp(here.root_quat, quat_mul(turn, there.root_quat), part)
    joint_quat = quat_slerp(here.joint_quat, there.joint_quat, part.unsqueeze(-1))
    lin_vel, ang_vel = (mixed(mine, quat_rotate(turn, theirs)) for mine, theirs in ((here.root_lin_vel, there.root_lin_vel), (here.root_ang_vel, there.root_ang_vel)))
    joint_vel, pos = mixed(here.joint_vel, there.joint_vel), here.root_pos.clone()
    state = skeleton.state(pos, root_quat, lin_vel, ang_vel, joint_quat, joint_vel)
    lowest, first, last = (skeleton.lowest_point(each.body_pos_w, each.body_mat_w) for each in (state, here, there))
    pos[:, 2] += first + share * (last - first) - lowest
    return skeleton.state(pos, root_quat, lin_vel, ang_vel, joint_quat, joint_vel)


class Approaches:
    """Draws states between a moment of a clip, one in which it stands if it ever does, and another: the rest pose, or a moment in which any clip stands.

    Args:
        rest: ``[1]`` the rest pose.
    """

    def __init__(self, library: MotionLibrary, character: Character, control_dt: float, rest: CharacterState):
        self.library, self.character, self.rest = library, character, rest
        self._clips, self._times = library.moments(control_dt)  # [U]
        stand = stands(library.state_at(self._clips, self._times), character)
        never = self._clips.bincount(stand.float(), minlength=library.num_clips) == 0
        self._begun, self._left = self._shares(stand | never[self._clips]), self._shares(stand)

    def _shares(self, moments: Tensor) -> Tensor:
        """What moments are drawn by so that all clips that have any of ``moments [U]`` are drawn equally often, ``[U]``."""
        each = self._clips.bincount(moments.float(), minlength=self.library.num_clips)
        return moments / each.clamp_min(1)[self._clips]

    def draw(self, n: int, weights: Tensor, generator: torch.Generator) -> tuple[CharacterState, Tensor]:
        """``n`` states on the way to clips ``[n]``, drawn by ``weights [C]``, at any share of it; half of the ways come from the rest pose."""
        device = self.library.device
        pick = torch.multinomial(weights[self._clips] * self._begun, n, replacement=True, generator=generator)
        here, clips = self.library.state_at(self._clips[pick], self._times[pick]), self._clips[pick]
        resting, share = torch.rand(2, n, generator=generator, device=device)
        there = self.rest[torch.zeros(n, dtype=torch.long, device=device)]
        if self._left.any():
            pick = torch.multinomial(self._left, n, replacement=True, generator=generator)
            there = there.where(resting < 0.5, self.library.state_at(self._clips[pick], self._times[pick]))
        return between(here, there, share, self.character), clips

"""How far a character has strayed from the clip that its episode began on.

A hard motion has a way out that style does not close: many clips hold a few steps, and whoever takes nothing but those is like the clip in part (a walk under a latent of a roll
earns half of what the clip does). Ending an episode that strays, as in DeepMimic (arXiv 1804.02717, early termination), closes it; within what is allowed the character is free.

Shapes: ``N`` characters, ``S`` moments of a clip, ``K`` bodies.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motions.library import MotionLibrary
from motions.skeleton import CharacterState

SHIFTS_S = (-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3)  # nobody keeps exact time


def from_root(state: CharacterState, bodies: Tensor) -> Tensor:
    """Places of ``bodies [K]`` from the point of the floor below the root, ``[..., K, 3]``, world axes, m."""
    pos = state.body_pos_w[..., bodies, :]
    return torch.cat((pos[..., :2] - state.root_pos[..., None, :2], pos[..., 2:]), dim=-1)


def farthest(a: Tensor, b: Tensor) -> Tensor:
    """How far the farthest body of ``a [..., K, 3]`` is from where ``b [..., K, 3]`` has it, once ``b`` is turned about the vertical to fit best (least squares), ``[...]``."""
    along = (a[..., :2] * b[..., :2]).sum((-1, -2))
    across = (a[..., 1] * b[..., 0] - a[..., 0] * b[..., 1]).sum(-1)
    yaw = torch.atan2(across, along).unsqueeze(-1)
    x, y = b[..., 0] * yaw.cos() - b[..., 1] * yaw.sin(), b[..., 0] * yaw.sin() + b[..., 1] * yaw.cos()
    return (a - torch.stack((x, y, b[..., 2].expand_as(x)), dim=-1)).norm(dim=-1).amax(-1)


def straying(state: CharacterState, library: MotionLibrary, clip_ids: Tensor, times_s: Tensor, bodies: Tensor) -> Tensor:
    """How far ``state [N]`` is from ``clip_ids [N]`` at ``times_s [N]``, m, ``[N]``: the farthest of ``bodies [K]``, as seen from below the root, in the best direction and at the
    best of some moments around (`SHIFTS_S`). 0 where there is no clip (negative ids), or none any more: past the end of one that does not go on."""
    known = clip_ids >= 0
    ids = clip_ids.clamp_min(0)
    moments = times_s.unsqueeze(-1) + torch.tensor(SHIFTS_S, device=times_s.device)
    shown = library.state_at(ids.unsqueeze(-1).expand_as(moments), moments)
    away = farthest(from_root(state, bodies).unsqueeze(1), from_root(shown, bodies)).amin(-1)
    return torch.where(known & (library.loops[ids] | (times_s <= library.durations_s[ids])), away, 0.0)

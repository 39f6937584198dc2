"""How feet slide. Nothing in adversarial imitation minds it much: a centimetre a step is little among a hundred features, and is what people see first.

Shapes: ``N`` characters, ``P`` bodies.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from motions.contacts import NEAR_M, slip, sole_points
from motions.skeleton import CharacterState, Skeleton


def foot_slide(before: CharacterState, after: CharacterState, skeleton: Skeleton, feet: Sequence[int], dt: float) -> Tensor:
    """How fast feet slide on the floor, summed over ``feet``, ``[N]`` m/s: the horizontal speed of a foot's sole (`motions.contacts.slip`) between two states ``[N]`` that are
    ``dt`` seconds apart; 0 for a foot that is more than a centimetre above the floor in either."""
    total = torch.zeros_like(after.root_pos[..., 0])
    for foot in feet:
        points = torch.stack([sole_points(skeleton, foot, state.body_pos_w, state.body_mat_w) for state in (before, after)])  # [2, N, S, 3]
        down = (points[..., 2].amin(-1) < NEAR_M).all(0)
        total = total + torch.where(down, slip(points, 1 / dt)[0].norm(dim=-1), 0.0)
    return total

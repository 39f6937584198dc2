"""What one cycle of a looping clip covers."""

from __future__ import annotations

import cmath
import math

import torch

from motions.clip import Clip
from motions.rotations import heading


def cycle_of(clip: Clip) -> tuple[float, float, float]:
    """The planar motion that carries a clip's first frame to its last: yaw in radians, in [-pi, pi), about the origin, then an offset in metres."""
    first, last = heading(torch.from_numpy(clip.root_quat[[0, -1]])).tolist()
    yaw = (last - first + math.pi) % (2 * math.pi) - math.pi
    start, end = (complex(*clip.root_pos[k, :2]) for k in (0, -1))
    offset = end - cmath.rect(1.0, yaw) * start
    return yaw, offset.real, offset.imag

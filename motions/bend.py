"""Clips bent into a turn: their way is laid along an arc, and the body leans into it (motion path editing, Gleicher 2001, with the lean of a point mass)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from motions.clip import Clip
from motions.rotations import heading, quat_exp, quat_mul, yaw_quat

GRAVITY = 9.81  # m/s²


def bend(clip: Clip, turn_rad_s: float) -> Clip:
    """``clip`` turning by ``turn_rad_s`` more than it does, to the left if that is positive. Feet that stand turn with the body.

    The line on the ground below the root becomes an arc, gone along at the same speed; the body leans about it to where it turns, by ``atan(v w / g)`` for the mean speed ``v``
    of the root (m/s) and the turn ``w`` (rad/s).
    """
    seconds = np.arange(clip.num_frames) / clip.fps
    seconds -= seconds[-1] / 2
    steps = np.diff(clip.root_pos[:, 0] + 1j * clip.root_pos[:, 1])
    faces = np.unwrap(heading(torch.from_numpy(clip.root_quat)).numpy())
    own = (faces[-1] - faces[0]) / clip.duration_s
    lean = math.atan(float(np.abs(steps).sum()) / clip.duration_s * turn_rad_s / GRAVITY)
    along = np.exp(1j * (np.angle(steps.sum()) + (own + turn_rad_s) * seconds))  # the way, which has the direction of the whole in its middle
    way = np.concatenate(([0.0], np.cumsum(steps * np.exp(0.5j * turn_rad_s * (seconds[1:] + seconds[:-1])))))
    height, level = clip.root_pos[:, 2], np.zeros_like(seconds)
    way += complex(*clip.root_pos[0, :2]) + 1j * along * height * math.sin(lean)
    turn = yaw_quat(torch.from_numpy(turn_rad_s * seconds))
    tilt = quat_exp(torch.from_numpy(-lean * np.stack((along.real, along.imag, level), axis=-1)))
    root_quat = quat_mul(tilt, quat_mul(turn, torch.from_numpy(clip.root_quat))).numpy()
    return replace(clip, root_pos=np.stack((way.real, way.imag, height * math.cos(lean)), axis=-1), root_quat=root_quat)

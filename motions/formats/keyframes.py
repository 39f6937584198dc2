"""Key frames of one value over time, and what lies between them: in steps, along lines, or along cubic splines.

Shapes: ``n`` key frames, ``T`` times. Source: Khronos glTF 2.0 specification, appendix C.
"""

from __future__ import annotations

import numpy as np
import torch

from motions.rotations import quat_normalize, quat_slerp

HOW = ("STEP", "LINEAR", "CUBICSPLINE")
Track = tuple[np.ndarray, np.ndarray, str]  # times [n], values [n, width] (splines: [n, 3, width]), one of HOW


def sample(track: Track, times: np.ndarray) -> np.ndarray:
    """Values ``[T, width]`` of a track at ``times [T]``, those of its ends before and after it; rotations (width 4) are interpolated along the sphere."""
    keys, values, how = track
    if len(keys) == 1:
        return np.broadcast_to(values[0, 1] if how == "CUBICSPLINE" else values[0], (len(times), values.shape[-1]))
    right = np.clip(np.searchsorted(keys, times, side="right"), 1, len(keys) - 1)
    span = (keys[right] - keys[right - 1])[:, None]
    u = np.clip((times - keys[right - 1])[:, None] / span, 0.0, 1.0)
    if how == "STEP":
        return np.where(u < 1.0, values[right - 1], values[right])
    if how == "CUBICSPLINE":  # each key: tangent before, value, tangent after
        (_, before, leave), (arrive, after, _) = values[right - 1].swapaxes(0, 1), values[right].swapaxes(0, 1)
        return (1 + 2 * u) * (1 - u) ** 2 * before + u * (1 - u) ** 2 * span * leave + u**2 * (3 - 2 * u) * after + u**2 * (u - 1) * span * arrive
    if values.shape[1] == 4:
        q = quat_normalize(torch.from_numpy(values))
        return quat_slerp(q[right - 1], q[right], torch.from_numpy(u)).numpy()
    return (1 - u) * values[right - 1] + u * values[right]

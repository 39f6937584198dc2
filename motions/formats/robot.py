"""What the readers of robot motions share: a tree of bodies from where those bodies were.

Shapes: ``T`` frames, ``B`` bodies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from motions.formats.orient import Raw, normalise
from motions.rotations import quat_conj, quat_mul, quat_rotate_inverse
from motions.source_motion import SourceMotion

RIGID_M = 2e-3  # how far a joint may wander in its parent's frame
MAX_BODIES = 200


def body_motion(
    where: str, names: Sequence[str], pos: np.ndarray, quat: np.ndarray, fps: float, notes: tuple[str, ...], labels: tuple[str, str, str], turn: tuple[str, float, str]
) -> SourceMotion:
    """A `SourceMotion` of bodies that were recorded in the world, z up.

    A body's frame is the one recorded; its parent is the nearest body whose frame it sits still in, of those nearer to the root.

    Args:
        where: the file, for messages. pos: ``[T, B, 3]`` metres. quat: ``[T, B, 4]`` wxyz. labels: name, source, license. turn: the arguments up, scale, forward.

    Raises:
        ValueError: shapes that do not fit, no unit quaternions, or values that are no motion.
    """
    if pos.shape[1] != len(names) or quat.shape[:2] != pos.shape[:2] or not 1 < len(names) <= MAX_BODIES or len(pos) < 2:
        raise ValueError(
            f"{where}: bodies: got {len(names)} names, positions {pos.shape}, quaternions {quat.shape}; expected [T, B, 3] and [T, B, 4] of 2 to {MAX_BODIES} bodies, T >= 2"
        )
    bad = ~(np.isfinite(pos).all((1, 2)) & (np.abs(np.linalg.norm(quat, axis=-1) - 1) < 0.1).all(1))
    if bad.any():
        raise ValueError(f"{where}: bodies: frame {int(bad.argmax())} holds NaN, infinity or no unit quaternion; expected poses")
    order, parents = body_tree(pos, quat)
    names, pos, quat = [names[k] for k in order], pos[:, order], quat[:, order] / np.linalg.norm(quat[:, order], axis=-1, keepdims=True)
    turns, places = torch.from_numpy(quat), torch.from_numpy(pos)
    above = [max(p, 0) for p in parents]
    local = quat_mul(quat_conj(turns[:, above]), turns)
    local[:, 0] = turns[:, 0]
    offsets = quat_rotate_inverse(turns[:, above], places - places[:, above]).mean(0).numpy()
    raw = Raw(labels[0], names, parents, offsets, fps, pos[:, 0], local.numpy(), pos, notes, labels[1], labels[2], default_up="z", default_forward="x")
    return normalise(raw, *turn, known_scale=1.0)


def body_tree(pos: np.ndarray, quat: np.ndarray) -> tuple[list[int], list[int]]:
    """An order of the bodies with parents first (body 0 leads), and each one's parent in that order, -1 for the root."""
    some = np.unique(np.linspace(0, len(pos) - 1, 60).round().astype(int))
    places, turns = torch.from_numpy(pos[some]), torch.from_numpy(quat[some])
    seen = quat_rotate_inverse(turns[:, :, None], places[:, None] - places[:, :, None])  # [t, parent, child, 3]: the child in the parent's frame
    wander, distance = seen.std(0).norm(dim=-1).numpy(), seen.mean(0).norm(dim=-1).numpy()
    cost = np.where(wander < RIGID_M, distance, 10.0 + 100.0 * wander + distance)
    order, parents = [0], [-1]
    while len(order) < pos.shape[1]:
        rest = [b for b in range(pos.shape[1]) if b not in order]
        part = cost[np.ix_(order, rest)]
        row, column = divmod(int(part.argmin()), len(rest))
        order.append(rest[column])
        parents.append(row)
    return order, parents

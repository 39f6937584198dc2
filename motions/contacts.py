"""Feet and the floor: where the floor of a recording is, when a foot rests on it, how much it slides, and how it is held still.

Shapes: ``T`` frames, ``S`` sole points of a foot. World frame z up, metres, seconds. A *sole point* is a bounding point of a foot's geometry, lowered by its radius.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from motions.skeleton import Skeleton

FLAT_M = 0.005  # heights of a resting foot are evened out by as much; what is higher is lifting off
NEAR_M = 0.01  # e-folding height by which sole points count: the lowest bears the foot
LOW_M, SLOW_MPS = 0.03, 0.5  # a foot rests when its lowest point is below and a sole point slower than this
MIN_CONTACT_S, MIN_GAP_S = 0.05, 0.04
MAX_TILT = 0.05  # metres a metre: beyond it the ground is no floor that was measured askew but stairs or obstacles
BLEND_S, EASE_S = 0.25, 0.03
MAX_HOLD_M = 0.04  # a foot that would be shifted further really slides or turns on the spot, and is held in part


@dataclass(frozen=True)
class Floor:
    """The plane ``z = height + slope_x x + slope_y y`` that a recording's feet stand on."""

    height: float
    slope_x: float = 0.0
    slope_y: float = 0.0

    @property
    def tilt(self) -> float:
        """Steepest slope, metres a metre."""
        return float((self.slope_x**2 + self.slope_y**2) ** 0.5)

    def at(self, pos: Tensor) -> Tensor:
        """Height of the plane below ``pos [..., 3]``, ``[...]``."""
        return self.height + self.slope_x * pos[..., 0] + self.slope_y * pos[..., 1]

    def level(self, pos: Tensor) -> Tensor:
        """``pos [..., 3]`` moved vertically so that the plane becomes z = 0."""
        return torch.cat((pos[..., :2], (pos[..., 2] - self.at(pos)).unsqueeze(-1)), dim=-1)


def sole_points(skeleton: Skeleton, foot: int, body_pos_w: Tensor, body_mat_w: Tensor) -> Tensor:
    """Sole points of body ``foot`` in the world, ``[T, S, 3]``, from poses ``[T, P, 3]``, ``[T, P, 3, 3]``."""
    mine = skeleton.point_bodies == foot
    points = body_pos_w[:, foot, None] + skeleton.point_offsets[mine].to(body_pos_w) @ body_mat_w[:, foot].transpose(-1, -2)
    return torch.cat((points[..., :2], points[..., 2:] - skeleton.point_radii[mine].to(points)[:, None]), dim=-1)


def step_velocity(points: Tensor, fps: float) -> Tensor:
    """Velocity of points ``[T, S, 3]`` from each frame to the next, ``[T - 1, S, 3]`` m/s."""
    return (points[1:] - points[:-1]) * fps


def bearing(points: Tensor) -> Tensor:
    """How much each of sole points ``[T, S, 3]`` bears the foot, ``[T, S]``, sum 1: ``exp(-height / NEAR_M)``, normalised."""
    return torch.softmax(-points[..., 2] / NEAR_M, dim=-1)


def slip(points: Tensor, fps: float) -> Tensor:
    """Horizontal velocity with which a foot slides from each frame to the next: that of its sole points, weighted by their mean `bearing`; ``[T - 1, 2]`` m/s."""
    weight = bearing(points)
    return (0.5 * (weight[1:] + weight[:-1]).unsqueeze(-1) * step_velocity(points, fps)[..., :2]).sum(-2)


def find_contacts(points: Tensor, fps: float, low_m: float = LOW_M, slow_mps: float = SLOW_MPS) -> Tensor:
    """When a foot rests on the floor z = 0, ``[T]`` bool: its lowest sole point is below ``low_m`` and its slowest below ``slow_mps``; gaps under `MIN_GAP_S` are
    closed, then contacts under `MIN_CONTACT_S` dropped."""
    speed = step_velocity(points, fps).norm(dim=-1).amin(-1)
    speed = torch.maximum(torch.cat((speed[:1], speed)), torch.cat((speed, speed[-1:]))) if len(speed) else points.new_zeros(len(points))
    rests = (points[..., 2].amin(-1) < low_m) & (speed < slow_mps)
    rests = _drop_short(rests, True, MIN_GAP_S * fps)
    return _drop_short(rests, False, MIN_CONTACT_S * fps)


def _drop_short(flags: Tensor, fill: bool, frames: float) -> Tensor:
    """``flags [T]`` with runs of ``not fill`` shorter than ``frames`` set to ``fill`` where both neighbours are."""
    out = flags.clone()
    for first, last in runs(flags != fill):
        if last - first < frames and first > 0 and last < len(flags):
            out[first:last] = fill
    return out


def runs(flags: Tensor) -> list[tuple[int, int]]:
    """First frame and the frame after the last of each run of true ``flags [T]``."""
    edge = torch.diff(flags.int(), prepend=torch.zeros(1, dtype=torch.int32), append=torch.zeros(1, dtype=torch.int32))
    return list(zip((edge == 1).nonzero().flatten().tolist(), (edge == -1).nonzero().flatten().tolist(), strict=True))


def find_floor(soles: list[Tensor], lowest: Tensor, fps: float) -> Floor:
    """The floor of a motion in which nobody said where it is.

    Feet that rest somewhere low (within 5 cm of the lowest point of the body within a second) stand on it: the plane through their lowest points in the least squares,
    outliers weighted down; level where they stood in one place or the plane tilts by more than `MAX_TILT`. Without such feet: the 5 % quantile of ``lowest``.

    Args:
        soles: sole points ``[T, S, 3]`` of each foot. lowest: ``[T]`` height of the body's lowest point.
    """
    window = 2 * round(fps) + 1
    around = -torch.nn.functional.max_pool1d(-lowest[None, None], window, stride=1, padding=window // 2)[0, 0]
    found = []
    for points in soles:
        shifted = torch.cat((points[..., :2], points[..., 2:] - around[:, None, None]), dim=-1)
        rests = find_contacts(shifted, fps, 0.05, SLOW_MPS / 2)
        found.append(points[rests].gather(1, points[rests][..., 2].argmin(-1)[:, None, None].expand(-1, 1, 3)).squeeze(1))
    places = torch.cat(found)
    if len(places) < 3:
        return Floor(float(lowest.quantile(0.05)))
    centre = places[:, :2].median(0).values
    a = torch.cat((torch.ones_like(places[:, :1]), places[:, :2] - centre), dim=1)
    weight = torch.ones_like(places[:, 0])
    ridge = torch.diag(torch.tensor([0.0, 1.0, 1.0], dtype=places.dtype)) * 0.02 * len(places)  # as much as 0.02 m^2 of spread: one place says nothing of slope
    for _ in range(10):
        fit = torch.linalg.solve(a.t() @ (weight[:, None] * a) + ridge, a.t() @ (weight * places[:, 2]))
        weight = 1 / (1 + ((places[:, 2] - a @ fit) / NEAR_M) ** 2)
    if float(fit[1:].norm()) > MAX_TILT:
        return Floor(float(places[:, 2].median()))
    return Floor(float(fit[0] - fit[1:] @ centre), float(fit[1]), float(fit[2]))


def hold(points: Tensor, rests: Tensor, fps: float) -> Tensor:
    """By how much to move a foot so that it neither slides nor sinks, ``[T, 3]`` metres.

    While it rests, the shift takes back its `slip` (fully from `EASE_S` after the beginning to as long before the end, so that speeds do not jump; zero on average over the
    contact) and brings its lowest point to z = 0, but for the parts of a contact in which the foot is being set down or lifted. Between contacts it goes from one
    shift to the next along a cubic that continues the speeds at both ends, and is raised further where the foot would cut through the floor.

    Args:
        points: sole points ``[T, S, 3]``. rests: ``[T]`` from `find_contacts`.
    """
    shift = points.new_zeros(len(points), 3)
    slide, low = slip(points, fps) / fps, points[..., 2].amin(-1)
    spans = runs(rests)
    for first, last in spans:
        frame = torch.arange(last - first - 1, dtype=slide.dtype)
        eased = (torch.minimum(frame + 1, last - first - 1 - frame) / (1 + EASE_S * fps)).clamp_max(1.0)[:, None]
        moved = -torch.cat((slide.new_zeros(1, 2), slide[first : last - 1] * eased)).cumsum(0)
        moved = moved - moved.mean(0)
        shift[first:last, :2] = moved * (MAX_HOLD_M / moved.norm(dim=-1).max().clamp_min(MAX_HOLD_M))
        height = low[first:last].median()
        shift[first:last, 2] = -height - (low[first:last] - height).clamp(-FLAT_M, FLAT_M)
    for (begin, end), (start, stop) in pairwise(spans):
        shift[end:start] = _bridge(shift[begin:end], shift[start:stop], start - end, fps)
    if spans:
        shift[: spans[0][0]], shift[spans[-1][1] :] = shift[spans[0][0]], shift[spans[-1][1] - 1]
    shift[:, 2] += lift(low + shift[:, 2], fps)
    return shift


def lift(low: Tensor, fps: float, spread_s: float = 0.03) -> Tensor:
    """The smooth rise ``[T]`` that keeps a part whose lowest point is at heights ``low [T]`` above z = 0: never less than it sinks, spread over ``spread_s`` to both
    sides (its largest value within that time, averaged over as much)."""
    reach = max(1, round(spread_s * fps))
    wide = torch.nn.functional.max_pool1d((-low).clamp_min(0.0)[None, None], 2 * reach + 1, stride=1, padding=reach)
    return torch.nn.functional.avg_pool1d(torch.nn.functional.pad(wide, (reach, reach), mode="replicate"), 2 * reach + 1, stride=1)[0, 0]


def _bridge(before: Tensor, after: Tensor, frames: int, fps: float) -> Tensor:
    """``frames`` values ``[frames, 3]`` between the last of ``before`` and the first of ``after``: a cubic with the speeds that both have there over at most
    `BLEND_S`, so that a long swing is not carried away by them."""
    t = torch.arange(1, frames + 1, dtype=before.dtype)[:, None] / (frames + 1)
    span = min(frames + 1, round(BLEND_S * fps))
    start = (before[-1] - before[-2]) * span if len(before) > 1 else torch.zeros_like(before[-1])
    end = (after[1] - after[0]) * span if len(after) > 1 else torch.zeros_like(after[0])
    one = 1 - t
    return (1 + 2 * t) * one**2 * before[-1] + t * one**2 * start + t**2 * (3 - 2 * t) * after[0] - t**2 * one * end

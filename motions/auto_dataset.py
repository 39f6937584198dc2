"""A dataset written for a set of clips: weights balanced by length and by similarity, each explained in a comment."""

from __future__ import annotations

import math
from collections.abc import Sequence

import yaml

from motions.check import FLOOR_QUANTILE, FLOOR_TOLERANCE_M, lowest_points
from motions.clip import MIRROR, Clip
from motions.measures import clip_distance
from motions.skeleton import Skeleton

KIN_RAD = 0.3  # distance at which two clips count as 1/e of the same motion
FULL_S = 10.0  # beyond this length a clip weighs no more

HEADER = """# Written from {count} clips ({seconds:.1f} s) with balanced weights; edit as you like.
#
# weight = length / company, scaled so that the mean is 1
#   length:  sqrt(seconds), at most sqrt({full:g}): a clip four times as long holds more to learn, but not four times as much
#   company: how many clips of its kind there are: itself and exp(-(d / {kin:g})^2) of every other, d being the root mean square joint angle between
#            them in radians. Two equal clips share the weight of one, so that a common motion does not crowd out a rare one.
"""


def balanced_weights(seconds: Sequence[float], distances: Sequence[Sequence[float]]) -> list[float]:
    """Weights ``length / company`` with mean 1 (see `HEADER`), from lengths in seconds and distances in radians between clips."""
    company = [sum(math.exp(-((d / KIN_RAD) ** 2)) for d in row) for row in distances]
    raw = [math.sqrt(min(s, FULL_S)) / c for s, c in zip(seconds, company, strict=True)]
    return [len(raw) * r / sum(raw) for r in raw]


def auto_dataset(clips: Sequence[Clip], skeleton: Skeleton) -> str:
    """A dataset's YAML text for clips. Mirror images of clips that are there are left to ``mirror: true``; ``ground: true`` is set if any clip is off the floor.

    Raises:
        ValueError: no clips, or two of one name.
    """
    names = [clip.name for clip in clips]
    if not clips or len(set(names)) != len(names):
        raise ValueError(f"dataset: got clips {', '.join(names) or 'none'}; expected at least one, each name once")
    mirrored = any(name.endswith(MIRROR) and name.removesuffix(MIRROR) in names for name in names)
    used = [clip for clip in clips if not (clip.name.endswith(MIRROR) and clip.name.removesuffix(MIRROR) in names)]
    distances = [[0.0] * len(used) for _ in used]
    for k, a in enumerate(used):
        for j, b in enumerate(used[:k]):
            distances[k][j] = distances[j][k] = clip_distance(a, b, skeleton)
    weights = balanced_weights([clip.duration_s for clip in used], distances)
    ground = any(abs(float(lowest_points(clip, skeleton).quantile(FLOOR_QUANTILE))) > FLOOR_TOLERANCE_M for clip in used)
    lines = [HEADER.format(count=len(used), seconds=sum(clip.duration_s for clip in used), full=FULL_S, kin=KIN_RAD)]
    if ground:
        lines.append("ground: true  # some clips float or sink by more than 1 cm")
    if mirrored or not any(name.endswith(MIRROR) for name in names):
        lines.append("mirror: true  # each clip's mirror image as well")
    lines.append("clips:")
    keys = [yaml.safe_dump({clip.name: 0}, width=1000, allow_unicode=True).rsplit(":", 1)[0] for clip in used]  # in quotes where YAML would take a name for a number
    width = max(map(len, keys)) + 8
    for clip, key, weight, row in zip(used, keys, weights, distances, strict=True):
        near = sorted((d, other.name) for d, other in zip(row, used, strict=True) if other is not clip and d < KIN_RAD)
        kin = f"like {', '.join(f'{name} ({d:.2f})' for d, name in near[:3])}" if near else "like no other"
        lines.append(f"  {f'{key}: {max(weight, 0.01):.2f}':{width}}  # {clip.duration_s:.1f} s, {kin}")
    return "\n".join(lines) + "\n"

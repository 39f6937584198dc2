"""Has a training come to its end? A plateau test of its learning curves, in place of a look at them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, variance

SHARE = 0.2  # the last so many of a curve's points are compared with as many before them
WORTH = 0.02  # a change by less than this share of a curve's size is none
SURE = 3.0  # and by less than so many standard errors neither
COLLAPSED = 0.5  # clip coverage below which the verdict names what is left
RISING = ("reward/style", "reward/skill", "episode/mean_steps")  # curves that rise while skills are still learned


def gain(values: Sequence[float]) -> float:
    """By how much the last fifth of a curve lies above the fifth before it, as a share of the larger of the two in size; 0 where that is no more than noise or a
    fiftieth, or with fewer than ten points. Points are averaged in at most 50 blocks first, since neighbours are alike."""
    blocks = _blocks([v for v in values if math.isfinite(v)])
    n = max(2, round(SHARE * len(blocks)))
    if len(blocks) < max(10, 2 * n):
        return 0.0
    late, early = blocks[-n:], blocks[-2 * n : -n]
    change = fmean(late) - fmean(early)
    error = math.sqrt((variance(late) + variance(early)) / n)
    size = max(abs(fmean(late)), abs(fmean(early)), 1e-9)
    return change / size if abs(change) > max(SURE * error, WORTH * size) else 0.0


def _blocks(values: Sequence[float], most: int = 50) -> list[float]:
    """Means of at most ``most`` consecutive blocks of equal length; the first values are left out where they do not fill one."""
    length = max(1, len(values) // most)
    first = len(values) % length
    return [fmean(values[k : k + length]) for k in range(first, len(values), length)]


def verdict(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], clips: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """``verdict`` and ``detail`` of a training.

    Args:
        curves: samples and values by name; those of `RISING` count. clips: by name, with ``covered``: what `ase.evaluate.evaluate` found.

    Returns:
        ``collapsed onto ...`` when fewer than half of the clips are played, else ``still improving`` when a curve still rises, else ``converged``; ``unknown`` without curves.
    """
    played = [name for name, clip in clips.items() if clip["covered"]]
    gains = {name: gain(curves[name][1]) for name in RISING if name in curves}
    detail = ", ".join(f"{name} {by:+.1%}" for name, by in gains.items()) + " from the last but one fifth of the training to the last" if gains else "no learning curves"
    if len(clips) > 1 and len(played) < COLLAPSED * len(clips):
        return {"verdict": f"collapsed onto {', '.join(played) or 'none of the clips'}", "detail": detail}
    if not gains:
        return {"verdict": "unknown", "detail": detail}
    return {"verdict": "still improving" if max(gains.values()) > 0 else "converged", "detail": detail}

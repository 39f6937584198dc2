"""Measures over several seeds: their means, and how far off those may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import Any

import torch
from scipy.stats import t

from ase.transitions import transition_coverage

LEVEL = 0.95
ENDS: dict[str, Callable[[list[float]], float]] = {"min": min, "max": max, "mean": fmean}
COUNTS = ("seed", "num_latents", "replicas", "seconds", "diverged")


def over_seeds(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One dictionary of measures from those of each seed.

    Numbers become their mean, and in ``confidence`` stands half the width of their 95 % confidence interval (Student's t) where there are two seeds or more. Dictionaries of a
    mean, a minimum or a maximum are merged likewise, and so are clips' shares (``covered``: by at least half of the seeds); falls by start and counts of transitions are added up,
    and their coverage is that of the sum. Anything else is that of the first seed. ``diverged`` is the sum, ``seeds`` how many there are.
    """
    merged: dict[str, Any] = {}
    confidence: dict[str, float] = {}
    for key, first in parts[0].items():
        values = [part[key] for part in parts if part.get(key) is not None]
        merged[key] = _merge(key, values) if values else first
        if values and isinstance(first, int | float) and key not in COUNTS and len(values) > 1:
            confidence[key] = round(half_width(values), 4)
    if "transitions" in merged:
        merged["transition_coverage"] = transition_coverage(torch.tensor(merged["transitions"]["counts"]))
        confidence.pop("transition_coverage", None)
    return merged | {"seeds": len(parts), "confidence": confidence}


def half_width(values: Sequence[float]) -> float:
    """Half the width of the 95 % confidence interval of the mean of ``values`` (at least two), by Student's t."""
    return float(t.ppf(0.5 + LEVEL / 2, len(values) - 1)) * stdev(values) / math.sqrt(len(values))


def _merge(key: str, values: list[Any]) -> Any:
    first = values[0]
    if key == "diverged":
        return sum(values)
    if key == "clips":
        return {name: _clip([value[name] for value in values]) for name in first}
    if key == "falls_by_start":
        names = {name: None for value in values for name in value}
        return {name: {count: sum(value[name][count] for value in values if name in value) for count in ("rollouts", "fell")} for name in names}
    if key == "transitions":
        together = [[sum(cells) for cells in zip(*rows, strict=True)] for rows in zip(*(value["counts"] for value in values), strict=True)]
        return first | {"counts": together}
    if isinstance(first, dict) and "mean" in first:
        return {name: _end(name, [value[name] for value in values if value[name] is not None]) if name in ENDS else old for name, old in first.items()}
    if isinstance(first, int | float) and key not in COUNTS:
        return fmean(values)
    return first


def _end(name: str, values: list[float]) -> float | None:
    return round(ENDS[name](values), 4) if values else None


def _clip(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "covered": 2 * sum(clip["covered"] for clip in found) >= len(found),
        "best_share": round(fmean(clip["best_share"] for clip in found), 4),
        "share": round(fmean(clip["share"] for clip in found), 4),
    }

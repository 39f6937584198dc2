"""Pictures of what was measured, by matplotlib's objects. Shapes: ``C`` clips, ``L`` latents."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

Curve = tuple[Sequence[int], Sequence[float]]  # control steps and values

COVERED, MISSED, NONE = "#2b6cb0", "#c05a0e", "#9aa5b1"
# Hues of equal standing, neighbours far apart: a clip and its mirror image share one.
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#555555", "#98df8a", "#f7b6d2", "#393b79", "#ad8a00", "#aec7e8")
MARKERS = ("o", "s", "P", "D")
MIRROR, MIRROR_MARKERS = "_mirror", ("^", "v", "X", "*")
CURVES = {
    "reward/style": "style reward",
    "reward/skill": "skill reward",
    "reward/task": "task reward",
    "episode/mean_steps": "steps per episode",
    "episode/falls_per_1000_steps": "falls per 1,000 steps",
}


def svg(figure: Figure) -> bytes:
    """A figure as an SVG file that refers to nothing outside; letters are outlines."""
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return out.getvalue()


def plain(name: str) -> str:
    """A name in which matplotlib finds no formula."""
    return name.replace("$", r"\$")


def coverage_figure(clips: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Share of all seconds that are nearest to each clip, from what `ase.evaluate` says of each (``covered``, ``share``)."""
    names, shares, covered = list(clips), [100 * clip["share"] for clip in clips.values()], [clip["covered"] for clip in clips.values()]
    figure = Figure(figsize=(10, 1.1 + 0.26 * len(names)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(range(len(names)), shares, height=0.72, color=[COVERED if yes else MISSED for yes in covered])
    for bar, yes in zip(bars, covered, strict=True):
        bar.set_hatch("" if yes else "////")
        bar.set_edgecolor("white")
    axes.bar_label(bars, labels=[f"{share:.1f}" for share in shares], padding=4, fontsize=8.5)
    axes.set_yticks(range(len(names)), labels=[plain(name) for name in names], fontsize=9)
    for label, yes in zip(axes.get_yticklabels(), covered, strict=True):
        label.set_color("black" if yes else MISSED)
    axes.set(xlabel="% of all seconds", ylim=(len(names) - 0.4, -0.6), xlim=(0, 1.1 * max(*shares, 1e-3)))
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    keys = [Patch(facecolor=COVERED), Patch(facecolor=MISSED, hatch="////", edgecolor="white")]
    figure.legend(keys, ["covered", "not covered"], loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    return figure


def transition_shares(counts: Sequence[Sequence[int]] | np.ndarray) -> np.ndarray:
    """Of the changes from clip ``i`` (row) the share that led to clip ``j`` (column), ``[C, C]``, from their counts; NaN where none began."""
    table = np.asarray(counts, dtype=float)
    total = table.sum(1, keepdims=True)
    return np.divide(table, total, out=np.full_like(table, np.nan), where=total > 0)


def transition_figure(transitions: Mapping[str, Any]) -> Figure:
    """`transition_shares` as a table of colours with the counts; the clip before the change on the left, the one after it at the top."""
    names, counts = [plain(name) for name in transitions["clips"]], np.asarray(transitions["counts"], dtype=int)
    shares, n = transition_shares(counts), len(names)
    side = 2.6 + 0.34 * n
    figure = Figure(figsize=(side + 1.0, side), layout="constrained")
    axes = figure.subplots()
    mesh = axes.pcolormesh(np.ma.masked_invalid(100 * shares), cmap=colormaps["Blues"].with_extremes(bad="#f4f4f4"), vmin=0, edgecolors="#e6ebf0", linewidth=0.5)
    half = np.nanmax(shares, initial=0.0) / 2
    for i, j in zip(*np.nonzero(counts), strict=True):
        axes.text(j + 0.5, i + 0.5, str(counts[i, j]), ha="center", va="center", fontsize=7.5 if n > 9 else 9, color="white" if shares[i, j] > half else "#22313f")
    axes.set_xticks(np.arange(n) + 0.5, labels=names, rotation=90, fontsize=9)
    axes.set_yticks(np.arange(n) + 0.5, labels=names, fontsize=9)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.set(xlabel="to", ylabel="from", aspect="equal")
    axes.xaxis.set_label_position("top")
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    figure.colorbar(mesh, ax=axes, shrink=0.6, label="% of the changes from a clip")
    return figure


def clip_marks(names: Sequence[str]) -> list[tuple[str, str]]:
    """A colour and a marker for each clip, no two alike up to 60 clips and their mirror images; a clip and its mirror image share the colour."""
    bases = list(dict.fromkeys(name.removesuffix(MIRROR) for name in names))
    marks = []
    for name in names:
        kind, colour = divmod(bases.index(name.removesuffix(MIRROR)), len(COLOURS))
        markers = MIRROR_MARKERS if name.endswith(MIRROR) else MARKERS
        marks.append((COLOURS[colour], markers[kind % len(markers)]))
    return marks


def latent_map_figure(latent_map: Mapping[str, Any], names: Sequence[str]) -> Figure:
    """Latents on a plane, coloured by the clip that each plays.

    Args:
        latent_map: ``xy [L, 2]`` and ``nearest [L]``, the clip's index, -1 for none. names: of the clips ``[C]``.
    """
    xy, nearest = np.asarray(latent_map["xy"], dtype=float).reshape(-1, 2), np.asarray(latent_map["nearest"], dtype=int)
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    axes = figure.subplots()
    keys, labels = [], []
    for k, (colour, marker) in enumerate([*clip_marks(names), (NONE, "x")]):
        mine = nearest == (k if k < len(names) else -1)
        if not mine.any():
            continue
        axes.scatter(xy[mine, 0], xy[mine, 1], s=46, color=colour, marker=marker, alpha=0.9)
        keys.append(Line2D([], [], linestyle="none", marker=marker, color=colour, markersize=7))
        labels.append(f"{plain(names[k]) if k < len(names) else 'none'} ({mine.sum()})")
    axes.set(xlabel="first main component", ylabel="second main component", aspect="equal")
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(keys, labels, loc="outside right upper", fontsize=9, frameon=False, title="nearest clip (latents)", title_fontsize=9, alignment="left")
    return figure


def running_mean(values: Sequence[float]) -> np.ndarray:
    """Mean of each value and up to a twentieth of all before it, at most 25; as many as ``values``."""
    width = int(np.clip(len(values) // 20, 1, 25))
    total = np.concatenate(([0.0], np.cumsum(values)))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - width, 0)
    return (total[ends] - total[starts]) / (ends - starts)


def curves_figure(runs: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """Learning curves of one or more runs, a panel for each scalar: every value pale, their running mean on top. ``runs``: scalars' curves by name, by the run's name."""
    scalars = [key for key in dict.fromkeys((*CURVES, *(key for curves in runs.values() for key in curves))) if any(key in curves for curves in runs.values())]
    columns = min(2, len(scalars))
    figure = Figure(figsize=(10, 0.4 + 2.7 * -(-len(scalars) // columns)), layout="constrained")
    panels = list(figure.subplots(-(-len(scalars) // columns), columns, squeeze=False).flat)
    keys = [Line2D([], [], color=COLOURS[k % len(COLOURS)], linewidth=2) for k in range(len(runs))]
    for panel, key in zip(panels[: len(scalars)], scalars, strict=True):
        for line, curves in zip(keys, runs.values(), strict=True):
            if key not in curves:
                continue
            millions, values = np.asarray(curves[key][0]) / 1e6, curves[key][1]
            panel.plot(millions, values, color=line.get_color(), alpha=0.25, linewidth=0.8)
            panel.plot(millions, running_mean(values), color=line.get_color(), linewidth=1.8)
        panel.set_title(plain(CURVES.get(key, key)), fontsize=10, loc="left")
        panel.set_xlabel("million control steps", fontsize=9)
        panel.tick_params(labelsize=8.5)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(scalars) :]:
        panel.set_axis_off()
    if len(runs) > 1:
        figure.legend(keys, [plain(name) for name in runs], loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    return figure

"""What the numbers that ``run.py evaluate`` writes are called, what they mean, and which of two is the better one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HIGH, LOW, ONE, NEITHER = "higher is better", "lower is better", "1 is best", ""
ABSENT = "–"


@dataclass(frozen=True)
class Measure:
    """``key`` leads to a number (or a mean, or a word) in a dictionary of measures, dots to inner ones; ``better`` is one of `HIGH`, `LOW`, `ONE`, `NEITHER`."""

    key: str
    name: str
    why: str
    better: str = NEITHER
    form: str = "{:.3f}"

    def value(self, measures: Mapping[str, Any]) -> float | None:
        """The number, or the mean of those that were taken together; None if it is absent or none."""
        found = self._find(measures)
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found) else None

    def _find(self, measures: Mapping[str, Any]) -> Any:
        found: Any = measures
        for part in self.key.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found.get("mean") if isinstance(found, Mapping) else found

    def spread(self, measures: Mapping[str, Any]) -> float | None:
        """What stands after ±: of skills half the width of the 95 % confidence interval, of task controllers the standard deviation between seeds."""
        wide = measures.get("confidence", {}).get(self.key)
        if wide is None and isinstance(measures.get(self.key), Mapping):
            wide = measures[self.key].get("std")
        return float(wide) if wide is not None and math.isfinite(wide) else None

    def text(self, measures: Mapping[str, Any]) -> str:
        """The number for people, or the word that stands there; `ABSENT` if there is none."""
        value, spread, found = self.value(measures), self.spread(measures), self._find(measures)
        if value is None:
            return found if isinstance(found, str) and found else ABSENT
        return self.form.format(value) + (f" ± {self.form.format(spread)}" if spread is not None else "")


PERCENT, SPEED = "{:.1%}", "{:.2f}"
MEASURES = (
    Measure("task", "task", "what the controller was trained for"),
    Measure("convergence.verdict", "training", "whether its learning curves still rise, and what was learned"),
    Measure("normalized_return", "return", "what the task paid over the most it can pay; nothing is paid after a fall", HIGH),
    Measure("success_rate", "targets met", "share of targets that the character was at when their time ended", HIGH, PERCENT),
    Measure("fall_rate", "falls", "share of rollouts or episodes that end in a fall", LOW, PERCENT),
    Measure("overruled", "overruled", "share of the time in which the guard has the policy act under another latent than that asked for", LOW, PERCENT),
    Measure("clip_coverage", "clip coverage", "share of clips that fill at least a quarter of some latent's seconds", HIGH, PERCENT),
    Measure(
        "transition_coverage",
        "transition coverage",
        "share of the ordered pairs of different clips that followed each other when the latent changed, over all seeds",
        HIGH,
        PERCENT,
    ),
    Measure(
        "begun_from_rest",
        "begun from standing",
        "share of clips that who begins in the rest pose plays under their own latents, for at least a quarter of the time after two seconds",
        HIGH,
        PERCENT,
    ),
    Measure("transition_fall_rate", "falls in transitions", "share of rollouts with a change of latent that end in a fall", LOW, PERCENT),
    Measure("style_reward", "style reward", "how much like the clips it is asked for, by the run's own discriminator", HIGH),
    Measure("likeness", "likeness", "the same whatever clip was asked for", HIGH),
    Measure("heldout_disc_accuracy", "told from clips", "accuracy of a discriminator trained afterwards, on motion it had not seen; 50 % is chance", LOW, PERCENT),
    Measure("heldout_disc_noise", "told through noise", "noise through which it is right in 75 %, in standard deviations: how far the motion is from the clips", LOW, "{:.2f}"),
    Measure("joint_error_deg", "joints off, degrees", "mean angle between joints and the nearest pose of the clip that is asked for, under the clips' own latents", LOW, "{:.1f}"),
    Measure("frechet_distance", "Fréchet distance", "of poses to the clips' poses, both taken as normal distributions", LOW, "{:.2f}"),
    Measure("earth_movers_distance", "earth mover's distance", "mean distance of poses to the clips' poses when paired as well as possible, in standard deviations", LOW),
    Measure("retrieval_top1", "latent recognised", "how often the encoder picks the latent that acted out of 16", HIGH, PERCENT),
    Measure("latent_cosine", "latent cosine", "mean cosine of the latent that acted and what the encoder reads from the motion", HIGH),
    Measure("diversity", "diversity", "mean distance of motion under different latents, in standard deviations", HIGH),
    Measure("within_latent", "spread within a latent", "the same under one latent, from different starts", LOW),
    Measure("speed_m_s.min", "slowest latent, m/s", "speed over the ground", NEITHER, SPEED),
    Measure("speed_m_s", "mean speed, m/s", "over all latents", NEITHER, SPEED),
    Measure("speed_m_s.max", "fastest latent, m/s", "speed over the ground", NEITHER, SPEED),
    Measure("turn_rad_s.min", "sharpest right turn, rad/s", "mean yaw rate of a latent; left is positive", NEITHER, "{:+.2f}"),
    Measure("turn_rad_s.max", "sharpest left turn, rad/s", "mean yaw rate of a latent; left is positive", NEITHER, "{:+.2f}"),
    Measure("foot_skate_m_s", "foot skate, m/s", "mean speed at which resting feet slide", LOW),
    Measure("clip_foot_skate_m_s", "foot skate of the clips, m/s", "the same of the clips"),
    Measure("foot_skate_ratio", "foot skate by that of the clips", "below 1: feet slide less than in the clips", LOW, "{:.2f}"),
    Measure("jerk_m_s3", "jerk, m/s³", "mean third derivative of the position of key bodies, such as hands and feet", NEITHER, "{:.0f}"),
    Measure("clip_jerk_m_s3", "jerk of the clips, m/s³", "the same of the clips", NEITHER, "{:.0f}"),
    Measure("jerk_ratio", "jerk by that of the clips", "above 1: shakier than the clips", ONE, "{:.2f}"),
    Measure("limit_pressing", "joints at their limits", "share of joints and frames within a degree of the end of their range", LOW, PERCENT),
    Measure("clip_limit_pressing", "the clips' joints at their limits", "the same of the clips", NEITHER, PERCENT),
    Measure("power_w_kg", "power, W/kg", "mean positive power of the actuators by the body's mass", NEITHER, "{:.2f}"),
    Measure("push_survival", "pushes survived", "share of pushes after which the character is on its feet", HIGH, PERCENT),
    Measure("push_recovery_time_s", "time to recover from a push, s", "mean of those that recover", LOW, "{:.2f}"),
    Measure("push_trials", "pushes", "characters that stood when they were pushed", NEITHER, "{:.0f}"),
    Measure("throw_survival", "throws survived", "share of thrown boxes after which the character is on its feet", HIGH, PERCENT),
    Measure("throw_recovery_time_s", "time to recover from a throw, s", "mean of those that recover", LOW, "{:.2f}"),
    Measure("throw_trials", "throws", "characters that stood when a box came", NEITHER, "{:.0f}"),
    Measure("fallen_recovery", "got up", "share of characters that start on the floor and get to their feet", HIGH, PERCENT),
    Measure("fallen_recovery_time_s", "time to get up, s", "mean of those that get up", LOW, "{:.2f}"),
    Measure("fallen", "starts on the floor", "characters that were laid there", NEITHER, "{:.0f}"),
    Measure("diverged", "diverged", "simulations that blew up and were started anew", LOW, "{:.0f}"),
    Measure("num_latents", "latents", "how many were tried", NEITHER, "{:.0f}"),
    Measure("replicas", "rollouts of a latent", "from different starts", NEITHER, "{:.0f}"),
    Measure("episodes", "episodes", "of each seed", NEITHER, "{:.0f}"),
    Measure("seeds", "seeds", "each with latents, starts and targets of its own", NEITHER, "{:.0f}"),
    Measure("seconds", "seconds", "length of a rollout or episode", NEITHER, "{:g}"),
    Measure("seed", "first seed", "what latents and starts were drawn from", NEITHER, "{:.0f}"),
)


def measures_in(*runs: Mapping[str, Any]) -> list[Measure]:
    """Those of `MEASURES` that any of the runs has, then numbers that are not described there, under their keys."""
    known = {m.key.partition(".")[0] for m in MEASURES}
    others = [Measure(key, key, "") for key in dict.fromkeys(key for run in runs for key in run) if key not in known]
    return [m for m in MEASURES if any(m.text(run) != ABSENT for run in runs)] + [m for m in others if any(m.value(run) is not None for run in runs)]


@dataclass(frozen=True)
class Row:
    """A measure of several runs: what is shown, the numbers and what stands after ± (None: absent), and the indices of the best runs."""

    measure: Measure
    texts: tuple[str, ...]
    values: tuple[float | None, ...]
    spreads: tuple[float | None, ...]
    best: frozenset[int]


def compare(runs: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A row for every measure that any of the runs has. Controllers of different tasks are not compared: none is best."""
    same = len({run.get("task") for run in runs}) == 1
    rows = []
    for m in measures_in(*runs):
        values = tuple(m.value(run) for run in runs)
        shown = [None if v is None else m.form.format(v) for v in values]
        rows.append(Row(m, tuple(m.text(run) for run in runs), values, tuple(m.spread(run) for run in runs), best_of(values, shown, m.better if same else NEITHER)))
    return rows


def best_of(values: Sequence[float | None], shown: Sequence[str | None], better: str) -> frozenset[int]:
    """Indices of the best of ``values``; those that are shown alike are equally good. None where nothing is better, or all are as good."""
    known = [k for k, value in enumerate(values) if value is not None]
    if not better or not known:
        return frozenset()
    badness = {HIGH: lambda v: -v, LOW: lambda v: v, ONE: lambda v: abs(v - 1.0)}[better]
    top = min(known, key=lambda k: badness(values[k]))
    best = frozenset(k for k in known if shown[k] == shown[top])
    return best if len(best) < len(known) else frozenset()

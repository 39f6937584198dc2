"""A clip's marks: everything `motions.measures` and `motions.check` measure, a score from it, a verdict, and what to do.

Formulas: see `Measures`. Score: 100 minus, for each rule of `RULES`, its weight times how far the measure has gone from ``good`` (nothing) to ``bad`` (all of it),
linearly. A clip of 85 or more is good, of 60 or more usable, below that poor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from motions.check import FLOOR_QUANTILE, SPIKE_RATIO, copied_share, drop_duplicate_frames, seam_jump, spike_ratios
from motions.clip import Clip
from motions.measures import clip_distance, fallen, foot_skate, joint_excess, self_penetration, spike_count
from motions.skeleton import Skeleton

GOOD, USABLE = 85.0, 60.0
SINK_QUANTILE = 0.99  # a few bad frames do not condemn a clip
NEAR_RAD = 0.1  # root mean square angle below which two clips are nearly the same


@dataclass(frozen=True)
class Measures:
    """What is measured of a clip.

    Attributes:
        duration_s, fps: of the clip without frames that only double its rate.
        limit_deg: the furthest a joint is outside its limits. limit_share: share of frames with a joint outside.
        penetration_cm: how deep the lowest point is below the floor, 99 % quantile over frames. floating_cm: how high it stays above, 5 % quantile; both at least 0.
        skate_mps: mean speed at which resting feet slide.
        spikes_per_s: glitches a second: frames whose step exceeds its neighbours' by more than `motions.check.SPIKE_RATIO`; adjacent ones count once.
        self_penetration_cm: how deep the two most overlapping parts of the body are in each other, 99 % quantile over frames.
        duplicate_share: share of frames that repeat the one before.
        seam_deg: largest jump of a joint at the loop's seam.
        fallen_share: share of frames with a body below its fall height.
    """

    duration_s: float
    fps: float
    limit_deg: float
    limit_share: float
    penetration_cm: float
    floating_cm: float
    skate_mps: float
    spikes_per_s: float
    self_penetration_cm: float
    duplicate_share: float
    seam_deg: float
    fallen_share: float


@dataclass(frozen=True)
class Rule:
    """Marks off for one measure: none up to ``good``, ``weight`` from ``bad`` on; ``good`` may be above ``bad``."""

    measure: str
    good: float
    bad: float
    weight: float
    advice: str

    def penalty(self, value: float) -> float:
        """Points lost, 0 to ``weight``."""
        return self.weight * min(max((value - self.good) / (self.bad - self.good), 0.0), 1.0)


RULES = (
    Rule("duration_s", 0.5, 0.1, 20, "too short to learn from: join it with others or take a longer cut"),
    Rule("limit_deg", 1.0, 30.0, 15, "joints leave their limits: import it again with --method ik, which holds them"),
    Rule("penetration_cm", 1.0, 10.0, 20, "sinks into the floor: `ground: true` in the dataset, or import it again with --ground"),
    Rule("floating_cm", 1.0, 10.0, 20, "floats above the floor: `ground: true` in the dataset, or import it again with --ground"),
    Rule("skate_mps", 0.1, 0.6, 15, "feet slide: import it again with --foot-lock"),
    Rule("spikes_per_s", 0.0, 2.0, 20, "jumps between frames: `smooth_s: 0.04` in the dataset spreads them, or cut the glitch out with a time range"),
    Rule("self_penetration_cm", 2.0, 10.0, 10, "body parts pass through each other: expect the simulated character to differ there"),
    Rule("duplicate_share", 0.02, 0.5, 15, "frames are repeated: import drops doubled ones; cut out pauses with a time range"),
    Rule("seam_deg", 12.0, 90.0, 10, "the loop jumps at its seam: `smooth_s: 0.04` in the dataset spreads it, or cut it to whole cycles"),
)


@dataclass(frozen=True)
class Assessment:
    """A clip's marks: ``score`` 0 to 100, ``verdict`` good, usable or poor, ``advice`` one line for each thing to do, ``near`` clips that are nearly the same (name, radians)."""

    name: str
    measures: Measures
    score: float
    verdict: str
    advice: tuple[str, ...]
    near: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        m = self.measures
        lines = (
            f"{self.name}: {self.verdict} ({self.score:.0f} of 100); {m.duration_s:.2f} s at {m.fps:g} Hz",
            f"  floor {m.penetration_cm:.1f} cm below, {m.floating_cm:.1f} cm above; skate {m.skate_mps:.2f} m/s; limits {m.limit_deg:.0f} deg in {m.limit_share:.0%} of frames",
            f"  spikes {m.spikes_per_s:.1f}/s; self-penetration {m.self_penetration_cm:.1f} cm; repeated frames {m.duplicate_share:.0%}; seam {m.seam_deg:.0f} deg; "
            f"below fall height {m.fallen_share:.0%}",
            *(f"  - {line}" for line in self.advice),
        )
        return "\n".join(lines)


def measure(
    clip: Clip,
    skeleton: Skeleton,
    foot_bodies: Sequence[str] = ("right_foot", "left_foot"),
    limits: Mapping[str, tuple[float, float]] | None = None,
    fall_heights: Mapping[str, float] | None = None,
) -> Measures:
    """All measures of a clip.

    Args:
        limits: lower and upper angle in radians by joint (for a ball the upper is its cone); without them nothing is outside. fall_heights: metres by body.

    Raises:
        ValueError: the clip lacks one of the skeleton's joints, or a foot or fall body is not there.
    """
    for body in (*foot_bodies, *(fall_heights or {})):
        if body not in skeleton.body_names:
            raise ValueError(f"clip {clip.name}: body {body}: not in the character. Available: {', '.join(skeleton.body_names)}")
    copies, clip = copied_share(clip), drop_duplicate_frames(clip)
    poses = clip.poses_on(skeleton)
    pos, mat = skeleton.forward_kinematics(*poses)
    low = skeleton.lowest_point(pos, mat)
    excess = joint_excess(poses[2], skeleton, limits or {})
    spikes = (spike_ratios(clip, skeleton)[1] > SPIKE_RATIO).any(-1)
    return Measures(
        duration_s=clip.duration_s,
        fps=clip.fps,
        limit_deg=math.degrees(float(excess.max())),
        limit_share=float((excess > 0).any(-1).double().mean()),
        penetration_cm=100 * max(0.0, float((-low).quantile(SINK_QUANTILE))),
        floating_cm=100 * max(0.0, float(low.quantile(FLOOR_QUANTILE))),
        skate_mps=foot_skate(skeleton, [skeleton.body_names.index(b) for b in foot_bodies], pos, mat, clip.fps),
        spikes_per_s=spike_count(spikes) / clip.duration_s,
        self_penetration_cm=100 * float(self_penetration(skeleton, pos, mat).quantile(SINK_QUANTILE)),
        duplicate_share=copies,
        seam_deg=math.degrees(seam_jump(clip, skeleton)),
        fallen_share=float(fallen(skeleton, pos, fall_heights).double().mean()) if fall_heights else 0.0,
    )


def assess(name: str, measures: Measures, near: Sequence[tuple[str, float]] = ()) -> Assessment:
    """Score, verdict and advice from measures."""
    lost = {rule: rule.penalty(getattr(measures, rule.measure)) for rule in RULES}
    score = max(0.0, 100 - sum(lost.values()))
    advice = [rule.advice for rule in sorted(lost, key=lambda r: -lost[r]) if lost[rule] > 0]
    if measures.fallen_share > 0:
        advice.append(f"on the ground in {measures.fallen_share:.0%} of frames: train with falls that do not end episodes, or cut it to the part on foot")
    advice += [f"nearly the same as {other} ({angle:.2f} rad apart): let them share one weight" for other, angle in near]
    verdict = "good" if score >= GOOD else "usable" if score >= USABLE else "poor"
    return Assessment(name, measures, score, verdict, tuple(advice), tuple(near))


def assess_clips(
    clips: Sequence[Clip],
    skeleton: Skeleton,
    foot_bodies: Sequence[str] = ("right_foot", "left_foot"),
    limits: Mapping[str, tuple[float, float]] | None = None,
    fall_heights: Mapping[str, float] | None = None,
) -> list[Assessment]:
    """Marks of several clips, near-duplicates among them included; arguments as in `measure`."""
    near: dict[str, list[tuple[str, float]]] = {clip.name: [] for clip in clips}
    for k, a in enumerate(clips):
        for b in clips[:k]:
            angle = clip_distance(a, b, skeleton)
            if angle < NEAR_RAD:
                near[a.name].append((b.name, angle))
                near[b.name].append((a.name, angle))
    return [assess(clip.name, measure(clip, skeleton, foot_bodies, limits, fall_heights), near[clip.name]) for clip in clips]

"""Retargeting: a motion recorded on some skeleton becomes a clip of a character.

Where the source's skeleton is the character's own but for names and size, rotations are copied (`motions.transfer`). Otherwise inverse kinematics (`motions.follow`) follows
the places that `motions.targets` works out.

Shapes: ``T`` frames, ``P`` bodies, ``J`` joints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from motions import ik
from motions.check import FLOOR_QUANTILE, FLOOR_TOLERANCE_M
from motions.clip import MAX_FPS, MIN_FPS, Clip, make_clip
from motions.contacts import Floor, find_contacts, find_floor, slip, sole_points
from motions.follow import Followed, follow
from motions.match import match_skeletons
from motions.skeleton import Skeleton
from motions.source_motion import SourceMotion
from motions.targets import Targets, make_targets
from motions.transfer import copy_rotations, resample

METHODS = ("auto", "copy", "ik")
SINK_M = 0.01
MIN_SCALE, MAX_SCALE = 0.01, 100.0


@dataclass(frozen=True)
class RetargetOptions:
    """What a user may override.

    Attributes:
        method: ``"copy"`` rotations, ``"ik"``, or ``"auto"``: copy where skeletons are the same.
        fps: frames a second of the clip; the source's if None. scale: of the source's lengths; leg length by leg length if None.
        ground: move the motion vertically onto the floor. foot_lock: hold feet where they rest (``"ik"`` only).
        level: where the floor of the recording is tilted, take that out of copied rotations' way too (``"ik"`` always does).
        loop: as in `Clip`.
    """

    method: str = "auto"
    fps: float | None = None
    scale: float | None = None
    ground: bool = True
    foot_lock: bool = True
    level: bool = False
    loop: str = "none"


@dataclass(frozen=True)
class Report:
    """What retargeting did and how well. Lengths in cm, speeds in m/s, shares of frames.

    Attributes:
        method, scale, num_frames, fps: as used. notes: the reader's.
        ground_shift_cm: mean vertical shift. floor_tilt_deg: tilt of the recording's floor that was taken out.
        mean_error_cm, max_error_cm: distance of key bodies from their targets (see `motions.targets`) after ground alignment.
        contact_share: frames in which a foot rests. skate_before_mps, skate_after_mps: mean speed at which resting feet slide.
        penetration_share: frames in which some part is more than 1 cm below the floor. max_penetration_cm: the deepest.
        limited_share: frames in which a joint would have left its limits and was held there.
    """

    name: str
    method: str
    scale: float
    num_frames: int
    fps: float
    notes: tuple[str, ...]
    ground_shift_cm: float
    floor_tilt_deg: float
    mean_error_cm: float
    max_error_cm: float
    contact_share: float
    skate_before_mps: float
    skate_after_mps: float
    penetration_share: float
    max_penetration_cm: float
    limited_share: float

    def __str__(self) -> str:
        how = {"copy": "rotations copied (same skeleton)", "ik": "inverse kinematics"}[self.method]
        return "\n".join(
            (
                f"{self.name}: {self.num_frames} frames at {self.fps:g} Hz by {how}, scale {self.scale:.3f}",
                *(f"  {note}" for note in self.notes),
                f"  floor: moved by {self.ground_shift_cm:+.1f} cm, tilt of {self.floor_tilt_deg:.1f} deg taken out; "
                f"{self.penetration_share:.1%} of frames sink more than 1 cm (deepest {self.max_penetration_cm:.1f} cm)",
                f"  key bodies: {self.mean_error_cm:.2f} cm off on average, {self.max_error_cm:.2f} cm at most; limits hold joints in {self.limited_share:.1%} of frames",
                f"  feet rest in {self.contact_share:.0%} of frames and slide at {self.skate_after_mps:.3f} m/s there (before: {self.skate_before_mps:.3f})",
            )
        )


def retarget(
    source: SourceMotion,
    joint_map: Mapping[str, str],
    model: ik.Model,
    skeleton: Skeleton,
    foot_bodies: Sequence[str] = ("right_foot", "left_foot"),
    options: RetargetOptions | None = None,
) -> tuple[Clip, Report]:
    """Carries a motion over to a character.

    Args:
        joint_map: source joint by body; the root, both feet and what lies between are needed, everything else helps.
        model: the character's MuJoCo model (limits and kinematics). skeleton: the same character's tree. foot_bodies: its feet.

    Raises:
        ValueError: an option, body or joint that is not allowed, or a source too short; the message names it and the choices.
    """
    options = options or RetargetOptions()
    _check(source, options)
    source = resample(source, options.fps) if options.fps and options.fps != source.fps else source
    match = match_skeletons(source, joint_map, skeleton, foot_bodies)
    scale = options.scale or match.leg_m / match.source_leg_m
    targets = make_targets(source, match, skeleton, scale)
    copied = copy_rotations(source, match, skeleton) if options.method != "ik" else None
    if options.method == "copy" and copied is None:
        raise ValueError(f"source {source.name}: method: got 'copy' for another skeleton or rest pose; expected the character's own. Available: auto, ik")
    if copied is not None:
        done = _copy(model, skeleton, targets, copied, [leg[0] for leg in match.legs], source.fps, options)
    else:
        done = follow(model, skeleton, match, targets, source.fps, options.ground, options.foot_lock)
    root_pos, root_quat, joint_quat = ik.unpack(model, skeleton, done.qpos)
    clip = make_clip(
        name=source.name,
        fps=source.fps,
        loop=options.loop,
        root_pos=root_pos,
        root_quat=root_quat,
        joint_names=skeleton.joint_names,
        joint_quat=joint_quat,
        source=source.source,
        license=source.license,
    )
    return clip, _report(source, "ik" if copied is None else "copy", scale, model, skeleton, done, [leg[0] for leg in match.legs])


def _check(source: SourceMotion, options: RetargetOptions) -> None:
    """Refuses options and sources that cannot be worked with."""
    if options.method not in METHODS:
        raise ValueError(f"source {source.name}: method: got {options.method!r}; expected one of {', '.join(METHODS)}")
    if options.fps is not None and not MIN_FPS <= options.fps <= MAX_FPS:
        raise ValueError(f"source {source.name}: fps: got {options.fps:g}; expected {MIN_FPS:g} to {MAX_FPS:g}")
    if options.scale is not None and not MIN_SCALE <= options.scale <= MAX_SCALE:
        raise ValueError(f"source {source.name}: scale: got {options.scale:g}; expected {MIN_SCALE:g} to {MAX_SCALE:g}")
    if len(source.root_pos) < 2:
        raise ValueError(f"source {source.name}: frames: got {len(source.root_pos)}; expected at least 2")
    if not np.isfinite(source.world_pos).all():
        raise ValueError(f"source {source.name}: frame {int((~np.isfinite(source.world_pos)).any(axis=(1, 2)).argmax())} holds NaN or infinity; expected finite places")


def _copy(model: ik.Model, skeleton: Skeleton, targets: Targets, joint_quat: Tensor, feet: list[int], fps: float, options: RetargetOptions) -> Followed:
    """Copied rotations within limits, the lowest point (5 % quantile over frames) moved to the floor where it is off by more than 1 cm, like `shift_to_floor`."""
    qpos = ik.pack(model, skeleton, targets.pos[:, 0].numpy(), targets.quat[:, 0].numpy(), joint_quat.numpy())
    qpos = np.stack([ik.limits_of(model).apply(q) for q in qpos])
    pos, mat = _poses(model, skeleton, qpos)
    slope = _slope(skeleton, pos, mat, feet, fps) if options.ground and options.level else Floor(0.0)
    rise = torch.nn.functional.pad(slope.at(pos[:, 0])[:, None, None], (2, 0))  # of the floor below the root: bodies keep their orientations
    qpos[:, 2] -= rise[:, 0, 2].numpy()
    pos = pos - rise
    low = float(skeleton.lowest_point(pos, mat).quantile(FLOOR_QUANTILE))
    floor = replace(slope, height=low if options.ground and abs(low) > FLOOR_TOLERANCE_M else 0.0)
    qpos[:, 2] -= floor.height
    level = Floor(floor.height)
    return Followed(qpos, replace(targets, pos=level.level(targets.pos - rise)), floor, [level.level(sole_points(skeleton, foot, pos, mat)) for foot in feet])


def _slope(skeleton: Skeleton, pos: Tensor, mat: Tensor, feet: list[int], fps: float) -> Floor:
    """The floor that a motion's feet rest on as a plane through the origin."""
    return replace(find_floor([sole_points(skeleton, foot, pos, mat) for foot in feet], skeleton.lowest_point(pos, mat), fps), height=0.0)


def _poses(model: ik.Model, skeleton: Skeleton, qpos: np.ndarray) -> tuple[Tensor, Tensor]:
    """Poses ``[T, P, 3]``, ``[T, P, 3, 3]`` of all bodies."""
    return skeleton.forward_kinematics(*(torch.from_numpy(part) for part in ik.unpack(model, skeleton, qpos)))


def _skate(soles: list[Tensor], fps: float) -> tuple[float, Tensor]:
    """Mean speed at which feet slide while they rest, m/s (0 if none does), and the frames ``[T]`` in which one rests."""
    rests = [find_contacts(points, fps) for points in soles]
    speeds = torch.cat([slip(points, fps).norm(dim=-1)[r[1:] & r[:-1]] for points, r in zip(soles, rests, strict=True)])
    return float(speeds.mean()) if len(speeds) else 0.0, torch.stack(rests).any(0)


def _report(source: SourceMotion, method: str, scale: float, model: ik.Model, skeleton: Skeleton, done: Followed, feet: list[int]) -> Report:
    pos, mat = _poses(model, skeleton, done.qpos)
    key = list(done.targets.key_bodies)
    error = 100 * (pos[:, key] - done.targets.pos[:, key]).norm(dim=-1)
    after, rests = _skate([sole_points(skeleton, foot, pos, mat) for foot in feet], source.fps)
    low = skeleton.lowest_point(pos, mat)
    limits = ik.limits_of(model)
    return Report(
        name=source.name,
        method=method,
        scale=scale,
        num_frames=len(pos),
        fps=source.fps,
        notes=source.notes,
        ground_shift_cm=-100 * float(done.floor.at(torch.from_numpy(source.root_pos) * scale).mean()),
        floor_tilt_deg=float(np.degrees(np.arctan(done.floor.tilt))),
        mean_error_cm=float(error.mean()),
        max_error_cm=float(error.max()),
        contact_share=float(rests.double().mean()),
        skate_before_mps=_skate(done.soles, source.fps)[0],
        skate_after_mps=after,
        penetration_share=float((low < -SINK_M).double().mean()),
        max_penetration_cm=float((-100 * low).clamp_min(0.0).max()),
        limited_share=float((limits.room(done.qpos).min(axis=1) < 2 * ik.LIMIT_MARGIN_RAD).mean()),
    )

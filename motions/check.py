"""What is often wrong with clips: findings to report, and the repairs that have one right answer.

Shapes: ``T`` frames, ``J`` joints. Heights in metres above the plane z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from motions.clip import Clip
from motions.rotations import quat_conj, quat_log, quat_mul
from motions.skeleton import Skeleton

FLOOR_QUANTILE = 0.05  # of a clip's lowest points: a few bad frames do not lift the whole clip
FLOOR_TOLERANCE_M = 0.01
SAME_POSE = 1e-6  # metres or quaternion units between frames that are copies
SEAM_RAD = 0.2
SPIKE_RAD, SPIKE_M, SPIKE_RATIO = 0.3, 0.1, 4.0


@dataclass(frozen=True)
class Finding:
    """One fault of a clip.

    Attributes:
        kind: ``"duplicates"``, ``"floor"``, ``"seam"``, ``"spike"`` or ``"short"``.
        message: one line that names the clip, the number and what to do.
        value: the number: share of frames, shift in metres, radians, factor, seconds.
    """

    kind: str
    message: str
    value: float


def check_clip(clip: Clip, skeleton: Skeleton, min_duration_s: float = 0.5) -> list[Finding]:
    """Everything worth knowing before training on a clip; empty if there is nothing.

    Args:
        min_duration_s: shorter clips are reported.

    Raises:
        ValueError: the clip lacks one of the skeleton's joints.
    """
    copies = _copied_frames(clip)
    found = []
    if copies.any():
        share = float(copies.mean())
        cure = f"drop_duplicate_frames makes it {clip.fps / 2:g} Hz" if _is_doubled(copies) else "velocities are zero there"
        found.append(Finding("duplicates", f"clip {clip.name}: {copies.sum()} of {clip.num_frames} frames repeat the one before ({share:.0%}); {cure}", share))
    clip = drop_duplicate_frames(clip)
    found += _check_floor(clip, skeleton) + _check_seam(clip, skeleton) + _check_spikes(clip, skeleton)
    if clip.duration_s < min_duration_s:
        found.append(Finding("short", f"clip {clip.name}: lasts {clip.duration_s:.3f} s; expected at least {min_duration_s:g} s", clip.duration_s))
    return found


def drop_duplicate_frames(clip: Clip) -> Clip:
    """The clip at half its rate if every second frame repeats the one before, as in files that claim twice the rate of the recording; else unchanged."""
    if not _is_doubled(_copied_frames(clip)):
        return clip
    return replace(clip, fps=clip.fps / 2, root_pos=clip.root_pos[::2], root_quat=clip.root_quat[::2], joint_quat=clip.joint_quat[::2])


def shift_to_floor(clip: Clip, skeleton: Skeleton) -> Clip:
    """The clip shifted vertically so that its lowest point (5 % quantile over frames) touches the floor; unchanged where that is off by 1 cm or less."""
    shift = -float(lowest_points(clip, skeleton).quantile(FLOOR_QUANTILE))
    return replace(clip, root_pos=clip.root_pos + np.array([0.0, 0.0, shift])) if abs(shift) > FLOOR_TOLERANCE_M else clip


def lowest_points(clip: Clip, skeleton: Skeleton) -> Tensor:
    """Height of the lowest point of the character's geometry in every frame, metres, ``[T]``."""
    return skeleton.lowest_point(*skeleton.forward_kinematics(*clip.poses_on(skeleton)))


def _copied_frames(clip: Clip) -> np.ndarray:
    """Which frames repeat the one before, ``[T]``; the first does not."""
    step = np.concatenate([np.abs(np.diff(v, axis=0)).reshape(clip.num_frames - 1, -1) for v in (clip.root_pos, clip.root_quat, clip.joint_quat)], axis=1)
    return np.concatenate(([False], step.max(axis=1) < SAME_POSE))


def _is_doubled(copies: np.ndarray) -> bool:
    """Whether every second frame is a copy (nearly all of one parity, few of the other) rather than the motion standing still."""
    shares = sorted((float(copies[1::2].mean()), float(copies[2::2].mean()))) if len(copies) > 4 else [0.0, 0.0]
    return shares[0] <= 0.5 and shares[1] >= 0.95


def _check_floor(clip: Clip, skeleton: Skeleton) -> list[Finding]:
    low = lowest_points(clip, skeleton)
    typical = float(low.quantile(FLOOR_QUANTILE))
    if abs(typical) <= FLOOR_TOLERANCE_M:
        return []
    what = "sinks into" if typical < 0 else "floats above"
    text = f"clip {clip.name}: {what} the floor: lowest point {typical:+.3f} m (5 % quantile; minimum {float(low.min()):+.3f}, median {float(low.median()):+.3f})"
    return [Finding("floor", f"{text}; shift_to_floor or `ground: true` moves it by {-typical:+.3f} m", -typical)]


def _check_seam(clip: Clip, skeleton: Skeleton) -> list[Finding]:
    """The largest jump of a joint from the last frame to the first one of the next cycle."""
    if clip.loop != "wrap":
        return []
    _, _, joint_quat = clip.poses_on(skeleton)
    jump = _angles(joint_quat[-1], joint_quat[0])
    worst = int(jump.argmax())
    if jump[worst] <= SEAM_RAD:
        return []
    usual = float(_angles(joint_quat[:-1], joint_quat[1:])[:, worst].median())
    text = f"clip {clip.name}: loop seam: {skeleton.joint_names[worst]} jumps {jump[worst]:.2f} rad (usual step {usual:.2f}); playback shows it, training never samples across it"
    return [Finding("seam", text, float(jump[worst]))]


def _check_spikes(clip: Clip, skeleton: Skeleton) -> list[Finding]:
    """The step of the root or a joint that most exceeds the steps around it, if by a factor that motion does not reach."""
    steps, ratio = spike_ratios(clip, skeleton)
    if not ratio.numel() or float(ratio.max()) <= SPIKE_RATIO:
        return []
    frame, column = divmod(int(ratio.argmax()), ratio.shape[1])
    worst = float(ratio[frame, column])
    size = f"{steps[frame, column] * SPIKE_M:.2f} m" if column == 0 else f"{steps[frame, column] * SPIKE_RAD:.2f} rad"
    part = ("root position", "root orientation", *skeleton.joint_names)[column]
    text = f"clip {clip.name}: frame {frame + 1}: {part} moves {size} in {1 / clip.fps:.3f} s, {worst:.0f} times the steps around it; look for a glitch"
    return [Finding("spike", text, worst)]


def spike_ratios(clip: Clip, skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """Steps from each frame to the next of root position, root orientation and joints, ``[T - 1, 2 + J]`` in units of `SPIKE_M` and `SPIKE_RAD`, and by which factor those
    above 1 exceed the larger of their neighbours (0 for others)."""
    root_pos, root_quat, joint_quat = clip.poses_on(skeleton)
    if clip.num_frames < 4:
        return torch.zeros(0, 2 + len(skeleton.joints)), torch.zeros(0, 2 + len(skeleton.joints))
    turns = _angles(torch.cat((root_quat[:-1, None], joint_quat[:-1]), dim=1), torch.cat((root_quat[1:, None], joint_quat[1:]), dim=1)) / SPIKE_RAD
    steps = torch.cat(((root_pos[1:] - root_pos[:-1]).norm(dim=-1, keepdim=True) / SPIKE_M, turns), dim=1)
    around = torch.maximum(torch.cat((steps[1:2], steps[:-1])), torch.cat((steps[1:], steps[-2:-1])))
    return steps, torch.where(steps > 1, steps / around.clamp_min(1e-3), 0.0)


def copied_share(clip: Clip) -> float:
    """Share of frames that repeat the one before."""
    return float(_copied_frames(clip).mean())


def seam_jump(clip: Clip, skeleton: Skeleton) -> float:
    """The largest jump of a joint from a looping clip's last frame to its first, radians; 0 for a clip that does not loop."""
    joint_quat = clip.poses_on(skeleton)[2]
    return float(_angles(joint_quat[-1], joint_quat[0]).max()) if clip.loop == "wrap" else 0.0


def _angles(a: Tensor, b: Tensor) -> Tensor:
    """Angles in radians between rotations ``[..., 4]``, ``[...]``."""
    return quat_log(quat_mul(quat_conj(a), b)).norm(dim=-1)

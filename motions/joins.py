"""Joins: motion that leaves one clip and goes on with another, as an animator blends them.

Where they meet, the second clip is turned and moved on the ground to where the first has the character. What the poses still differ by, and how fast that changes, dies away
within a while. Source: Bollo 2018, "Inertialization: High-performance animation transitions in Gears of War" (GDC), with cubic instead of quintic polynomials.

A clip can be joined to its own beginning, too (`closed`).

Shapes: ``T`` frames, ``J`` joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from motions.clip import Clip, make_clip
from motions.library import MotionLibrary
from motions.rotations import heading, make_continuous, quat_conj, quat_exp, quat_log, quat_mul, quat_rotate, yaw_quat
from motions.skeleton import Skeleton

STEP_S = 1 / 30  # over which velocities are taken


@dataclass(frozen=True)
class Join:
    """Clip ``source`` until ``source_s`` seconds, then clip ``target`` from ``target_s`` on; clips by their ids in a library."""

    source: int
    source_s: float
    target: int
    target_s: float


def fade(gap: Tensor, rate: Tensor, times: Tensor, blend_s: float) -> Tensor:
    """What is left ``[T, ...]`` at ``times [T]`` of a ``gap [...]`` that changes by ``rate [...]`` a second at first, and is gone, at rest, after ``blend_s``: Hermite's cubic."""
    s = (times / blend_s).clamp(0.0, 1.0).view(-1, *[1] * gap.dim())
    return (1 - s).square() * ((1 + 2 * s) * gap + s * blend_s * rate)


def joined(library: MotionLibrary, join: Join, blend_s: float, duration_s: float, name: str, step_s: float = STEP_S) -> Clip:
    """What a character does from where the clips of a join meet, for ``duration_s`` or to the end of the second one: frames ``step_s`` apart, from the pose and with the velocity
    of the first, whose last difference to the second is gone after ``blend_s``. Where it is on the ground is as in the second."""
    ago = torch.tensor([-step_s, 0.0], device=library.device)
    begins = join.target_s < step_s and not bool(library.loops[join.target])  # nothing is known of before: how fast it is shows in the step after
    here, there = library.along(join.source, join.source_s + ago), library.along(join.target, join.target_s + (ago + step_s if begins else ago))
    there_pos, others = there.root_pos, torch.cat((there.root_quat.unsqueeze(1), there.joint_quat), dim=1)
    if begins:
        there_pos = torch.stack((2 * there_pos[0] - there_pos[1], there_pos[0]))
        others = torch.stack((quat_mul(quat_mul(others[0], quat_conj(others[1])), others[0]), others[0]))
    turn = yaw_quat(heading(others[1, 0]) - heading(here.root_quat[1]))
    level = torch.tensor([1.0, 1.0, 0.0], device=library.device)
    place = (there_pos[1] - quat_rotate(turn, here.root_pos[1])) * level
    off = quat_rotate(turn.expand(2, 4), here.root_pos) + place - there_pos  # [2, 3]: a step before they meet, and where they do
    turns = torch.cat((quat_mul(turn.expand(2, 4), here.root_quat).unsqueeze(1), here.joint_quat), dim=1)
    twist = quat_mul(turns, quat_conj(others))  # [2, 1 + J, 4]
    left_s = duration_s if library.loops[join.target] else min(duration_s, float(library.durations_s[join.target]) - join.target_s)
    times = torch.arange(max(2, round(left_s / step_s) + 1), device=library.device) * step_s
    after = library.along(join.target, join.target_s + times)
    root_pos = after.root_pos + fade(off[1], (off[1] - off[0]) / step_s, times, blend_s)
    fading = quat_exp(fade(quat_log(twist[1]), quat_log(quat_mul(twist[1], quat_conj(twist[0]))) / step_s, times, blend_s))
    quats = make_continuous(quat_mul(fading, torch.cat((after.root_quat.unsqueeze(1), after.joint_quat), dim=1)))
    return make_clip(
        name=name,
        fps=1 / step_s,
        loop="none",
        root_pos=root_pos.double().cpu().numpy(),
        root_quat=quats[:, 0].double().cpu().numpy(),
        joint_names=library.skeleton.joint_names,
        joint_quat=quats[:, 1:].double().cpu().numpy(),
        source=f"{library.names[join.source]} and {library.names[join.target]}, joined",
    )


def closed(clip: Clip, skeleton: Skeleton, blend_s: float) -> Clip:
    """A clip that does not loop, joined to its own beginning: in its last ``blend_s`` seconds it goes over into what it begins with, and then goes on behind that, over and over.

    Raises:
        ValueError: it loops already, or is shorter than twice that.
    """
    if clip.loop != "none":
        raise ValueError(f"clip {clip.name}: loop_s: got {blend_s:g} for a clip that loops; expected none")
    if not 0 < 2 * blend_s <= clip.duration_s:
        raise ValueError(f"clip {clip.name}: loop_s: got {blend_s:g}; expected more than 0 and at most half of its {clip.duration_s:.3f} s")
    library = MotionLibrary([clip], skeleton)
    count = round(clip.duration_s / STEP_S)
    step_s = clip.duration_s / count
    blended = max(1, round(blend_s / step_s))
    own = library.along(0, torch.arange(blended, count + 1) * step_s)
    seam = joined(library, Join(0, clip.duration_s, 0, 0.0), blended * step_s, blended * step_s, clip.name, step_s)
    seam_pos, seam_quat, seam_joints = (torch.from_numpy(x).float() for x in (seam.root_pos, seam.root_quat, seam.joint_quat))
    turn = yaw_quat(heading(own.root_quat[-1]) - heading(seam_quat[0])).expand(blended, 4)  # what is blended goes on from where the clip ends
    level = torch.tensor([1.0, 1.0, 0.0])
    seam_pos = quat_rotate(turn, seam_pos[1:] - seam_pos[0] * level) + own.root_pos[-1] * level
    return make_clip(
        name=clip.name,
        fps=1 / step_s,
        loop="wrap",
        root_pos=torch.cat((own.root_pos, seam_pos)).double().numpy(),
        root_quat=torch.cat((own.root_quat, quat_mul(turn, seam_quat[1:]))).double().numpy(),
        joint_names=skeleton.joint_names,
        joint_quat=torch.cat((own.joint_quat, seam_joints[1:])).double().numpy(),
        source=clip.source,
        license=clip.license,
    )

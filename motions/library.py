"""`MotionLibrary`: every clip of a dataset stacked on one device, sampled in batches.

Shapes: ``C`` clips, ``M`` frames of all clips, ``B`` batch, ``J`` joints, ``D`` degrees of freedom. Times are seconds from the start of a clip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from motions.clip import Clip, mirror_name
from motions.cycle import cycle_of
from motions.rotations import quat_conj, quat_log, quat_mul, quat_rotate, yaw_quat
from motions.skeleton import CharacterState, Skeleton

STILL_RAD = math.radians(2.0)
MIN_ANGLE = 1e-6  # radians between neighbouring quaternions, as vectors, below which slerp is linear to machine precision


class MotionLibrary:
    """Clips as stacked tensors. Between frames positions are interpolated linearly and rotations along the sphere; velocities are central differences over
    the neighbouring frames (one-sided at a clip's ends, never across a loop seam), the same filter for root and joints, in the frames of `CharacterState`.

    Args:
        clips: the clips; each must hold every joint of the skeleton.
        skeleton: the character's tree.
        weights: relative sampling weight of each clip; uniform if omitted.

    Raises:
        ValueError: no clips, a clip without one of the skeleton's joints, or weights that are negative or do not match.
    """

    def __init__(self, clips: Sequence[Clip], skeleton: Skeleton, weights: Sequence[float] | None = None, device: torch.device | str = "cpu"):
        if not clips:
            raise ValueError("motion library: got no clips; expected at least one")
        weights = [1.0] * len(clips) if weights is None else list(weights)
        if len(weights) != len(clips) or min(weights) < 0 or sum(weights) <= 0:
            raise ValueError(f"motion library: weights: got {weights} for {len(clips)} clips; expected one number >= 0 a clip, not all zero")
        self.skeleton, self.device = skeleton, torch.device(device)
        self.names = tuple(clip.name for clip in clips)
        self._table = torch.cat([_frames(clip, skeleton) for clip in clips], dim=1).to(self.device, torch.float32)  # [W, M]: frames innermost, as in kinematics
        num_quats = 1 + len(skeleton.joints)
        self._rows = (4 * num_quats, num_quats, 9 + skeleton.num_dofs)
        self._cycles = torch.tensor([cycle_of(clip) for clip in clips], dtype=torch.float32, device=self.device)  # [C, 3]
        self.num_frames = torch.tensor([c.num_frames for c in clips], device=self.device)
        self.fps = torch.tensor([c.fps for c in clips], dtype=torch.float32, device=self.device)
        self.durations_s = (self.num_frames - 1) / self.fps
        self.loops = torch.tensor([c.loop == "wrap" for c in clips], device=self.device)
        self.weights = torch.tensor(weights, dtype=torch.float32, device=self.device) / sum(weights)
        self._first = torch.cat((self.num_frames.new_zeros(1), self.num_frames.cumsum(0)[:-1]))

    @property
    def num_clips(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """The id of a clip by name; raises ValueError that lists the names."""
        if name not in self.names:
            raise ValueError(f"clip {name}: not in this dataset. Available: {', '.join(self.names)}")
        return self.names.index(name)

    @property
    def mirrored(self) -> Tensor:
        """``[C]`` id of the clip that is each clip's mirror image (by its name, ``<name>_mirror``), or -1."""
        found = {name: k for k, name in enumerate(self.names)}
        return torch.tensor([found.get(mirror_name(name), -1) for name in self.names], device=self.device)

    @property
    def still_joints(self) -> Tensor:
        """``[J]`` whether no clip turns a joint by more than `STILL_RAD` from where the first frame has it."""
        quats = self._table[: self._rows[0]].view(4, self._rows[1], -1)[:, 1:]  # [4, J, M]
        cos = (quats * quats[:, :, :1]).sum(0).abs().clamp(max=1.0)
        return (2 * torch.acos(cos)).amax(-1) <= STILL_RAD

    def mean_speed(self, clip_id: int) -> float:
        """Distance over the ground from a clip's first frame to its last, by its duration, m/s: what a person would call its speed if it goes straight."""
        ends = torch.stack((torch.zeros_like(self.durations_s[clip_id]), self.durations_s[clip_id]))
        pos = self.along(clip_id, ends).root_pos[:, :2]
        return float((pos[1] - pos[0]).norm() / self.durations_s[clip_id])

    def require_window(self, window_s: float) -> None:
        """Raises ValueError if a clip is shorter than ``window_s`` seconds, naming it."""
        for k, name in enumerate(self.names):
            if self.durations_s[k] < window_s:
                raise ValueError(f"clip {name}: lasts {self.durations_s[k]:.3f} s; expected at least the history window of {window_s:.3f} s")

    def sample(self, n: int, generator: torch.Generator | None = None, min_time_s: float = 0.0, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Draws ``n`` clips by weight (its own, or ``weights [C]``) and a uniform time in each.

        Args:
            min_time_s: the earliest time drawn, so that a window of that length ending there does not precede the clip.

        Returns:
            ``clip_ids [n]`` and ``times_s [n]``.
        """
        clip_ids = torch.multinomial(self.weights if weights is None else weights, n, replacement=True, generator=generator)
        return clip_ids, self.sample_times(clip_ids, generator, min_time_s)

    def sample_times(self, clip_ids: Tensor, generator: torch.Generator | None = None, min_time_s: float = 0.0) -> Tensor:
        """A uniform time ``[n]`` in each of ``clip_ids [n]``, no earlier than ``min_time_s`` where a clip is that long."""
        last = self.durations_s[clip_ids]
        span = (last - min_time_s).clamp_min(0.0)
        return (min_time_s + span * torch.rand(len(clip_ids), generator=generator, device=self.device)).minimum(last)

    def moments(self, step_s: float) -> tuple[Tensor, Tensor]:
        """Every clip from its beginning, ``step_s`` seconds apart: ``clip_ids [n]`` and ``times_s [n]``, clip by clip."""
        count = (self.durations_s / step_s + 1e-3).long() + 1
        clip_ids = torch.arange(self.num_clips, device=self.device).repeat_interleave(count)
        first = torch.cat((count.new_zeros(1), count.cumsum(0)[:-1]))
        return clip_ids, (torch.arange(len(clip_ids), device=self.device) - first[clip_ids]) * step_s

    def state_at(self, clip_ids: Tensor, times_s: Tensor) -> CharacterState:
        """The motion's state at ``times_s [...]`` of ``clip_ids [...]``.

        Outside a clip's span a looping clip goes on, each cycle displaced on the ground plane (position and heading) by what one cycle covers; any other clip
        holds its first or last frame, at rest.
        """
        lead = times_s.shape
        clip_ids, times_s = clip_ids.reshape(-1), times_s.reshape(-1)
        duration, loops = self.durations_s[clip_ids], self.loops[clip_ids]
        cycles = torch.where(loops, torch.div(times_s, duration, rounding_mode="floor"), 0.0)
        inside = (times_s >= 0) & (times_s <= duration)
        cycles = torch.where(inside, 0.0, cycles)  # the very end belongs to the clip, not to the next cycle
        frame = (times_s - cycles * duration).clamp(min=0.0).minimum(duration) * self.fps[clip_ids]
        lower = frame.long().minimum(self.num_frames[clip_ids] - 2)
        blend = frame - lower
        here = self._first[clip_ids] + lower
        quats, angle, linear = self._table.index_select(1, here).split(self._rows)
        next_quats, _, next_linear = self._table.index_select(1, here + 1).split(self._rows)
        # Slerp with the angles known: both quaternions lie on one hemisphere.
        part = angle * blend
        scale = angle.sin().reciprocal_()
        quats = quats.view(4, *angle.shape) * ((angle - part).sin_() * scale) + next_quats.view(4, *angle.shape) * (part.sin_() * scale)
        linear = torch.lerp(linear, next_linear, blend)
        root_quat, joint_quat = quats[:, 0].t(), quats[:, 1:].permute(2, 1, 0)
        root_pos, lin_vel, ang_vel, joint_vel = linear.t().split((3, 3, 3, self.skeleton.num_dofs), dim=-1)
        if not inside.all():
            held = (~inside & ~loops).unsqueeze(-1)
            lin_vel, ang_vel, joint_vel = (torch.where(held, 0.0, v) for v in (lin_vel, ang_vel, joint_vel))
            root_pos, root_quat, lin_vel, ang_vel = self._displace(clip_ids, cycles, root_pos, root_quat, lin_vel, ang_vel)
        state = self.skeleton.state(root_pos, root_quat, lin_vel, ang_vel, joint_quat, joint_vel)
        return state.reshape(*lead)

    def along(self, clip_id: int, times_s: Tensor) -> CharacterState:
        """One clip's states at ``times_s [...]`` (see `state_at`)."""
        return self.state_at(torch.full_like(times_s, clip_id, dtype=torch.long), times_s)

    def _displace(self, clip_ids: Tensor, cycles: Tensor, root_pos: Tensor, root_quat: Tensor, lin_vel: Tensor, ang_vel: Tensor) -> tuple[Tensor, ...]:
        """Moves poses by ``cycles [B]`` repetitions of the planar transform that carries a clip's first frame to its last."""
        yaw, x, y = self._cycles[clip_ids].unbind(-1)
        # With p -> e^(i yaw) p + offset for one cycle, n cycles add offset * (1 + e^(i yaw) + ... + e^(i (n - 1) yaw)), summed here without cancellation.
        half = 0.5 * yaw
        straight = half.abs() < 1e-6
        length = torch.where(straight, cycles, (cycles * half).sin() / torch.where(straight, 1.0, half.sin()))
        offset = length.unsqueeze(-1) * torch.stack((x, y, torch.zeros_like(x)), dim=-1)
        turn = yaw_quat(cycles * yaw)
        moved = quat_rotate(turn, root_pos) + quat_rotate(yaw_quat((cycles - 1) * half), offset)
        return moved, quat_mul(turn, root_quat), quat_rotate(turn, lin_vel), quat_rotate(turn, ang_vel)


def _frames(clip: Clip, skeleton: Skeleton) -> Tensor:
    """Every frame of a clip as a column, ``[W, T]``, float64.

    Rows: root and joint quaternions ``4 (1 + J)``, component by component; the angle from each of them to the next frame's, as vectors, ``1 + J``; root
    position, root linear and angular velocity, joint velocities ``9 + D``.
    """
    root_pos, root_quat, joint_quat = clip.poses_on(skeleton)
    t = torch.arange(clip.num_frames)
    before, after = (t - 1).clamp_min(0), (t + 1).clamp_max(clip.num_frames - 1)
    span_s = ((after - before) / clip.fps).unsqueeze(-1)
    lin_vel = (root_pos[after] - root_pos[before]) / span_s
    ang_vel = quat_log(quat_mul(root_quat[after], quat_conj(root_quat[before]))) / span_s  # world frame
    local = quat_log(quat_mul(quat_conj(joint_quat[before]), joint_quat[after])) / span_s.unsqueeze(-1)  # child frame
    joint_vel = []
    for k, joint in enumerate(skeleton.joints):
        axis = torch.tensor(joint.axis, dtype=torch.float64)
        joint_vel.append(local[:, k] if joint.kind == "ball" else (local[:, k] @ axis).unsqueeze(-1))
    quats = torch.cat((root_quat.unsqueeze(1), joint_quat), dim=1)  # [T, 1 + J, 4]
    angles = (2 * torch.asin((quats[after] - quats).norm(dim=-1) / 2)).clamp_min(MIN_ANGLE)
    return torch.cat((quats.movedim(-1, 1).flatten(1), angles, root_pos, lin_vel, ang_vel, *joint_vel), dim=-1).t()

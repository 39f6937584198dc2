"""`MotionLibrary`: every clip of a dataset stacked on one device, sampled in batches.

Shapes: ``C`` clips, ``M`` frames of all clips, ``B`` batch, ``J`` joints, ``D`` degrees of freedom. Times are seconds from the start of a clip.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from motions.clip import Clip
from motions.rotations import heading, make_continuous, quat_conj, quat_log, quat_mul, quat_rotate, quat_slerp, yaw_quat
from motions.skeleton import CharacterState, Skeleton


class MotionLibrary:
    """Clips as stacked tensors. Between frames positions are interpolated linearly and rotations along the sphere; velocities are central differences over
    the neighbouring frames (one-sided at a clip's ends, never across a loop seam), the same filter for root and joints, in the frames of `CharacterState`.

    Args:
        clips: the clips; each must hold every joint of the skeleton.
        skeleton: the character's tree.
        weights: relative sampling weight of each clip; uniform if omitted.
        ground: shift a clip vertically so that its lowest point (5th percentile over frames) touches the floor, where that is off by more than 1 cm.

    Raises:
        ValueError: no clips, a clip without one of the skeleton's joints, or weights that are negative or do not match.
    """

    def __init__(self, clips: Sequence[Clip], skeleton: Skeleton, weights: Sequence[float] | None = None, device: torch.device | str = "cpu", ground: bool = False):
        if not clips:
            raise ValueError("motion library: got no clips; expected at least one")
        weights = [1.0] * len(clips) if weights is None else list(weights)
        if len(weights) != len(clips) or min(weights) < 0 or sum(weights) <= 0:
            raise ValueError(f"motion library: weights: got {weights} for {len(clips)} clips; expected one number >= 0 a clip, not all zero")
        self.skeleton, self.device = skeleton, torch.device(device)
        self.names = tuple(clip.name for clip in clips)
        parts = [_frames(clip, skeleton, ground) for clip in clips]
        self._root_pos, self._root_quat, self._root_lin_vel, self._root_ang_vel, self._joint_quat, self._joint_vel = (
            torch.cat(columns).to(self.device, torch.float32).movedim(0, -1).contiguous() for columns in zip(*parts, strict=True)
        )  # frames innermost, as in forward kinematics: [3, M], [4, M], [3, M], [3, M], [J, 4, M], [D, M]
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

    def require_window(self, window_s: float) -> None:
        """Raises ValueError if a clip is shorter than ``window_s`` seconds, naming it."""
        for k, name in enumerate(self.names):
            if self.durations_s[k] < window_s:
                raise ValueError(f"clip {name}: lasts {self.durations_s[k]:.3f} s; expected at least the history window of {window_s:.3f} s")

    def sample(self, n: int, generator: torch.Generator | None = None, min_time_s: float = 0.0) -> tuple[Tensor, Tensor]:
        """Draws ``n`` clips by weight and a uniform time in each.

        Args:
            min_time_s: the earliest time drawn, so that a window of that length ending there does not precede the clip.

        Returns:
            ``clip_ids [n]`` and ``times_s [n]``.
        """
        clip_ids = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        span = (self.durations_s[clip_ids] - min_time_s).clamp_min(0.0)
        return clip_ids, min_time_s + span * torch.rand(n, generator=generator, device=self.device)

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
        a = self._first[clip_ids] + lower
        b = a + 1

        def lerp(x: Tensor) -> Tensor:
            return torch.lerp(x[..., a], x[..., b], blend).movedim(-1, 0)

        def slerp(x: Tensor) -> Tensor:
            return quat_slerp(x[..., a].movedim(-2, -1), x[..., b].movedim(-2, -1), blend.unsqueeze(-1)).movedim(-2, 0)

        root_pos, root_quat = lerp(self._root_pos), slerp(self._root_quat)
        lin_vel, ang_vel, joint_vel = lerp(self._root_lin_vel), lerp(self._root_ang_vel), lerp(self._joint_vel)
        if not inside.all():
            held = (~inside & ~loops).unsqueeze(-1)
            lin_vel, ang_vel, joint_vel = (torch.where(held, 0.0, v) for v in (lin_vel, ang_vel, joint_vel))
            root_pos, root_quat, lin_vel, ang_vel = self._displace(clip_ids, cycles, root_pos, root_quat, lin_vel, ang_vel)
        state = self.skeleton.state(root_pos, root_quat, lin_vel, ang_vel, slerp(self._joint_quat), joint_vel)
        return state.reshape(*lead)

    def _displace(self, clip_ids: Tensor, cycles: Tensor, root_pos: Tensor, root_quat: Tensor, lin_vel: Tensor, ang_vel: Tensor) -> tuple[Tensor, ...]:
        """Moves poses by ``cycles [B]`` repetitions of the planar transform that carries a clip's first frame to its last."""
        first = self._first[clip_ids]
        last = first + self.num_frames[clip_ids] - 1
        yaw = torch.remainder(heading(self._root_quat.t()[last]) - heading(self._root_quat.t()[first]) + torch.pi, 2 * torch.pi) - torch.pi
        start, end = (torch.complex(self._root_pos[0, k], self._root_pos[1, k]) for k in (first, last))
        turn = torch.polar(torch.ones_like(yaw), yaw)
        offset = end - turn * start  # p -> turn * p + offset maps the first frame onto the last
        turns = torch.polar(torch.ones_like(yaw), yaw * cycles)
        straight = yaw.abs() < 1e-4
        series = torch.where(straight, cycles.to(turn.dtype), (1 - turns) / torch.where(straight, 1.0, 1 - turn))
        moved = torch.view_as_real(turns * torch.complex(root_pos[:, 0], root_pos[:, 1]) + series * offset)
        rotation = yaw_quat(yaw * cycles)
        return (
            torch.cat((moved, root_pos[:, 2:]), dim=-1),
            quat_mul(rotation, root_quat),
            quat_rotate(rotation, lin_vel),
            quat_rotate(rotation, ang_vel),
        )


def _frames(clip: Clip, skeleton: Skeleton, ground: bool) -> tuple[Tensor, ...]:
    """Positions, rotations and velocities of every frame, in float64: ``[T, 3], [T, 4], [T, 3], [T, 3], [T, J, 4], [T, D]``."""
    missing = [name for name in skeleton.joint_names if name not in clip.joint_names]
    if missing:
        raise ValueError(f"clip {clip.name}: joint {missing[0]} is missing. Available: {', '.join(clip.joint_names)}")
    order = [clip.joint_names.index(name) for name in skeleton.joint_names]
    root_pos, root_quat = torch.from_numpy(clip.root_pos).clone(), torch.from_numpy(clip.root_quat)
    joint_quat = make_continuous(skeleton.project_hinges(torch.from_numpy(clip.joint_quat)[:, order]))
    if ground:
        low = skeleton.lowest_point(*skeleton.forward_kinematics(root_pos, root_quat, joint_quat)).quantile(0.05)
        if low.abs() > 0.01:
            root_pos[:, 2] -= low
    t = torch.arange(clip.num_frames)
    before, after = (t - 1).clamp_min(0), (t + 1).clamp_max(clip.num_frames - 1)
    span_s = ((after - before) / clip.fps).unsqueeze(-1)
    lin_vel = (root_pos[after] - root_pos[before]) / span_s
    ang_vel = quat_log(quat_mul(root_quat[after], quat_conj(root_quat[before]))) / span_s  # world frame
    local = quat_log(quat_mul(quat_conj(joint_quat[before]), joint_quat[after])) / span_s.unsqueeze(-1)  # child frame
    columns = []
    for k, joint in enumerate(skeleton.joints):
        axis = torch.tensor(joint.axis, dtype=torch.float64)
        columns.append(local[:, k] if joint.kind == "ball" else (local[:, k] @ axis).unsqueeze(-1))
    return root_pos, root_quat, lin_vel, ang_vel, joint_quat, torch.cat(columns, dim=-1)

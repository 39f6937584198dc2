"""`Imitation`: a reward for doing what the clip of the present latent does, at its pace.

The discriminator sees a fifth of a second and is content with any part of a clip, so under the latents of a roll a character may stand for ever as a roll begins. Here a clock goes
on: when a latent begins, at the moment of its clip that the character is nearest to; from then on at 0.6 to 1.4 of the clip's pace, whichever fits best. Neither policy nor value
sees it. A reward for tracking as in DeepMimic (Peng et al. 2018, arXiv 1804.02717), but in the heading frame, wherever the character is, and from any moment on. Who is far from
the clip for a second, or at the end of one that does not loop, begins anew at the nearest moment. An episode that began on its clip may end as a failure when it has been far from
it for a while, as those of DeepMimic end.

Shapes: ``T`` rollout steps, ``N`` environments, ``n`` some of them, ``F`` features of a frame, ``Z`` latent.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ase.anchors import Anchors
from ase.windows import FrameLog

PACES = (0.6, 0.8, 1.0, 1.2, 1.4)
FAR, FAR_S = 0.1, 1.0  # below this reward a character is far from its clip; for so long it may be


class ClipFrames(Protocol):
    """Clips by time; see `envs.demos.DemoWindows`."""

    def at(self, clip_ids: Tensor, times_s: Tensor) -> Tensor: ...
    def nearest(self, clip_ids: Tensor, frames: Tensor, weights: Tensor) -> Tensor: ...
    def over(self, clip_ids: Tensor, times_s: Tensor) -> Tensor: ...


class Imitation:
    """Args:
    weights: ``[F]`` of squared differences (see `envs.features.FeatureLayout.tracking_weights`). num_envs, control_dt: ``N``, and seconds of a step.
    stray_s: seconds for which an episode that began on a clip may be far from it; 0: for ever.

    Attributes:
        times: ``[N]`` where each character is in the clip of its latent, seconds. z: ``[N, Z]`` that latent. far_s: ``[N]`` for how long it has been far from the clip.
        started: ``[N]`` whether the first latent of the episode, of the clip that it began on, is still held. strayed: ``[N]`` who was far for too long in the last rollout.
    """

    def __init__(self, clips: ClipFrames, anchors: Anchors, weights: Tensor, num_envs: int, control_dt: float, stray_s: float = 0.0):
        device = anchors.points.device
        self.clips, self.anchors, self.weights, self.control_dt = clips, anchors, weights.to(device), control_dt
        self.times, self.far_s = torch.zeros(num_envs, device=device), torch.zeros(num_envs, device=device)
        self.z = torch.full((num_envs, anchors.points.shape[1]), torch.nan, device=device)
        self.stray_s = stray_s
        self.started, self.strayed = (torch.zeros(num_envs, dtype=torch.bool, device=device) for _ in range(2))

    def begin(self, env_ids: Tensor) -> None:
        """``env_ids [n]`` have just started on clips, with latents of those."""
        self.started[env_ids] = True

    def end(self, env_ids: Tensor) -> None:
        """``env_ids [n]`` have another latent now."""
        self.started[env_ids] = False

    def rewards(self, z: Tensor, windows: FrameLog) -> Tensor:
        """``exp(-d)`` of each step of a rollout, ``[T, N]``, where ``d`` is the weighted squared difference to the clip at that time. A latent of ``z [T, N, Z]`` that differs from
        that of the step before begins."""
        steps, count = z.shape[:2]
        found, far = torch.zeros(steps, count, device=z.device), torch.zeros_like(self.strayed)
        for t in range(steps):
            clip = self.anchors.cell(z[t])
            begun = ((z[t] != self.z).any(-1) | (self.far_s >= FAR_S) | self.clips.over(clip, self.times)).nonzero().squeeze(-1)
            if len(begun):
                self.times[begun] = self.clips.nearest(clip[begun], windows[t * count + begun][:, -2], self.weights)
                self.far_s[begun] = 0.0
            far &= (z[t] == self.z).all(-1)
            times = torch.stack([self.times + pace * self.control_dt for pace in PACES])  # [paces, N]
            costs = torch.stack([(windows.frames[t] - self.clips.at(clip, each)).square() @ self.weights for each in times])
            best = costs.argmin(0, keepdim=True)
            self.times = times.gather(0, best).squeeze(0)
            found[t] = torch.exp(-costs.gather(0, best).squeeze(0))
            self.far_s = torch.where(found[t] < FAR, self.far_s + self.control_dt, 0.0)
            far |= self.far_s >= self.stray_s
            self.z = z[t].clone()
        self.strayed = far & self.started & (self.stray_s > 0)
        return found

    def state_dict(self) -> dict[str, Tensor]:
        return {"times": self.times.clone(), "z": self.z.clone(), "far_s": self.far_s.clone(), "started": self.started.clone()}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        for name in ("times", "z", "far_s", "started"):
            setattr(self, name, saved[name].to(self.times.device).clone())

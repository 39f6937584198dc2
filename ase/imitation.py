"""`Imitation`: a reward for doing what the clip of the present latent does, at its pace.

The discriminator sees a fifth of a second and is content with any part of a clip, so under the latents of a roll a character may stand for ever as a roll begins. Here a clock goes
on: when a latent begins, at the moment of its clip that the character is nearest to; from then on at the pace of the clip. Neither policy nor value sees it. With tracking as
in DeepMimic (Peng et al. 2018, arXiv 1804.02717), but in the heading frame, wherever the character is, and from any moment on.

Shapes: ``T`` rollout steps, ``N`` environments, ``n`` some of them, ``F`` features of a frame, ``Z`` latent.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ase.anchors import Anchors
from ase.windows import FrameLog


class ClipFrames(Protocol):
    """Clips by time; see `envs.demos.DemoWindows`."""

    def at(self, clip_ids: Tensor, times_s: Tensor) -> Tensor: ...
    def nearest(self, clip_ids: Tensor, frames: Tensor, weights: Tensor) -> Tensor: ...


class Imitation:
    """Args:
    weights: ``[F]`` of squared differences (see `envs.features.FeatureLayout.tracking_weights`). num_envs, control_dt: ``N``, and seconds of a step.

    Attributes:
        times: ``[N]`` where each character is in the clip of its latent, seconds. z: ``[N, Z]`` that latent.
    """

    def __init__(self, clips: ClipFrames, anchors: Anchors, weights: Tensor, num_envs: int, control_dt: float):
        device = anchors.points.device
        self.clips, self.anchors, self.weights, self.control_dt = clips, anchors, weights.to(device), control_dt
        self.times = torch.zeros(num_envs, device=device)
        self.z = torch.full((num_envs, anchors.points.shape[1]), torch.nan, device=device)

    def rewards(self, z: Tensor, windows: FrameLog) -> Tensor:
        """``exp(-d)`` of each step of a rollout, ``[T, N]``, where ``d`` is the weighted squared difference to the clip at that time. A latent of ``z [T, N, Z]`` that differs from
        that of the step before begins."""
        steps, count = z.shape[:2]
        found = torch.zeros(steps, count, device=z.device)
        for t in range(steps):
            window = windows[torch.arange(t * count, (t + 1) * count, device=z.device)]
            clip = self.anchors.cell(z[t])
            begun = (z[t] != self.z).any(-1).nonzero().squeeze(-1)
            if len(begun):
                self.times[begun] = self.clips.nearest(clip[begun], window[begun, -2], self.weights)
            self.times += self.control_dt
            found[t] = torch.exp(-((window[:, -1] - self.clips.at(clip, self.times)).square() @ self.weights))
            self.z = z[t].clone()
        return found

    def state_dict(self) -> dict[str, Tensor]:
        return {"times": self.times.clone(), "z": self.z.clone()}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        self.times, self.z = saved["times"].to(self.times.device).clone(), saved["z"].to(self.z.device).clone()

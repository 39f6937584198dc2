"""`Imitation`: a reward for doing what the clip of the present latent does, at its pace, and for the way there.

The discriminator sees a fifth of a second and is content with any part of a clip, so under the latents of a roll a character may stand for ever as a roll begins. Here a clock
goes on: when a latent begins, at the moment of its clip that the character is nearest to, or of another clip from which a way leads there (`envs.ways.Ways`); from then on at
0.6 to 1.4 of the clip's pace, whichever fits best, and from clip to clip as the way goes. So who is in the middle of a backflip as a walk is asked for is rewarded for landing
it first. Neither policy nor value sees the clock. A reward for tracking as in DeepMimic (Peng et al. 2018, arXiv 1804.02717), but in the heading frame, wherever the character
is, and from any moment on. Who is far from the clip for a second, or at the end of one that does not loop, begins anew at the nearest moment. An episode that began on its clip
may end as a failure when it has been far from it for a while, as those of DeepMimic end.

Shapes: ``T`` rollout steps, ``N`` environments, ``n`` some of them, ``F`` features of a frame, ``Z`` latent.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ase.anchors import Anchors
from ase.windows import FrameLog

PACES = (0.6, 0.8, 1.0, 1.2, 1.4)
ON_THE_WAY = 0.25  # of the reward has who is still on the way to its clip
WIDE = 5.0  # times the difference at which the wide part of the reward has fallen as far
FAR, FAR_S = 0.1, 1.0  # below this likeness, exp(-d), a character is far from where it should be; for so long it may be


class Ways(Protocol):
    """How to do each clip, moment by moment, and how to get there; see `envs.ways.Ways`."""

    @property
    def clip(self) -> Tensor: ...
    def ends(self, moment: Tensor) -> Tensor: ...
    def nearest(self, goal: Tensor, frames: Tensor, weights: Tensor) -> Tensor: ...
    def ahead(self, moment: Tensor, part: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]: ...
    def at(self, moment: Tensor, part: Tensor) -> Tensor: ...


class Imitation:
    """Args:
    ways: how clips are done and reached. weights: ``[F]`` of squared differences (see `envs.features.FeatureLayout.tracking_weights`).
    num_envs, control_dt: ``N``, and seconds of a step. stray_s: seconds for which an episode that began on a clip may be far from it; 0: for ever.
    wide: share of the reward that falls `WIDE` times as slowly with the difference, so that who stands as a run is asked for has something of every step towards it.

    Attributes:
        moment, part: ``[N]`` where each character is on its way: a moment, and the share of a control step since. z: ``[N, Z]`` the latent that it is for.
        far_s: ``[N]`` for how long it has been far from there.
        started: ``[N]`` whether the first latent of the episode, of the clip that it began on, is still held. strayed: ``[N]`` who was far for too long in the last rollout.
    """

    def __init__(self, ways: Ways, anchors: Anchors, weights: Tensor, num_envs: int, control_dt: float, stray_s: float = 0.0, wide: float = 0.0):
        device = anchors.points.device
        self.ways, self.anchors, self.weights, self.control_dt = ways, anchors, weights.to(device), control_dt
        self.moment = torch.zeros(num_envs, dtype=torch.long, device=device)
        self.part, self.far_s = torch.zeros(num_envs, device=device), torch.zeros(num_envs, device=device)
        self.z = torch.full((num_envs, anchors.points.shape[1]), torch.nan, device=device)
        self.stray_s, self.wide = stray_s, wide
        self.started, self.strayed = (torch.zeros(num_envs, dtype=torch.bool, device=device) for _ in range(2))
        self.paces = torch.tensor(PACES, device=device).unsqueeze(-1)

    def begin(self, env_ids: Tensor) -> None:
        """``env_ids [n]`` have just started on clips, with latents of those."""
        self.started[env_ids] = True

    def end(self, env_ids: Tensor) -> None:
        """``env_ids [n]`` have another latent now."""
        self.started[env_ids] = False

    def rewards(self, z: Tensor, windows: FrameLog) -> Tensor:
        """``(1 - wide) exp(-d) + wide exp(-d / WIDE)`` of each step of a rollout, ``[T, N]``, where ``d`` is the weighted squared difference to the clip at that time, less on
        the way (`ON_THE_WAY`). A latent of ``z [T, N, Z]`` that differs from that of the step before begins."""
        steps, count = z.shape[:2]
        found, far = torch.zeros(steps, count, device=z.device), torch.zeros_like(self.strayed)
        for t in range(steps):
            goal = self.anchors.cell(z[t])
            begun = ((z[t] != self.z).any(-1) | (self.far_s >= FAR_S) | self.ways.ends(self.moment)).nonzero().squeeze(-1)
            if len(begun):
                self.moment[begun] = self.ways.nearest(goal[begun], windows[t * count + begun][:, -2], self.weights)
                self.part[begun], self.far_s[begun] = 0.0, 0.0
            far &= (z[t] == self.z).all(-1)
            moments, parts = self.ways.ahead(self.moment.expand(len(PACES), -1), self.part + self.paces, goal)  # [paces, N]
            costs = (windows.frames[t] - self.ways.at(moments, parts)).square() @ self.weights
            best = costs.argmin(0, keepdim=True)
            self.moment, self.part = moments.gather(0, best).squeeze(0), parts.gather(0, best).squeeze(0)
            cost = costs.gather(0, best).squeeze(0)
            like = torch.exp(-cost)
            reward = (1 - self.wide) * like + self.wide * torch.exp(-cost / WIDE)
            found[t] = torch.where(self.ways.clip[self.moment] == goal, reward, ON_THE_WAY * reward)
            self.far_s = torch.where(like < FAR, self.far_s + self.control_dt, 0.0)
            far |= self.far_s >= self.stray_s
            self.z = z[t].clone()
        self.strayed = far & self.started & (self.stray_s > 0)
        return found

    def state_dict(self) -> dict[str, Tensor]:
        return {"moment": self.moment.clone(), "part": self.part.clone(), "z": self.z.clone(), "far_s": self.far_s.clone(), "started": self.started.clone()}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        for name in self.state_dict():
            setattr(self, name, saved[name].to(self.part.device).clone())

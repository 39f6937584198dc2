"""`Practice`: whether a character still does what the clip shows that its episode began on.

A hard motion has an easy way out: a runner may brake to a walk, which costs some reward where a fall costs the rest of the episode. With ``latents.lost_below`` an
episode that began on a clip with a latent of that clip ends as a failure once its motion is like that clip no more, so that leaving the motion costs what a fall costs,
and the clip is started on more often (`envs.resets.StartMix.hard_share`).

Shapes: ``T`` rollout steps, ``N`` environments, ``n`` some of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

MEMORY_S = 0.3  # time constant of the running mean


class Practice:
    """Args:
    lost_below: style reward, as a share of the mean over all environments, below which the running mean of an episode must not fall; 0: never lost.

    Attributes:
        active: ``[N]`` whether the first latent of the episode, of the clip that it began on, is still held.
        level: ``[N]`` running mean of the style reward over that of all environments; 1 at the start, and never more, so that no credit is built up.
    """

    def __init__(self, lost_below: float, num_envs: int, control_dt: float, device: torch.device):
        self.lost_below, self._decay = lost_below, control_dt / MEMORY_S
        self.active = torch.zeros(num_envs, dtype=torch.bool, device=device)
        self.level = torch.ones(num_envs, device=device)

    def begin(self, env_ids: Tensor) -> None:
        """``env_ids [n]`` have just started on clips, with latents of those."""
        self.active[env_ids], self.level[env_ids] = True, 1.0

    def end(self, env_ids: Tensor) -> None:
        """``env_ids [n]`` have another latent now."""
        self.active[env_ids] = False

    def update(self, style: Tensor, age: Tensor) -> Tensor:
        """Takes in a rollout's style rewards ``[T, N]``; ``age [N]`` control steps since each latent was drawn. Returns ``[N]`` which have lost their clip."""
        if not self.lost_below:
            return torch.zeros_like(self.active)
        held = age.clamp_max(len(style))  # the last so many steps were acted with the present latent
        mine = torch.arange(len(style), 0, -1, device=style.device).unsqueeze(-1) <= held
        mean = (style * mine).sum(0) / held.clamp_min(1) / style.mean().clamp_min(1e-6)
        keep = torch.exp(-self._decay * held)
        self.level = torch.where(self.active, (keep * self.level + (1 - keep) * mean).clamp_max(1.0), self.level)
        return self.active & (self.level < self.lost_below)

    def state_dict(self) -> dict[str, Tensor]:
        return {"active": self.active.clone(), "level": self.level.clone()}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        self.active, self.level = saved["active"].to(self.level.device).clone(), saved["level"].to(self.level.device).clone()

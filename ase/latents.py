"""Skill latents: points on the unit sphere, held for a random time.

Shapes: ``N`` environments, ``n`` some of them, ``Z`` latent size (0 for training without skills).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class LatentConfig:
    """Attributes:
    dim: size ``Z`` of a latent; 0 trains without skills (AMP).
    min_hold_s, max_hold_s: a latent is held for a uniformly random time between these.
    recognized_share: share of the episodes starting on a clip whose first latent is what the encoder reads from that start, so that what a clip shows is practised
        under the latent that stands for it.
    clip_share: share of the episodes starting on a clip whose first latent is of that clip's cell of the sphere (`ase.anchors`) instead of any; 0 for training
        that knows nothing of which clip is which.
    clip_focus: 0: latents are uniform on the sphere. Up to 1: every latent lies near the centre of some clip's cell, at ``normalize(focus * centre + (1 - focus) * u)`` with
        ``u`` uniform on the sphere (only with ``clip_share``). Uniform latents lie close to the borders of cells, where a policy that is smooth in them can only mix what the
        neighbours do.
    focus_from_samples: control steps of training until which latents are uniform even so: a policy that has learned to move with them takes to the focus within minutes, while one
        that begins with it learns to move more slowly.
    hard_share: how much the clips whose latents end in falls are preferred: a latent's clip is drawn in proportion to its weight times
        ``1 - hard_share + hard_share * p / max(p)``, where ``p`` is the share of recent latents of it under which the character fell (only with ``clip_focus``).
    fallen_hold_s: an episode that begins on the floor begins with a latent of the skill that the encoder reads from how the character lies, held for so long; 0: with any.
    lost_below: such an episode ends as a failure when its style reward falls below this share of the mean over all environments (`ase.practice`); 0: never.
    """

    dim: int = 64
    min_hold_s: float = 0.5
    max_hold_s: float = 5.0
    recognized_share: float = 0.0
    clip_share: float = 0.0
    clip_focus: float = 0.0
    focus_from_samples: int = 0
    hard_share: float = 0.0
    fallen_hold_s: float = 0.0
    lost_below: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.recognized_share + self.clip_share <= 1 or min(self.recognized_share, self.clip_share) < 0:
            raise ValueError(f"latents: recognized_share, clip_share: got {self.recognized_share}, {self.clip_share}; expected shares >= 0 of a sum of at most 1")
        if not 0 <= self.clip_focus <= 1:
            raise ValueError(f"latents: clip_focus: got {self.clip_focus:g}; expected 0 to 1")
        if not 0 <= self.hard_share < 1:
            raise ValueError(f"latents: hard_share: got {self.hard_share:g}; expected at least 0 and less than 1")
        if not 0 <= self.lost_below < 1:
            raise ValueError(f"latents: lost_below: got {self.lost_below:g}; expected at least 0 and less than 1")

    def focus_at(self, samples: int) -> float:
        """The focus in force after ``samples`` control steps."""
        return self.clip_focus if samples >= self.focus_from_samples else 0.0


class Draw(Protocol):
    """A source of latents."""

    def __call__(self, n: int, *, generator: torch.Generator) -> Tensor: ...


def sample_latents(n: int, dim: int, generator: torch.Generator) -> Tensor:
    """``n`` points uniform on the unit sphere, ``[n, dim]`` (normalised Gaussians)."""
    return F.normalize(torch.randn(n, dim, generator=generator, device=generator.device), dim=-1)


class LatentSchedule:
    """The latent of every environment and when it changes.

    Args:
        draw: ``n`` random latents ``[n, Z]``; uniform on the sphere if omitted.

    Attributes:
        z: ``[N, Z]`` present latents.
        age: ``[N]`` control steps since the latent was drawn; an encoder window of ``H`` frames is evidence for ``z`` alone once ``age >= H``.
    """

    def __init__(self, config: LatentConfig, num_envs: int, control_dt: float, generator: torch.Generator, draw: Draw | None = None):
        self._draw = draw or partial(sample_latents, dim=config.dim)
        self._config, self._generator = config, generator
        self._low, self._high = max(1, round(config.min_hold_s / control_dt)), max(1, round(config.max_hold_s / control_dt))
        if self._low > self._high:
            raise ValueError(f"latents: min_hold_s: got {config.min_hold_s}; expected at most max_hold_s = {config.max_hold_s}")
        device = generator.device
        self.z = torch.zeros(num_envs, config.dim, device=device)
        self.age = torch.zeros(num_envs, dtype=torch.long, device=device)
        self.steps_left = torch.zeros(num_envs, dtype=torch.long, device=device)
        self.switch(torch.arange(num_envs, device=device))

    def switch(self, env_ids: Tensor) -> None:
        """Draws a new latent and hold time for ``env_ids [n]``."""
        n, device = len(env_ids), self._generator.device
        self.z = self.z.index_copy(0, env_ids, self._draw(n, generator=self._generator))
        self.steps_left[env_ids] = torch.randint(self._low, self._high + 1, (n,), generator=self._generator, device=device)
        self.age[env_ids] = 0

    def hold(self, env_ids: Tensor, z: Tensor, steps: int) -> None:
        """Gives ``env_ids [n]`` the latents ``z [n, Z]`` for so many control steps."""
        self.z = self.z.index_copy(0, env_ids, z)
        self.steps_left[env_ids], self.age[env_ids] = steps, 0

    def advance(self) -> Tensor:
        """Counts one control step; ``[n]`` the environments whose time is up. The caller switches them."""
        self.age += 1
        self.steps_left -= 1
        return (self.steps_left <= 0).nonzero().squeeze(-1)

    def state_dict(self) -> dict[str, Tensor]:
        return {"z": self.z, "age": self.age, "steps_left": self.steps_left}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        for name in ("z", "age", "steps_left"):
            setattr(self, name, saved[name].to(self._generator.device).clone())

"""Help in getting up that is taken away as it is needed less: an upward force at the chest of characters that began on the floor.

Shapes: ``N`` environments, ``n`` some of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

UPRIGHT = 0.9  # share of the root's height in the rest pose from which nobody is helped; the force fades to it over `FADE`
FADE = 0.2


@dataclass(frozen=True)
class AssistConfig:
    """Attributes:
    lift: share of the body's weight that the strongest help carries at first; 0 for none. Each episode's is uniform between none and the strongest.
    step: what the strongest loses with every character that stood when its grace ended, and gains with every one that did not; of those that had more than half of it.
    """

    lift: float = 0.0
    step: float = 3e-4

    def __post_init__(self) -> None:
        if not 0 <= self.lift <= 1 or self.step < 0:
            raise ValueError(f"assist: got lift {self.lift:g}, step {self.step:g}; expected lift in [0, 1], step >= 0")


class Assist:
    """How much each character is helped.

    Args:
        weight_n: of the character, newtons. standing_m: height of its root in the rest pose.

    Attributes:
        level: share of the weight that the strongest help carries now. lift: ``[N]`` share that each episode's does (0: not helped).
    """

    def __init__(self, config: AssistConfig, num_envs: int, weight_n: float, standing_m: float, generator: torch.Generator):
        self.config, self.weight_n, self.standing_m, self.generator = config, weight_n, standing_m, generator
        self.level = torch.tensor(config.lift, device=generator.device)
        self.lift = torch.zeros(num_envs, device=generator.device)

    def begin(self, env_ids: Tensor, fallen: Tensor) -> None:
        """New episodes of ``env_ids [n]``; those that begin ``fallen [n]`` are helped."""
        draw = torch.rand(len(env_ids), generator=self.generator, device=self.lift.device)
        self.lift[env_ids] = torch.where(fallen, self.level * draw, 0.0)

    def force(self, root_height_m: Tensor) -> Tensor:
        """Newtons upward ``[N]`` at roots that are so high, ``[N]``."""
        needed = ((UPRIGHT - root_height_m / self.standing_m) / FADE).clamp(0.0, 1.0)
        return self.weight_n * self.lift * needed

    def judge(self, due: Tensor, stood: Tensor) -> None:
        """Takes note of the characters whose time to get up is over, ``due [N]``, and of which ``stood [N]``; then they are helped no more."""
        counts = due & (2 * self.lift > self.level)
        failed, succeeded = (counts & ~stood).sum(), (counts & stood).sum()
        self.level = (self.level + self.config.step * (failed - succeeded)).clamp(0.0, self.config.lift)
        self.lift = torch.where(due, 0.0, self.lift)

    def state_dict(self) -> dict[str, Tensor]:
        return {"level": self.level.clone(), "lift": self.lift.clone()}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        for name in ("level", "lift"):
            setattr(self, name, saved[name].to(self.lift.device).clone())

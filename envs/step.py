"""What a control step of an environment returns.

Shapes: ``N`` environments, ``H`` history frames, ``O`` observation, ``F`` features of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Step:
    """What a control step returns. Nothing is reset: ``obs`` and ``disc_obs`` are the true next ones, also where the episode ended.

    Attributes:
        obs: ``[N, O]``. reward: ``[N]`` task reward. terminated: ``[N]`` failed or diverged. truncated: ``[N]`` time limit, not terminated.
        disc_obs: ``[N, H, F]`` the last ``H`` frames, oldest first.
    """

    obs: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    disc_obs: Tensor

    @property
    def done(self) -> Tensor:
        return self.terminated | self.truncated

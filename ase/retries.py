"""Second chances: episodes that begin a moment before somebody fell, under the latent of then.

Skills that hardly ever fall learn hardly anything of falling: of a thousand control steps one ends in a fall. Where characters were shortly before they fell it is still open what
happens, and most episodes that begin there tell something of it. (As begins that are neither hopeless nor sure, for a goal: Florensa et al. 2017, arXiv 1707.05300.)

Shapes: ``N`` environments, ``n`` some of them, ``Z`` latent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

EVERY = 5  # control steps between the moments that are remembered


@dataclass(frozen=True)
class RetryConfig:
    """Attributes:
    share: of the episodes that begin a moment before a fall; 0: none. back_s: at most so many seconds before it.
    kept: moments of that kind that are remembered, the latest.
    """

    share: float = 0.0
    back_s: float = 2.0
    kept: int = 4096

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1 or self.back_s <= 0 or self.kept < 1:
            raise ValueError(f"retry: share, back_s, kept: got {self.share:g}, {self.back_s:g}, {self.kept}; expected at least 0 and less than 1, more than 0, and at least 1")


class ReplayedEnv(Protocol):
    """Environments whose characters can be put to where others were; see `envs.humanoid.HumanoidEnv`."""

    def capture(self) -> dict[str, Tensor]: ...
    def start_at(self, env_ids: Tensor, moments: dict[str, Tensor]) -> Tensor: ...


class Retries:
    """Remembers where everybody was in the last seconds, and of those who fell one such moment each.

    Attributes:
        latest: the moments of everybody, oldest first: what `ReplayedEnv.capture` gives, and the latents ``z [N, Z]``. kept: of those who fell, by the same names.
        count: control steps so far.
    """

    def __init__(self, config: RetryConfig, env: ReplayedEnv, control_dt: float, generator: torch.Generator):
        self.config, self.env, self.generator = config, env, generator
        self.length = max(1, round(config.back_s / control_dt) // EVERY)
        self.latest: list[dict[str, Tensor]] = []
        self.kept: dict[str, Tensor] = {}
        self.count = 0

    def watch(self, z: Tensor) -> None:
        """Called before each control step, which is acted under latents ``z [N, Z]``."""
        if self.count % EVERY == 0:
            self.latest = [*self.latest, self.env.capture() | {"z": z.clone()}][-self.length :]
        self.count += 1

    def learn(self, env_ids: Tensor, age: Tensor) -> None:
        """``env_ids [n]`` have fallen under latents that they had for ``age [n]`` control steps: keeps a random moment of that time for each, where one is remembered."""
        since = (self.count - 1) % EVERY + 1  # control steps from the latest moment until now
        there = (1 + (age - since) // EVERY).clamp(0, len(self.latest))
        env_ids, there = env_ids[there > 0], there[there > 0]
        if len(env_ids):
            back = (torch.rand(len(there), generator=self.generator, device=there.device) * there).long()
            which, each = len(self.latest) - 1 - back, torch.arange(len(back), device=back.device)
            rows = {name: torch.stack([moment[name][env_ids] for moment in self.latest])[which, each] for name in self.latest[0]}
            self.kept = {name: torch.cat((self.kept.get(name, part[:0]), part))[-self.config.kept :] for name, part in rows.items()}

    def begin(self, obs: Tensor, env_ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Puts a share of ``env_ids [n]``, which have just been reset to observations ``obs [N, O]``, to where others were before they fell; returns the observations ``[N, O]``,
        who was put there ``[m]``, and, if anybody was, their latents ``[m, Z]``."""
        chosen = env_ids[torch.rand(len(env_ids), generator=self.generator, device=env_ids.device) < self.config.share]
        if not self.kept or not len(chosen):
            return obs, env_ids[:0], obs[:0]
        pick = torch.randint(len(self.kept["z"]), (len(chosen),), generator=self.generator, device=env_ids.device)
        moments = {name: part[pick] for name, part in self.kept.items()}
        z = moments.pop("z")
        return self.env.start_at(chosen, moments), chosen, z

    def state_dict(self) -> dict[str, Any]:
        return {"count": torch.tensor(self.count), "kept": dict(self.kept), "latest": {str(k): dict(moment) for k, moment in enumerate(self.latest)}}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        def here(moment: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: part.to(self.generator.device) for name, part in moment.items()}

        self.count, self.kept = int(saved["count"]), here(saved.get("kept", {}))  # what is empty is not saved
        self.latest = [here(moment) for _, moment in sorted(saved.get("latest", {}).items(), key=lambda item: int(item[0]))]

"""`Expert`: what somebody who can do the motions (`envs.lqr.Regulators`) would do, in any state near one.

Shapes: ``N`` simulations, ``M`` moments of all motions, ``K`` motions, ``A`` action.
"""

from __future__ import annotations

import torch
from torch import Tensor

from envs.lqr import HEAD, MOST_RAD, Dynamics, Regulators
from motions.library import MotionLibrary

LOOK = (-1, 0, 1)  # moments from the expected one among which the nearest by cost-to-go is looked for
SLIP = 3.0  # cost of each moment off
TRIAL_STEPS, TRIAL_NOISE = 120, 0.03  # how long, and with what noise on its actions, it is tried whether a motion is kept to
LOST = 3.0  # cost of a state (`envs.deviations.Deviations.errors`) at which a character is too far off for advice


class Expert:
    """Args:
    dynamics: simulations of the character. regulators: the motions, on the same device.

    Attributes:
        clips: ``[K]`` the clip that each motion is of. motion: ``[M]`` which motion each moment is of.
        before: ``[M]`` the moment a control step earlier.
        cycles: for each motion, its moments that come again and again, or all of one that ends. ends: ``[K]`` which of them end.
    """

    def __init__(self, dynamics: Dynamics, regulators: Regulators):
        self.dynamics, self.regulators, self.deviations = dynamics, regulators, dynamics.deviations
        after = regulators.after
        here = torch.arange(len(after), device=after.device)
        before = torch.zeros_like(here)
        before[after] = here
        straight = after[:-1] == here[1:]
        before[here[1:][straight]] = here[:-1][straight]  # where a motion goes back to there are two
        self.before, self._near = before, torch.stack([{-1: before, 0: here, 1: after}[k] for k in LOOK])  # [M], [looks, M]
        clips, self.motion = regulators.clip.unique_consecutive(return_inverse=True)
        self.clips, self.cycles = clips, [self._cycle(k) for k in range(len(clips))]
        self.ends = torch.stack([after[cycle[-1]] == cycle[-1] for cycle in self.cycles])

    def _cycle(self, motion: int) -> Tensor:
        mine = (self.motion == motion).nonzero().flatten()
        last = int((self.regulators.after[mine] <= mine).nonzero().flatten()[0])  # where it goes back, or stays
        back = int(self.regulators.after[mine[last]] - mine[0])
        return mine[(back if back < last else HEAD) : last + 1]

    def advise(self, moment: Tensor) -> tuple[Tensor, Tensor]:
        """What would keep characters that should be at ``moment [N]`` on their motions, ``[N, A]``, and the moment ``[N]`` that they are nearest to."""
        regulators, physics = self.regulators, self.dynamics.physics
        moments = self._near[:, moment]
        off = self.deviations.between(physics.qpos, physics.qvel, regulators.qpos[moments], regulators.qvel[moments])  # [looks, N, E]
        costs = torch.einsum("kne,knef,knf->kn", off, regulators.cost[moments], off) + SLIP * torch.tensor(LOOK, device=moment.device).abs().unsqueeze(-1)
        best = costs.argmin(0, keepdim=True)
        nearest = off.gather(0, best.unsqueeze(-1).expand(-1, -1, off.shape[-1])).squeeze(0)
        moment = moments.gather(0, best).squeeze(0)
        change = -torch.einsum("nae,ne->na", regulators.gain[moment], nearest).clamp(-MOST_RAD, MOST_RAD)
        return (regulators.action[moment] + change / self.dynamics.scale).clamp(-1.0, 1.0), moment

    def change(self, moment: Tensor, leave: Tensor, enter: Tensor) -> Tensor:
        """The moments of characters at ``moment [N]`` that take up ``enter [N]`` when they come to ``leave [N]``, or where they would be then if they have just passed it."""
        after = self.regulators.after
        return torch.where(moment == leave, enter, torch.where(moment == after[leave], after[enter], moment))

    def act(self, moment: Tensor, noise: float, generator: torch.Generator) -> Tensor:
        """Acts for a control step, with white ``noise`` on actions, for characters that should be at ``moment [N]``; returns where they should be then."""
        action, moment = self.advise(moment)
        self.dynamics.step(action + noise * torch.randn(action.shape, generator=generator, device=action.device))
        return self.regulators.after[moment]

    def off(self, moment: Tensor) -> Tensor:
        """What states cost that should be those of ``moment [N]``, ``[N]``."""
        regulators, physics = self.regulators, self.dynamics.physics
        return self.deviations.errors(physics.qpos, physics.qvel, regulators.qpos[moment], regulators.qvel[moment]).square().sum(-1)

    def shown(self, library: MotionLibrary, control_dt: float) -> tuple[Tensor, Tensor]:
        """Where the clips themselves have the character in each moment, ``qpos [M, nq]`` and ``qvel [M, nv]``."""
        counts = self.motion.bincount()
        since = torch.arange(len(self.motion), device=counts.device) - (counts.cumsum(0) - counts)[self.motion]
        return self.deviations.codec.encode(library.state_at(self.regulators.clip, since * control_dt))

    def lost(self, moment: Tensor) -> Tensor:
        """Who is too far from ``moment [N]`` for advice, ``[N]``."""
        return ~(self.off(moment) <= LOST)


def lost_share(expert: Expert, generator: torch.Generator) -> float:
    """Share of the simulations, started in random moments of the motions, that lose theirs within `TRIAL_STEPS` while the expert acts with noise."""
    count, device = expert.dynamics.physics.num_envs, expert.regulators.clip.device
    moments = torch.cat(expert.cycles)
    moment = moments[torch.randint(len(moments), (count,), generator=generator, device=device)]
    expert.dynamics.begin(expert.regulators.qpos[moment], expert.regulators.qvel[moment])
    lost = torch.zeros(count, dtype=torch.bool, device=device)
    for _ in range(TRIAL_STEPS):
        moment = expert.act(moment, TRIAL_NOISE, generator)
        lost |= expert.lost(moment)
    return float(lost.float().mean())

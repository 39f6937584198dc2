"""Which motions lead into which: where one can be left, and where the other is taken up then, as simulation shows; and by way of which others the rest is reached.

Motions with regulators (`envs.lqr`) need no transitions of their own: each is left in the moment in which another's regulator can take over at the least cost-to-go, if characters
do stay on the other then.

Sources: Kovar, Gleicher and Pighin 2002, "Motion graphs"; Tedrake et al. 2010, "LQR-trees".

Shapes: ``K`` motions, ``M`` moments of all, ``P`` changes that are tried.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from envs.expert import Expert

TRIES = 3  # moments in which leaving one motion for another is tried
APART = 4  # moments between these, at least
TRIAL_STEPS = 60  # control steps for which a character must stay on the other motion
TRIAL_NOISE = 0.02  # deviation of the noise on its actions meanwhile
TRIALS = 2  # all of which must succeed


@dataclass(frozen=True)
class MotionGraph:
    """Attributes:
    leave, enter: ``[K, K]`` moment of the first motion in which it is left for the second, and that of the second which is taken up then; -1: it cannot be.
    toward: ``[K, K]`` the motion that follows on the first on the shortest way to the second; the first itself where there is none.
    """

    leave: Tensor
    enter: Tensor
    toward: Tensor

    @property
    def density(self) -> float:
        """Share of the pairs of different motions of which one leads into the other."""
        count = len(self.leave)
        return float((self.leave >= 0).sum()) / max(1, count * (count - 1))

    @property
    def reach(self) -> float:
        """Share of the pairs of which the first leads to the second, by way of others or not."""
        count = len(self.toward)
        return float((self.toward != torch.arange(count, device=self.toward.device).unsqueeze(1)).sum()) / max(1, count * (count - 1))


def candidates(expert: Expert) -> tuple[Tensor, Tensor, Tensor]:
    """Changes to try, ``[P]`` each: the moment that is left, the one that is taken up, and its cost-to-go then."""
    regulators, found = expert.regulators, []
    for moments in expert.cycles:
        for other in expert.cycles:
            if other is moments:
                continue
            here, there = (regulators.qpos[moments].unsqueeze(1), regulators.qvel[moments].unsqueeze(1)), (regulators.qpos[other], regulators.qvel[other])
            off = expert.deviations.between(*here, *there)  # [moments, other, E]
            least, nearest = torch.einsum("abe,bef,abf->ab", off, regulators.cost[other], off).min(1)
            for _ in range(TRIES):
                best = int(least.argmin())
                found.append((int(moments[best]), int(other[nearest[best]]), float(least[best])))
                least[max(0, best - APART + 1) : best + APART] = torch.inf
    left, taken, cost = (torch.tensor(part, device=regulators.clip.device) for part in zip(*found, strict=True))
    return left, taken, cost


def stays(expert: Expert, left: Tensor, taken: Tensor, generator: torch.Generator) -> Tensor:
    """Whether characters that take up moments ``taken [P]`` where they leave others, ``left [P]``, stay there, ``[P]``."""
    dynamics, regulators = expert.dynamics, expert.regulators
    count, found = dynamics.physics.num_envs, []
    for ids in torch.arange(len(left), device=left.device).split(count):
        rows = torch.cat((ids, ids[:1].expand(count - len(ids))))
        dynamics.begin(regulators.qpos[left[rows]], regulators.qvel[left[rows]])
        moment = taken[rows]
        for _ in range(TRIAL_STEPS):
            moment = expert.act(moment, TRIAL_NOISE, generator)
        found.append(~expert.lost(moment)[: len(ids)])
    return torch.cat(found)


def motion_graph(expert: Expert, generator: torch.Generator) -> MotionGraph:
    """Tries all motions of an expert after each other."""
    count, device = len(expert.cycles), expert.regulators.clip.device
    leave, enter = (torch.full((count, count), -1, device=device) for _ in range(2))
    if count > 1:
        left, taken, cost = candidates(expert)
        kept = torch.stack([stays(expert, left, taken, generator) for _ in range(TRIALS)]).all(0)
        for k in torch.where(kept, cost, torch.inf).argsort(descending=True).tolist():  # the least comes last
            if kept[k]:
                pair = expert.motion[left[k]], expert.motion[taken[k]]
                leave[pair], enter[pair] = left[k], taken[k]
    return MotionGraph(leave, enter, shortest(leave >= 0))


def shortest(direct: Tensor) -> Tensor:
    """The next motion ``[K, K]`` on the way with the fewest changes from each to each, of those that lead ``direct [K, K]`` into each other; itself where no way leads."""
    count = len(direct)
    here = torch.arange(count, device=direct.device)
    steps = torch.where(direct, 1.0, torch.inf)
    steps[here, here] = 0.0
    toward = torch.where(direct, here.expand(count, -1), here.unsqueeze(1))
    for k in range(count):
        by_way = steps[:, k : k + 1] + steps[k : k + 1]
        shorter = by_way < steps
        steps = torch.where(shorter, by_way, steps)
        toward = torch.where(shorter, toward[:, k : k + 1], toward)
    return toward

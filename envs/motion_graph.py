"""Which motions lead into which: where one can be left, and where the other is taken up then, as simulation shows; and by way of which others the rest is reached.

Motions with regulators (`envs.lqr`) need no transitions of their own: each is left in the moment in which another's regulator can take over at the least cost-to-go, if characters
do stay on the other then.

Sources: Kovar, Gleicher and Pighin 2002, "Motion graphs"; Tedrake et al. 2010, "LQR-trees".

Shapes: ``K`` motions, ``M`` moments of all, ``P`` changes that are tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from envs.expert import Expert

TRIES = 4  # moments in which leaving one motion for another is tried
APART = 4  # moments between these, at least
LEAD_STEPS = 6  # control steps for which a character has followed the first motion when it changes
TRIAL_STEPS = 60  # for which it must follow the other
TRIAL_NOISE = 0.02  # deviation of the noise on its actions meanwhile
KEPT = 1.0  # cost of a state (`envs.deviations.Deviations.errors`) at which it does not follow it in the end
TRIALS = 4  # all of which must succeed
CHANGE = 3.0  # what a change counts for on the way to a motion, beside its cost-to-go


@dataclass(frozen=True)
class MotionGraph:
    """Attributes:
    leave, enter: ``[K, K]`` moment of the first motion in which it is left for the second, and that of the second which is taken up then; -1: it cannot be.
    toward: ``[K, K]`` the motion that follows on the first on the cheapest way to the second; the first itself where there is none.
    rise: ``[K]`` moment of each motion that is taken up from the rest pose; -1: it cannot be. first: ``[K]`` the motion that is taken up first on the cheapest way from the rest
        pose to each; -1: there is none.
    """

    leave: Tensor
    enter: Tensor
    toward: Tensor
    rise: Tensor
    first: Tensor

    @staticmethod
    def of(leave: Tensor, enter: Tensor, rise: Tensor, cost: Tensor) -> MotionGraph:
        """The cheapest ways by changes of so much cost-to-go, ``cost [K + 1, K + 1]``, of which the last is that from the rest pose; infinite where there is none."""
        count = len(leave)
        toward = cheapest(cost + CHANGE)
        first = toward[count, :count]
        return MotionGraph(leave, enter, toward[:count, :count], rise, torch.where(first < count, first, -1))

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


def costs_to_go(expert: Expert, qpos: Tensor, qvel: Tensor, other: Tensor) -> Tensor:
    """What it costs to follow a motion from each of its moments ``other [m]`` in states ``[n]``: ``[n, m]``."""
    regulators = expert.regulators
    off = expert.deviations.between(qpos.unsqueeze(1), qvel.unsqueeze(1), regulators.qpos[other], regulators.qvel[other])  # [n, m, E]
    return torch.einsum("abe,bef,abf->ab", off, regulators.cost[other], off)


def some_apart(least: Tensor) -> list[int]:
    """`TRIES` of ``least [n]``, from the smallest on, `APART`."""
    least, found = least.clone(), []
    for _ in range(TRIES):
        best = int(least.argmin())
        found.append(best)
        least[max(0, best - APART + 1) : best + APART] = torch.inf
    return found


def candidates(expert: Expert) -> tuple[Tensor, Tensor, Tensor]:
    """Changes to try, ``[P]`` each: the moment that is left, the one that is taken up, and its cost-to-go then."""
    regulators, found = expert.regulators, []
    for moments in expert.cycles:
        for other in expert.cycles:
            if other is moments:
                continue
            least, nearest = costs_to_go(expert, regulators.qpos[moments], regulators.qvel[moments], other).min(1)
            found += [(int(moments[k]), int(other[nearest[k]]), float(least[k])) for k in some_apart(least)]
    left, taken, cost = (torch.tensor(part, device=regulators.clip.device) for part in zip(*found, strict=True))
    return left, taken, cost


def risings(expert: Expert, qpos: Tensor, qvel: Tensor) -> tuple[Tensor, Tensor]:
    """Moments to try to take up from a state ``[1]``, ``[P]``, and their costs-to-go then."""
    found = []
    for moments in expert.cycles:
        costs = costs_to_go(expert, qpos, qvel, moments)[0]
        found += [(int(moments[k]), float(costs[k])) for k in some_apart(costs)]
    taken, cost = (torch.tensor(part, device=qpos.device) for part in zip(*found, strict=True))
    return taken, cost


def follows(expert: Expert, qpos: Tensor, qvel: Tensor, moment: Tensor, leave: Tensor, enter: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Whether characters in states ``[P]`` that should be at ``moment [P]`` and take up ``enter [P]`` where they come to ``leave [P]`` follow that after ``steps``, ``[P]``."""
    dynamics, count, found = expert.dynamics, expert.dynamics.physics.num_envs, []
    for ids in torch.arange(len(moment), device=moment.device).split(count):
        rows = torch.cat((ids, ids[:1].expand(count - len(ids))))
        dynamics.begin(qpos[rows], qvel[rows])
        here = moment[rows]
        for _ in range(steps):
            here = expert.act(expert.change(here, leave[rows], enter[rows]), TRIAL_NOISE, generator)
        kept = (expert.off(here) <= KEPT) & (expert.motion[here] == expert.motion[enter[rows]])
        found.append(kept[: len(ids)])
    return torch.cat(found)


def stays(expert: Expert, left: Tensor, taken: Tensor, generator: torch.Generator) -> Tensor:
    """Whether characters that follow a motion to moments ``left [P]`` and take up others there, ``taken [P]``, stay with these, ``[P]``."""
    moment = left
    for _ in range(LEAD_STEPS):
        moment = expert.before[moment]
    return follows(expert, expert.regulators.qpos[moment], expert.regulators.qvel[moment], moment, left, taken, LEAD_STEPS + TRIAL_STEPS, generator)


def always(trial: Callable[[], Tensor]) -> Tensor:
    """Which of ``trial``'s ``[P]`` succeed each time."""
    return torch.stack([trial() for _ in range(TRIALS)]).all(0)


def cheapest_last(kept: Tensor, cost: Tensor) -> list[int]:
    """Which of the changes ``[P]`` are ``kept``, from the dearest to the cheapest."""
    return [k for k in cost.argsort(descending=True).tolist() if kept[k]]


def motion_graph(expert: Expert, generator: torch.Generator) -> MotionGraph:
    """Tries all motions of an expert after each other, and each from the rest pose."""
    count, device = len(expert.cycles), expert.regulators.clip.device
    leave, enter = (torch.full((count, count), -1, device=device) for _ in range(2))
    rise, costs = torch.full((count,), -1, device=device), torch.full((count + 1, count + 1), torch.inf, device=device)
    if count > 1:
        left, taken, cost = candidates(expert)
        kept = always(lambda: stays(expert, left, taken, generator))
        for k in cheapest_last(kept, cost):
            pair = expert.motion[left[k]], expert.motion[taken[k]]
            leave[pair], enter[pair], costs[pair] = left[k], taken[k], cost[k]
    qpos, qvel = expert.dynamics.rest()
    risen, cost = risings(expert, qpos, qvel)
    rested = qpos.expand(len(risen), -1), qvel.expand(len(risen), -1)
    kept = always(lambda: follows(expert, *rested, risen, risen, risen, TRIAL_STEPS, generator))
    for k in cheapest_last(kept, cost):
        motion = expert.motion[risen[k]]
        rise[motion], costs[count, motion] = risen[k], cost[k]
    return MotionGraph.of(leave, enter, rise, costs)


def cheapest(price: Tensor) -> Tensor:
    """The next motion ``[K, K]`` on the cheapest way from each to each, where one leads into another at a ``price [K, K]``, infinite if not at all; itself where no way leads."""
    count = len(price)
    here = torch.arange(count, device=price.device)
    sums = price.clone()
    sums[here, here] = 0.0
    toward = torch.where(price.isfinite(), here.expand(count, -1), here.unsqueeze(1))
    for k in range(count):
        by_way = sums[:, k : k + 1] + sums[k : k + 1]
        cheaper = by_way < sums
        sums = torch.where(cheaper, by_way, sums)
        toward = torch.where(cheaper, toward[:, k : k + 1], toward)
    return toward

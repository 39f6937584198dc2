"""Characters that do clips and change from one to another, told at each step what somebody who can would do (`envs.expert`), in the states that a policy gets into.

Source: Ross, Gordon and Bagnell 2011, "A reduction of imitation learning and structured prediction to no-regret online learning" (DAgger).

Shapes: ``N`` characters, ``n`` some of them, ``M`` moments of all motions, ``K`` motions, ``O`` observation, ``A`` action.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from envs.expert import LOST, Expert
from envs.features import observe
from envs.motion_graph import MotionGraph

NEAR, NEAR_CHANGED = 0.05, 0.5  # cost of a state at which advice counts half of what it does on the motion itself, and soon after a change
REST_SHARE = 0.25  # of the episodes of characters that change, which begin in the rest pose
CLIP_SHARE = 0.5  # of the others, which begin where the clip itself has the character, as they do in training
SURE = 0.25  # cost of a state at which no change is begun
PATIENCE, FAR = 30, 20.0  # control steps after a change in which only who costs more than that is lost


@dataclass(frozen=True)
class GuideConfig:
    """Attributes:
    refinements: iterations in which what was found of a clip is made better (`envs.refine`). refine_noises: deviations of the noise on actions that it is made better under, each
        for itself: less brings it nearer to the clip, more makes it easier to keep to. nearness: what its mean cost then counts for beside the share of characters that lose it.
    episode_steps: control steps after which a character begins anew. change_share: of the characters that are to do another clip after ``change_every`` control steps, on average,
        and some of whose episodes begin in the rest pose; the others stay with theirs.
    start_off: deviation of where episodes begin, in units of `Deviations.steps`.
    """

    refinements: int = 12
    refine_noises: tuple[float, ...] = (0.05, 0.03)
    nearness: float = 0.3
    episode_steps: int = 180
    change_share: float = 0.5
    change_every: int = 75
    start_off: float = 0.1

    def __post_init__(self) -> None:
        if min(self.refinements, self.start_off, self.nearness, *self.refine_noises) < 0 or min(self.episode_steps, self.change_every) < 1 or not 0 <= self.change_share <= 1:
            noises = " ".join(f"{noise:g}" for noise in self.refine_noises)
            got = f"{self.refinements}, {self.start_off:g}, {self.nearness:g}, {noises}, {self.episode_steps}, {self.change_every}, {self.change_share:g}"
            names = "refinements, start_off, nearness, refine_noises, episode_steps, change_every, change_share"
            raise ValueError(f"guide: {names}: got {got}; expected at least 0, 0, 0, 0 each, 1, 1, and 0 to 1")


class Guided:
    """Args:
    expert: who tells, with ``N`` simulations. graph: how it changes between its motions. shown: where the clips themselves have the character in each moment, ``qpos [M, nq]`` and
        ``qvel [M, nv]``. generator: random source.

    Attributes:
        obs: ``[N, O]`` what the characters see. goal: ``[N]`` the motion that each is to do. moment: ``[N]`` where it is, in that or on the way there.
        regret: ``[M, A, A]`` what it costs in the end to act otherwise than is advised in a moment, as a quadratic form of actions with a mean diagonal of 1.
        age: ``[N]`` control steps since it began. patience: ``[N]`` in how many it cannot be lost yet. lost: ``[N]`` who was too far off.
    """

    def __init__(self, expert: Expert, graph: MotionGraph, shown: tuple[Tensor, Tensor], config: GuideConfig, generator: torch.Generator):
        self.expert, self.graph, self.shown, self.config, self.generator = expert, graph, shown, config, generator
        self.dynamics, self.physics = expert.dynamics, expert.dynamics.physics
        self.num_envs, self.device = self.physics.num_envs, self.physics.device
        self._sizes = torch.tensor([len(cycle) for cycle in expert.cycles], device=self.device)
        self._starts, self._first = torch.cat(expert.cycles), self._sizes.cumsum(0) - self._sizes
        leads = (graph.toward != torch.arange(len(self._sizes), device=self.device).unsqueeze(1)) & ~expert.ends
        self._ways, self._count = leads.int().argsort(dim=1, descending=True), leads.sum(1)  # where each motion leads to, first
        regret, scale = expert.regulators.regret, expert.dynamics.scale
        regret = regret * scale * scale.unsqueeze(-1)
        self.regret = regret / regret.diagonal(dim1=1, dim2=2).mean(-1).view(-1, 1, 1)
        self.moment, self.goal, self.age, self.patience = (torch.zeros(self.num_envs, dtype=torch.long, device=self.device) for _ in range(4))
        self.lost = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self._rest = self.dynamics.rest()
        self._risen = ((graph.first >= 0) & ~expert.ends).nonzero().flatten()
        self._changes = torch.arange(self.num_envs, device=self.device) >= round((1 - config.change_share) * self.num_envs)
        self.obs = self._observe(slice(None))
        self.begin(torch.arange(self.num_envs, device=self.device))

    @property
    def clip(self) -> Tensor:
        """The clip ``[N]`` that each is to do."""
        return self.expert.clips[self.goal]

    def begin(self, ids: Tensor) -> None:
        """Starts characters ``ids [n]`` in random moments of random motions, near these or where the clips themselves have the character, and some of those that change in the
        rest pose."""
        if not len(ids):
            return
        motion = torch.randint(len(self._sizes), (len(ids),), generator=self.generator, device=self.device)
        part = torch.rand(len(ids), generator=self.generator, device=self.device)
        moments = self._starts[self._first[motion] + (part * self._sizes[motion]).long()]
        deviations, regulators = self.expert.deviations, self.expert.regulators
        off = self.config.start_off * deviations.steps * torch.randn(len(ids), len(deviations.steps), generator=self.generator, device=self.device)
        qpos, qvel = deviations.added(regulators.qpos[moments], regulators.qvel[moments], off)
        rest = self._changes[ids] & (torch.rand(len(ids), generator=self.generator, device=self.device) < REST_SHARE)
        rest &= len(self._risen) > 0
        clips = ~rest & (torch.rand(len(ids), generator=self.generator, device=self.device) < CLIP_SHARE)
        qpos[clips], qvel[clips] = (shown[moments[clips]] for shown in self.shown)
        if rest.any():
            goal = self._risen[torch.randint(len(self._risen), (int(rest.sum()),), generator=self.generator, device=self.device)]
            motion[rest], moments[rest] = goal, self.graph.rise[self.graph.first[goal]]
            qpos[rest], qvel[rest] = self._rest
        self.age[ids], self.lost[ids], self.patience[ids] = 0, False, PATIENCE * (rest | clips)
        self.physics.set_state(ids, qpos, qvel)
        self.moment[ids], self.goal[ids] = moments, motion
        self._set_goals(ids[self._changes[ids] & ~rest])
        self.obs = self.obs.index_copy(0, ids, self._observe(ids))

    def _set_goals(self, ids: Tensor) -> None:
        """Gives characters ``ids [n]`` random motions to do that those which they do lead to; none that end, which are ways to others."""
        motion = self.expert.motion[self.moment[ids]]
        which = (torch.rand(len(ids), generator=self.generator, device=self.device) * self._count[motion]).long()
        self.goal[ids] = torch.where(self._count[motion] > 0, self._ways[motion, which], motion)

    def change(self) -> Tensor:
        """Gives some of the characters that change something else to do; returns them, ``[n]``."""
        chance = torch.rand(self.num_envs, generator=self.generator, device=self.device) * self.config.change_every
        ids = (self._changes & (chance < 1)).nonzero().flatten()
        self._set_goals(ids)
        return ids

    def _observe(self, ids: Tensor | slice) -> Tensor:
        """What characters ``ids [n]`` see, ``[n, O]``."""
        return observe(self.expert.deviations.codec.decode(self.physics.qpos[ids], self.physics.qvel[ids]), self.dynamics.character.skeleton)

    def advice(self) -> Tensor:
        """What each character should do, ``[N, A]``: stay on its motion, or take up the next one on the way to its goal where the graph says so, if it
        is close to its own."""
        motion = self.expert.motion[self.moment]
        following = self.graph.toward[motion, self.goal]
        leave, enter = self.graph.leave[motion, following], self.graph.enter[motion, following]
        sure = self.expert.off(self.moment) < SURE
        changed = torch.where(sure, self.expert.change(self.moment, leave, enter), self.moment)  # where there is no way, both are -1, and nothing changes
        self.patience = torch.where(self.expert.motion[changed] != motion, PATIENCE, (self.patience - 1).clamp_min(0))
        self.moment = changed
        action, self.moment = self.expert.advise(self.moment)
        return action

    def weights(self) -> Tensor:
        """How much what is advised counts, ``[N]``: 1 on a motion, less the further from it, for who is nearly lost needs no fine advice; but who has just changed is far off."""
        near = torch.where(self.patience > 0, NEAR_CHANGED, NEAR)
        return near / (near + self.expert.off(self.moment))

    def step(self, action: Tensor) -> Tensor:
        """One control step with actions ``[N, A]``; returns who must begin anew, ``[N]``: who is `lost`, at the end of what it is to do, or has been on the way for long enough."""
        self.dynamics.step(action)
        self.moment = self.expert.regulators.after[self.moment]
        self.age += 1
        self.obs = self._observe(slice(None))
        self.lost = ~(self.expert.off(self.moment) <= torch.where(self.patience > 0, FAR, LOST))
        over = (self.moment == self.expert.regulators.after[self.moment]) & (self.goal == self.expert.motion[self.moment])
        return self.lost | over | (self.age >= self.config.episode_steps)

"""Linear feedback around a motion that physics allows: what keeps a simulated character on it, however it is disturbed by a little.

A way found by trial (`envs.samcon`) is lost open loop within a second. Each of its moments is linearised, by what the simulation itself makes of small deviations, and the linear
quadratic regulator of all of them says how actions must answer. With it characters do walks, kicks, cartwheels or backflips over and over. That is an expert that can be asked in
any state near the motion, which is what a policy is best taught by (`ase.coaching`).
The same equations, with what the motion itself costs, make it better (`envs.refine`).

Sources: Tedrake et al. 2010, "LQR-trees" (regulators around found motions, and the nearest by cost-to-go); Liu, van de Panne and Yin 2016, "Guided learning of control graphs"
(linear feedback for motions found by sampling).

Shapes: ``M`` moments, ``V`` degrees of freedom, ``E = 2 V`` deviations (`envs.deviations`), ``A`` action, ``N`` simulations.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from envs.character import Character
from envs.deviations import Deviations, slopes
from envs.physics import Physics
from envs.resets import default_state
from envs.samcon import Motion

EFFORT = 0.5  # weight of the squared change of targets, rad², summed over joints, beside the errors of a state
TARGET_STEP = 0.02  # how far a target is disturbed, rad
MOST_RAD = 0.6  # change of a target by feedback, at most
LAST_WEIGHT = 3.0  # of the last moment's errors, which nothing follows
TAIL, HEAD = 30, 6  # moments at the end of a motion that repeats, of whose future too little is known, and at the beginning of one that ends, which comes from the clip


class Dynamics:
    """Args:
    physics: simulations of ``character.model``; they are disturbed. control_dt: seconds for which an action is held.
    """

    def __init__(self, character: Character, physics: Physics, control_dt: float):
        self.character, self.physics, self.substeps = character, physics, round(control_dt / physics.sim_dt)
        self.deviations = Deviations(character, physics.device)
        self.offset, self.scale = character.action_offset.to(physics.device), character.action_scale.to(physics.device)

    def begin(self, qpos: Tensor, qvel: Tensor) -> None:
        """Puts all simulations into states ``[N]``."""
        self.physics.set_state(torch.arange(self.physics.num_envs, device=qpos.device), qpos.contiguous(), qvel.contiguous())

    def step(self, action: Tensor) -> None:
        """Holds actions ``[N, A]`` for a control step."""
        self.physics.step(self.offset + self.scale * action.clamp(-1.0, 1.0), self.substeps)

    def rest(self) -> tuple[Tensor, Tensor]:
        """A character in the rest pose, ``qpos [1, nq]`` and ``qvel [1, nv]``."""
        qpos, qvel = self.deviations.codec.encode(default_state(self.character, 1))
        return qpos.to(self.physics.device), qvel.to(self.physics.device)

    def state(self) -> tuple[Tensor, Tensor]:
        """Copies of ``qpos`` and ``qvel``."""
        return self.physics.qpos.clone(), self.physics.qvel.clone()

    def advance(self, qpos: Tensor, qvel: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """States ``[n]`` a control step later."""
        count, found = self.physics.num_envs, []
        for ids in torch.arange(len(qpos), device=qpos.device).split(count):
            rows = torch.cat((ids, ids[:1].expand(count - len(ids))))
            self.begin(qpos[rows], qvel[rows])
            self.step(action[rows])
            found.append([part[: len(ids)] for part in self.state()])
        return torch.cat([qpos for qpos, _ in found]), torch.cat([qvel for _, qvel in found])

    def linearize(self, path: Motion) -> tuple[Tensor, Tensor]:
        """What becomes of deviations, ``[M, E, E]``, and of changes of targets (rad), ``[M, E, A]``, within a control step from each moment of a ``path [M]``."""
        deviations, size, device = self.deviations, path.action.shape[1], path.action.device
        last_qpos, last_qvel = self.advance(path.qpos[-1:], path.qvel[-1:], path.action[-1:])
        next_qpos, next_qvel = torch.cat((path.qpos[1:], last_qpos)), torch.cat((path.qvel[1:], last_qvel))
        states, targets = deviations.steps.diag(), TARGET_STEP * torch.eye(size, device=device)
        off = torch.cat((states, -states, states.new_zeros(2 * size, len(states))))
        change = torch.cat((targets.new_zeros(2 * len(states), size), targets, -targets)) / self.scale
        of_state, of_target = [], []
        for ids in torch.arange(len(path.action), device=device).split(max(1, self.physics.num_envs // len(off))):
            qpos, qvel = deviations.added(path.qpos[ids].unsqueeze(1), path.qvel[ids].unsqueeze(1), off.expand(len(ids), -1, -1))
            action = path.action[ids].unsqueeze(1) + change
            ends = [part.view(len(ids), len(off), -1) for part in self.advance(qpos.flatten(0, 1), qvel.flatten(0, 1), action.flatten(0, 1))]
            ended = deviations.between(ends[0], ends[1], next_qpos[ids].unsqueeze(1), next_qvel[ids].unsqueeze(1))
            of_state.append(slopes(ended[:, : 2 * len(states)], deviations.steps).mT)
            of_target.append(slopes(ended[:, 2 * len(states) :], torch.full((size,), TARGET_STEP, device=device)).mT)
        return torch.cat(of_state), torch.cat(of_target)


@dataclass(frozen=True)
class Feedback:
    """How to act near a motion: ``change [M, A]`` radians of targets that would better it, less ``gain [M, A, E]`` by deviations; costs-to-go ``[M, E, E]``, and what acting
    otherwise costs, ``regret [M, A, A]``."""

    change: Tensor
    gain: Tensor
    cost: Tensor
    regret: Tensor


def regulate(dynamics: Tensor, control: Tensor, error_slopes: Tensor, errors: Tensor, off_targets: Tensor, effort: float, damping: float = 0.0) -> Feedback:
    """The linear quadratic regulator of deviations ``x' = A x + B u`` (``[M, E, E]``, ``[M, E, A]``) for half of ``|e + Sᵀ x|² + effort |o + u|²``: Riccati's equation, backwards.

    Args:
        error_slopes, errors: ``S [M, E, F]`` and ``e [M, F]``. off_targets: ``o [M, A]`` radians. damping: effort of ``u`` beside that, which nothing else counts.
    """
    slope, off = error_slopes.double(), off_targets.double()
    pull, bend = (slope @ errors.double().unsqueeze(-1)).squeeze(-1), slope @ slope.mT  # gradient and curvature of the errors
    linear, cost = LAST_WEIGHT * pull[-1], LAST_WEIGHT * bend[-1]
    weight = (effort + damping) * torch.eye(control.shape[2], dtype=torch.float64, device=control.device)
    changes, gains, costs, regrets = [torch.zeros_like(off[-1])], [torch.zeros_like(control[-1].double().t())], [cost], [weight]
    for k in range(len(off) - 2, -1, -1):
        a, b = dynamics[k].double(), control[k].double()
        to_control, mixed = effort * off[k] + b.t() @ linear, b.t() @ cost @ a
        regret = weight + b.t() @ cost @ b
        solved = torch.linalg.solve(regret, torch.cat((to_control.unsqueeze(-1), mixed), dim=-1))
        change, gain = -solved[:, 0], solved[:, 1:]
        linear = pull[k] + a.t() @ linear + mixed.t() @ change
        cost = bend[k] + a.t() @ cost @ a - mixed.t() @ gain
        cost = (cost + cost.t()) / 2
        changes.append(change)
        gains.append(gain)
        costs.append(cost)
        regrets.append(regret)
    return Feedback(*(torch.stack(parts[::-1]).float() for parts in (changes, gains, costs, regrets)))


@dataclass(frozen=True)
class Regulators:
    """Moments of motions and how to stay on them.

    Attributes:
        qpos, qvel, action: ``[M, nq]``, ``[M, nv]``, ``[M, A]`` the motion. gain: ``[M, A, E]`` radians of targets by deviations. cost: ``[M, E, E]`` costs-to-go.
        regret: ``[M, A, A]`` what it costs in the end to act otherwise for a step, as a quadratic form of radians of targets.
        after: ``[M]`` the moment a control step later. clip: ``[M]`` what it is of.
    """

    qpos: Tensor
    qvel: Tensor
    action: Tensor
    gain: Tensor
    cost: Tensor
    regret: Tensor
    after: Tensor
    clip: Tensor

    @staticmethod
    def around(dynamics: Dynamics, path: Motion, clip: int, cycle: int) -> Regulators:
        """Of a ``path [M]`` along ``clip`` that repeats after ``cycle`` control steps (0: not at all; it ends in its last moment)."""
        of_state, of_target = dynamics.linearize(path)
        slope = dynamics.deviations.error_slopes(path.qpos)
        found = regulate(of_state, of_target, slope, slope.new_zeros(len(slope), slope.shape[-1]), torch.zeros_like(path.action), EFFORT)
        moments = torch.arange(len(path.action), device=path.action.device)
        after = (moments + 1).clamp_max(len(moments) - 1)
        if cycle:
            last = len(moments) - 1 - min(TAIL, len(moments) - 1 - cycle)
            after = torch.where(moments >= last, moments + 1 - cycle, after)
        return Regulators(path.qpos, path.qvel, path.action, found.gain, found.cost, found.regret, after, torch.full_like(moments, clip))

    @staticmethod
    def cat(parts: list[Regulators]) -> Regulators:
        first = [sum(len(part.clip) for part in parts[:k]) for k in range(len(parts))]
        joined = {f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Regulators) if f.name != "after"}
        return Regulators(**joined, after=torch.cat([part.after + start for part, start in zip(parts, first, strict=True)]))

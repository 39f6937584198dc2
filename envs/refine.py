"""Making a motion that was found by trial (`envs.samcon`) better: nearer to its clip, smoother, and such that it can be kept to.

Source: Tassa, Erez and Todorov 2012, "Synthesis and stabilization of complex behaviors through online trajectory optimization" (iterative LQR through a simulator's contacts).

Shapes: ``M`` moments, ``A`` action.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from envs.expert import Expert, lost_share
from envs.lqr import EFFORT, MOST_RAD, Dynamics, Regulators, regulate
from envs.samcon import Motion

SMOOTH = (1.0, 2.0, 3.0, 2.0, 1.0)  # weights of the neighbours that targets are smoothed with
FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1.0, 0.02, 300.0  # of an improvement's change of targets, as further effort
LOST = 8.0  # cost at which a motion is lost
GAIN = 1e-3  # share of its cost by which an improvement must better a motion
MOST_SHARES, FEWER_SHARES = 14, 200  # of a change are tried without noise, and how many fewer for each unit of its deviation


def smoothed(targets: Tensor) -> Tensor:
    """Targets ``[M, A]``, each averaged with those of the two steps before and after it."""
    padded = torch.cat((targets[:1].expand(2, -1), targets, targets[-1:].expand(2, -1)))
    return sum(weight / sum(SMOOTH) * padded[k : k + len(targets)] for k, weight in enumerate(SMOOTH))  # type: ignore[return-value]


def shares_under(noise: float) -> int:
    """How many shares of a change are tried under ``noise``: fewer the more there is, so that each is tried more often."""
    return max(2, round(MOST_SHARES - FEWER_SHARES * noise))


def refine(dynamics: Dynamics, path: Motion, qpos: Tensor, qvel: Tensor, iterations: int, noise: float, generator: torch.Generator) -> Motion:
    """A motion nearer to a clip, ``qpos [M, nq]`` and ``qvel [M, nv]``, and smoother, than the ``path [M]`` from the same first state: iterative LQR.

    Each iteration tries shares of what the regulator would change, each many times with white noise on actions, of deviation ``noise``, for what suffers none cannot be kept to;
    the best in the mean goes on if it is better than what there was."""
    shares = shares_under(noise)
    deviations, each, damping = dynamics.deviations, dynamics.physics.num_envs // shares, FIRST_DAMPING
    count = each * shares
    share = torch.linspace(0.0, 1.0, shares, device=qpos.device).repeat_interleave(each).unsqueeze(-1)
    idle = dynamics.physics.num_envs - count
    for _ in range(iterations):
        targets = path.action * dynamics.scale
        wanted = smoothed(targets)
        parts = (*dynamics.linearize(path), deviations.error_slopes(path.qpos), deviations.errors(path.qpos, path.qvel, qpos, qvel), targets - wanted)
        better = None
        while better is None and damping <= MOST_DAMPING:
            feedback = regulate(*parts, EFFORT, damping)
            dynamics.begin(path.qpos[:1].expand(count + idle, -1), path.qvel[:1].expand(count + idle, -1))
            made: list[Motion] = []
            cost = torch.zeros(count, device=qpos.device)
            for k, target in enumerate(targets):
                here_qpos, here_qvel = (part[:count] for part in dynamics.state())
                if k:
                    cost += torch.nan_to_num(deviations.errors(here_qpos, here_qvel, qpos[k], qvel[k]).square().sum(-1), nan=LOST).clamp_max(LOST)
                off = deviations.between(here_qpos, here_qvel, path.qpos[k], path.qvel[k])
                change = share * feedback.change[k] - (off @ feedback.gain[k].t()).clamp(-MOST_RAD, MOST_RAD)
                action = ((target + change) / dynamics.scale).clamp(-1.0, 1.0)
                cost += EFFORT * (action * dynamics.scale - wanted[k]).square().sum(-1)
                made.append(Motion(here_qpos, here_qvel, action))
                push = noise * torch.randn(each, action.shape[1], generator=generator, device=qpos.device)
                push[0] = 0.0
                tried = action + push.repeat(shares, 1)
                dynamics.step(torch.cat((tried, tried[:1].expand(idle, -1))))
            mean = cost.view(shares, each).mean(1)
            best = int(mean.argmin())
            if float(mean[best]) < (1 - GAIN) * float(mean[0]):
                better = Motion.cat([moment.rows(slice(best * each, best * each + 1)) for moment in made])
                damping = max(damping / 4, LEAST_DAMPING) if best > shares // 2 else damping
            else:
                damping *= 4
        if better is None:
            break
        path = better
    return path


def mean_cost(dynamics: Dynamics, motion: Motion, qpos: Tensor, qvel: Tensor) -> float:
    """How far a ``motion [M]`` is from a clip, ``qpos [M, nq]`` and ``qvel [M, nv]``, on average; 0.1 to 0.5 is close."""
    return float(dynamics.deviations.errors(motion.qpos, motion.qvel, qpos, qvel).square().sum(-1).mean())


def best_refined(
    dynamics: Dynamics, path: Motion, qpos: Tensor, qvel: Tensor, clip: int, cycle: int, iterations: int, noises: Sequence[float], nearness: float, generator: torch.Generator
) -> tuple[Motion, float, float]:
    """The ``path [M]`` or what refining it under each of the ``noises`` makes of it, whichever characters keep to best and is nearest to the clip, ``qpos [M, nq]`` and
    ``qvel [M, nv]``; with the share of characters that lose it and its mean cost, which counts ``nearness`` times as much. ``clip``, ``cycle``: as in `Regulators.around`."""
    found = []
    for motion in (path, *(refine(dynamics, path, qpos, qvel, iterations, noise, generator) for noise in noises)):
        lost = lost_share(Expert(dynamics, Regulators.around(dynamics, motion, clip, cycle)), generator)
        cost = mean_cost(dynamics, motion, qpos, qvel)
        found.append((lost + nearness * cost, motion, lost, cost))
    _, motion, lost, cost = min(found, key=lambda one: one[0])
    return motion, lost, cost

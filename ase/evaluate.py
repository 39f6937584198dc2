"""Skill quality of a trained low-level policy: many latents, each held for a whole rollout, acting without noise.

Shapes: ``L`` latents, ``R = L * replicas`` rollouts, ``T`` steps, ``W`` windows, ``H`` history frames, ``F`` features, ``Z`` latent, ``C`` clips.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ase.clip_space import ClipSpace
from ase.learner import Learner
from ase.metrics import clip_coverage, clip_shares, planar_speed, retrieval_top1, turn_rate
from ase.motion_sets import earth_movers_distance, frechet_distance, heldout_disc_accuracy, heldout_disc_noise, spread
from ase.rollout import Env, on_their_feet

COVERAGE_SHARE = 0.25  # a latent plays a clip if at least this share of its seconds is nearest to it
WINDOW_EVERY = 5  # control steps between the windows that are judged
RETRIEVAL_CHOICES = 16
REST = "rest"  # where rollouts begin that begin on no clip
SET_SIZE = 1024  # members of the sets that are compared as sets


class MeasuredEnv(Env, Protocol):
    """An environment that can also tell where its characters are."""

    num_diverged: int

    def planar_pose(self) -> Tensor: ...


@dataclass(frozen=True)
class Rollouts:
    """What acting produced: planar poses ``[T, R, 3]``, alive ``[T, R]`` (not fallen before or at the step), ``fell [R]``, the clip that each ``began [R]`` on (-1: on none), and
    judged windows ``[W, H, F]`` with the rollout ``[W]`` and the control step ``[W]`` of each; and the share of all steps in which a guard ``overruled`` the latent."""

    pose: Tensor
    alive: Tensor
    fell: Tensor
    began: Tensor
    windows: Tensor
    window_owner: Tensor
    window_step: Tensor
    overruled: float = 0.0


@torch.no_grad()
def roll_out(env: MeasuredEnv, learner: Learner, z: Tensor, steps: int, history: int, watch: Callable[[], None] = lambda: None) -> Rollouts:
    """Acts with mean actions under fixed latents ``z [R, Z]`` from fresh starts for ``steps``; a rollout ends when it falls. ``watch`` is called after each step."""
    poses, alives, windows, owners, times, overruled = [], [], [], [], [], []
    start = env.reset()
    began = env.start_clip.clone()
    learner.hold(env, z, steps)

    def act(obs: Tensor) -> Tensor:
        """As ``learner.act``, and remembers who was overruled."""
        obs = learner.obs_normalizer(obs)
        heeded, others = learner.heed(obs, z)
        overruled.append(others)
        return learner.policy(obs, heeded)

    for t, (step, alive) in enumerate(on_their_feet(env, act, start, steps)):
        watch()
        poses.append(env.planar_pose())
        alives.append(alive)
        if t >= history and t % WINDOW_EVERY == 0:
            windows.append(step.disc_obs[alive])
            owners.append(alive.nonzero().squeeze(-1))
            times.append(torch.full_like(owners[-1], t))
    share = float(torch.stack(overruled).float().mean())
    return Rollouts(torch.stack(poses), torch.stack(alives), ~alives[-1], began, torch.cat(windows), torch.cat(owners), torch.cat(times), share)


def measure(rolled: Rollouts, owner: Tensor, num_latents: int, space: ClipSpace, control_dt: float, generator: torch.Generator) -> dict[str, Any]:
    """Measures of what was done, whatever did it.

    Args:
        owner: ``[R]`` the latent of each rollout. space: the clips.

    Returns:
        - ``fall_rate``: share of rollouts. ``falls_by_start``: by the clip that they began on, or ``rest``: how many ``fell`` of how many ``rollouts``.
        - ``clip_coverage``: share of clips that at least a quarter of some latent's seconds are nearest to. A second's clip is the one whose windows are nearest to its windows on
          average, features scaled by their deviation in the clips (after ASE's figure, which counts nearest clips of whole trajectories).
        - ``clips``: for each clip: covered, the best latent's share, share of all seconds.
        - ``speed_m_s``, ``turn_rad_s``: min, mean, max, per_latent.
        - ``diversity``, ``within_latent``: see `ase.motion_sets.spread`.
        - ``heldout_disc_accuracy``, ``heldout_disc_noise``: see `ase.motion_sets`; noise in deviations of features in the clips (`ase.clip_space.LEAST_UNIT` at least).
        - ``frechet_distance``, ``earth_movers_distance``: of poses (last frames of windows) to the clips', every clip as often; the latter over the root of the number of features.
        - ``latent_map``: for each latent the clip that most of its seconds are nearest to (-1: none).
    """
    num_clips = space.num_clips
    seconds_each = round(1.0 / control_dt)
    stretches = len(rolled.pose) // seconds_each + 1
    agent = space.scaled(rolled.windows)
    nearest, segment = space.nearest(agent, rolled.window_owner * stretches + rolled.window_step // seconds_each)
    shares = clip_shares(nearest, owner[segment // stretches], num_latents, num_clips)
    covered = clip_coverage(shares, COVERAGE_SHARE)
    overall = torch.bincount(nearest, minlength=num_clips) / max(1, len(nearest))
    diversity, within = spread(agent, rolled.window_owner, owner)
    size = min(SET_SIZE, len(agent))
    picked = torch.randperm(len(agent), generator=generator, device=agent.device)[:size]
    poses, demo_poses = agent[picked][:, -space.features :], space.draw(size, generator)[:, -space.features :]
    return {
        "fall_rate": float(rolled.fell.float().mean()),
        "falls_by_start": falls_by_start(rolled, space.names),
        "clip_coverage": float(covered.float().mean()),
        "speed_m_s": _per_latent(planar_speed(rolled.pose, rolled.alive, control_dt), owner, num_latents),
        "turn_rad_s": _per_latent(turn_rate(rolled.pose, rolled.alive, control_dt), owner, num_latents),
        "diversity": _finite(diversity),
        "within_latent": _finite(within),
        "heldout_disc_accuracy": _finite(heldout_disc_accuracy(space.demo, agent, rolled.window_owner, generator)),
        "heldout_disc_noise": _finite(heldout_disc_noise(space.in_large_units(space.demo), space.in_large_units(agent), rolled.window_owner)),
        "frechet_distance": frechet_distance(demo_poses, poses),
        "earth_movers_distance": earth_movers_distance(demo_poses, poses) / space.features**0.5,
        "clips": {
            name: {"covered": bool(covered[k]), "best_share": round(float(shares[:, k].max()), 4), "share": round(float(overall[k]), 4)} for k, name in enumerate(space.names)
        },
        "fall_rate_per_latent": [round(float(rolled.fell[owner == k].float().mean()), 4) for k in range(num_latents)],
        "latent_map": {"nearest": [int(row.argmax()) if row.sum() > 0 else -1 for row in shares]},
    }


def falls_by_start(rolled: Rollouts, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Of the rollouts that began on each of the clips ``names``, and in the ``rest`` pose, how many ``fell``."""
    groups = {name: rolled.began == k for k, name in enumerate(names)} | {REST: rolled.began < 0}
    return {name: {"rollouts": int(mine.sum()), "fell": int(rolled.fell[mine].sum())} for name, mine in groups.items() if mine.any()}


@torch.no_grad()
def evaluate(
    env: MeasuredEnv, learner: Learner, space: ClipSpace, num_latents: int, seconds: float, control_dt: float, seed: int, watch: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Measures a policy; ``env.num_envs`` is a multiple of ``num_latents`` (replicas from different starts). ``watch`` is called after each control step.

    Returns:
        JSON-able measures: what `measure` returns; ``style_reward`` (mean, unweighted), ``likeness`` (the same whatever clip was asked for, as a controller's ``style_reward`` is
        measured); ``overruled``, the share of control steps in which a guard chose another latent (without one: null); ``retrieval_top1`` (among 16; absent latents: null) and
        ``latent_cosine`` (mean cosine) of the latent that was asked for and what the encoder reads from a rollout on average; the latents on a plane, by their two main components,
        in ``latent_map``; ``diverged``, ``num_latents``, ``replicas``, ``seconds``, ``seed``.
    """
    generator = torch.Generator(env.device).manual_seed(seed)
    z_dim = learner.config.latents.dim
    num_latents = num_latents if z_dim else 1
    owner = torch.arange(env.num_envs, device=env.device) % num_latents
    latents = learner.draw_latents(num_latents, generator)
    history = learner.style.replay.window[0]
    rolled = roll_out(env, learner, latents[owner], round(seconds / control_dt), history, watch)
    found = measure(rolled, owner, num_latents, space, control_dt, generator)
    style, _ = learner.style.rewards(rolled.windows, latents[owner[rolled.window_owner]])
    found |= {"style_reward": float(style.mean()), "likeness": float(learner.style.likeness(rolled.windows).mean()), "retrieval_top1": None, "latent_cosine": None}
    found["overruled"] = rolled.overruled if learner.guard is not None else None
    if z_dim:
        found |= _recovery(learner, rolled, latents, owner, generator)
        found["latent_map"]["xy"] = on_a_plane(latents).tolist()
    return found | {"diverged": env.num_diverged, "num_latents": num_latents, "replicas": env.num_envs // num_latents, "seconds": seconds, "seed": seed}


def _recovery(learner: Learner, rolled: Rollouts, latents: Tensor, owner: Tensor, generator: torch.Generator) -> dict[str, float]:
    """How well the latent that acted can be read from what was done, see `evaluate`."""
    read = torch.zeros(len(owner), latents.shape[1], device=latents.device).index_add_(0, rolled.window_owner, learner.style.encode(rolled.windows))
    seen = torch.bincount(rolled.window_owner, minlength=len(owner)) > 0
    read, own = F.normalize(read[seen], dim=-1), owner[seen]
    found = {"latent_cosine": float((read * latents[own]).sum(-1).mean())}
    if len(latents) >= RETRIEVAL_CHOICES:
        found["retrieval_top1"] = retrieval_top1(read, latents, own, RETRIEVAL_CHOICES, generator)
    return found


def on_a_plane(latents: Tensor) -> Tensor:
    """The two main components of ``latents [L, Z]``, ``[L, 2]``, rounded; zeros beyond the second where ``Z`` or ``L`` is smaller."""
    centred = latents - latents.mean(0)
    left, size, _ = torch.linalg.svd(centred, full_matrices=False)
    flat = (left * size)[:, :2]
    return F.pad(flat, (0, 2 - flat.shape[1])).mul(1e4).round().div(1e4)


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


def _per_latent(x: Tensor, owner: Tensor, num_latents: int) -> dict[str, Any]:
    """Mean over each latent's rollouts of ``x [R]``, and the extremes over latents."""
    means = torch.stack([x[owner == k].mean() for k in range(num_latents)])
    return {
        "min": round(float(means.min()), 4),
        "mean": round(float(means.mean()), 4),
        "max": round(float(means.max()), 4),
        "per_latent": [round(float(v), 4) for v in means],
    }

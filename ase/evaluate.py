"""Skill quality of a trained low-level policy: many latents, each held for a whole rollout, acting without noise.

Shapes: ``L`` latents, ``R = L * replicas`` rollouts, ``T`` steps, ``W`` windows, ``H`` history frames, ``F`` features, ``Z`` latent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ase.learner import Learner
from ase.metrics import clip_coverage, clip_distances, clip_shares, nearest_clips, planar_speed, retrieval_top1, turn_rate
from ase.rollout import Env

COVERAGE_SHARE = 0.25  # a latent plays a clip if at least this share of its seconds is nearest to it
WINDOW_EVERY = 3  # control steps between the windows that are judged
RETRIEVAL_CHOICES = 16


class MeasuredEnv(Env, Protocol):
    """An environment that can also tell where its characters are."""

    num_diverged: int

    def planar_pose(self) -> Tensor: ...


class DemoSet(Protocol):
    """See `envs.demos.DemoWindows`."""

    clip_names: tuple[str, ...]

    def all_windows(self) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class Rollouts:
    """What acting produced: planar poses ``[T, R, 3]``, alive ``[T, R]`` (not fallen before or at the step), ``fell [R]``, and judged windows
    ``[W, H, F]`` with the rollout ``[W]`` and the control step ``[W]`` of each."""

    pose: Tensor
    alive: Tensor
    fell: Tensor
    windows: Tensor
    window_owner: Tensor
    window_step: Tensor


@torch.no_grad()
def roll_out(env: MeasuredEnv, learner: Learner, z: Tensor, steps: int, history: int) -> Rollouts:
    """Acts with mean actions under fixed latents ``z [R, Z]`` from fresh starts for ``steps``; a rollout ends when it falls."""
    obs = env.reset()
    alive = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
    poses, alives, windows, owners, times = [], [], [], [], []
    for t in range(steps):
        step = env.step(learner.act(obs, z))
        obs = step.obs
        alive = alive & ~step.terminated
        poses.append(env.planar_pose())
        alives.append(alive)
        if t >= history and t % WINDOW_EVERY == 0:
            windows.append(step.disc_obs[alive])
            owners.append(alive.nonzero().squeeze(-1))
            times.append(torch.full_like(owners[-1], t))
        if step.terminated.any():  # keep fallen characters from diverging; their steps no longer count
            obs = env.reset(step.terminated.nonzero().squeeze(-1))
    return Rollouts(torch.stack(poses), torch.stack(alives), ~alive, torch.cat(windows), torch.cat(owners), torch.cat(times))


def evaluate(env: MeasuredEnv, learner: Learner, demos: DemoSet, num_latents: int, seconds: float, control_dt: float, seed: int) -> dict[str, Any]:
    """Measures a policy; ``env.num_envs`` is a multiple of ``num_latents`` (replicas from different starts).

    Returns:
        JSON-able measures: ``fall_rate`` (share of rollouts), ``speed_m_s`` and ``turn_rad_s`` (min, mean, max, per_latent), ``style_reward`` (mean, unweighted),
        ``likeness`` (the same whatever clip was asked for, as a controller's ``style_reward`` is measured), ``retrieval_top1`` (among 16; absent latents: null),
        ``clip_coverage`` (share of clips that at least a quarter of some latent's seconds are nearest to; a second's clip is the one whose windows are nearest to its
        windows on average, features scaled by their deviation in the clips), ``clips`` (per clip: covered, the best latent's share, share of all seconds), ``diverged``,
        ``num_latents``, ``replicas``, ``seconds``, ``seed``.
    """
    generator = torch.Generator(env.device).manual_seed(seed)
    z_dim = learner.config.latents.dim
    num_latents = num_latents if z_dim else 1
    owner = torch.arange(env.num_envs, device=env.device) % num_latents
    latents = learner.draw_latents(num_latents, generator)
    history = learner.style.replay.window[0]
    rolled = roll_out(env, learner, latents[owner], round(seconds / control_dt), history)
    window_latent = owner[rolled.window_owner]
    style, _ = learner.style.rewards(rolled.windows, latents[window_latent])

    demo_windows, demo_clips = demos.all_windows()
    mean, std = demo_windows.mean((0, 1)), demo_windows.std((0, 1)).clamp_min(1e-3)
    num_clips = len(demos.clip_names)
    distances = clip_distances(((rolled.windows - mean) / std).flatten(1), ((demo_windows - mean) / std).flatten(1), demo_clips, num_clips)
    seconds_each = round(1.0 / control_dt)
    stretches = len(rolled.pose) // seconds_each + 1
    nearest, segment = nearest_clips(distances, rolled.window_owner * stretches + rolled.window_step // seconds_each)
    shares = clip_shares(nearest, owner[segment // stretches], num_latents, num_clips)
    covered = clip_coverage(shares, COVERAGE_SHARE)
    overall = torch.bincount(nearest, minlength=num_clips) / max(1, len(nearest))

    retrieval = None
    if z_dim and num_latents >= RETRIEVAL_CHOICES:
        encoded = torch.zeros(env.num_envs, z_dim, device=env.device).index_add_(0, rolled.window_owner, learner.style.encode(rolled.windows))
        seen = torch.bincount(rolled.window_owner, minlength=env.num_envs) > 0
        retrieval = retrieval_top1(torch.nn.functional.normalize(encoded[seen], dim=-1), latents, owner[seen], RETRIEVAL_CHOICES, generator)
    return {
        "fall_rate": float(rolled.fell.float().mean()),
        "clip_coverage": float(covered.float().mean()),
        "retrieval_top1": retrieval,
        "speed_m_s": _per_latent(planar_speed(rolled.pose, rolled.alive, control_dt), owner, num_latents),
        "turn_rad_s": _per_latent(turn_rate(rolled.pose, rolled.alive, control_dt), owner, num_latents),
        "style_reward": float(style.mean()),
        "likeness": float(learner.style.likeness(rolled.windows).mean()),
        "clips": {
            name: {"covered": bool(covered[k]), "best_share": round(float(shares[:, k].max()), 4), "share": round(float(overall[k]), 4)} for k, name in enumerate(demos.clip_names)
        },
        "fall_rate_per_latent": [round(float(rolled.fell[owner == k].float().mean()), 4) for k in range(num_latents)],
        "diverged": env.num_diverged,
        "num_latents": num_latents,
        "replicas": env.num_envs // num_latents,
        "seconds": seconds,
        "seed": seed,
    }


def _per_latent(x: Tensor, owner: Tensor, num_latents: int) -> dict[str, Any]:
    """Mean over each latent's rollouts of ``x [R]``, and the extremes over latents."""
    means = torch.stack([x[owner == k].mean() for k in range(num_latents)])
    return {
        "min": round(float(means.min()), 4),
        "mean": round(float(means.mean()), 4),
        "max": round(float(means.max()), 4),
        "per_latent": [round(float(v), 4) for v in means],
    }

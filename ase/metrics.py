"""Measures of skill quality as pure functions of tensors.

Shapes: ``L`` latents, ``R`` rollouts, ``T`` steps, ``W`` windows, ``C`` clips, ``S`` stretches of motion, ``Z`` latent, ``G`` size of a flattened window.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def planar_speed(pose: Tensor, alive: Tensor, dt: float, span_s: float = 0.5) -> Tensor:
    """Mean speed over the ground in m/s, measured over spans of ``span_s`` seconds so that swaying in place does not count.

    Args:
        pose: ``[T, R, 3]`` planar poses. alive: ``[T, R]`` counted steps (a prefix of each rollout). dt: step in seconds.

    Returns:
        ``[R]``; 0 where a rollout is shorter than a span.
    """
    k = max(1, round(span_s / dt))
    speed = (pose[k:, :, :2] - pose[:-k, :, :2]).norm(dim=-1) / (k * dt)
    return _mean_where(speed, alive[k:])


def turn_rate(pose: Tensor, alive: Tensor, dt: float) -> Tensor:
    """Mean yaw rate in rad/s, left positive, ``[R]``; arguments as in `planar_speed`."""
    step = pose[1:, :, 2] - pose[:-1, :, 2]
    step = torch.remainder(step + torch.pi, 2 * torch.pi) - torch.pi
    return _mean_where(step / dt, alive[1:])


def _mean_where(x: Tensor, mask: Tensor) -> Tensor:
    weight = mask.to(x)
    return (x * weight).sum(0) / weight.sum(0).clamp_min(1.0)


def recovery(standing: Tensor, dt: float, hold_s: float = 0.5) -> tuple[Tensor, Tensor]:
    """When characters are on their feet again, and stay there for ``hold_s`` seconds.

    Args:
        standing: ``[T, R]`` whether each stands, from the disturbance on. dt: seconds of a step.

    Returns:
        ``recovered [R]``, and the time ``[R]`` in seconds at which it first stood for so long (0: it never went down; NaN: not recovered).
    """
    need = max(1, round(hold_s / dt))
    run = standing.float().cumsum(0)
    held = torch.cat((run[need - 1 : need], run[need:] - run[:-need])) >= need - 0.5  # [T - need + 1, R] standing from this step on
    recovered = held.any(0)
    return recovered, torch.where(recovered, held.float().argmax(0) * dt, torch.nan)


def retrieval_top1(predicted: Tensor, latents: Tensor, owner: Tensor, choices: int, generator: torch.Generator, draws: int = 64) -> float:
    """How often the latent that acted is the best match of what the encoder saw, among itself and ``choices - 1`` random others.

    Args:
        predicted: ``[R, Z]`` the encoder's unit latent of each rollout. latents: ``[L, Z]``. owner: ``[R]`` index of the latent that acted.
        draws: random sets of others for each rollout.

    Returns:
        Share in [0, 1]; ``1 / choices`` is chance.
    """
    num = len(latents)
    if choices > num:
        raise ValueError(f"retrieval: choices: got {choices}; expected at most the number of latents, {num}")
    scores = predicted @ latents.t()  # [R, L]
    own = scores.gather(1, owner.unsqueeze(1))
    rivals = scores.scatter(1, owner.unsqueeze(1), -torch.inf)
    hits = []
    for _ in range(draws):
        order = torch.rand(scores.shape, generator=generator, device=scores.device).scatter(1, owner.unsqueeze(1), 2.0).argsort(dim=1)
        hits.append(rivals.gather(1, order[:, : choices - 1]).amax(1, keepdim=True) < own)
    return float(torch.cat(hits, dim=1).float().mean())


def clip_distances(windows: Tensor, demo_windows: Tensor, demo_clips: Tensor, num_clips: int, chunk: int = 1024) -> Tensor:
    """Euclidean distance of each window to the nearest window of every clip.

    Args:
        windows: ``[W, G]``. demo_windows: ``[M, G]``, scaled alike. demo_clips: ``[M]`` the clip each belongs to.

    Returns:
        ``[W, C]``.
    """
    clips = [demo_windows[demo_clips == k] for k in range(num_clips)]
    return torch.cat([torch.stack([torch.cdist(part, clip).amin(1) for clip in clips], dim=1) for part in windows.split(chunk)])


def nearest_clips(distances: Tensor, segment: Tensor) -> tuple[Tensor, Tensor]:
    """The clip that each stretch of motion is nearest to on average: single windows of one gait cannot be told from those of another with the same gait.

    Args:
        distances: ``[W, C]``. segment: ``[W]`` which stretch a window belongs to.

    Returns:
        ``nearest [S]`` clip and ``segment [S]`` of the stretches that have windows, in ascending order.
    """
    found, inverse = segment.unique(return_inverse=True)
    total = torch.zeros(len(found), distances.shape[1], device=distances.device).index_add_(0, inverse, distances)
    return total.argmin(1), found


def clip_shares(nearest: Tensor, owner: Tensor, num_latents: int, num_clips: int) -> Tensor:
    """For each latent the share of its stretches that are nearest to each clip, ``[L, C]``, from ``nearest [S]`` and ``owner [S]``; rows without any are zero."""
    counts = F.one_hot(nearest + num_clips * owner, num_clips * num_latents).sum(0).view(num_latents, num_clips).float()
    return counts / counts.sum(1, keepdim=True).clamp_min(1.0)


def clip_coverage(shares: Tensor, threshold: float) -> Tensor:
    """Whether each clip takes at least ``threshold`` of the stretches of some latent, ``[C]``, from ``shares [L, C]``."""
    return (shares >= threshold).any(0)

"""Does a latent of a clip play that clip, and begin it? For skills whose clips have cells of the latent sphere (`ase.anchors`).

Shapes: ``N`` characters, ``C`` clips, ``T`` control steps.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ase.clip_space import ClipSpace
from ase.evaluate import WINDOW_EVERY, MeasuredEnv
from ase.learner import Learner
from ase.metrics import planar_speed, turn_rate
from ase.rollout import Env, on_their_feet

BEGUN_WITHIN_S = 2.0  # a clip is begun from standing if it is played from then on


class ClipEnv(MeasuredEnv, Protocol):
    """An environment that can start where a clip is."""

    def start_on_clip(self, env_ids: Tensor, clip_ids: Tensor, times_s: Tensor) -> Tensor: ...


class Clips(Protocol):
    """See `motions.library.MotionLibrary`."""

    names: tuple[str, ...]

    @property
    def num_clips(self) -> int: ...

    def sample_times(self, clip_ids: Tensor, generator: torch.Generator, min_time_s: float) -> Tensor: ...
    def mean_speed(self, clip_id: int) -> float: ...


class Poses(Protocol):
    """See `envs.clip_poses.ClipPoses`."""

    def off_deg(self, frames: Tensor, clips: Tensor) -> Tensor: ...


@torch.no_grad()
def play_clips(env: ClipEnv, learner: Learner, clips: Clips, poses: Poses, seconds: float, control_dt: float, seed: int) -> dict[str, dict[str, float | None]]:
    """Starts ``N / C`` characters on each clip, each with a latent of that clip's cell, held for ``seconds``.

    Returns:
        For each clip, means over its characters: ``fall_rate``; ``speed_m_s`` and ``turn_rad_s`` while on their feet, after the first second, 0 where nobody is;
        ``clip_speed_m_s``, the clip's own; ``style_reward`` (unweighted) after the first second, 0 once fallen; ``joint_error_deg``, how far joints are from the nearest pose of
        the clip while on their feet, after the first second, None where nobody is.
    """
    assert learner.anchors is not None, "only clips with cells have latents of their own"
    generator = torch.Generator(env.device).manual_seed(seed)
    n, steps = env.num_envs, round(seconds / control_dt)
    ids = torch.arange(n, device=env.device) % clips.num_clips
    window_s = (learner.style.replay.window[0] - 1) * control_dt
    env.reset()
    obs = env.start_on_clip(torch.arange(n, device=env.device), ids, clips.sample_times(ids, generator, window_s))
    z = learner.hold(env, learner.anchors.sample(ids, generator), steps)
    paths, alives, styles, errors = [], [], [], []
    for step, alive in on_their_feet(env, lambda seen: learner.act(seen, z), obs, steps):
        paths.append(env.planar_pose())
        alives.append(alive)
        styles.append(learner.style.rewards(step.disc_obs, z)[0] * alive)
        errors.append(poses.off_deg(step.disc_obs[:, -1], ids))
    later = slice(round(1.0 / control_dt), None)
    path, on_feet, style, error = torch.stack(paths)[later], torch.stack(alives)[later], torch.stack(styles)[later].mean(0), torch.stack(errors)[later]
    speed, turn = planar_speed(path, on_feet, control_dt), turn_rate(path, on_feet, control_dt)
    found: dict[str, dict[str, float | None]] = {}
    for k, name in enumerate(clips.names):
        mine = ids == k
        standing = mine & on_feet.any(0)
        found[name] = {
            "fall_rate": round(float((~alive[mine]).float().mean()), 4),
            "speed_m_s": round(float(speed[standing].mean()), 4) if standing.any() else 0.0,
            "turn_rad_s": round(float(turn[standing].mean()), 4) if standing.any() else 0.0,
            "clip_speed_m_s": round(clips.mean_speed(k), 4),
            "style_reward": round(float(style[mine].mean()), 4),
            "joint_error_deg": round(float(error[:, mine][on_feet[:, mine]].mean()), 2) if standing.any() else None,
        }
    return found


@torch.no_grad()
def begin_clips(env: Env, learner: Learner, space: ClipSpace, seconds: float, control_dt: float, seed: int) -> dict[str, float]:
    """Has ``N / C`` characters for each clip, which begin in the rest pose, act for ``seconds`` under a latent of that clip's cell.

    Args:
        env: whose episodes begin in the rest pose. space: of the clips.

    Returns:
        For each clip the share of all whole seconds after `BEGUN_WITHIN_S` whose windows are nearest to it on average (`ClipSpace.nearest`); of those who fell none are.
    """
    assert learner.anchors is not None, "only clips with cells have latents of their own"
    generator = torch.Generator(env.device).manual_seed(seed)
    n, steps, second, first = env.num_envs, round(seconds / control_dt), round(1.0 / control_dt), round(BEGUN_WITHIN_S / control_dt)
    count = (steps - first) // second
    ids = torch.arange(n, device=env.device) % space.num_clips
    start = env.reset()
    z = learner.anchors.sample(ids, generator)
    learner.hold(env, z, steps)
    windows, parts, standing = [], [], torch.ones(n, dtype=torch.bool, device=env.device)
    for t, (step, alive) in enumerate(on_their_feet(env, lambda seen: learner.act(seen, z), start, first + count * second)):
        standing = alive
        if t >= first and (t - first) % WINDOW_EVERY == 0:
            windows.append(step.disc_obs)
            parts.append(torch.arange(n, device=env.device) * count + (t - first) // second)
    nearest, part = space.nearest(space.scaled(torch.cat(windows)), torch.cat(parts))
    owner = part // count
    right = ((nearest == ids[owner]) & standing[owner]).float()
    played = torch.zeros(n, device=env.device).index_add_(0, owner, right) / count
    return {name: round(float(played[ids == k].mean()), 4) for k, name in enumerate(space.names)}

"""Characters acting under a policy, recorded for pictures.

Shapes: ``T`` control steps, ``L`` characters, each under a latent or with a target of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.film import beside, film, grid
from envs.humanoid import HumanoidEnv
from envs.marker import Marker
from envs.render import Picture, Renderer
from envs.skill_env import SkillEnv
from envs.task_env import TaskEnv


@dataclass(frozen=True)
class SkillRecording:
    """Attributes:
    qpos: ``[T, L, nq]``. reference: ``[T, nq]`` the clip that was started on, or None.
    pose: ``[T, L, 3]`` position on the ground (m) and heading (rad). style: ``[L]`` mean style reward. fell: ``[L]``. fps: control steps a second.
    """

    qpos: NDArray[np.float32]
    reference: NDArray[np.float32] | None
    pose: Tensor
    style: Tensor
    fell: Tensor
    fps: float

    @property
    def motions(self) -> list[NDArray]:
        """Each character's motion ``[T, nq]``, or ``[T, 2, nq]`` with the reference beside it."""
        each = [self.qpos[:, k] for k in range(self.qpos.shape[1])]
        return each if self.reference is None else [beside(motion, self.reference) for motion in each]


@torch.no_grad()
def record_skills(
    env: HumanoidEnv, act: Callable[[Tensor], Tensor], judge: Callable[[Tensor], Tensor], seconds: float, clip: str = "", lies: Tensor | None = None
) -> SkillRecording:
    """Lets every character of ``env`` act for ``seconds``; who falls stays down.

    Args:
        act: action ``[L, A]`` from observations ``[L, O]``. judge: style reward ``[L]`` of windows ``[L, H, F]``. lies: ``[L]`` whose falls are none; nobody's if omitted.
        clip: start on this clip, as early as a window allows; else as the environment starts.

    Raises:
        ValueError: the clip is not in the environment's library.
    """
    dt, count = env.config.control_dt, env.num_envs
    steps, reference = round(seconds / dt), None
    if clip:
        start_s = (env.config.history - 1) * dt
        clip_ids = torch.full((count,), env.library.index(clip), device=env.device)
        obs = env.start_on_clip(torch.arange(count, device=env.device), clip_ids, torch.full((count,), start_s, device=env.device))
        times = start_s + dt * torch.arange(1, steps + 1, device=env.device)
        reference = env.codec.encode(env.library.state_at(clip_ids[:1].expand(steps), times))[0].cpu().numpy()
    else:
        obs = env.reset()
    if lies is not None:
        env.allow_floor(torch.arange(count, device=env.device), lies * steps)
    qpos, pose, style, fell = [], [], [], torch.zeros(count, dtype=torch.bool, device=env.device)
    for _ in range(steps):
        step = env.step(act(obs))
        obs, fell = step.obs, fell | step.terminated
        qpos.append(env.physics.qpos.cpu().numpy().copy())
        pose.append(env.planar_pose())
        style.append(judge(step.disc_obs))
    return SkillRecording(np.stack(qpos), reference, torch.stack(pose), torch.stack(style).mean(0), fell, 1 / dt)


@dataclass(frozen=True)
class TaskRecording:
    """Attributes:
    qpos: ``[T, L, nq]``. markers: ``[L][T]`` what shows the targets. normalized_return: ``[L]``. fell: ``[L]``. fps: control steps a second.
    """

    qpos: NDArray[np.float32]
    markers: list[list[list[Marker]]]
    normalized_return: Tensor
    fell: Tensor
    fps: float

    @property
    def motions(self) -> list[NDArray]:
        """Each character's motion ``[T, nq]``."""
        return [self.qpos[:, k] for k in range(self.qpos.shape[1])]


@torch.no_grad()
def record_task(env: SkillEnv | TaskEnv, act: Callable[[Tensor], Tensor], seconds: float) -> TaskRecording:
    """Lets every character of ``env`` pursue its targets for ``seconds`` with ``act``, actions from observations; who falls stays down."""
    tasks = env.tasks
    dt, count, task = tasks.config.control_dt, env.num_envs, tasks.task
    steps, obs = round(seconds / dt), env.reset()
    qpos: list[NDArray[np.float32]] = []
    markers: list[list[list[Marker]]] = [[] for _ in range(count)]
    fell = torch.zeros(count, dtype=torch.bool, device=env.device)

    def watch() -> None:
        qpos.append(tasks.physics.qpos.cpu().numpy().copy())
        for k in range(count):
            markers[k].append(task.markers(k, tasks.env.state))

    while len(qpos) < steps:
        if isinstance(env, SkillEnv):
            step = env.step(act(obs), watch)
        else:
            step = env.step(act(obs))
            watch()
        obs, fell = step.obs, fell | step.terminated
    return TaskRecording(np.stack(qpos), markers, tasks.task_return.clone() / len(qpos), fell, 1 / dt)


def skill_frames(recording: SkillRecording | TaskRecording, captions: Sequence[str], renderer: Renderer, columns: int) -> Iterator[Picture]:
    """Pictures of all characters side by side with captions, one a control step."""
    shown = recording.markers if isinstance(recording, TaskRecording) else [()] * len(captions)
    films = [film(renderer, motion, recording.fps, markers=marks) for motion, marks in zip(recording.motions, shown, strict=True)]
    for pictures in zip(*films, strict=True):
        yield grid(pictures, columns, captions)

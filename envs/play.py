"""Driving a character live: arrow keys steer the heading task in a desktop window.

Shapes: ``O`` observation, ``A`` action.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import mujoco
import numpy as np
import torch
from torch import Tensor

from envs.skill_env import SkillEnv
from envs.task_env import TaskEnv
from envs.tasks.base import unit
from envs.tasks.heading import Heading

RIGHT, LEFT, DOWN, UP = 262, 263, 264, 265  # key codes of GLFW
TURN, FASTER_M_S = math.radians(15.0), 0.2  # a key press


class Viewer(Protocol):
    """What MuJoCo's passive viewer offers."""

    cam: Any

    def is_running(self) -> bool: ...
    def sync(self) -> None: ...


OpenViewer = Callable[[mujoco.MjModel, mujoco.MjData, Callable[[int], None]], AbstractContextManager[Viewer]]


class Steering:
    """What the keys have asked for: left and right turn by 15 degrees, up and down change the speed by 0.2 m/s within the task's range.

    Args:
        task: whose targets are set, all to the same.
    """

    def __init__(self, task: Heading):
        self.task, self.yaw = task, 0.0
        low, high = task.config.min_speed_m_s, task.config.max_speed_m_s
        self.low, self.high, self.speed = low, high, (low + high) / 2
        task.frozen = True
        self._tell()

    def press(self, key: int) -> None:
        """One key press; keys without a meaning do nothing."""
        self.yaw += {LEFT: TURN, RIGHT: -TURN}.get(key, 0.0)
        self.speed = min(max(self.speed + {UP: FASTER_M_S, DOWN: -FASTER_M_S}.get(key, 0.0), self.low), self.high)
        self._tell()

    def _tell(self) -> None:
        way = unit(torch.tensor(self.yaw, device=self.task.device))
        self.task.direction[:], self.task.target_facing[:], self.task.speed[:] = way, way, self.speed


def open_viewer(model: mujoco.MjModel, data: mujoco.MjData, on_key: Callable[[int], None]) -> AbstractContextManager[Viewer]:
    """MuJoCo's window.

    Raises:
        ValueError: there is no display to open it on.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ValueError("run.py play: got no display (DISPLAY and WAYLAND_DISPLAY are empty); expected a desktop session; without one: run.py render RUN --out FILE.mp4")
    import mujoco.viewer  # needs a display already when imported, on some systems

    try:
        return mujoco.viewer.launch_passive(model, data, key_callback=on_key, show_left_ui=False, show_right_ui=False)
    except RuntimeError as error:
        raise ValueError(f"run.py play: got {str(error).splitlines()[0]}; expected a desktop session (on macOS start it with mjpython)") from None


def play(env: SkillEnv | TaskEnv, act: Callable[[Tensor], Tensor], seconds: float = math.inf, opener: OpenViewer = open_viewer, real_time: bool = True) -> int:
    """Lets one character follow the arrow keys until the window is closed; who falls starts again. Returns how often that was.

    Args:
        env: one environment with the heading task. act: actions ``[1, A]`` from observations ``[1, O]``. seconds: of simulated time at most.
        real_time: wait between frames, so that simulated time passes like real time.

    Raises:
        ValueError: another task, or no display.
    """
    tasks = env.tasks
    if not isinstance(tasks.task, Heading):
        raise ValueError(f"run.py play: got a controller for task {tasks.task.name}; expected heading, the one that can be steered")
    model, dt, falls = tasks.physics.model, tasks.config.control_dt, 0
    data, steering = mujoco.MjData(model), Steering(tasks.task)
    with opener(model, data, steering.press) as viewer:
        viewer.cam.type, viewer.cam.trackbodyid, viewer.cam.distance = mujoco.mjtCamera.mjCAMERA_TRACKING, 1, 4.0
        obs, shown_s = env.reset(), 0.0
        began = time.perf_counter()

        def show() -> None:
            nonlocal shown_s
            data.qpos[:] = tasks.physics.qpos[0].double().cpu().numpy()
            mujoco.mj_forward(model, data)
            arrows(viewer, tasks)
            viewer.sync()
            shown_s += dt
            if real_time:
                time.sleep(max(0.0, began + shown_s - time.perf_counter()))

        while viewer.is_running() and shown_s < seconds:
            if isinstance(env, SkillEnv):
                step = env.step(act(obs), show)
            else:
                step = env.step(act(obs))
                show()
            obs = step.obs
            if step.done.any():
                falls += int(step.terminated.sum())
                obs = env.reset()
    return falls


def arrows(viewer: Viewer, tasks: TaskEnv) -> None:
    """Draws the direction asked for into the viewer's own scene, if it has one."""
    scene = getattr(viewer, "user_scn", None)
    if scene is None:
        return
    scene.ngeom = 0
    for marker in tasks.task.markers(0, tasks.env.state):
        geom = scene.geoms[scene.ngeom]
        mujoco.mjv_initGeom(geom, mujoco.mjtGeom.mjGEOM_ARROW, np.full(3, marker.radius_m), np.zeros(3), np.eye(3).ravel(), np.array([*marker.rgb, 1.0], np.float32))
        mujoco.mjv_connector(geom, mujoco.mjtGeom.mjGEOM_ARROW, marker.radius_m, np.array(marker.pos), np.array(marker.to))
        scene.ngeom += 1

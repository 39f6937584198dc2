"""Driving a character by keys, with a window that only keeps count."""

import math
from types import SimpleNamespace

import pytest
import torch

from envs.play import DOWN, LEFT, RIGHT, UP, Steering, open_viewer, play
from envs.resets import StartMix
from envs.task_env import TaskEnv
from envs.tasks import TaskSettings, make_task
from tests.envs.helpers import ScriptedPhysics, make_env


def task_env(character, library, name="heading", physics=None):
    env = make_env(character, library, 1, start=StartMix(clip=0.0, default=1.0), physics=physics)
    return TaskEnv(env, make_task(name, TaskSettings(), character, 1, env.config.control_dt, torch.Generator().manual_seed(0)))


class Window:
    """Presses a key at given frames and closes after ``frames``."""

    def __init__(self, frames, keys=()):
        self.frames, self.keys, self.shown, self.cam = frames, dict(keys), [], SimpleNamespace()

    def open(self, model, data, on_key):
        self.data, self.on_key = data, on_key
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True

    def is_running(self):
        return len(self.shown) < self.frames

    def sync(self):
        if len(self.shown) in self.keys:
            self.on_key(self.keys[len(self.shown)])
        self.shown.append(self.data.qpos.copy())


def test_keys_turn_left_and_right_and_change_the_speed(character):
    task = make_task("heading", TaskSettings(), character, 2, 1 / 30, torch.Generator())
    steering = Steering(task)
    assert task.speed.tolist() == [1.5, 1.5]
    steering.press(LEFT)
    torch.testing.assert_close(task.direction, torch.tensor([[math.cos(math.pi / 12), math.sin(math.pi / 12)]] * 2))
    assert torch.equal(task.direction, task.target_facing)
    steering.press(RIGHT)
    steering.press(RIGHT)
    assert task.direction[0, 1] < 0
    steering.press(UP)
    assert task.speed[0] == pytest.approx(1.7)
    for _ in range(20):
        steering.press(DOWN)
    assert task.speed[0] == pytest.approx(1.0), "no slower than what was trained"
    steering.press(65)
    assert task.speed[0] == pytest.approx(1.0)


def test_what_is_shown_is_what_is_simulated_and_follows_the_keys(character, library):
    env, window = task_env(character, library), Window(5, [(1, LEFT)])
    seen = []

    def act(obs):
        seen.append(obs[0, -5:-3].clone())
        return env.rest_action[None]

    assert play(env, act, opener=window.open, real_time=False) == 0
    assert len(window.shown) == 5
    torch.testing.assert_close(torch.from_numpy(window.shown[-1]).float(), env.physics.qpos[0])
    assert abs(seen[0][1]) < 1e-3
    assert seen[-1][1] > 0.2, "the direction asked for is now to the left"
    assert window.closed


def test_it_keeps_real_time_and_ends_after_its_seconds(character, library, monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    env, window = task_env(character, library), Window(100)
    play(env, lambda obs: env.rest_action[None], seconds=0.1, opener=window.open)
    assert len(window.shown) == 3
    assert len(waits) == 3


def test_a_fall_starts_again(character, library):
    physics = ScriptedPhysics(character, 1)
    env, window = task_env(character, library, physics=physics), Window(4)

    def act(obs):
        if len(window.shown) == 1:
            physics.qpos[0, 2], physics.touch[0] = 0.05, 1.0
        return torch.zeros(1, 28)

    env.reset()
    assert play(env, act, opener=window.open, real_time=False) >= 1


def test_only_the_heading_task_can_be_steered(character, library):
    with pytest.raises(ValueError, match="run.py play: got a controller for task location; expected heading, the one that can be steered"):  # noqa: RUF043
        play(task_env(character, library, "location"), lambda obs: torch.zeros(1, 28), opener=Window(1).open)


def test_without_a_display_there_is_one_clear_line(character, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=r"run.py play: got no display \(DISPLAY and WAYLAND_DISPLAY are empty\); expected a desktop session"):
        open_viewer(character.model, None, lambda key: None)

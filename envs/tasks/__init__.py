"""Tasks for characters: targets, what is seen of them, reward and success. One small module each."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from envs.character import Character
from envs.props import Prop
from envs.tasks.base import Task, TaskConfig
from envs.tasks.heading import Heading, HeadingConfig
from envs.tasks.location import Location, LocationConfig
from envs.tasks.reach import Reach, ReachConfig
from envs.tasks.strike import Strike, StrikeConfig, strike_prop

__all__ = ["TASKS", "Task", "TaskConfig", "TaskSettings", "make_task", "task_prop"]
TASKS = ("heading", "location", "reach", "strike")


@dataclass(frozen=True)
class TaskSettings:
    """Settings of every task; only those of the one that is trained count."""

    heading: HeadingConfig = field(default_factory=HeadingConfig)
    location: LocationConfig = field(default_factory=LocationConfig)
    reach: ReachConfig = field(default_factory=ReachConfig)
    strike: StrikeConfig = field(default_factory=StrikeConfig)


def task_prop(name: str, settings: TaskSettings) -> Prop | None:
    """The thing that the world of a task needs, if any."""
    return strike_prop(settings.strike) if name == "strike" else None


def make_task(name: str, settings: TaskSettings, character: Character, num_envs: int, control_dt: float, generator: torch.Generator) -> Task:
    """The task ``name`` for ``num_envs`` characters.

    Raises:
        ValueError: an unknown task, or a body that the character lacks.
    """
    if name == "heading":
        return Heading(settings.heading, num_envs, control_dt, generator)
    if name == "location":
        return Location(settings.location, num_envs, control_dt, generator)
    if name == "reach":
        bodies = character.skeleton.body_names
        if settings.reach.body not in bodies:
            raise ValueError(f"task reach: body: got {settings.reach.body}; expected one of the character's. Available: {', '.join(bodies)}")
        return Reach(settings.reach, num_envs, control_dt, generator, bodies.index(settings.reach.body))
    if name == "strike":
        return Strike(settings.strike, num_envs, control_dt, generator, character.skeleton.body_names)
    raise ValueError(f"task {name}: unknown. Available: {', '.join(TASKS)}")

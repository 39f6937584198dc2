"""Tasks as Gymnasium vector environments whose actions are skill latents. Importing this module registers ``CharacterSkills/Task-v0``:

    import cfg.gym, gymnasium
    envs = gymnasium.make_vec("CharacterSkills/Task-v0", num_envs=64, vectorization_mode="vector_entry_point", task="heading", skills="ase/pretrained/agile")

One step is five control steps under the latent ``action / |action|``; actions are in [-1, 1] for each component. The reward is the trainer's own: 0.9 x task + 0.1 x style.
With ``from_scratch=True`` the actions are joint targets and a step is one control step.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import gymnasium

from cfg.presets import task_preset
from cfg.schema import TaskRunConfig
from cfg.task_wiring import load_task_world
from envs.gym_vector import BatchVectorEnv, require_known

TASK_ID = "CharacterSkills/Task-v0"


class TaskVectorEnv(BatchVectorEnv):
    """``N`` characters with a task; see `BatchVectorEnv`.

    Args:
        num_envs: characters. task: its name. skills: folder of trained skills. from_scratch: act with joint targets instead.
        render_mode, width, height: see `envs.gym_vector.Filming`. settings: other fields of `TaskRunConfig`.
    """

    def __init__(
        self,
        num_envs: int = 1,
        task: str = "heading",
        skills: str = "ase/pretrained/agile",
        from_scratch: bool = False,
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
        **settings: Any,
    ):
        require_known("environment setting", settings, [f.name for f in fields(TaskRunConfig) if f.name != "train"])
        config = replace(task_preset(task, from_scratch), skills=skills, num_envs=num_envs, device="cpu", **settings)
        world = load_task_world(config, Path(skills))
        super().__init__(world.make_env(num_envs, config.seed), render_mode, width, height)


gymnasium.register(TASK_ID, vector_entry_point=TaskVectorEnv)

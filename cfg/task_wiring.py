"""Objects of high-level training and of controllers, from settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ase import checkpoint
from ase.actor_critic import ActorCritic, use_bf16
from ase.latents import LatentConfig
from ase.learner import Learner
from ase.run_folder import CONTROLLER, SKILLS
from ase.symmetry import Mirror
from cfg.load import from_dict
from cfg.schema import RunConfig, TaskRunConfig
from cfg.wiring import load_networks, load_policy, load_skills, load_world, make_env, make_mirror
from envs.character import Character
from envs.resets import StartMix
from envs.skill_env import SkillEnv
from envs.task_env import TaskEnv
from envs.tasks import make_task, task_prop
from motions.library import MotionLibrary


@dataclass(frozen=True)
class TaskWorld:
    """What a task needs that is loaded once: the skills' settings and low-level learner (their networks), character and clips."""

    config: TaskRunConfig
    skills: RunConfig
    low: Learner
    character: Character
    library: MotionLibrary

    def make_env(self, num_envs: int, seed: int, start: StartMix | None = None, episode_length_s: float = 0.0) -> SkillEnv | TaskEnv:
        """Characters with the task; their actions are latents, or joint targets from scratch. Starts and length of episodes are the run's if not given."""
        config = self.config
        settings = replace(self.skills.env, num_envs=num_envs, episode_length_s=episode_length_s or config.episode_length_s, start=start or config.start)
        humanoid = make_env(replace(self.skills, physics=config.physics), self.character, self.library, seed, settings)
        generator = torch.Generator(self.library.device).manual_seed(seed + 1)
        env = TaskEnv(humanoid, make_task(config.task, config.tasks, self.character, num_envs, settings.control_dt, generator))
        if config.from_scratch:
            return env
        bf16 = use_bf16(config.train.bf16, self.library.device)
        act, judge = (lambda obs, z: self.low.act(obs, z, bf16)), (lambda windows: self.low.style.likeness(windows, bf16))
        return SkillEnv(env, act, judge, self.skills.train.latents.dim, config.train.ppo.discount, config.skill)

    def make_learner(self, env: SkillEnv | TaskEnv) -> ActorCritic:
        """A fresh high-level policy (from scratch: one that acts with joint targets)."""
        config, scratch = self.config, isinstance(env, TaskEnv)
        ppo = config.train.ppo if isinstance(env, TaskEnv) else replace(config.train.ppo, discount=env.macro_discount)
        dt = self.skills.env.control_dt * self.steps_each
        mirror = self._mirror(env) if config.train.symmetric else None
        return ActorCritic(ppo, LatentConfig(dim=0), env.obs_dim, env.rest_action, env.num_envs, dt, env.device, config.seed, mirror, squash=not scratch)

    def _mirror(self, env: SkillEnv | TaskEnv) -> Mirror | None:
        """Reflection of what a controller sees and does, if character and task have one, and skills, whose latents then flip their first component."""
        signs = env.tasks.task.mirror_signs
        mirror = make_mirror(self.character, signs) if signs is not None else None
        if mirror is None or isinstance(env, TaskEnv):
            return mirror
        flip = torch.ones(env.action_dim)
        flip[0] = -1.0
        return Mirror(mirror.obs_index, mirror.obs_sign, torch.arange(env.action_dim), flip) if self.low.mirror is not None else None

    @property
    def steps_each(self) -> int:
        """Control steps in one step of the policy that is trained."""
        return 1 if self.config.from_scratch else self.config.skill.hold_steps


def load_task_world(config: TaskRunConfig, skills_folder: Path) -> TaskWorld:
    """Everything that training or watching ``config`` needs, with skills from a folder; sets torch's threads.

    Raises:
        ValueError: no skills there, or skills without latents.
    """
    found, tree = load_skills(skills_folder, config.clips_dir)
    skills = replace(found, device=config.device, physics=config.physics, num_threads=config.num_threads)
    if not skills.train.latents.dim:
        raise ValueError(f"skills {skills_folder}: preset {skills.preset}: has no latents; expected skills trained with them, such as preset locomotion")
    character, library = load_world(skills, task_prop(config.task, config.tasks))
    small = make_env(skills, character, library, 0, replace(skills.env, num_envs=1))
    return TaskWorld(config, skills, load_policy(skills, tree, small, skills_folder), character, library)


def load_controller(run: Path, clips_dir: str = "", device: str = "auto", physics: str = "auto") -> tuple[TaskWorld, Callable[[Tensor], Tensor]]:
    """A trained task's world and its policy: actions ``[N, A]`` from observations ``[N, O]``."""
    tree, info = checkpoint.load(run / CONTROLLER, "controller")
    config = from_dict(TaskRunConfig, info["config"], f"checkpoint {run / CONTROLLER}")
    config = replace(config, device=device, physics=physics, clips_dir=clips_dir or config.clips_dir)
    places = (run, run / config.skills, Path(config.skills))  # shipped controllers name their skills by the way from their own folder
    world = load_task_world(config, next((place for place in places if (place / SKILLS).is_file()), places[-1]))
    learner = world.make_learner(world.make_env(1, 0))
    load_networks(learner, tree, run)
    z = torch.zeros(1, 0, device=learner.device)
    return world, lambda obs: learner.act(obs, z.expand(len(obs), 0))

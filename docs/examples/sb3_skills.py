"""Stable-Baselines3's PPO on skill latents: another trainer, the same environment.

    pip install -e ".[examples]"
    python docs/examples/sb3_skills.py --control-steps 4000000 --out runs/sb3

Prints the normalised return of the trained controller over 256 episodes, measured exactly as ``run.py evaluate`` does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
import tyro
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor

import cfg.gym
from ase.evaluate_task import play_episodes


@dataclass(frozen=True)
class Args:
    """Attributes:
    task, skills: as for ``run.py train-task``.
    control_steps: to train for, over all environments. num_envs: environments. episodes: to measure.
    out: folder that receives the policy and ``sb3.json``.
    """

    task: str = "heading"
    skills: str = "ase/pretrained/locomotion"
    control_steps: int = 4_000_000
    num_envs: int = 512
    episodes: int = 256
    out: Path = Path("runs/sb3")
    seed: int = 0


class Adapter(VecEnv):
    """A `gymnasium.vector.VectorEnv` as SB3's `VecEnv`."""

    def __init__(self, envs: gymnasium.vector.VectorEnv):
        self.envs, self.actions = envs, np.zeros(0)
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)
        self._seed: int | None = None

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        self._seed = seed
        return [seed] * self.num_envs

    def reset(self) -> np.ndarray:
        obs, _ = self.envs.reset(seed=self._seed)
        self._seed = None
        return obs

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        obs, reward, terminated, truncated, info = self.envs.step(self.actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for k in np.flatnonzero(terminated | truncated):
            infos[k] = {"terminal_observation": info["final_obs"][k], "TimeLimit.truncated": bool(truncated[k] and not terminated[k])}
        return obs, reward, terminated | truncated, infos

    def close(self) -> None:
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.envs, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self.envs, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return [getattr(self.envs, method_name)(*args, **kwargs)] * self.num_envs

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


def make(given: Args, num_envs: int, **settings: Any) -> cfg.gym.TaskVectorEnv:
    made = gymnasium.make_vec(cfg.gym.TASK_ID, num_envs=num_envs, vectorization_mode="vector_entry_point", task=given.task, skills=given.skills, **settings)
    return made.unwrapped  # type: ignore[return-value]


def main(given: Args) -> dict[str, float]:
    envs = make(given, given.num_envs, seed=given.seed)
    hold = envs.batch.config.hold_steps
    normalized = VecNormalize(Adapter(envs), gamma=0.95)
    batch = min(2048, 8 * given.num_envs)
    settings: dict[str, Any] = {"n_steps": 8, "batch_size": batch, "n_epochs": 4, "gamma": envs.batch.macro_discount, "learning_rate": 2e-4, "device": "cpu", "seed": given.seed}
    model = PPO("MlpPolicy", normalized, policy_kwargs={"net_arch": [512, 256], "activation_fn": torch.nn.ReLU, "log_std_init": -1.9}, **settings)
    model.learn(given.control_steps // hold)
    given.out.mkdir(parents=True, exist_ok=True)
    model.save(given.out / "policy.zip")

    normalized.training = False
    judged = make(given, given.episodes, seed=given.seed + 1000)

    def act(obs: Tensor) -> Tensor:
        action, _ = model.predict(normalized.normalize_obs(obs.numpy()), deterministic=True)
        return torch.from_numpy(np.asarray(action))

    task = judged.batch.env
    measures = play_episodes(judged.batch, task, act, judged.batch.judge, task.config.episode_steps // hold, hold)
    (given.out / "sb3.json").write_text(json.dumps({"control_steps": given.control_steps, **measures}, indent=1) + "\n")
    print(measures)
    return measures


if __name__ == "__main__":
    main(tyro.cli(Args))

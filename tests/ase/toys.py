"""Toy environments and demonstrations for the learner.

Shapes: ``N`` environments, ``H`` history frames.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from ase.latents import LatentConfig
from ase.learner import Learner, PretrainConfig
from ase.ppo import PpoConfig
from ase.style import StyleConfig
from ase.windows import FrameLog

CPU = torch.device("cpu")


@dataclass(frozen=True)
class ToyStep:
    """See `ase.rollout.StepLike`."""

    obs: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    disc_obs: Tensor


class PointMass:
    """Points on a plane that obey velocity commands; the task is to get to the origin and stay there.

    Observation: position ``[N, 2]``. Action: velocity, clamped to ±1, for 0.2 s. Reward: ``1 - distance``. Window: the velocities of the last ``H`` steps.
    Starts are uniform in a square of half width 1; an episode is cut off after ``episode_steps``.
    """

    obs_dim = action_dim = 2
    device = CPU
    rest_action = torch.zeros(2)

    def __init__(self, num_envs: int, seed: int, history: int = 2, episode_steps: int = 20):
        self.num_envs, self.episode_steps = num_envs, episode_steps
        self.window = (history, 2)
        self.generator = torch.Generator().manual_seed(seed)
        self.pos, self.history = torch.zeros(num_envs, 2), torch.zeros(num_envs, history, 2)
        self.age = torch.zeros(num_envs, dtype=torch.long)
        self.start_clip = torch.full((num_envs,), -1)

    def reset(self, env_ids: Tensor | None = None) -> Tensor:
        ids = torch.arange(self.num_envs) if env_ids is None else env_ids
        self.pos, self.history, self.age = self.pos.clone(), self.history.clone(), self.age.clone()
        self.pos[ids] = 2 * torch.rand(len(ids), 2, generator=self.generator) - 1
        self.history[ids] = 0.0
        self.age[ids] = 0
        return self.pos

    def allow_floor(self, env_ids: Tensor, steps: Tensor) -> None:
        assert not steps.any(), "there is no floor here"

    def fail(self, env_ids: Tensor) -> None:
        raise AssertionError(f"{env_ids}: nothing is lost here")

    def step(self, action: Tensor) -> ToyStep:
        velocity = action.clamp(-1, 1)
        self.pos = self.pos + 0.2 * velocity
        self.history = torch.cat((self.history[:, 1:], velocity.unsqueeze(1)), dim=1)
        self.age = self.age + 1
        never = torch.zeros(self.num_envs, dtype=torch.bool)
        return ToyStep(self.pos, 1 - self.pos.norm(dim=-1), never, self.age >= self.episode_steps, self.history)


class Scripted:
    """Environments in which everything is known in advance and actions do nothing.

    Observation ``[N, 3]``: environment, steps since its reset, number of resets. Reward 1. Window: the observations of the last ``H`` steps.

    Args:
        terminate, truncate: pairs (step from the start, environment) of episode ends.
    """

    obs_dim, action_dim = 3, 2
    device = CPU
    rest_action = torch.zeros(2)

    def __init__(self, num_envs: int, history: int, terminate: Collection[tuple[int, int]] = (), truncate: Collection[tuple[int, int]] = ()):
        self.num_envs, self.window = num_envs, (history, 3)
        self.terminate, self.truncate = terminate, truncate
        self.time, self.actions, self.resets, self.failed, self.allowed = 0, [], [], [], []
        self.obs = torch.zeros(num_envs, 3)
        self.history = torch.zeros(num_envs, history, 3)
        self.start_clip = torch.full((num_envs,), -1)

    def reset(self, env_ids: Tensor | None = None) -> Tensor:
        ids = torch.arange(self.num_envs) if env_ids is None else env_ids
        self.resets.append((self.time, ids.tolist()))
        self.obs, self.history = self.obs.clone(), self.history.clone()
        self.obs[ids, 0], self.obs[ids, 1] = ids.float(), 0.0
        self.obs[ids, 2] += 1
        self.history[ids] = self.obs[ids].unsqueeze(1)
        return self.obs

    def allow_floor(self, env_ids: Tensor, steps: Tensor) -> None:
        self.allowed.append((self.time, env_ids.tolist(), steps.tolist()))

    def fail(self, env_ids: Tensor) -> None:
        self.failed.append((self.time, env_ids.tolist()))

    def step(self, action: Tensor) -> ToyStep:
        self.actions.append(action.clone())
        self.obs = self.obs + torch.tensor([0.0, 1.0, 0.0])
        self.history = torch.cat((self.history[:, 1:], self.obs.unsqueeze(1)), dim=1)
        terminated, truncated = (torch.tensor([(self.time, i) in ends for i in range(self.num_envs)]) for ends in (self.terminate, self.truncate))
        self.time += 1
        return ToyStep(self.obs, torch.ones(self.num_envs), terminated, truncated, self.history)


class Demonstrations:
    """Windows drawn with replacement from ``windows [M, H, F]``."""

    def __init__(self, windows: Tensor):
        self.windows, self.clips = windows, torch.zeros(len(windows), dtype=torch.long)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.sample_named(n, generator)[0]

    def sample_named(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Windows and the clip of each; ``clips [M]`` of all windows is zero unless set."""
        ids = torch.randint(len(self.windows), (n,), generator=generator)
        return self.windows[ids], self.clips[ids]


def log_of(windows: Tensor) -> FrameLog:
    """Windows ``[B, H, F]`` as a rollout of one step."""
    log = FrameLog(1, len(windows), (windows.shape[1], windows.shape[2]))
    log.begin(torch.cat((windows[:, :1], windows[:, :-1]), dim=1))
    log.append(0, windows[:, -1])
    log.finish()
    return log


def all_windows(log: FrameLog) -> Tensor:
    """Every window, ``[T, N, H, F]``."""
    return log[torch.arange(len(log))].unflatten(0, (log.steps, log.num_envs))


def still(history: int, features: int = 2) -> Demonstrations:
    """Demonstrations for tests in which style does not matter."""
    return Demonstrations(torch.randn(64, history, features, generator=torch.Generator().manual_seed(0)))


def tiny_config(ppo: dict | None = None, style: dict | None = None, latents: dict | None = None, **rest) -> PretrainConfig:
    """A configuration small enough for seconds on one core: no noise-free holds, no diversity, hardly any style training, no latents."""
    return PretrainConfig(
        ppo=PpoConfig(**{"minibatch_size": 256, "policy_hidden": (32, 32), "value_hidden": (32, 32), "deterministic_share": 0.0, "diversity_weight": 0.0} | (ppo or {})),
        style=StyleConfig(
            **{"disc_hidden": (32,), "encoder_hidden": (32,), "updates": 1, "batch_size": 64, "replay_size": 512, "replay_push": 64, "style_weight": 0.0, "skill_weight": 0.0}
            | (style or {})
        ),
        latents=LatentConfig(**{"dim": 0} | (latents or {})),
        **{"bf16": "off", "max_samples": 10**9} | rest,
    )


def make_learner(env: PointMass | Scripted, config: PretrainConfig, seed: int = 0, control_dt: float = 1.0, **clips: Tensor | None) -> Learner:
    return Learner(config, env.obs_dim, env.rest_action, env.window, env.num_envs, control_dt, env.device, seed, **clips)

"""Batched environments as Gymnasium vector environments.

Shapes: ``N`` environments, ``n`` some of them, ``H`` history frames, ``O`` observation, ``F`` features of a frame, ``A`` action.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Space
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from envs.film import follow
from envs.humanoid import HumanoidEnv
from envs.marker import Marker
from envs.render import Camera, Picture, make_renderer
from envs.skill_env import SkillEnv
from envs.step import Step
from envs.task_env import TaskEnv

Floats = NDArray[np.float32]
Batch = HumanoidEnv | TaskEnv | SkillEnv


def require_known(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    known = sorted(known)
    for name in given:
        if name not in known:
            raise ValueError(f"{what} {name}: got an unknown name; expected one of those available. Available: {', '.join(known)}")


def humanoid_of(env: Batch) -> HumanoidEnv:
    """The characters themselves, below task and skills."""
    return env if isinstance(env, HumanoidEnv) else humanoid_of(env.env)


def make_spaces(env: Batch) -> tuple[Space[Floats], Space[Floats]]:
    """Observation and action space of one character."""
    return Box(-np.inf, np.inf, (env.obs_dim,), np.float32), Box(-1.0, 1.0, (env.action_dim,), np.float32)


def seed_env(env: Batch, rng: np.random.Generator) -> None:
    """Makes all that follows a full reset a function of ``rng``; where characters lie from before no longer counts."""
    env.reseed(int(rng.integers(2**63)))
    characters = humanoid_of(env)
    characters.fallen = torch.zeros_like(characters.fallen)


def to_action(action: ArrayLike, shape: tuple[int, int]) -> Tensor:
    """An action of ``shape`` ``[N, A]`` as float32; values beyond [-1, 1] are left to the environment, which clamps them."""
    array = np.array(action, dtype=np.float32)
    if array.shape != shape:
        raise ValueError(f"action: got shape {list(array.shape)}; expected {list(shape)}")
    if not np.isfinite(array).all():
        raise ValueError(f"action of environment {int((~np.isfinite(array)).any(1).argmax())}: got NaN or infinity; expected finite numbers")
    return torch.from_numpy(array)


class Filming:
    """Pictures of single characters; in an episode the camera keeps its direction and distance and travels with the root.

    Args:
        render_mode: ``"rgb_array"``, or None for no pictures.
        width, height: pixels.
    """

    def __init__(self, env: HumanoidEnv, render_mode: str | None, width: int, height: int):
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"environment setting render_mode: got {render_mode}; expected one of those available. Available: rgb_array, None")
        self._env, self._mode, self._aspect = env, render_mode, width / height
        self._renderer = make_renderer(env.character, width, height) if render_mode else None
        self._cameras: dict[int, Camera] = {}

    def cut(self, env_ids: Tensor) -> None:
        """Forgets the cameras of ``env_ids [n]``, whose episodes start anew."""
        for k in env_ids.tolist() if self._cameras else ():
            self._cameras.pop(k, None)

    def frames(self, markers: Mapping[int, list[Marker]] | None = None) -> tuple[Picture, ...] | None:
        """A picture ``uint8 [h, w, 3]`` of each character with its ``markers``; None without a render mode."""
        if self._renderer is None:
            return None
        pictures = []
        for k, qpos in enumerate(self._env.physics.qpos.double().numpy()):
            if k not in self._cameras:
                self._cameras[k] = follow(self._env.character, qpos[None], aspect=self._aspect)[0]
            camera = self._cameras[k]
            pictures.append(self._renderer.frame(qpos, replace(camera, lookat=np.array([*qpos[:2], camera.lookat[2]])), markers=(markers or {}).get(k, ())))
        return tuple(pictures)

    def close(self) -> None:
        """Frees the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


class BatchVectorEnv(gymnasium.vector.VectorEnv[Floats, Floats, NDArray]):
    """``N`` environments in one batch as a `gymnasium.vector.VectorEnv`.

    An episode that ends is followed by the next one within the same step (`AutoresetMode.SAME_STEP`): the returned observation is the new episode's first, the
    old one's last is ``info["final_obs"][k]`` and what else was known then is ``info["final_info"]``, both laid out as Gymnasium's own vector environments do.
    ``reset`` also takes the option ``reset_mask``, ``[N]`` of bool: only those start anew.

    Args:
        env: the batch. render_mode, width, height: see `Filming`.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 30, "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(self, env: Batch, render_mode: str | None = None, width: int = 480, height: int = 480):
        self.batch, self.num_envs = env, env.num_envs
        self.characters = humanoid_of(env)
        self.metadata = {**self.metadata, "render_fps": 1 / self.characters.config.control_dt}
        self.render_mode = render_mode
        self.single_observation_space, self.single_action_space = make_spaces(env)
        self.observation_space, self.action_space = (batch_space(s, env.num_envs) for s in (self.single_observation_space, self.single_action_space))
        self._filming = Filming(self.characters, render_mode, width, height)
        self._seeded = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Starts episodes, all or those of the option ``reset_mask``. A seed makes what follows a full reset reproducible."""
        super().reset(seed=seed)
        if seed is not None or not self._seeded:
            seed_env(self.batch, self.np_random)
        options = dict(options or {})
        mask = np.asarray(options.pop("reset_mask", np.ones(self.num_envs, dtype=bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise ValueError(f"reset option reset_mask: got {mask.dtype} {list(mask.shape)}, {int(mask.sum())} set; expected bool [{self.num_envs}] with one set")
        if not (self._seeded or mask.all()):
            raise ValueError("reset option reset_mask: got a partial reset before the first full one; expected all set")
        self._seeded = True
        ids = torch.from_numpy(mask.nonzero()[0])
        self.begin(ids, options)
        self._filming.cut(ids)
        return self.batch.obs.numpy().copy(), self._info(self.batch.history, mask)

    def step(self, actions: Floats) -> tuple[Floats, NDArray, NDArray, NDArray, dict[str, Any]]:
        """One control step with ``actions [N, A]``; ended episodes are followed by their first observation of the next."""
        if not self._seeded:
            raise gymnasium.error.ResetNeeded("vector environment: got a step before the first reset; expected reset() first")
        step = self.batch.step(to_action(actions, (self.num_envs, self.batch.action_dim)))
        reward = self.reward(step).double().numpy()
        done, info = step.done.numpy(), {}
        if done.any():
            final_obs = np.full(self.num_envs, None, dtype=object)
            for k in done.nonzero()[0]:
                final_obs[k] = step.obs[k].numpy().copy()
            info = {"final_obs": final_obs, "_final_obs": done.copy(), "final_info": self._info(step.disc_obs, done), "_final_info": done.copy()}
            ids = step.done.nonzero().squeeze(-1)
            self.batch.reset(ids)
            self._filming.cut(ids)
        info |= self._info(self.batch.history, np.ones(self.num_envs, dtype=bool))
        return self.batch.obs.numpy().copy(), reward, step.terminated.numpy(), step.truncated.numpy(), info

    def begin(self, env_ids: Tensor, options: Mapping[str, Any]) -> None:
        """Starts episodes of ``env_ids [n]``; there are no other options here."""
        require_known("reset option", options, ("reset_mask",))
        self.batch.reset(env_ids)

    def reward(self, step: Step) -> Tensor:
        """The reward ``[N]`` of a step."""
        return step.reward

    def _info(self, windows: Tensor, mask: NDArray[np.bool_]) -> dict[str, Any]:
        """What is known of the environments in ``mask [N]``, zero elsewhere, from ``windows [N, H, F]``."""
        return {"disc_obs": np.where(mask[:, None, None], windows.numpy(), np.float32(0.0)), "_disc_obs": mask.copy()}

    def render(self) -> tuple[Picture, ...] | None:  # type: ignore[override]
        """A picture ``uint8 [h, w, 3]`` of each character, or None without a render mode."""
        if isinstance(self.batch, HumanoidEnv):
            return self._filming.frames()
        task = self.batch.tasks.task
        return self._filming.frames({k: task.markers(k, self.characters.state) for k in range(self.num_envs)})

    def close_extras(self, **kwargs: Any) -> None:
        """Frees the renderer."""
        self._filming.close()

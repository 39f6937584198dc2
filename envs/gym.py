"""The humanoid as a Gymnasium environment. Importing this module registers ``CharacterSkills/Humanoid-v0``:

    import gymnasium, envs.gym
    env = gymnasium.make("CharacterSkills/Humanoid-v0", clips=["walk.npz"])
    many = gymnasium.make_vec("CharacterSkills/Humanoid-v0", num_envs=64, vectorization_mode="vector_entry_point", clips=["walk.npz"])

Both take the same keywords: ``clips``, ``render_mode``, ``width``, ``height`` and every field of `EnvConfig`. The reward is survival, 1 for each step that does
not end in a fall, else 0; tasks bring their own. ``info["disc_obs"]`` holds the last ``H`` frames of features, oldest first.

Shapes: ``N`` environments, ``H`` history frames, ``O`` observation, ``F`` features of a frame, ``A`` action.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Space
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from envs.character import Character, load_character
from envs.film import follow
from envs.humanoid import EnvConfig, HumanoidEnv
from envs.physics_cpu import CpuPhysics
from envs.render import Camera, Picture, make_renderer
from envs.resets import StartMix
from motions.clip import Clip
from motions.library import MotionLibrary
from motions.synthetic import constant_velocity

ENV_ID = "CharacterSkills/Humanoid-v0"
Floats = NDArray[np.float32]
Clips = MotionLibrary | Sequence[Clip | str | Path] | None


def _require_known(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    known = sorted(known)
    for name in given:
        if name not in known:
            raise ValueError(f"{what} {name}: got an unknown name; expected one of those available. Available: {', '.join(known)}")


def make_config(num_envs: int, settings: Mapping[str, Any]) -> EnvConfig:
    """Settings by name as an `EnvConfig`; ``start`` may be a `StartMix` or a mapping of its fields.

    Raises:
        ValueError: a name that is no field, or no environments.
    """
    known = {f.name for f in fields(EnvConfig)} - {"num_envs"}
    _require_known("environment setting", settings, known | {"clips", "render_mode", "width", "height"})
    if num_envs < 1:
        raise ValueError(f"environment setting num_envs: got {num_envs}; expected at least 1")
    settings = dict(settings)
    if isinstance(start := settings.get("start"), Mapping):
        _require_known("start mix", start, [f.name for f in fields(StartMix)])
        settings["start"] = StartMix(**start)
    return EnvConfig(num_envs=num_envs, **settings)


def make_library(clips: Clips, character: Character, window_s: float) -> MotionLibrary:
    """The clips that episodes start on: clips, paths of clip files, or a library as it is.

    Args:
        clips: without any, the library holds one clip, the rest pose standing still, so every start of the default mix is that pose.
        window_s: seconds of history that each clip must cover.
    """
    if isinstance(clips, MotionLibrary):
        return clips
    if clips is None:
        still = constant_velocity(character.skeleton, (0.0, 0.0, 0.0), character.default_height_m, duration_s=window_s + 1.0)
        return MotionLibrary([replace(still, name="standing")], character.skeleton)
    clips = [clips] if isinstance(clips, Clip | str | Path) else clips
    return MotionLibrary([clip if isinstance(clip, Clip) else Clip.load(clip) for clip in clips], character.skeleton)


def make_env(num_envs: int, clips: Clips, settings: Mapping[str, Any]) -> HumanoidEnv:
    """A `HumanoidEnv` on the CPU; see `make_library` and `make_config`. Its generator is in a fixed state."""
    config = make_config(num_envs, settings)
    character = load_character(config.character, config.sim_dt)
    library = make_library(clips, character, config.history * config.control_dt)
    physics = CpuPhysics(character.model, num_envs, config.num_threads)
    return HumanoidEnv(config, character, physics, library, torch.Generator().manual_seed(0))


def make_spaces(env: HumanoidEnv) -> tuple[Space[Floats], Space[Floats]]:
    """Observation and action space of one character."""
    return Box(-np.inf, np.inf, (env.obs_dim,), np.float32), Box(-1.0, 1.0, (env.action_dim,), np.float32)


def seed_env(env: HumanoidEnv, rng: np.random.Generator) -> None:
    """Makes all that follows a full reset a function of ``rng``; where characters lie from before no longer counts."""
    env.reseed(int(rng.integers(2**63)))
    env.fallen = torch.zeros_like(env.fallen)


def begin(env: HumanoidEnv, env_ids: Tensor, options: Mapping[str, Any] | None) -> None:
    """Starts episodes of ``env_ids [n]``.

    Args:
        options: ``clip`` (a name) starts on that clip at ``time_s`` seconds, or at the earliest time with a full history before it. Without it, as configured.

    Raises:
        ValueError: an unknown option or clip, or a time outside the clip.
    """
    options = dict(options or {})
    _require_known("reset option", options, ("clip", "time_s"))
    if "clip" not in options:
        if options:
            raise ValueError(f"reset option time_s: got {options['time_s']} without a clip; expected both. Available: {', '.join(env.library.names)}")
        env.reset(env_ids)
        return
    clip_id = env.library.index(options["clip"])
    time_s, end_s = float(options.get("time_s", (env.config.history - 1) * env.config.control_dt)), float(env.library.durations_s[clip_id])
    if not 0.0 <= time_s <= end_s:
        raise ValueError(f"reset option time_s: got {time_s:g}; expected 0 to {end_s:g}, the length of {options['clip']}")
    env.start_on_clip(env_ids, torch.full_like(env_ids, clip_id), torch.full((len(env_ids),), time_s))


def to_action(action: ArrayLike, shape: tuple[int, int]) -> Tensor:
    """An action of ``shape`` ``[N, A]`` as float32; values beyond [-1, 1] are left to the environment, which clamps them."""
    array = np.array(action, dtype=np.float32)
    if array.shape != shape:
        raise ValueError(f"action: got shape {list(array.shape)}; expected {list(shape)}")
    if not np.isfinite(array).all():
        raise ValueError(f"action of environment {int((~np.isfinite(array)).any(1).argmax())}: got NaN or infinity; expected finite numbers")
    return torch.from_numpy(array)


def survival(env: HumanoidEnv, terminated: Tensor) -> Tensor:
    """1 where the last step ended neither in a fall nor in a diverged simulation, else 0; ``[N]`` of float64."""
    return (~(env.fallen | terminated)).double()


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

    def frames(self) -> tuple[Picture, ...] | None:
        """A picture ``uint8 [h, w, 3]`` of each character; None without a render mode."""
        if self._renderer is None:
            return None
        pictures = []
        for k, qpos in enumerate(self._env.physics.qpos.double().numpy()):
            if k not in self._cameras:
                self._cameras[k] = follow(self._env.character, qpos[None], aspect=self._aspect)[0]
            camera = self._cameras[k]
            pictures.append(self._renderer.frame(qpos, replace(camera, lookat=np.array([*qpos[:2], camera.lookat[2]]))))
        return tuple(pictures)

    def close(self) -> None:
        """Frees the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


class HumanoidGymEnv(gymnasium.Env[Floats, Floats]):
    """One character as a `gymnasium.Env`.

    Args:
        clips: see `make_library`. render_mode, width, height: see `Filming`. settings: fields of `EnvConfig` but ``num_envs``.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012

    def __init__(self, clips: Clips = None, render_mode: str | None = None, width: int = 480, height: int = 480, **settings: Any):
        self.env = make_env(1, clips, settings)
        self.metadata = {**self.metadata, "render_fps": 1 / self.env.config.control_dt}
        self.render_mode = render_mode
        self.observation_space, self.action_space = make_spaces(self.env)
        self._filming = Filming(self.env, render_mode, width, height)
        self._seeded = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Starts an episode; see `begin` for the options. A seed makes it and what follows reproducible."""
        super().reset(seed=seed)
        if seed is not None or not self._seeded:
            seed_env(self.env, self.np_random)
            self._seeded = True
        only = torch.zeros(1, dtype=torch.long)
        begin(self.env, only, options)
        self._filming.cut(only)
        return self.env.obs[0].numpy().copy(), self._info()

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """One control step with ``action [A]``."""
        step = self.env.step(to_action(np.asarray(action)[None], (1, self.env.action_dim)))
        reward = float(survival(self.env, step.terminated))
        return step.obs[0].numpy().copy(), reward, bool(step.terminated), bool(step.truncated), self._info()

    def _info(self) -> dict[str, Any]:
        return {"disc_obs": self.env.history[0].numpy().copy()}

    def render(self) -> Picture | None:  # type: ignore[override]
        """A picture ``uint8 [h, w, 3]``, or None without a render mode."""
        frames = self._filming.frames()
        return frames[0] if frames else None

    def close(self) -> None:
        """Frees the renderer."""
        self._filming.close()


class HumanoidVectorEnv(gymnasium.vector.VectorEnv[Floats, Floats, NDArray]):
    """``N`` characters in one batched `HumanoidEnv` as a `gymnasium.vector.VectorEnv`.

    An episode that ends is followed by the next one within the same step (`AutoresetMode.SAME_STEP`): the returned observation is the new episode's first, the
    old one's last is ``info["final_obs"][k]`` and what else was known then is ``info["final_info"]``, both laid out as Gymnasium's own vector environments do.
    ``reset`` also takes the option ``reset_mask``, ``[N]`` of bool: only those start anew.

    Args:
        num_envs: characters. clips: see `make_library`. render_mode, width, height: see `Filming`. settings: other fields of `EnvConfig`.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 30, "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(self, num_envs: int = 1, clips: Clips = None, render_mode: str | None = None, width: int = 480, height: int = 480, **settings: Any):
        self.env = make_env(num_envs, clips, settings)
        self.num_envs = num_envs
        self.metadata = {**self.metadata, "render_fps": 1 / self.env.config.control_dt}
        self.render_mode = render_mode
        self.single_observation_space, self.single_action_space = make_spaces(self.env)
        self.observation_space, self.action_space = (batch_space(s, num_envs) for s in (self.single_observation_space, self.single_action_space))
        self._filming = Filming(self.env, render_mode, width, height)
        self._seeded = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Starts episodes, all or those of the option ``reset_mask``; see `begin` for other options. A seed makes what follows a full reset reproducible."""
        super().reset(seed=seed)
        if seed is not None or not self._seeded:
            seed_env(self.env, self.np_random)
        options = dict(options or {})
        mask = np.asarray(options.pop("reset_mask", np.ones(self.num_envs, dtype=bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise ValueError(f"reset option reset_mask: got {mask.dtype} {list(mask.shape)}, {int(mask.sum())} set; expected bool [{self.num_envs}] with one set")
        if not (self._seeded or mask.all()):
            raise ValueError("reset option reset_mask: got a partial reset before the first full one; expected all set")
        self._seeded = True
        ids = torch.from_numpy(mask.nonzero()[0])
        begin(self.env, ids, options)
        self._filming.cut(ids)
        return self.env.obs.numpy().copy(), self._info(self.env.history, mask)

    def step(self, actions: Floats) -> tuple[Floats, NDArray, NDArray, NDArray, dict[str, Any]]:
        """One control step with ``actions [N, A]``; ended episodes are followed by their first observation of the next."""
        if not self._seeded:
            raise gymnasium.error.ResetNeeded("vector environment: got a step before the first reset; expected reset() first")
        step = self.env.step(to_action(actions, (self.num_envs, self.env.action_dim)))
        reward = survival(self.env, step.terminated).numpy()
        done, info = step.done.numpy(), {}
        if done.any():
            final_obs = np.full(self.num_envs, None, dtype=object)
            for k in done.nonzero()[0]:
                final_obs[k] = step.obs[k].numpy().copy()
            info = {"final_obs": final_obs, "_final_obs": done.copy(), "final_info": self._info(step.disc_obs, done), "_final_info": done.copy()}
            ids = step.done.nonzero().squeeze(-1)
            self.env.reset(ids)
            self._filming.cut(ids)
        info |= self._info(self.env.history, np.ones(self.num_envs, dtype=bool))
        return self.env.obs.numpy().copy(), reward, step.terminated.numpy(), step.truncated.numpy(), info

    def _info(self, windows: Tensor, mask: NDArray[np.bool_]) -> dict[str, Any]:
        """What is known of the environments in ``mask [N]``, zero elsewhere, from ``windows [N, H, F]``."""
        return {"disc_obs": np.where(mask[:, None, None], windows.numpy(), np.float32(0.0)), "_disc_obs": mask.copy()}

    def render(self) -> tuple[Picture, ...] | None:  # type: ignore[override]
        """A picture ``uint8 [h, w, 3]`` of each character, or None without a render mode."""
        return self._filming.frames()

    def close_extras(self, **kwargs: Any) -> None:
        """Frees the renderer."""
        self._filming.close()


gymnasium.register(ENV_ID, entry_point="envs.gym:HumanoidGymEnv", vector_entry_point="envs.gym:HumanoidVectorEnv")

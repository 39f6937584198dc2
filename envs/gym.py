"""The humanoid as a Gymnasium environment. Importing this module registers ``CharacterSkills/Humanoid-v0``:

    import gymnasium, envs.gym
    env = gymnasium.make("CharacterSkills/Humanoid-v0", clips=["walk.npz"])
    many = gymnasium.make_vec("CharacterSkills/Humanoid-v0", num_envs=64, vectorization_mode="vector_entry_point", clips=["walk.npz"])

Both take the same keywords: ``clips``, ``render_mode``, ``width``, ``height`` and every field of `EnvConfig`. The reward is survival, 1 for each step that does
not end in a fall, else 0; tasks bring their own. ``info["disc_obs"]`` holds the last ``H`` frames of features, oldest first.

Shapes: ``N`` environments, ``H`` history frames, ``O`` observation, ``F`` features of a frame, ``A`` action.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from envs.character import Character, load_character
from envs.gym_vector import BatchVectorEnv, Filming, Floats, make_spaces, require_known, seed_env, to_action
from envs.humanoid import EnvConfig, HumanoidEnv
from envs.physics_cpu import CpuPhysics
from envs.render import Picture
from envs.resets import StartMix
from envs.step import Step
from motions.clip import Clip
from motions.library import MotionLibrary
from motions.synthetic import constant_velocity

ENV_ID = "CharacterSkills/Humanoid-v0"
Clips = MotionLibrary | Sequence[Clip | str | Path] | None


def make_config(num_envs: int, settings: Mapping[str, Any]) -> EnvConfig:
    """Settings by name as an `EnvConfig`; ``start`` may be a `StartMix` or a mapping of its fields.

    Raises:
        ValueError: a name that is no field, or no environments.
    """
    known = {f.name for f in fields(EnvConfig)} - {"num_envs"}
    require_known("environment setting", settings, known | {"clips", "render_mode", "width", "height"})
    if num_envs < 1:
        raise ValueError(f"environment setting num_envs: got {num_envs}; expected at least 1")
    settings = dict(settings)
    if isinstance(start := settings.get("start"), Mapping):
        require_known("start mix", start, [f.name for f in fields(StartMix)])
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
    character = load_character(config.character, config.sim_dt, stiffness=config.stiffness)
    library = make_library(clips, character, config.history * config.control_dt)
    physics = CpuPhysics(character.model, num_envs, config.num_threads)
    return HumanoidEnv(config, character, physics, library, torch.Generator().manual_seed(0))


def begin(env: HumanoidEnv, env_ids: Tensor, options: Mapping[str, Any] | None) -> None:
    """Starts episodes of ``env_ids [n]``.

    Args:
        options: ``clip`` (a name) starts on that clip at ``time_s`` seconds, or at the earliest time with a full history before it. Without it, as configured.

    Raises:
        ValueError: an unknown option or clip, or a time outside the clip.
    """
    options = dict(options or {})
    require_known("reset option", options, ("clip", "time_s"))
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


def survival(env: HumanoidEnv, terminated: Tensor) -> Tensor:
    """1 where the last step ended neither in a fall nor in a diverged simulation, else 0; ``[N]`` of float64."""
    return (~(env.fallen | terminated)).double()


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


class HumanoidVectorEnv(BatchVectorEnv):
    """``N`` characters in one batched `HumanoidEnv`; see `BatchVectorEnv`. ``reset`` takes the options of `begin`, too.

    Args:
        num_envs: characters. clips: see `make_library`. render_mode, width, height: see `Filming`. settings: other fields of `EnvConfig`.
    """

    def __init__(self, num_envs: int = 1, clips: Clips = None, render_mode: str | None = None, width: int = 480, height: int = 480, **settings: Any):
        self.env = make_env(num_envs, clips, settings)
        super().__init__(self.env, render_mode, width, height)

    def begin(self, env_ids: Tensor, options: Mapping[str, Any]) -> None:
        begin(self.env, env_ids, options)

    def reward(self, step: Step) -> Tensor:
        return survival(self.env, step.terminated)


gymnasium.register(ENV_ID, entry_point="envs.gym:HumanoidGymEnv", vector_entry_point="envs.gym:HumanoidVectorEnv")

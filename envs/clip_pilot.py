"""`ClipPilot`: actions like those of a policy in training, without one, for measuring speed.

Shapes: ``N`` environments, ``n`` some of them, ``A`` action, ``D`` joint degrees of freedom.
"""

from __future__ import annotations

import torch
from torch import Tensor

from envs.clip_actions import joint_coordinates
from envs.humanoid import HumanoidEnv

NOISE = 0.055  # standard deviation of actions around their means, as when exploring


class ClipPilot:
    """Actions like those of a policy in training: targets along a clip, one control step ahead, with exploration noise. Characters walk some way and fall.

    Args:
        env: whose characters are driven.
        generator: source of the noise.
        noise: standard deviation in units of the action.
    """

    def __init__(self, env: HumanoidEnv, generator: torch.Generator, noise: float = NOISE):
        self.env, self.generator, self.noise = env, generator, noise
        dt, library = env.config.control_dt, env.library
        counts = (library.durations_s / dt).long() + 1
        self._grid_ids = torch.arange(library.num_clips).repeat_interleave(counts)
        self._grid_times = torch.cat([torch.arange(int(n)) * dt for n in counts])
        self._grid = self._pose(*env.codec.encode(library.state_at(self._grid_ids, self._grid_times)))
        self._clip_ids, self._times = torch.zeros(env.num_envs, dtype=torch.long), torch.zeros(env.num_envs)
        self.restart(torch.arange(env.num_envs))

    @staticmethod
    def _pose(qpos: Tensor, qvel: Tensor) -> Tensor:
        """What is compared: joint coordinates, and velocities times 0.1 s, for a swinging limb takes each pose twice."""
        return torch.cat((qpos[:, 7:], 0.1 * qvel[:, 6:]), dim=-1)

    def restart(self, env_ids: Tensor) -> None:
        """Puts ``env_ids [n]`` on the clip and time whose pose is nearest to theirs."""
        nearest = torch.cdist(self._pose(self.env.physics.qpos[env_ids], self.env.physics.qvel[env_ids]), self._grid).argmin(-1)
        self._clip_ids[env_ids], self._times[env_ids] = self._grid_ids[nearest], self._grid_times[nearest]

    def act(self) -> Tensor:
        """The next actions ``[N, A]``."""
        self._times += self.env.config.control_dt
        character = self.env.character
        targets = joint_coordinates(self.env.library.state_at(self._clip_ids, self._times), character.skeleton)
        actions = (targets - character.action_offset) / character.action_scale
        return (actions + self.noise * torch.randn(actions.shape, generator=self.generator)).clamp(-1.0, 1.0)

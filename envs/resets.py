"""Where episodes start: on a clip, in the default pose, or fallen on the floor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from envs.character import Character
from envs.physics import Physics
from envs.state import StateCodec
from motions.library import MotionLibrary
from motions.rotations import quat_normalize
from motions.skeleton import CharacterState

CLIP, DEFAULT, FALLEN, RECOVERY = range(4)


@dataclass(frozen=True)
class StartMix:
    """How episodes start. The shares of clip, default and fallen starts are relative to their sum.

    Attributes:
        clip, default, fallen: shares of starts at a random time of a clip, standing in the rest pose, and lying on the floor.
        recovery: probability that an episode which ended in a fall goes on from where the character lies.
        grace_s: after a fallen or recovery start, and after a clip start that lies low, a fall does not end the episode for this long.
    """

    clip: float = 0.85
    default: float = 0.15
    fallen: float = 0.0
    recovery: float = 0.0
    grace_s: float = 2.0

    def __post_init__(self) -> None:
        shares = (self.clip, self.default, self.fallen)
        if min(shares) < 0 or sum(shares) <= 0 or not 0 <= self.recovery <= 1:
            raise ValueError(f"start mix: got clip {self.clip}, default {self.default}, fallen {self.fallen}, recovery {self.recovery}; expected shares >= 0, recovery in [0, 1]")


def default_state(character: Character, n: int) -> CharacterState:
    """``n`` characters at rest in the model's rest pose, all joints at zero."""
    identity = torch.tensor([1.0, 0.0, 0.0, 0.0])
    pos = torch.tensor([0.0, 0.0, character.default_height_m]).expand(n, 3)
    zero = torch.zeros(n, 3)
    skeleton = character.skeleton
    return skeleton.state(pos, identity.expand(n, 4), zero, zero, identity.expand(n, len(skeleton.joints), 4), torch.zeros(n, skeleton.num_dofs))


def clip_history(library: MotionLibrary, clip_ids: Tensor, times_s: Tensor, history: int, control_dt: float) -> CharacterState:
    """The ``H`` states that lead up to ``times_s [n]`` a control step apart, oldest first, ``[n, H]``."""
    back = torch.arange(history - 1, -1, -1, device=times_s.device) * control_dt
    return library.state_at(clip_ids.unsqueeze(-1).expand(-1, history), times_s.unsqueeze(-1) - back)


def fallen_pool(physics: Physics, codec: StateCodec, character: Character, generator: torch.Generator, seconds: float = 2.5) -> tuple[Tensor, Tensor]:
    """One lying pose per environment: dropped at a random orientation with a random constant target, at rest after ``seconds``.

    Uses and disturbs every simulation of ``physics``.

    Returns:
        ``qpos [n, nq]`` and ``qvel [n, nv]`` (zero) of the drops that stayed finite.
    """
    n, device = physics.num_envs, physics.device
    state = default_state(character, n)
    qpos, qvel = codec.encode(state)
    qpos[:, 3:7] = quat_normalize(torch.randn(n, 4, generator=generator))
    ctrl = character.action_offset + character.action_scale * (torch.rand(n, character.num_actions, generator=generator) - 0.5)
    physics.set_state(torch.arange(n, device=device), qpos.to(device), qvel.to(device))
    physics.step(ctrl.to(device), round(seconds / physics.sim_dt))
    qpos = physics.qpos.clone()
    qpos = qpos[torch.isfinite(qpos).all(-1)]
    qpos[:, :2] = 0.0
    return qpos, torch.zeros(len(qpos), physics.qvel.shape[1], device=device)


def is_low(state: CharacterState, bodies: Tensor, heights: Tensor) -> Tensor:
    """Whether any of ``bodies [S]`` has its origin below its fall height ``[S]`` (metres), ``[n]``."""
    return (state.body_pos_w[..., bodies, 2] < heights).any(-1)

"""Left-right symmetry of a policy, exact by construction.

A character is its own mirror image, and so is the set of motions once every clip is also mirrored; a policy that prefers one side is an accident of training. So
the sign of a latent's first component chooses the side: a network only ever sees latents with ``z[0] >= 0``, and for a negative one it is shown the mirrored
observation and its action is mirrored back. Each skill then has a twin on the other side, and every sample teaches both.

Shapes: ``B`` batch, ``O`` observation, ``A`` action, ``Z`` latent.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Mirror(nn.Module):
    """Reflection of observations and actions: ``mirrored[k] = sign[k] * x[index[k]]``.

    Args:
        obs_index, obs_sign: ``[O]``. action_index, action_sign: ``[A]``. Applied twice, each is the identity.
    """

    obs_index: Tensor
    obs_sign: Tensor
    action_index: Tensor
    action_sign: Tensor

    def __init__(self, obs_index: Tensor, obs_sign: Tensor, action_index: Tensor, action_sign: Tensor):
        super().__init__()
        for name, value in (("obs_index", obs_index), ("obs_sign", obs_sign), ("action_index", action_index), ("action_sign", action_sign)):
            self.register_buffer(name, value, persistent=False)  # part of the character, not of what was learned

    def obs(self, obs: Tensor) -> Tensor:
        """The mirror image of observations ``[..., O]``."""
        return obs[..., self.obs_index] * self.obs_sign

    def action(self, action: Tensor) -> Tensor:
        """The mirror image of actions ``[..., A]``."""
        return action[..., self.action_index] * self.action_sign

    def fold(self, obs: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Observations ``[B, O]`` and latents ``[B, Z]`` on the side where ``z[0] >= 0``, and which rows were mirrored, ``[B, 1]``."""
        mirrored = z[:, :1] < 0
        return torch.where(mirrored, self.obs(obs), obs), torch.cat((z[:, :1].abs(), z[:, 1:]), dim=-1), mirrored

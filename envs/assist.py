"""Help that is taken away as it is needed less: an upward force at the chest of characters that began on the floor, so that they get up, and a torque that holds
those that began on their feet upright, so that they learn to move before they learn to balance. It acts at the chest, too, and looks at the root: the root of some bodies is so
light that a torque which stays the same for a control step would shake it.

A character that a torque of half its toppling moment holds walks along a clip by the clip's actions alone (`envs.clip_actions`), which without it last a second. The idea of
a virtual assistant with a curriculum is that of Yu, Turk and Liu, "Learning Symmetric and Low-Energy Locomotion", 2018 (arXiv 1801.08093).

Shapes: ``N`` environments, ``n`` some of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

UPRIGHT = 0.9  # share of the root's height in the rest pose from which nobody is lifted; the force fades to it over `FADE`
FADE = 0.2
HOLD_S = 3.0  # who was held and is still on its feet after this, or at the end of a shorter episode, has succeeded
DAMPING_S = 0.1  # of the torque, over its stiffness


@dataclass(frozen=True)
class AssistConfig:
    """Attributes:
    lift: share of the body's weight that the strongest help carries at first; 0 for none. Each episode's is uniform between none and the strongest.
    step: what the strongest loses with every character that stood when its grace ended, and gains with every one that did not; of those that had more than half of it.
    hold: stiffness of the strongest torque that holds the root upright at first, as a share of the toppling moment a radian (weight times height of the root); 0 for none.
    hold_step: as ``step``; a success is an episode that has not ended in a fall after `HOLD_S`.
    """

    lift: float = 0.0
    step: float = 3e-4
    hold: float = 0.0
    hold_step: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 <= self.lift <= 1 or self.step < 0 or self.hold < 0 or self.hold_step < 0:
            raise ValueError(f"assist: got lift {self.lift:g}, step {self.step:g}, hold {self.hold:g}, hold_step {self.hold_step:g}; expected lift in [0, 1], the others >= 0")


class Help:
    """A kind of help, how strong it is, and how strong for each character.

    Attributes:
        level: the strongest there is now. share: ``[N]`` what each episode has (0: none).
    """

    def __init__(self, first: float, step: float, num_envs: int, generator: torch.Generator):
        self.first, self.step, self.generator = first, step, generator
        self.level = torch.tensor(first, device=generator.device)
        self.share = torch.zeros(num_envs, device=generator.device)

    def begin(self, env_ids: Tensor, helped: Tensor) -> None:
        """New episodes of ``env_ids [n]``; those of ``helped [n]`` get a share uniform between none and the strongest."""
        if not self.first:
            return
        draw = torch.rand(len(env_ids), generator=self.generator, device=self.share.device)
        self.share[env_ids] = torch.where(helped, self.level * draw, 0.0)

    def judge(self, due: Tensor, managed: Tensor) -> None:
        """Takes note of the characters that it is time to judge, ``due [N]``, and of which ``managed [N]``."""
        counts = due & (2 * self.share > self.level)
        failed, succeeded = (counts & ~managed).sum(), (counts & managed).sum()
        self.level = (self.level + self.step * (failed - succeeded)).clamp(0.0, self.first)

    def state_dict(self) -> dict[str, Tensor]:
        return {"level": self.level.clone(), "share": self.share.clone()}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        for name in ("level", "share"):
            setattr(self, name, saved[name].to(self.share.device).clone())


class Assist:
    """How much each character is helped.

    Args:
        hold_steps: control steps after which who is held has succeeded. weight_n: of the character, newtons. standing_m: height of its root in the rest pose.

    Attributes:
        lift: of characters that begin fallen, shares of their weight. hold: of the others, shares of their toppling moment.
    """

    def __init__(self, config: AssistConfig, num_envs: int, hold_steps: int, weight_n: float, standing_m: float, generator: torch.Generator):
        self.hold_steps, self.weight_n, self.standing_m = hold_steps, weight_n, standing_m
        self.lift = Help(config.lift, config.step, num_envs, generator)
        self.hold = Help(config.hold, config.hold_step, num_envs, generator)

    def begin(self, env_ids: Tensor, fallen: Tensor) -> None:
        """New episodes of ``env_ids [n]``; those that begin ``fallen [n]`` are lifted, the others held."""
        self.lift.begin(env_ids, fallen)
        self.hold.begin(env_ids, ~fallen)

    def force(self, root_height_m: Tensor) -> Tensor:
        """Newtons upward ``[N]`` at roots that are so high, ``[N]``."""
        needed = ((UPRIGHT - root_height_m / self.standing_m) / FADE).clamp(0.0, 1.0)
        return self.weight_n * self.lift.share * needed

    def torque(self, up: Tensor, ang_vel: Tensor) -> Tensor:
        """Torque ``[N, 3]`` (N m) for roots whose z axis is ``up [N, 3]`` and that turn at ``ang_vel [N, 3]`` (rad/s), all in the world frame; none about the vertical."""
        tilt = torch.stack((up[:, 1], -up[:, 0], torch.zeros_like(up[:, 0])), dim=-1)  # up x z
        spin = torch.cat((ang_vel[:, :2], torch.zeros_like(ang_vel[:, :1])), dim=-1)
        return (self.weight_n * self.standing_m * self.hold.share).unsqueeze(-1) * (tilt - DAMPING_S * spin)

    def let_down(self, env_ids: Tensor, down: Tensor) -> None:
        """Nobody holds those of ``env_ids [n]`` any more that may go ``down [n]``."""
        self.hold.share[env_ids] = torch.where(down, 0.0, self.hold.share[env_ids])

    def judge_lift(self, due: Tensor, stood: Tensor) -> None:
        """Takes note of the characters whose time to get up is over, ``due [N]``, and of which ``stood [N]``; then they are lifted no more."""
        self.lift.judge(due, stood)
        self.lift.share = torch.where(due, 0.0, self.lift.share)

    def judge_hold(self, age: Tensor, fell: Tensor) -> None:
        """Takes note of the held characters that ``fell [N]`` or have been on their feet long enough; their episodes are ``age [N]`` control steps old."""
        lasted = (age == self.hold_steps) & ~fell
        self.hold.judge(lasted | (fell & (age <= self.hold_steps)), lasted)

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        return {"hold": self.hold.state_dict(), "lift": self.lift.state_dict()}

    def load_state_dict(self, saved: dict[str, dict[str, Tensor]]) -> None:
        self.hold.load_state_dict(saved["hold"])
        self.lift.load_state_dict(saved["lift"])

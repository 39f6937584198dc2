"""How well characters move: the same measures of what they did and of the clips, so that the two can be divided.

Shapes: ``T`` control steps, ``N`` characters, ``P`` bodies, ``J`` joints, ``K`` key bodies, ``D`` degrees of freedom. World frame z up; metres, seconds, radians.
"""

from __future__ import annotations

import math
from dataclasses import fields

import torch
from torch import Tensor

from envs.humanoid import HumanoidEnv
from motions.ik import joint_ranges
from motions.library import MotionLibrary
from motions.measures import foot_skate, joint_excess
from motions.skeleton import CharacterState, Skeleton

NEAR_LIMIT = math.radians(1.0)
CLIP_S = 4.0  # a looping clip is measured for so long at least
MIN_STEPS = 8


def mean_jerk(points: Tensor, dt: float) -> float:
    """Mean size of the third derivative of position, m/s³, of ``points [T, K, 3]`` that are ``dt`` seconds apart."""
    return float((torch.diff(points, n=3, dim=0) / dt**3).norm(dim=-1).mean())


def limit_pressing(joint_quat: Tensor, skeleton: Skeleton, limits: dict[str, tuple[float, float]]) -> float:
    """Share of joints and frames that are less than a degree from the end of their range or beyond it, from ``joint_quat [T, J, 4]``; limits as in `joint_excess`."""
    inner = {name: (low + NEAR_LIMIT, high - NEAR_LIMIT) for name, (low, high) in limits.items()}
    return float((joint_excess(joint_quat, skeleton, inner) > 0).float().mean())


class QualityRecorder:
    """Keeps what the first ``num`` characters of an environment do; call it after each control step.

    Args:
        num: fewer where the environment has fewer.
    """

    def __init__(self, env: HumanoidEnv, num: int = 64):
        self.env, self.num = env, min(num, env.num_envs)
        self.whole = torch.ones(self.num, dtype=torch.bool)
        self._kept: list[CharacterState] = []
        self._power: list[Tensor] = []

    def __call__(self) -> None:
        env = self.env
        self._kept.append(env.state[: self.num])
        dofs = env.character.skeleton.num_dofs
        effort, rate = env.physics.effort[: self.num, 6 : 6 + dofs], env.physics.qvel[: self.num, 6 : 6 + dofs]
        self._power.append((effort * rate).clamp_min(0.0).sum(-1).cpu())
        self.whole &= ~env.fallen[: self.num].cpu()

    def measures(self) -> dict[str, float]:
        """Of the characters that never fell: ``foot_skate_m_s`` (mean speed at which resting feet slide, see `motions.contacts`), ``jerk_m_s3`` (mean over key bodies),
        ``limit_pressing`` (see `limit_pressing`), the same of the clips, every clip as much (``clip_...``), the quotients ``foot_skate_ratio`` and ``jerk_ratio``; and
        ``power_w_kg``: mean positive power of the actuators by the body's mass. Empty if every character fell or there are fewer than 8 control steps."""
        ids = self.whole.nonzero().squeeze(-1).tolist()
        if not ids or len(self._kept) < MIN_STEPS:
            return {}
        env = self.env
        together = CharacterState(**{f.name: torch.stack([getattr(state, f.name) for state in self._kept]) for f in fields(CharacterState)}).to("cpu")  # [T, N]
        mine = self._mean([together[:, k] for k in ids])
        clips = self._mean([motion.to("cpu") for motion in clip_motions(env.library, env.config.control_dt)])
        found = mine | {f"clip_{name}": value for name, value in clips.items()}
        for name, unit in (("foot_skate", "m_s"), ("jerk", "m_s3")):
            found[f"{name}_ratio"] = mine[f"{name}_{unit}"] / max(clips[f"{name}_{unit}"], 1e-6)
        found["power_w_kg"] = float(torch.stack(self._power)[:, ids].mean()) / env.character.mass_kg
        return found

    def _mean(self, motions: list[CharacterState]) -> dict[str, float]:
        """Means over ``motions``, each ``[T]``."""
        character, dt = self.env.character, self.env.config.control_dt
        skeleton = character.skeleton
        limits = joint_ranges(character.model, skeleton)
        feet, keys = character.foot_bodies.tolist(), character.key_bodies
        rows = [
            (foot_skate(skeleton, feet, m.body_pos_w, m.body_mat_w, 1 / dt), mean_jerk(m.body_pos_w[:, keys], dt), limit_pressing(m.joint_quat, skeleton, limits)) for m in motions
        ]
        skate, jerk, pressing = (sum(column) / len(rows) for column in zip(*rows, strict=True))
        return {"foot_skate_m_s": skate, "jerk_m_s3": jerk, "limit_pressing": pressing}


def clip_motions(library: MotionLibrary, dt: float) -> list[CharacterState]:
    """Every clip from its beginning, ``dt`` seconds apart; looping ones for `CLIP_S` at least."""
    motions = []
    for k in range(library.num_clips):
        duration = float(library.durations_s[k])
        if bool(library.loops[k]):
            duration = max(duration, CLIP_S)
        times = dt * torch.arange(int(duration / dt) + 1, device=library.device)
        motions.append(library.along(k, times))
    return motions

"""`HumanoidEnv`: batched reset and step of a physically simulated character, at 30 Hz by default.

Shapes: ``N`` environments, ``n`` some of them, ``H`` history frames, ``O`` observation, ``F`` features of a frame, ``A`` action.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from envs.assist import HOLD_S, Assist, AssistConfig
from envs.character import Character
from envs.features import FeatureLayout, observe
from envs.footing import foot_slide
from envs.physics import Physics
from envs.props import PropState
from envs.pushes import PushConfig, Pushes
from envs.resets import EARLY_S, FALLEN, NO_CLIP, StartBank, StartMix, Starts, fallen_pool
from envs.state import StateCodec
from envs.step import Step
from envs.throws import ThrowConfig, Throws
from motions.library import MotionLibrary
from motions.rotations import heading
from motions.skeleton import CharacterState

log = logging.getLogger(__name__)
MAX_SPEED = 1e3  # rad/s or m/s; beyond this a simulation has diverged
STANDING_SHARE = 0.75
MIN_BANK = 64  # starts made at a time, at least
COUNTED = ("obs", "history", "episode_step", "grace_steps", "may_lie", "fallen", "start_clip")  # what an environment keeps of every simulation


@dataclass(frozen=True)
class EnvConfig:
    """Environment settings; times in seconds.

    Attributes:
        character: humanoid, armed, cmu (dm_control's CMU humanoid), or the path of an MJCF file of your own (see `envs.adopt`).
        stiffness: factor on stiffness, damping and strength of the character's joints. The servos of other people's models may be too soft to walk with.
        num_envs: parallel simulations.
        sim_dt, control_dt: physics step and policy step; the second is a multiple of the first.
        episode_length_s: time limit (a truncation, not a failure).
        history: frames in a discriminator window.
        start: how episodes start.
        terminate_on_fall: whether a fall ends an episode.
        rise_weight: task reward for being up: this times `rise_reward`, or this alone where characters may lie (`HumanoidEnv.allow_floor`). Style alone hardly teaches getting up:
            whoever lies is judged alike whatever it does.
        slide_weight: what feet that slide cost: this times the speed of each on the floor, m/s (`envs.footing`).
        assist: help in getting up for episodes that begin fallen, while they have grace (`StartMix.grace_s`), and in staying up for the others.
        min_root_height_m: a root below this counts as a fall too, contact or not (0: never). Ends hopeless episodes early where no clip goes down.
        push: random pushes at the root. throw: boxes thrown at the character, whose world must hold one (`ThrowConfig.prop`).
        num_threads: physics threads; 0 takes one for each CPU core.
    """

    character: str = "humanoid"
    stiffness: float = 1.0
    num_envs: int = 1024
    sim_dt: float = 1 / 120
    control_dt: float = 1 / 30
    episode_length_s: float = 10.0
    history: int = 6
    start: StartMix = field(default_factory=StartMix)
    terminate_on_fall: bool = True
    rise_weight: float = 0.0
    slide_weight: float = 0.0
    assist: AssistConfig = field(default_factory=AssistConfig)
    min_root_height_m: float = 0.0
    push: PushConfig = field(default_factory=PushConfig)
    throw: ThrowConfig = field(default_factory=ThrowConfig)
    num_threads: int = 0

    @property
    def num_substeps(self) -> int:
        return round(self.control_dt / self.sim_dt)

    @property
    def episode_steps(self) -> int:
        return round(self.episode_length_s / self.control_dt)


def rise_reward(root_pos: Tensor, root_quat: Tensor, standing_m: float) -> Tensor:
    """How far a character has got up, ``[N]`` in [0, 1]: the root's height (of ``root_pos [N, 3]``, m) over ``standing_m``, at most 1, times ``(1 + u) / 2`` where ``u`` is the
    cosine of the root's tilt (of ``root_quat [N, 4]``)."""
    up = 1 - 2 * root_quat[..., 1:3].square().sum(-1)
    return (root_pos[..., 2] / standing_m).clamp(0.0, 1.0) * (1 + up) / 2


class HumanoidEnv:
    """N characters on a plane. There is no task but getting up (`EnvConfig.rise_weight`) and firm feet (`EnvConfig.slide_weight`); style and skill rewards come from the learner.

    Attributes:
        fallen, down: ``[N]`` whether the last step ended in a fall, and whether in what would be one at a time when falls count.

    Args:
        config: settings.
        character: compiled character.
        physics: engine holding ``config.num_envs`` simulations of ``character.model``.
        library: clips that episodes start on.
        generator: random source of resets, on the device of ``physics`` and ``library``.
    """

    def __init__(self, config: EnvConfig, character: Character, physics: Physics, library: MotionLibrary, generator: torch.Generator):
        library.require_window((config.history - 1) * config.control_dt)
        self.config, self.character, self.physics, self.library = config, character, physics, library
        self.num_envs, self.device, self.generator = config.num_envs, physics.device, generator
        self.layout = FeatureLayout.of(character)
        self.codec = StateCodec(character.skeleton)
        self._style_columns = self.layout.style_columns.to(self.device)
        self._fall_bodies, self._fall_heights = character.fall_bodies.to(self.device), character.fall_heights.to(self.device)
        self._offset, self._scale = character.action_offset.to(self.device), character.action_scale.to(self.device)
        n = self.num_envs
        self.obs = torch.zeros(n, self.layout.obs_dim, device=self.device)
        self._state: CharacterState | None = None
        self.history = torch.zeros(n, config.history, self.layout.style_dim, device=self.device)
        self.episode_step = torch.zeros(n, dtype=torch.long, device=self.device)
        self.grace_steps = torch.zeros(n, dtype=torch.long, device=self.device)
        self.may_lie = torch.zeros(n, dtype=torch.bool, device=self.device)
        self.down, self.fallen = torch.zeros(2, n, dtype=torch.bool, device=self.device)
        self.start_clip = torch.full((n,), NO_CLIP, device=self.device)
        self.pushes = Pushes(config.push, n, config.control_dt, generator) if config.push.every_s > 0 else None
        self.assist: Assist | None = None
        if config.assist.lift > 0 or config.assist.hold > 0:
            enough = min(round(HOLD_S / config.control_dt), config.episode_steps)
            self.assist = Assist(config.assist, n, enough, character.weight_n, character.default_height_m, generator)
        self.throws: Throws | None = None
        if config.throw.every_s > 0:
            box = PropState(physics, len(character.skeleton.body_names))
            self.throws = Throws(config.throw, box, n, config.control_dt, generator)
        self.num_diverged = 0
        self.clock: Callable[[], float] = time.perf_counter  # a GPU's work is over when a clock says so that waits for it (`envs.bench.device_clock`)
        self.seconds = {"physics": 0.0, "features": 0.0}  # time spent in `step`, by part
        pool = fallen_pool(physics, self.codec, character, generator) if config.start.fallen > 0 else None
        self.starts = StartBank(config.start, config.history, config.control_dt, character, library, generator, pool, max(n, MIN_BANK))

    @property
    def obs_dim(self) -> int:
        return self.layout.obs_dim

    @property
    def action_dim(self) -> int:
        return self.character.num_actions

    @property
    def rest_action(self) -> Tensor:
        """The action ``[A]`` that targets the rest pose (all joints at zero)."""
        return (-self._offset / self._scale).clamp(-1.0, 1.0)

    def reset(self, env_ids: Tensor | None = None) -> Tensor:
        """Starts new episodes.

        Args:
            env_ids: ``[n]`` sorted indices; all environments if omitted. A partial reset leaves the others bit for bit as they are.

        Returns:
            The observation of every environment, ``[N, O]``.
        """
        ids = torch.arange(self.num_envs, device=self.device) if env_ids is None else env_ids
        if not len(ids):
            return self.obs
        if self.config.start.hard_share > 0 or self.config.start.even_time:
            soon, age = -self.grace_steps[ids] <= round(EARLY_S / self.config.control_dt), self.episode_step[ids]
            self.starts.learn(torch.where(age > 0, self.start_clip[ids], NO_CLIP), self.fallen[ids] & soon, age * self.config.control_dt)
        if self.config.start.recovery > 0:
            stay = self.fallen[ids] & (torch.rand(len(ids), generator=self.generator, device=self.device) < self.config.start.recovery)
            lying, ids = ids[stay], ids[~stay]
            if len(lying):
                self._begin(lying, self.starts.fallen(self.physics.qpos[lying], self.physics.qvel[lying]), move=False)
        if len(ids):
            self._begin(ids, self.starts.take(len(ids)))
        return self.obs

    def stagger(self, stride: int = 1) -> None:
        """Gives the present episodes random ages, multiples of ``stride`` control steps, so that their time limits are spread out. Episodes that begin together and seldom fall
        end together for ever, and a rollout then shows one part of an episode only."""
        self.episode_step = stride * torch.randint(self.config.episode_steps // stride, (self.num_envs,), generator=self.generator, device=self.device)

    def fail(self, env_ids: Tensor) -> None:
        """Makes the next reset of ``env_ids [n]`` take their episodes for falls."""
        self.fallen[env_ids] = True

    def allow_floor(self, env_ids: Tensor, steps: Tensor) -> None:
        """For ``env_ids [n]`` falls do not count for ``steps [n]`` control steps, nor in the grace that they have to get up afterwards; until they are told otherwise, with
        ``steps`` 0, it does not matter either whether they are up."""
        down = steps > 0
        self.may_lie[env_ids] = down
        longer = torch.where(down, steps + self.starts.grace, 0)
        self.grace_steps[env_ids] = torch.maximum(self.grace_steps[env_ids], longer)
        if self.assist is not None:
            self.assist.let_down(env_ids, down)

    def disturb(self, env_ids: Tensor) -> None:
        """Pushes, or throws at, the characters of ``env_ids [n]`` now, whichever the configuration has."""
        if self.pushes is not None:
            self.pushes.push(env_ids)
        if self.throws is not None:
            self.throws.throw(env_ids, self.state)

    def start_on_clip(self, env_ids: Tensor, clip_ids: Tensor, times_s: Tensor) -> Tensor:
        """Starts environments ``env_ids [n]`` at ``times_s [n]`` of ``clip_ids [n]``, their history filled from the clip; returns ``[N, O]``."""
        self._begin(env_ids, self.starts.on_clip(clip_ids, times_s))
        return self.obs

    def capture(self) -> dict[str, Tensor]:
        """Where every character is, for `start_at`: rows by name, ``[N, ...]``, all that a start has but its clip."""
        moment = Starts(self.physics.qpos.clone(), self.physics.qvel.clone(), self.obs, self.history, self.grace_steps.clone(), torch.full_like(self.start_clip, NO_CLIP))
        return dict(vars(moment))

    def start_at(self, env_ids: Tensor, moments: dict[str, Tensor]) -> Tensor:
        """Starts environments ``env_ids [n]`` where others were, ``moments`` of `capture`, on no clip; returns ``[N, O]``."""
        self._begin(env_ids, Starts(**moments))
        return self.obs

    def reseed(self, seed: int) -> None:
        """Makes all that follows a full reset depend on ``seed`` alone."""
        self.generator.manual_seed(seed)
        self.starts.forget()
        self.episode_step, self.fallen = torch.zeros_like(self.episode_step), torch.zeros_like(self.fallen)  # how the last episodes ended is forgotten, too

    def _begin(self, ids: Tensor, starts: Starts, move: bool = True) -> None:
        """Starts episodes in ``ids [n]``; without ``move`` physics goes on from where it is. What the last `Step` returned keeps its values."""
        if move:
            self.physics.set_state(ids, starts.qpos, starts.qvel)
        self.obs, self._state = self.obs.index_copy(0, ids, starts.obs), None
        self.history = self.history.index_copy(0, ids, starts.history)
        self.grace_steps[ids], self.start_clip[ids], self.may_lie[ids] = starts.grace_steps, starts.clip, False
        self.episode_step[ids] = 0
        for disturbance in (self.pushes, self.throws):
            if disturbance is not None:
                disturbance.begin(ids)
        if self.assist is not None:
            self.assist.begin(ids, starts.clip == FALLEN)
        self.fallen[ids] = False

    @property
    def steps_left(self) -> Tensor:
        """Control steps until the time limit of each episode, ``[N]``."""
        return self.config.episode_steps - self.episode_step

    @property
    def standing(self) -> Tensor:
        """Whether the root is at three quarters of its height in the rest pose or above, and nothing but feet touches the floor, ``[N]``."""
        high = self.state.root_pos[:, 2] >= STANDING_SHARE * self.character.default_height_m
        return high & ~(self.physics.touch[:, : len(self._fall_bodies)] > 0).any(-1)

    @property
    def state(self) -> CharacterState:
        """The present state of every character, ``[N]``."""
        if self._state is None:
            self._state = self.codec.decode(self.physics.qpos, self.physics.qvel)
        return self._state

    def planar_pose(self) -> Tensor:
        """Position on the ground (m, world) and heading (rad) of every root, ``[N, 3]``."""
        return torch.cat((self.state.root_pos[:, :2], heading(self.state.root_quat).unsqueeze(-1)), dim=-1)

    def step(self, action: Tensor) -> Step:
        """One control step. Actions ``[N, A]`` are clamped to [-1, 1] and become position targets in radians."""
        start = self.clock()
        ctrl = self._offset + self._scale * action.clamp(-1.0, 1.0)
        if self.throws is not None:
            self.throws.advance(self.state)
        if self.pushes is not None:
            self.physics.force[:, self.character.root_id, :3] = self.pushes.advance()
        if self.assist is not None:
            self.physics.force[:, self.character.chest_id, 2] = self.assist.force(self.state.root_pos[:, 2])
            self.physics.force[:, self.character.chest_id, 3:] = self.assist.torque(self.state.body_mat_w[:, 0, :, 2], self.state.root_ang_vel)
        before = self.state if self.config.slide_weight else None
        self.physics.step(ctrl, self.config.num_substeps)
        stepped = self.clock()
        diverged = self._isolate_diverged()
        self._state = None
        self.obs = observe(self.state, self.character.skeleton)
        self.history = torch.cat((self.history[:, 1:], self.obs[:, None, self._style_columns]), dim=1)
        self.episode_step += 1
        touching = self.physics.touch[:, : len(self._fall_bodies)] > 0
        low = self.state.body_pos_w[:, self._fall_bodies, 2] < self._fall_heights
        sunk = self.state.root_pos[:, 2] < self.config.min_root_height_m
        self.down = (touching & low).any(-1) | sunk
        self.fallen = self.down & (self.grace_steps <= 0)
        reward = torch.zeros(self.num_envs, device=self.device)
        if self.config.rise_weight:
            up = rise_reward(self.state.root_pos, self.state.root_quat, self.character.default_height_m)
            reward = self.config.rise_weight * torch.where(self.may_lie, 1.0, up)
        if before is not None:
            slide = foot_slide(before, self.state, self.character.skeleton, self.character.foot_bodies.tolist(), self.config.control_dt)
            reward = reward - self.config.slide_weight * torch.where(diverged, 0.0, slide)
        self.grace_steps -= 1
        if self.assist is not None:
            self.assist.judge_lift((self.grace_steps == 0) & (self.start_clip == FALLEN), self.standing)
            self.assist.judge_hold(self.episode_step, self.fallen)
        terminated = (self.fallen & self.config.terminate_on_fall) | diverged
        truncated = (self.episode_step >= self.config.episode_steps) & ~terminated
        self.seconds["physics"] += stepped - start
        self.seconds["features"] += self.clock() - stepped
        return Step(self.obs, reward, terminated, truncated, self.history)

    def _isolate_diverged(self) -> Tensor:
        """Puts simulations with a non-finite or absurd state back into the default pose; ``[N]`` which ones."""
        qpos, qvel = self.physics.qpos, self.physics.qvel
        sane = (qvel.abs().amax() < MAX_SPEED) & torch.isfinite(qpos.sum())  # of all at once, which is quick; a NaN or infinity anywhere shows in both
        if sane:
            return torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        bad = ~((qvel.abs() < MAX_SPEED).all(-1) & torch.isfinite(qpos).all(-1))
        if bad.any():
            ids = bad.nonzero().squeeze(-1)
            self.num_diverged += len(ids)
            log.warning("diverged: environments %s are put back into the default pose; %d so far", ids[:8].tolist(), self.num_diverged)
            standing = self.starts.standing(len(ids))
            self.physics.set_state(ids, standing.qpos, standing.qvel)
            self.history = self.history.index_copy(0, ids, standing.history)
        return bad

    def state_dict(self) -> dict[str, Any]:
        """Everything that determines the future but the configuration, as copies."""
        return {
            "physics": self.physics.get_full_state(),
            "starts": self.starts.state_dict(),
            "generator": self.generator.get_state(),
            "num_diverged": torch.tensor(self.num_diverged),
            **({"pushes": self.pushes.state_dict()} if self.pushes is not None else {}),
            **({"assist": self.assist.state_dict()} if self.assist is not None else {}),
            **({"throws": self.throws.state_dict()} if self.throws is not None else {}),
            **{name: getattr(self, name).clone() for name in COUNTED},
        }

    def load_state_dict(self, saved: dict[str, Any]) -> Tensor:
        """Restores `state_dict`; returns the observation ``[N, O]``, bit for bit the one of then."""
        self.physics.set_full_state(saved["physics"])
        self.starts.load_state_dict(saved["starts"])  # moves the generator
        self.generator.set_state(saved["generator"])
        self.num_diverged = int(saved["num_diverged"])
        if self.pushes is not None:
            self.pushes.load_state_dict(saved["pushes"])
        if self.assist is not None:
            self.assist.load_state_dict(saved["assist"])
        if self.throws is not None:
            self.throws.load_state_dict(saved["throws"])
        for name in COUNTED:
            setattr(self, name, saved[name].to(self.device).clone())
        self._state = None
        return self.obs

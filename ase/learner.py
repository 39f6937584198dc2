"""`Learner`: everything that low-level training changes, in one object that can be saved and restored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ase.actor_critic import ActorCritic
from ase.anchors import Anchors
from ase.checkpoint import load_module
from ase.cloning import CloneConfig, Rehearsal
from ase.coaching import CoachConfig
from ase.distillation import DistillConfig
from ase.distributed import copy_from_first
from ase.guard import Guard
from ase.imitation import FAR_S, Imitation, Ways
from ase.latents import LatentConfig, sample_latents
from ase.off_policy import OffPolicy, OffPolicyConfig
from ase.ppo import PpoConfig
from ase.practice import Practice
from ase.reading import ReadConfig
from ase.retries import ReplayedEnv, Retries, RetryConfig
from ase.rollout import FALLEN, Env, Rollout
from ase.style import Style, StyleConfig
from ase.symmetry import Mirror

FORGET = 0.002  # share of what is known of a clip's latents that one more replaces


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of low-level training.

    Attributes:
        max_samples: control steps over all environments after which training ends.
        max_minutes: wall-clock minutes of training after which it ends, resumed parts included; 0 for no limit.
        save_every_s, log_every, video_every_s: seconds between checkpoints, iterations between log lines, seconds between videos (0: none).
        imitation_weight: weight in the reward of a control step of doing what the clip of the present latent does, at its pace (`ase.imitation`; needs ``latents.clip_share``).
        imitation_travel: what a difference in how the root travels weighs there: a squared m/s over the ground, and a squared rad/s of turning.
        imitation_wide: share of it that falls five times as slowly with the difference (`ase.imitation.WIDE`): for changing quickly between clips that are far apart.
        imitation_stray_s: an episode that began on a clip, with a latent of it, ends as a failure when it has been far from the clip for so many seconds; 0: never.
        bf16: hidden layers in bfloat16: ``"auto"`` where the processor multiplies it natively, ``"on"`` or ``"off"``.
        clone: what the policy is taught of the clips before it acts for the first time, unless it begins with trained skills.
        coach: how it is coached along the clips after that, before training. distill: how it is taught what other trained skills do, where there are any.
        retry: how many episodes begin a moment before somebody fell.
        off_policy: how the policy learns from what was acted before, too, instead of by PPO.
        read: how the encoder is taught once more at the end (see `ase.reading`).
        symmetric: make the policy left-right symmetric where the character is and where there are latents (see `ase.symmetry`).
    """

    max_samples: int = 40_000_000
    max_minutes: float = 0.0
    save_every_s: float = 120.0
    log_every: int = 5
    video_every_s: float = 600.0
    imitation_weight: float = 0.0
    imitation_travel: tuple[float, float] = (0.1, 0.01)
    imitation_wide: float = 0.0
    imitation_stray_s: float = 0.0
    bf16: str = "auto"
    symmetric: bool = True
    clone: CloneConfig = field(default_factory=CloneConfig)
    coach: CoachConfig = field(default_factory=CoachConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    retry: RetryConfig = field(default_factory=RetryConfig)
    ppo: PpoConfig = field(default_factory=PpoConfig)
    off_policy: OffPolicyConfig = field(default_factory=OffPolicyConfig)
    style: StyleConfig = field(default_factory=StyleConfig)
    latents: LatentConfig = field(default_factory=LatentConfig)
    read: ReadConfig = field(default_factory=ReadConfig)

    def __post_init__(self) -> None:
        if self.bf16 not in ("auto", "on", "off"):
            raise ValueError(f"bf16: got {self.bf16!r}; expected auto, on or off")
        if min(self.imitation_travel) < 0:
            raise ValueError(f"imitation_travel: got {self.imitation_travel}; expected two weights of at least 0")
        if not 0 <= self.imitation_wide <= 1:
            raise ValueError(f"imitation_wide: got {self.imitation_wide:g}; expected 0 to 1")
        if not 0 <= self.imitation_stray_s <= FAR_S:
            raise ValueError(f"imitation_stray_s: got {self.imitation_stray_s:g}; expected 0 (never) to {FAR_S:g}, for then the clip is begun anew")


class Learner(ActorCritic):
    """An `ActorCritic` that learns skills: with discriminator, encoder, replay and the clips' cells.

    Args:
        obs_dim, window: sizes of the environment, ``window = (H, F)``. rest_action: ``[A]`` where the policy's mean starts.
        mirror: the character's reflection, or None if it has none.
        mirrored_clips: ``[C]`` index of each clip's mirror image or -1; needed for ``latents.clip_share``.
        looping_clips: ``[C]`` which clips go on for ever, and so can be lost (`ase.practice`); none if omitted.
        travel_columns: features of a frame that tell how the root travels, for ``style.travel_share``.
        still: features of joints that the clips hold still, and their least units (see `ase.style.Style`).
        clip_weights: ``[C]`` how often the latents near each clip's anchor are acted in training (with ``latents.clip_focus``); all equally often if omitted.
        floor_clips: ``[C]`` clips that go to the floor, where falls under latents of their cells are none; none if omitted.
        num_envs, control_dt: for the latent schedule.

    Attributes:
        failure: ``[C]`` share of the recent latents of each clip's cell under which the character fell.
        guard: overrules latents under which the character is about to fall; None, as in training: nothing does.
    """

    def __init__(
        self,
        config: PretrainConfig,
        obs_dim: int,
        rest_action: Tensor,
        window: tuple[int, int],
        num_envs: int,
        control_dt: float,
        device: torch.device,
        seed: int,
        mirror: Mirror | None = None,
        mirrored_clips: Tensor | None = None,
        looping_clips: Tensor | None = None,
        travel_columns: Tensor | None = None,
        still: tuple[Tensor, Tensor] | None = None,
        clip_weights: Tensor | None = None,
        floor_clips: Tensor | None = None,
    ):
        self.config, z_dim = config, config.latents.dim
        self.anchors: Anchors | None = None
        if mirrored_clips is not None and z_dim and config.latents.clip_share > 0:
            self.anchors = Anchors(mirrored_clips, z_dim, device, config.latents.clip_focus)
        draw = self._draw if self.anchors is not None else None
        self.failure = torch.ones(0 if self.anchors is None else len(self.anchors.points), device=device)
        self._clip_weights = clip_weights if clip_weights is not None else torch.ones_like(self.failure)
        super().__init__(config.ppo, config.latents, obs_dim, rest_action, num_envs, control_dt, device, seed, mirror if config.symmetric and z_dim else None, draw=draw)
        self._looping, self._floor_clips, self.control_dt = looping_clips, floor_clips, control_dt
        self.imitation: Imitation | None = None
        self.retries: Retries | None = None
        self.off_policy: OffPolicy | None = None
        self.guard: Guard | None = None
        self._put_back: tuple[Tensor, Tensor] | None = None  # who was just now, and their latents
        self.practice = Practice(config.latents.lost_below, num_envs, control_dt, device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            self.style = Style(config.style, window, z_dim, config.ppo.rollout_steps, device, self.anchors, travel_columns, still)
        copy_from_first([self.style])

    def imitate(self, ways: Ways, weights: Tensor) -> None:
        """From now on rewards doing what clips do at their pace, and going the ``ways`` there (see `ase.imitation.Imitation`).

        Raises:
            ValueError: latents do not stand for clips.
        """
        if self.anchors is None:
            raise ValueError(f"train: imitation_weight: got {self.config.imitation_weight:g} with latents.clip_share {self.config.latents.clip_share:g}; expected a share above 0")
        self.imitation = Imitation(ways, self.anchors, weights, len(self.latents.z), self.control_dt, self.config.imitation_stray_s, self.config.imitation_wide)

    def retry(self, env: ReplayedEnv) -> None:
        """From now on has episodes in ``env``, which it acts in, begin a moment before falls (see `ase.retries`)."""
        self.retries = Retries(self.config.retry, env, self.control_dt, self.generator)

    def learn_off_policy(self) -> None:
        """From now on learns from what was acted before, too (see `ase.off_policy`)."""
        self.off_policy = OffPolicy(self.config.off_policy, self, len(self.latents.z))

    def values(self, obs: Tensor, z: Tensor, bf16: bool = False) -> Tensor:
        return super().values(obs, z, bf16) if self.off_policy is None else self.off_policy.values(obs, z, bf16)

    def improve(self, rollout: Rollout, reward: Tensor, obs: Tensor, progress: float, bf16: bool, rehearse: Rehearsal | None = None) -> dict[str, float]:
        if self.off_policy is None:
            return super().improve(rollout, reward, obs, progress, bf16, rehearse)
        return self.off_policy.improve(rollout, progress, bf16, rehearse) | {"reward/total": float(reward.mean())}

    def be_guarded(self, guard: dict[str, Any], where: str) -> None:
        """From now on acts with the ``guard`` that was saved at ``where`` with policy and clips."""
        assert self.anchors is not None, "latents that stand for no clips are not guarded"
        self.guard = Guard(self.anchors, self.goes_down(self.anchors.points), len(self.obs_normalizer.mean), self.mirror)
        load_module(self.guard, guard, where)

    def heed(self, obs: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        return super().heed(obs, z) if self.guard is None else self.guard(obs, z)

    def watch(self) -> None:
        if self.retries is not None:
            self.retries.watch(self.latents.z)

    def put_back(self, obs: Tensor, env_ids: Tensor, fell: Tensor) -> Tensor:
        if self.retries is None:
            return obs
        self.retries.learn(env_ids[fell], self.latents.age[env_ids[fell]])
        obs, again, z = self.retries.begin(obs, env_ids)
        self._put_back = (again, z) if len(again) else None
        return obs

    def _draw(self, n: int, *, generator: torch.Generator) -> Tensor:
        """``n`` latents ``[n, Z]`` as training acts them: of clips by their weights, and of those the more whose latents end in falls."""
        assert self.anchors is not None
        hard = self.config.latents.hard_share
        return self.anchors.draw(n, generator=generator, weights=self._clip_weights * (1 - hard + hard * self.failure / self.failure.max().clamp_min(1e-6)))

    def learn_falls(self, env_ids: Tensor, fell: Tensor) -> None:
        """Takes note of whether ``env_ids [n]``, whose latents end now, ``fell [n]``."""
        if self.anchors is None:
            return
        clips = self.anchors.cell(self.latents.z[env_ids])
        count = torch.zeros_like(self.failure).index_add_(0, clips, torch.ones_like(self.failure[clips]))
        share = torch.zeros_like(count).index_add_(0, clips, fell.to(count)) / count.clamp_min(1.0)
        self.failure = share + (1 - FORGET) ** count * (self.failure - share)

    def draw_latents(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` random skills ``[n, Z]``: as in training, but of all clips equally often."""
        return self.anchors.draw(n, generator=generator) if self.anchors is not None else sample_latents(n, self.config.latents.dim, generator)

    def latents_for(self, clip_ids: Tensor) -> Tensor:
        """Random latents ``[n, Z]`` that stand for ``clip_ids [n]``: of their cells, or any if clips have none."""
        return self.anchors.sample(clip_ids, self.generator) if self.anchors is not None else sample_latents(len(clip_ids), self.config.latents.dim, self.generator)

    def switch_latents(self, env_ids: Tensor) -> None:
        super().switch_latents(env_ids)
        self.practice.end(env_ids)
        if self.imitation is not None:
            self.imitation.end(env_ids)

    def goes_down(self, z: Tensor) -> Tensor:
        """Whether latents ``[n, Z]`` are of clips that go to the floor, ``[n]``."""
        if self.anchors is None or self._floor_clips is None:
            return torch.zeros(len(z), dtype=torch.bool, device=z.device)
        return self._floor_clips[self.anchors.cell(z)]

    def hold(self, env: Env, z: Tensor, steps: int) -> Tensor:
        """Tells ``env`` which of its falls are none while the latents ``z [N, Z]`` are held for ``steps`` control steps; returns them."""
        env.allow_floor(torch.arange(len(z), device=z.device), self.goes_down(z) * steps)
        return z

    def floor_steps(self, env_ids: Tensor) -> Tensor:
        return self.goes_down(self.latents.z[env_ids]) * self.latents.steps_left[env_ids]

    @torch.no_grad()
    def begin_on_clips(self, env_ids: Tensor, clip_ids: Tensor, windows: Tensor) -> None:
        """First latents of ``env_ids [n]``, which have just started on ``clip_ids [n]`` (-1: on none, `FALLEN`: on the floor) with windows ``[n, H, F]``: a share gets what the
        encoder reads from the window, a share one of the clip's cell, who lies one that fits (`fitting_latents`), the rest keep the random latent they have; but those who were put
        to before a fall (`put_back`) get the latent of then."""
        config, encoder = self.config.latents, self.style.encoder
        if self._put_back is not None:
            again, z = self._put_back
            self.latents.z, self._put_back = self.latents.z.index_copy(0, again, z), None
        if encoder is None:
            return
        fallen = clip_ids == FALLEN
        if config.fallen_hold_s and fallen.any():
            self.latents.hold(env_ids[fallen], self.fitting_latents(windows[fallen], self.generator), round(config.fallen_hold_s / self.control_dt))
        if not config.recognized_share + config.clip_share:
            return
        draw = torch.rand(len(env_ids), generator=self.generator, device=self.device)
        on_clip = clip_ids >= 0
        recognized = on_clip & (draw < config.recognized_share)
        if recognized.any():
            self.latents.z = self.latents.z.index_copy(0, env_ids[recognized], self.style.encode(windows[recognized]))
        chosen = on_clip & (draw >= 1 - config.clip_share)
        if self.anchors is not None and chosen.any():
            self.latents.z = self.latents.z.index_copy(0, env_ids[chosen], self.latents_for(clip_ids[chosen]))
            if self.imitation is not None:
                self.imitation.begin(env_ids[chosen])
            if self._looping is not None:
                self.practice.begin(env_ids[chosen][self._looping[clip_ids[chosen]]])

    @torch.no_grad()
    def fitting_latents(self, windows: Tensor, generator: torch.Generator) -> Tensor:
        """Latents ``[n, Z]`` of the skills that windows ``[n, H, F]`` look most like: what the encoder reads, or another latent of the same clip's cell."""
        read = self.style.encode(windows)
        return read if self.anchors is None else self.anchors.sample(self.anchors.cell(read), generator)

    def modules(self) -> dict[str, torch.nn.Module]:
        return super().modules() | {"style": self.style} | ({} if self.guard is None else {"guard": self.guard})

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        found = {"disc": self.style.disc_opt, "encoder": self.style.encoder_opt}
        if self.off_policy is not None:
            found["critic"] = self.off_policy.optimizer
        return super().optimizers() | {name: optimizer for name, optimizer in found.items() if optimizer is not None}

    def shared_state(self) -> dict[str, Any]:
        return super().shared_state() | ({} if self.off_policy is None else {"off_policy": self.off_policy.state_dict()})

    def load_shared_state(self, saved: dict[str, Any]) -> None:
        super().load_shared_state(saved)
        if self.off_policy is not None and "off_policy" in saved:  # it may be asked for from now on
            self.off_policy.load_state_dict(saved["off_policy"])

    def own_state(self) -> dict[str, Any]:
        also: dict[str, Any] = {"imitation": self.imitation.state_dict()} if self.imitation is not None else {}
        also |= {"retries": self.retries.state_dict()} if self.retries is not None else {}
        return super().own_state() | {"replay": self.style.replay.state_dict(), "practice": self.practice.state_dict(), "failure": self.failure} | also

    def load_own_state(self, saved: dict[str, Any]) -> None:
        super().load_own_state(saved)
        self.style.replay.load_state_dict(saved["replay"])
        self.practice.load_state_dict(saved["practice"])
        self.failure = saved["failure"].to(self.device).clone()
        if self.imitation is not None and "imitation" in saved:  # it may be asked for from now on
            self.imitation.load_state_dict(saved["imitation"])
        if self.retries is not None and "retries" in saved:
            self.retries.load_state_dict(saved["retries"])

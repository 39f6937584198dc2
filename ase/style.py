"""`Style`: discriminator and encoder with their optimisers and replay; they give the style and skill rewards.

Shapes: ``B`` batch, ``H`` history frames, ``F`` features of a frame, ``Z`` latent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ase.anchors import Anchors
from ase.descent import Descent
from ase.distributed import agree
from ase.losses import discriminator_loss, encoder_loss, gradient_penalty
from ase.nets import Discriminator, Encoder
from ase.normalizer import Normalizer
from ase.replay import Replay
from ase.rewards import skill_reward, style_reward
from ase.windows import FrameLog

REWARD_BATCH = 8192  # windows judged at a time


class Demos(Protocol):
    """Windows of the clips; see `envs.demos.DemoWindows`."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor: ...
    def sample_named(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class StyleConfig:
    """Attributes:
    disc_hidden, encoder_hidden: layer sizes. disc_lr, encoder_lr: Adam step sizes.
    anchor_weight: weight of the clips, under latents of their cells, in what the encoder learns (only with ``latents.clip_share``).
    updates, batch_size: gradient steps an iteration; windows of each kind (agent, demo) in one. Half of the agent's come from replay.
    gradient_penalty: weight of the mean squared logit gradient at demo windows.
    logit_decay, weight_decay: weights of the squared norms of the logit layer and of all discriminator layers.
    input_noise: deviation of Gaussian noise on normalised windows, agent and demo alike, while training; takes exploration jitter away as a cue.
    conditional: the discriminator is told which clip a latent stands for, so that playing another clip is no success (only with ``latents.clip_share``).
    travel_share: share of the style reward that is given by a second, small discriminator, which sees nothing but how the root travels (forward, sideways, turning).
        These are 3 of some 80 features; a discriminator of all of them is sure without them, and rates a turn at a third of the clip's rate no lower.
    travel_hidden, travel_lr, travel_gradient_penalty: its layers, step size and gradient penalty. In few dimensions the same difference takes a steeper slope to tell, so the
        penalty must be weaker: with that of the other the logits stay within 0.2.
    judge_noise_free: train the discriminator on the agent's noise-free windows only, so that exploration noise is never evidence against the agent.
    replay_size, replay_push: windows kept, and windows pushed an iteration.
    style_scale: reward scale. style_weight, skill_weight: weights in the reward of a control step.
    skill_weight_first, skill_ramp_samples: the skill weight grows linearly from the first over so many samples: style first, skill later (0: no ramp).
    """

    disc_hidden: tuple[int, ...] = (512, 256)
    encoder_hidden: tuple[int, ...] = (512, 256)
    disc_lr: float = 5e-5
    encoder_lr: float = 1e-4
    anchor_weight: float = 0.25
    updates: int = 6
    batch_size: int = 2048
    gradient_penalty: float = 2.0
    logit_decay: float = 0.01
    weight_decay: float = 1e-4
    input_noise: float = 0.1
    travel_share: float = 0.0
    travel_hidden: tuple[int, ...] = (128, 64)
    travel_lr: float = 2e-4
    travel_gradient_penalty: float = 0.1
    conditional: bool = False
    judge_noise_free: bool = False
    replay_size: int = 32768
    replay_push: int = 1024
    style_scale: float = 2.0
    style_weight: float = 0.5
    skill_weight: float = 0.1
    skill_weight_first: float = 0.0
    skill_ramp_samples: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.travel_share <= 1:
            raise ValueError(f"style: travel_share: got {self.travel_share:g}; expected 0 to 1")

    def skill_weight_at(self, samples: int) -> float:
        """The weight of the skill reward after ``samples`` control steps."""
        if samples >= self.skill_ramp_samples:
            return self.skill_weight
        return self.skill_weight_first + (self.skill_weight - self.skill_weight_first) * samples / self.skill_ramp_samples


class Style(nn.Module):
    """Discriminator, encoder, their normaliser (per frame feature, shared by the frames of a window) and replay.

    A conditional discriminator sees a window divided by the asked clip's ``pace [C]``: how much that clip changes from frame to frame, over the median of the clips, at least 1.
    The same error in timing is a larger difference in a faster clip; in one unit for all, a run would be told from its imitation however good that is.

    Args:
        window: ``(H, F)``. latent_dim: ``Z``; with 0 there is no encoder. rollout_steps: of the trainings that fill the replay.
        anchors: the clips' cells of the sphere, if they have any.
        travel_columns: features of a frame that the travel discriminator sees.
        still: features of a frame that tell of joints which the clips hold still, ``[S]``, and the least unit of each, ``[S]``. In units of their own spread, which is none, all
            motion would be told from the clips by them alone, for no simulated joint is ever still.
    """

    pace: Tensor
    travel_ids: Tensor
    still_columns: Tensor
    still_units: Tensor

    def __init__(
        self,
        config: StyleConfig,
        window: tuple[int, int],
        latent_dim: int,
        rollout_steps: int = 1,
        device: torch.device | str = "cpu",
        anchors: Anchors | None = None,
        travel_columns: Tensor | None = None,
        still: tuple[Tensor, Tensor] | None = None,
    ):
        super().__init__()
        self.config = config
        columns, units = still or (torch.zeros(0, dtype=torch.long), torch.zeros(0))
        self.register_buffer("still_columns", columns, persistent=False)
        self.register_buffer("still_units", units, persistent=False)
        self.window_dim = size = window[0] * window[1]
        self.normalizer = Normalizer(window[1])
        self.anchors = anchors
        self.conditional = config.conditional and anchors is not None
        self.register_buffer("pace", torch.ones(len(anchors.points) if anchors is not None else 0))
        told = latent_dim if self.conditional else 0
        self.discriminator = Discriminator(size, config.disc_hidden, told)
        self.travel: Discriminator | None = None
        if travel_columns is not None and config.travel_share > 0:
            self.register_buffer("travel_ids", (torch.arange(window[0]).unsqueeze(-1) * window[1] + travel_columns).flatten(), persistent=False)
            self.travel = Discriminator(len(self.travel_ids), config.travel_hidden, told)
        self.encoder = Encoder(size, latent_dim, config.encoder_hidden) if latent_dim else None
        self.to(device)
        self.replay = Replay(config.replay_size, rollout_steps, window, device)
        fused = torch.device(device).type in ("cpu", "cuda")
        parameters = [{"params": list(self.discriminator.parameters()), "lr": config.disc_lr}]
        if self.travel is not None:
            parameters.append({"params": list(self.travel.parameters()), "lr": config.travel_lr})
        self.disc_opt = torch.optim.Adam(parameters, fused=fused)
        self.encoder_opt = torch.optim.Adam(self.encoder.parameters(), config.encoder_lr, fused=fused) if self.encoder else None

    @torch.no_grad()
    def rewards(self, windows: Tensor, z: Tensor, bf16: bool = False) -> tuple[Tensor, Tensor]:
        """Style and skill reward (unweighted) of windows ``[B, H, F]`` acted with ``z [B, Z]``: ``[B]``, ``[B]``."""
        with torch.autocast(windows.device.type, torch.bfloat16, enabled=bf16):
            x = self.see(windows)
            style = self.reward_of(x, self.clips_of(z))
            skill = skill_reward(self.encoder(x), z) if self.encoder else torch.zeros_like(style)
        return style, skill

    def see(self, windows: Tensor) -> Tensor:
        """What the networks are shown of windows ``[B, H, F]``: normalised, ``[B, H * F]``."""
        x, columns = self.normalizer(windows), self.still_columns
        if len(columns):
            unit = torch.maximum(self.normalizer.std[columns], self.still_units)
            x = x.index_copy(-1, columns, (windows[..., columns] - self.normalizer.mean[columns].float()) / unit)
        return x.flatten(1)

    @torch.no_grad()
    def likeness(self, windows: Tensor, bf16: bool = False) -> Tensor:
        """Style reward ``[B]`` of windows ``[B, H, F]`` whatever was asked for: for a conditional discriminator that of the clip which they are most like."""
        with torch.autocast(windows.device.type, torch.bfloat16, enabled=bf16):
            x = self.see(windows)
            if not self.conditional:
                return self.reward_of(x, None)
            return torch.stack([self.reward_of(x, torch.full((len(x),), k, device=x.device)) for k in range(len(self.pace))]).amax(0)

    def clips_of(self, z: Tensor) -> Tensor | None:
        """The clip ``[B]`` that each latent ``[B, Z]`` stands for, if the discriminator is to know."""
        return self.anchors.cell(z) if self.conditional and self.anchors is not None else None

    def in_pace(self, x: Tensor, clips: Tensor | None) -> Tensor:
        """Normalised windows ``[B, H * F]`` in the units of the clips ``[B]`` that were asked for."""
        return x if clips is None else x / self.pace[clips].unsqueeze(-1)

    def judge(self, x: Tensor, clips: Tensor | None) -> Tensor:
        """The discriminator's logit ``[B]`` of normalised windows ``[B, H * F]``, for clips ``[B]``."""
        return self.decide(self.in_pace(x, clips), clips)

    def decide(self, x: Tensor, clips: Tensor | None) -> Tensor:
        """As `judge`, for what `in_pace` returned."""
        return self.discriminator(x, self.told(clips))

    def told(self, clips: Tensor | None) -> Tensor | None:
        """What discriminators are told of the clips ``[B]`` asked for: their anchors ``[B, Z]``."""
        return None if clips is None or self.anchors is None else self.anchors.points[clips]

    def reward_of(self, x: Tensor, clips: Tensor | None) -> Tensor:
        """Style reward ``[B]`` of normalised windows ``[B, H * F]``, for clips ``[B]``: of all features, and of travel alone, by ``travel_share``."""
        x = self.in_pace(x, clips)
        style = style_reward(self.decide(x, clips), self.config.style_scale)
        if self.travel is None:
            return style
        return style.lerp(style_reward(self.travel(x[:, self.travel_ids], self.told(clips)), self.config.style_scale), self.config.travel_share)

    @torch.no_grad()
    def learn_pace(self, windows: Tensor, clips: Tensor) -> None:
        """Sets ``pace`` from windows ``[B, H, F]`` of clips ``[B]``; 1 for a clip that does not occur."""
        change = self.see(windows).view(len(windows), -1, windows.shape[-1]).diff(dim=1).square().mean((1, 2))
        count = torch.zeros_like(self.pace).index_add_(0, clips, torch.ones_like(change))
        speed = (torch.zeros_like(self.pace).index_add_(0, clips, change) / count.clamp_min(1.0)).sqrt()
        self.pace.copy_((speed / speed.median()).clamp_min(1.0))

    @torch.no_grad()
    def encode(self, windows: Tensor) -> Tensor:
        """The encoder's latents for windows ``[B, H, F]``: ``[B, Z]``."""
        assert self.encoder is not None, "a policy without latents has no encoder"
        return self.encoder(self.see(windows))


def style_update(
    style: Style,
    windows: FrameLog,
    z: Tensor,
    evidence: Tensor,
    clean: Tensor,
    demos: Demos,
    generator: torch.Generator,
    bf16: bool,
) -> dict[str, float]:
    """Trains discriminator and encoder on one iteration's windows.

    Args:
        windows: ``B`` windows of a finished rollout. z: ``[B, Z]``. evidence: ``[B]`` window acted with ``z`` alone; only these train the encoder.
        clean: ``[B]`` window acted without exploration noise.

    Returns:
        Means of losses and of the discriminator's decisions.
    """
    config, device = style.config, z.device
    judged = clean if config.judge_noise_free else torch.ones_like(clean)
    pool, taught = judged.nonzero().squeeze(-1), evidence.nonzero().squeeze(-1)
    if not len(pool):
        judged = torch.ones_like(judged)
        pool = judged.nonzero().squeeze(-1)

    def pick(ids: Tensor, n: int) -> Tensor:
        return ids[torch.randint(len(ids), (n,), generator=generator, device=device)]

    clips = style.clips_of(z)
    style.replay.push_from(windows, judged, config.replay_push, generator, clips)
    teachable = agree(len(taught) > 0, device)  # all ranks step, or none
    half = config.batch_size // 2 if len(style.replay) else 0
    judging = Descent(style.disc_opt)
    reading = Descent(style.encoder_opt) if style.encoder_opt is not None and teachable else None
    totals: dict[str, Tensor] = {}
    for _ in range(config.updates):
        noise = config.input_noise * torch.randn((config.batch_size, style.window_dim), generator=generator, device=device)  # one draw serves all three
        rows = pick(pool, config.batch_size - half)
        agent_windows, agent_clips = windows[rows], None if clips is None else clips[rows]
        if half:
            past_windows, past_clips = style.replay.sample(half, generator)
            agent_windows = torch.cat((agent_windows, past_windows))
            agent_clips = None if agent_clips is None else torch.cat((agent_clips, past_clips))
        agent = style.in_pace(style.see(agent_windows), agent_clips) + noise
        demo_windows, demo_clips = demos.sample_named(config.batch_size, generator)
        asked = demo_clips if style.conditional else None
        demo = style.in_pace(style.see(demo_windows), asked) + noise
        agent_told, demo_told = style.told(agent_clips), style.told(asked)
        judging.finish()
        loss, logs = _judging_loss(style.discriminator, agent, agent_told, demo, demo_told, config, config.gradient_penalty, bf16)
        if style.travel is not None:
            travel_loss, found = _judging_loss(
                style.travel, agent[:, style.travel_ids], agent_told, demo[:, style.travel_ids], demo_told, config, config.travel_gradient_penalty, bf16
            )
            loss = loss + travel_loss
            logs |= {f"travel_{key}": number for key, number in found.items()}
        judging.start(loss)
        if style.encoder is not None and reading is not None:
            rows = pick(taught, config.batch_size)
            x = style.see(windows[rows]) + noise
            reading.finish()
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                error = encoder_loss(style.encoder(x), z[rows]).mean()
                logs["encoder_error"] = error
                if style.anchors is not None and config.anchor_weight:
                    anchored = encoder_loss(style.encoder(style.see(demo_windows) + noise), style.anchors.sample(demo_clips, generator)).mean()
                    error = error + config.anchor_weight * anchored
                    logs["anchor_error"] = anchored
            reading.start(error)
        for key, number in logs.items():
            totals[key] = totals.get(key, torch.zeros((), device=device)) + number.detach()
    judging.finish()
    if reading is not None:
        reading.finish()
    return {f"style/{key}": float(total) / config.updates for key, total in totals.items()}


def _judging_loss(
    net: Discriminator, agent: Tensor, agent_told: Tensor | None, demo: Tensor, demo_told: Tensor | None, config: StyleConfig, flatness: float, bf16: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a discriminator on windows ``[B, X]`` of the agent and of the clips with the gradient penalty weighted by ``flatness``, and what it says about its decisions."""
    demo = demo.detach().requires_grad_()
    with torch.autocast(agent.device.type, torch.bfloat16, enabled=bf16):
        agent_logit, demo_logit = net(agent, agent_told), net(demo, demo_told)
        penalty = gradient_penalty(demo_logit, demo)
    bce = discriminator_loss(agent_logit, demo_logit)
    squares = [weight.square().sum() for weight in net.mlp.weights()]
    head, decay = squares[-1], torch.stack(squares).sum()
    return bce + flatness * penalty + config.logit_decay * head + config.weight_decay * decay, {
        "disc_bce": bce,
        "gradient_penalty": penalty,
        "agent_logit": agent_logit.mean(),
        "demo_logit": demo_logit.mean(),
        "agent_accuracy": (agent_logit < 0).float().mean(),
        "demo_accuracy": (demo_logit > 0).float().mean(),
    }

"""`Learner`: everything that training changes, in one object that can be saved and restored."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ase.anchors import Anchors
from ase.checkpoint import load_module
from ase.distributed import copy_from_first, own_seed
from ase.latents import LatentConfig, LatentSchedule
from ase.nets import Policy, Value
from ase.normalizer import Normalizer
from ase.ppo import PpoConfig
from ase.style import Style, StyleConfig
from ase.symmetry import Mirror


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of low-level training.

    Attributes:
        max_samples: control steps over all environments after which training ends.
        max_minutes: wall-clock minutes of training after which it ends, resumed parts included; 0 for no limit.
        save_every_s, log_every, video_every_s: seconds between checkpoints, iterations between log lines, seconds between videos (0: none).
        bf16: hidden layers in bfloat16: ``"auto"`` where the processor multiplies it natively, ``"on"`` or ``"off"``.
        symmetric: make the policy left-right symmetric where the character is and where there are latents (see `ase.symmetry`).
    """

    max_samples: int = 40_000_000
    max_minutes: float = 0.0
    save_every_s: float = 120.0
    log_every: int = 5
    video_every_s: float = 600.0
    bf16: str = "auto"
    symmetric: bool = True
    ppo: PpoConfig = field(default_factory=PpoConfig)
    style: StyleConfig = field(default_factory=StyleConfig)
    latents: LatentConfig = field(default_factory=LatentConfig)

    def __post_init__(self) -> None:
        if self.bf16 not in ("auto", "on", "off"):
            raise ValueError(f"bf16: got {self.bf16!r}; expected auto, on or off")


def use_bf16(setting: str, device: torch.device) -> bool:
    """Whether hidden layers run in bfloat16 on ``device`` under ``setting`` (auto, on, off)."""
    if setting != "auto":
        return setting == "on"
    return torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_avx512_bf16_supported()


class Learner:
    """Networks, normalisers, optimisers, replay, latents, random source and counters of low-level training.

    Args:
        obs_dim, window: sizes of the environment, ``window = (H, F)``. rest_action: ``[A]`` where the policy's mean starts.
        mirror: the character's reflection, or None if it has none.
        mirrored_clips: ``[C]`` index of each clip's mirror image or -1; needed for ``latents.clip_share``.
        num_envs, control_dt: for the latent schedule.
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
    ):
        ppo, z_dim = config.ppo, config.latents.dim
        self.mirror = mirror.to(device) if mirror is not None and config.symmetric and z_dim else None
        self.anchors = Anchors(mirrored_clips, z_dim, device) if mirrored_clips is not None and z_dim and config.latents.clip_share > 0 else None
        self.config, self.device = config, device
        self.generator = torch.Generator(device).manual_seed(own_seed(seed))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.policy = Policy(obs_dim, z_dim, rest_action, ppo.policy_hidden, ppo.action_std, self.mirror).to(device)
            self.value = Value(obs_dim, z_dim, ppo.value_hidden, self.mirror).to(device)
            self.style = Style(config.style, window, z_dim, ppo.rollout_steps, device, self.anchors)
        self.obs_normalizer = Normalizer(obs_dim).to(device)
        self.return_normalizer = Normalizer(1, limit=10.0).to(device)
        self.policy_opt = torch.optim.Adam(self.policy.parameters(), ppo.policy_lr, fused=True)
        self.value_opt = torch.optim.Adam(self.value.parameters(), ppo.value_lr, fused=True)
        self.latents = LatentSchedule(config.latents, num_envs, control_dt, self.generator)
        self.noise_free = torch.rand(num_envs, generator=self.generator, device=device) < ppo.deterministic_share
        self.samples, self.iteration, self.seconds = 0, 0, 0.0
        copy_from_first(self.modules().values())

    @torch.no_grad()
    def act(self, obs: Tensor, z: Tensor, bf16: bool = False) -> Tensor:
        """The mean action ``[B, A]`` in raw observations ``[B, O]`` under latents ``[B, Z]``."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            return self.policy(self.obs_normalizer(obs), z)

    def update_obs_statistics(self, obs: Tensor) -> None:
        """Merges observations ``[..., O]`` into the normaliser; with symmetry their mirror images, too, so that mirroring and normalising commute."""
        self.obs_normalizer.update(obs if self.mirror is None else torch.stack((obs, self.mirror.obs(obs))))

    def switch_latents(self, env_ids: Tensor) -> None:
        """New latents for ``env_ids [n]``, each hold acted with or without noise."""
        self.latents.switch(env_ids)
        draw = torch.rand(len(env_ids), generator=self.generator, device=self.device)
        self.noise_free[env_ids] = draw < self.config.ppo.deterministic_share

    @torch.no_grad()
    def begin_on_clips(self, env_ids: Tensor, clip_ids: Tensor, windows: Tensor) -> None:
        """First latents of ``env_ids [n]``, which have just started on ``clip_ids [n]`` (-1: on none) with windows ``[n, H, F]``: a share gets what the encoder
        reads from the window, a share one of the clip's cell, the rest keep the random latent they have."""
        config, encoder = self.config.latents, self.style.encoder
        if encoder is None or not config.recognized_share + config.clip_share:
            return
        draw = torch.rand(len(env_ids), generator=self.generator, device=self.device)
        on_clip = clip_ids >= 0
        recognized = on_clip & (draw < config.recognized_share)
        if recognized.any():
            self.latents.z = self.latents.z.index_copy(0, env_ids[recognized], self.style.encode(windows[recognized]))
        chosen = on_clip & (draw >= 1 - config.clip_share)
        if self.anchors is not None and chosen.any():
            self.latents.z = self.latents.z.index_copy(0, env_ids[chosen], self.anchors.sample(clip_ids[chosen], self.generator))

    def modules(self) -> dict[str, torch.nn.Module]:
        """The parts that a trained skill set consists of, by name."""
        return {"policy": self.policy, "value": self.value, "obs_normalizer": self.obs_normalizer, "return_normalizer": self.return_normalizer, "style": self.style}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        found = {"policy": self.policy_opt, "value": self.value_opt, "disc": self.style.disc_opt, "encoder": self.style.encoder_opt}
        return {name: optimizer for name, optimizer in found.items() if optimizer is not None}

    def shared_state(self) -> dict:
        """Nested dict of tensors: what is equal on all ranks."""
        return {
            "modules": {name: module.state_dict() for name, module in self.modules().items()},
            "optimizers": {name: {str(k): dict(v) for k, v in optimizer.state_dict()["state"].items()} for name, optimizer in self.optimizers().items()},
            "counters": torch.tensor([float(self.samples), float(self.iteration), self.seconds], dtype=torch.float64),
        }

    def own_state(self) -> dict:
        """Nested dict of tensors: what is this rank's own. With `shared_state`, all that is needed to continue bit for bit."""
        return {
            "replay": self.style.replay.state_dict(),
            "latents": self.latents.state_dict(),
            "noise_free": self.noise_free,
            "generator": self.generator.get_state(),
        }

    def load_shared_state(self, saved: dict) -> None:
        """Restores `shared_state`."""
        for name, module in self.modules().items():
            load_module(module, saved["modules"].get(name, {}), name)
        for name, optimizer in self.optimizers().items():
            fresh = optimizer.state_dict()
            fresh["state"] = {int(k): dict(v) for k, v in saved["optimizers"].get(name, {}).items()}
            optimizer.load_state_dict(fresh)
        samples, iteration, self.seconds = saved["counters"].tolist()
        self.samples, self.iteration = int(samples), int(iteration)

    def load_own_state(self, saved: dict) -> None:
        """Restores `own_state`."""
        self.style.replay.load_state_dict(saved["replay"])
        self.latents.load_state_dict(saved["latents"])
        self.noise_free = saved["noise_free"].to(self.device).clone()
        self.generator.set_state(saved["generator"])

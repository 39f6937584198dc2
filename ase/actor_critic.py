"""`ActorCritic`: policy and value with all that training them needs, and how an iteration's data improve them. Both training stages build on it.

Shapes: ``T`` rollout steps, ``N`` environments, ``B`` batch, ``O`` observation, ``A`` action, ``Z`` latent (0 for the high-level policy).
"""

from __future__ import annotations

import copy
import time
from typing import Any

import torch
from torch import Tensor

from ase.checkpoint import load_module
from ase.cloning import Rehearsal
from ase.distributed import average_numbers, copy_from_first, own_seed, world_size
from ase.latents import Draw, LatentConfig, LatentSchedule
from ase.nets import Policy, Value, lerp_weights
from ase.normalizer import Normalizer
from ase.ppo import PpoBatch, PpoConfig, ppo_update
from ase.returns import gae
from ase.rollout import Rollout
from ase.symmetry import Mirror


def use_bf16(setting: str, device: torch.device) -> bool:
    """Whether hidden layers run in bfloat16 on ``device`` under ``setting`` (auto, on, off)."""
    if setting != "auto":
        return setting == "on"
    return torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_avx512_bf16_supported()


class ActorCritic:
    """Networks, normalisers, optimisers, latents, random source and counters of one policy.

    Args:
        obs_dim, rest_action: ``O``, and ``[A]`` where the policy's mean starts. squash: the mean goes through tanh (see `ase.nets.Policy`).
        mirror: makes policy and value symmetric (see `ase.nets.Policy`).
        num_envs, control_dt: for the latent schedule.
    """

    def __init__(
        self,
        ppo: PpoConfig,
        latents: LatentConfig,
        obs_dim: int,
        rest_action: Tensor,
        num_envs: int,
        control_dt: float,
        device: torch.device,
        seed: int,
        mirror: Mirror | None = None,
        squash: bool = False,
        draw: Draw | None = None,
    ):
        self.ppo, self.device = ppo, device
        self.mirror = mirror.to(device) if mirror is not None else None
        self.generator = torch.Generator(device).manual_seed(own_seed(seed))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.policy = Policy(obs_dim, latents.dim, rest_action, ppo.policy_hidden, ppo.action_std, self.mirror, squash).to(device)
            self.value = Value(obs_dim, latents.dim, ppo.value_hidden, self.mirror).to(device)
        self.obs_normalizer = Normalizer(obs_dim).to(device)
        self.return_normalizer = Normalizer(1, limit=10.0).to(device)
        self.policy_opt = torch.optim.Adam(self.policy.parameters(), ppo.policy_lr, fused=True)
        self.value_opt = torch.optim.Adam(self.value.parameters(), ppo.value_lr, fused=True)
        self.latents = LatentSchedule(latents, num_envs, control_dt, self.generator, draw)
        self.noise_free = torch.rand(num_envs, generator=self.generator, device=device) < ppo.deterministic_share
        self._noise = torch.zeros(0, device=device)  # [N, A] of the step before, if it is remembered
        self.samples, self.iteration, self.seconds = 0, 0, 0.0
        self._averaged: Policy | None = None
        copy_from_first(ActorCritic.modules(self).values())

    @torch.no_grad()
    def act(self, obs: Tensor, z: Tensor, bf16: bool = False) -> Tensor:
        """The mean action ``[B, A]`` in raw observations ``[B, O]`` where latents ``[B, Z]`` are asked for."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            obs = self.obs_normalizer(obs)
            return self.policy(obs, self.heed(obs, z)[0])

    def heed(self, obs: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """The latents ``[B, Z]`` to act under in normalised ``obs [B, O]`` where ``z [B, Z]`` are asked for, and where that is another ``[B]``; nobody is overruled here."""
        return z, torch.zeros(len(z), dtype=torch.bool, device=z.device)

    def draw_noise(self, mean: Tensor) -> Tensor:
        """Standard normal noise of the shape of ``mean [N, A]``, correlated with the last by ``ppo.noise_memory``."""
        fresh, memory = torch.randn(mean.shape, generator=self.generator, device=mean.device), self.ppo.noise_memory
        if not memory:
            return fresh
        self._noise = memory * self._noise + (1 - memory**2) ** 0.5 * fresh if len(self._noise) else fresh
        return self._noise

    def update_obs_statistics(self, obs: Tensor) -> None:
        """Merges observations ``[..., O]`` into the normaliser; with symmetry their mirror images, too, so that mirroring and normalising commute."""
        self.obs_normalizer.update(obs if self.mirror is None else torch.stack((obs, self.mirror.obs(obs))))

    def switch_latents(self, env_ids: Tensor) -> None:
        """New latents for ``env_ids [n]``, each hold acted with or without noise."""
        self.latents.switch(env_ids)
        draw = torch.rand(len(env_ids), generator=self.generator, device=self.device)
        self.noise_free[env_ids] = draw < self.ppo.deterministic_share

    def learn_falls(self, env_ids: Tensor, fell: Tensor) -> None:
        """Told whether ``env_ids [n]``, whose latents end now, ``fell [n]``; nothing to learn from that here."""

    def watch(self) -> None:
        """Called before each control step of acting; nothing to look at here."""

    def put_back(self, obs: Tensor, env_ids: Tensor, fell: Tensor) -> Tensor:
        """Told of ``env_ids [n]`` that have just been reset to observations ``obs [N, O]``, and which of them ``fell [n]``; returns the observations ``[N, O]`` they begin with."""
        return obs

    def begin_on_clips(self, env_ids: Tensor, clip_ids: Tensor, windows: Tensor) -> None:
        """Told of ``env_ids [n]`` that have just started on ``clip_ids [n]`` (-1: on none) with windows ``[n, H, F]``; nothing to do here."""

    def floor_steps(self, env_ids: Tensor) -> Tensor:
        """For how many control steps falls of ``env_ids [n]`` are none, ``[n]``, by what their latents stand for."""
        return torch.zeros_like(env_ids)

    @torch.no_grad()
    def values(self, obs: Tensor, z: Tensor, bf16: bool = False) -> Tensor:
        """Values ``[B]``, in units of reward, of normalised observations ``[B, O]`` under latents ``[B, Z]``."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            return self.return_normalizer.inverse(self.value(obs, z).unsqueeze(-1)).squeeze(-1)

    def improve(self, rollout: Rollout, reward: Tensor, obs: Tensor, progress: float, bf16: bool, rehearse: Rehearsal | None = None) -> dict[str, float]:
        """One iteration's learning from ``rollout`` with rewards ``[T, N]``, which ended in raw observations ``obs [N, O]``; ``rehearse`` as in `ase.ppo.ppo_update`.

        Normalisers are frozen meanwhile and refreshed once, at the end. ``progress`` (0 to 1) through the training sets the step size.
        """
        flat_obs, z = self.obs_normalizer(rollout.flat("obs")), rollout.flat("z")
        value = self.values(flat_obs, z, bf16).view_as(reward)
        last = self.values(self.obs_normalizer(obs), self.latents.z, bf16)
        next_value = torch.cat((value[1:], last.unsqueeze(0)))
        next_value = torch.where(rollout.truncated, rollout.end_value, next_value)  # the value of the true next state at a time limit
        advantage = gae(reward, value, next_value, rollout.terminated, rollout.truncated, self.ppo.discount, self.ppo.lam)
        returns = (advantage + value).flatten()
        self.policy_opt.param_groups[0]["lr"] = self.ppo.policy_lr_at(progress)
        if not self.samples:
            self.return_normalizer.update(returns.unsqueeze(-1))
        target = self.return_normalizer(returns.unsqueeze(-1)).squeeze(-1)
        batch = PpoBatch(flat_obs, z, rollout.flat("action"), rollout.flat("log_prob"), rollout.flat("stochastic"), advantage.flatten(), target)
        metrics = ppo_update(self.policy, self.value, self.policy_opt, self.value_opt, batch, self.ppo, self.generator, bf16, rehearse)
        self.update_obs_statistics(rollout.flat("obs"))
        self.return_normalizer.update(returns.unsqueeze(-1))
        return metrics | {"reward/total": float(reward.mean()), "value/explained": float(1 - advantage.var() / returns.var().clamp_min(1e-8))}

    def end_iteration(self, metrics: dict[str, float], rollout: Rollout, started: float, acted: float, steps_each: int = 1) -> dict[str, float]:
        """Moves the counters past an iteration that began at ``started`` and acted until ``acted`` (`time.perf_counter`); returns the ranks' mean metrics, with times.

        ``steps_each``: control steps in one step of the rollout; samples are counted in control steps.
        """
        elapsed, count = time.perf_counter() - started, rollout.terminated.numel() * steps_each * world_size()
        metrics = average_numbers(metrics | {"time/act_s": acted - started, "time/update_s": elapsed - (acted - started), "time/iteration_s": elapsed})
        if self.ppo.average_samples:
            self._average(min(1.0, count / self.ppo.average_samples))
        self.samples += count
        self.iteration += 1
        self.seconds += metrics["time/iteration_s"]
        return metrics | {"time/samples_per_s": count / metrics["time/iteration_s"]}

    def _average(self, share: float) -> None:
        """Moves the mean policy by a ``share`` of the way to what the policy is now."""
        if self._averaged is None:
            self._averaged = copy.deepcopy(self.policy)
        lerp_weights(self._averaged, self.policy, share)

    def trained(self) -> dict[str, torch.nn.Module]:
        """What a training has made so far: `modules`, with the mean policy where one is kept (see `ase.ppo.PpoConfig`)."""
        return self.modules() | ({} if self._averaged is None else {"policy": self._averaged})

    def settle(self) -> None:
        """Acts as the policy that is saved as trained from now on; its training is over."""
        self.policy = self._averaged or self.policy

    def modules(self) -> dict[str, torch.nn.Module]:
        """The parts that a trained policy consists of, by name."""
        return {"policy": self.policy, "value": self.value, "obs_normalizer": self.obs_normalizer, "return_normalizer": self.return_normalizer}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"policy": self.policy_opt, "value": self.value_opt}

    def shared_state(self) -> dict[str, Any]:
        """Nested dict of tensors: what is equal on all ranks."""
        return {
            "modules": {name: module.state_dict() for name, module in self.modules().items()},
            "optimizers": {name: {str(k): dict(v) for k, v in optimizer.state_dict()["state"].items()} for name, optimizer in self.optimizers().items()},
            "averaged": {} if self._averaged is None else self._averaged.state_dict(),
            "counters": torch.tensor([float(self.samples), float(self.iteration), self.seconds], dtype=torch.float64),
        }

    def own_state(self) -> dict[str, Any]:
        """Nested dict of tensors: what is this rank's own. With `shared_state`, all that is needed to continue bit for bit."""
        return {"latents": self.latents.state_dict(), "noise_free": self.noise_free, "noise": self._noise, "generator": self.generator.get_state()}

    def load_shared_state(self, saved: dict[str, Any]) -> None:
        """Restores `shared_state`."""
        for name, module in self.modules().items():
            load_module(module, saved["modules"].get(name, {}), name)
        for name, optimizer in self.optimizers().items():
            fresh = optimizer.state_dict()
            fresh["state"] = {int(k): dict(v) for k, v in saved["optimizers"].get(name, {}).items()}
            optimizer.load_state_dict(fresh)
        if self.ppo.average_samples and "averaged" in saved:  # it may be asked for from now on
            self._averaged = copy.deepcopy(self.policy)
            load_module(self._averaged, saved["averaged"], "averaged")
        samples, iteration, self.seconds = saved["counters"].tolist()
        self.samples, self.iteration = int(samples), int(iteration)

    def load_own_state(self, saved: dict[str, Any]) -> None:
        """Restores `own_state`."""
        self.latents.load_state_dict(saved["latents"])
        self.noise_free = saved["noise_free"].to(self.device).clone()
        self._noise = saved["noise"].to(self.device).clone()
        self.generator.set_state(saved["generator"])

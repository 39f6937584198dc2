"""`OffPolicy`: policy and critic learn from what was acted in the last hundreds of control steps, not only in the last few; an alternative to PPO that takes fewer samples.

Discriminator and encoder change all the time, so what they say about a step is not stored: style and skill rewards are given anew, by the networks of now, whenever a
step is drawn. The policy climbs a critic of actions, as in SAC (Haarnoja et al. 2018, arXiv 1801.01290) with the fixed deviation of noise that it explores with, so that
entropy is constant, and with two critics of which the lower counts (Fujimoto et al. 2018, arXiv 1802.09477). It keeps near the policy that acted last by the KL divergence
between both: a critic knows little of actions that nobody has taken, and without that a policy soon finds those that it is wrong about. Returns are Peng's Q(λ) along a few
consecutive steps, uncorrected (Kozuno et al. 2021, arXiv 2103.00107).

Shapes: ``T`` rollout steps, ``N`` environments, ``S`` stored steps, ``L`` steps of a strip, ``B`` batch, ``O`` observation, ``A`` action, ``Z`` latent.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ase.checkpoint import load_module
from ase.cloning import Rehearsal
from ase.descent import Descent
from ase.distributed import average, copy_from_first
from ase.losses import bound_loss
from ase.nets import Mlp, Policy, lerp_weights
from ase.ppo import with_duties
from ase.rollout import Rollout
from ase.style import REWARD_BATCH
from ase.symmetry import Mirror

if TYPE_CHECKING:
    from ase.learner import Learner

SCALE, CENTRE = 0.2, 0.4  # of 1 / (1 - discount), what a reward of 1 a step adds up to: returns differ by so much, around so much
GAIN = 4.0  # actions times this are seen: noise of 0.05 must count beside observations of deviation 1
CRITIC_GRAD_NORM = 10.0
SPREAD_STEP = 0.02  # of the way that the running deviation of errors goes in a gradient step


@dataclass(frozen=True)
class OffPolicyConfig:
    """Attributes:
    updates: gradient steps of the critic an iteration; 0: there is no critic of actions, and PPO learns from what has just been acted alone.
    batch_size: control steps in a gradient step, ``strip`` consecutive ones each. policy_every: critic steps for each of the policy.
    lam: λ of the returns along a strip. target_step: of the way that the critic that targets are reckoned by goes to the critic in a gradient step.
    keep_weight: weight of the KL divergence to the policy that acted last, where advantages have deviation 1.
    critic_lr, critic_hidden: Adam's step size, and layer sizes of each of the two networks.
    stored_steps: control steps kept of each environment. alone_samples: samples in which the critic learns alone, twice as much; a policy that was taught clips would be spoiled.
    """

    updates: int = 0
    batch_size: int = 1024
    strip: int = 8
    policy_every: int = 2
    lam: float = 0.8
    target_step: float = 0.02
    keep_weight: float = 0.5
    critic_lr: float = 5e-4
    critic_hidden: tuple[int, ...] = (512, 256)
    stored_steps: int = 200
    alone_samples: int = 60_000

    def __post_init__(self) -> None:
        if self.updates < 0 or not 1 <= self.strip < self.stored_steps:
            raise ValueError(f"off_policy: got updates {self.updates}, strip {self.strip}; expected at least 0, and 1 to less than stored_steps, which are {self.stored_steps}")
        if not 0 <= self.lam <= 1:
            raise ValueError(f"off_policy: lam: got {self.lam:g}; expected 0 to 1")


class Critic(nn.Module):
    """Two values ``[2, B]`` of actions ``[B, A]`` in normalised observations ``[B, O]`` under latents ``[B, Z]``, in units of the returns' deviation (`SCALE`, `CENTRE`); symmetric
    as a policy with latents is. Environments clamp actions, and so does it.

    Attributes:
        spread: running deviation of returns from what is said: what is an advantage of 1 to the policy.
    """

    spread: Tensor

    def __init__(self, obs_dim: int, latent_dim: int, action_dim: int, hidden: tuple[int, ...], mirror: Mirror | None):
        super().__init__()
        self.mirror = mirror
        self.nets = nn.ModuleList(Mlp(obs_dim + latent_dim + action_dim, hidden, 1, output_scale=0.01, norm=True) for _ in range(2))
        self.register_buffer("spread", torch.ones(()))

    def forward(self, obs: Tensor, z: Tensor, action: Tensor) -> Tensor:
        if self.mirror is not None:
            obs, z, mirrored = self.mirror.fold(obs, z)
            action = torch.where(mirrored, self.mirror.action(action), action)
        x = torch.cat((obs, z, GAIN * action.clamp(-1.0, 1.0)), dim=-1)
        return torch.stack([net(x).squeeze(-1) for net in self.nets])


class Memory:
    """The last ``S`` control steps of ``N`` environments: raw observations, what was done, how the step ended, its window in half precision, and what of its reward no network
    gave. A step's index is ``row * N + environment``."""

    def __init__(self, steps: int, num_envs: int, obs_dim: int, latent_dim: int, action_dim: int, window: tuple[int, int], device: torch.device):
        def floats(*shape: int) -> Tensor:
            return torch.zeros(steps * num_envs, *shape, device=device)

        self.steps, self.num_envs, self.window = steps, num_envs, window
        self.next, self.filled = 0, 0
        self.held = {
            "obs": floats(obs_dim),
            "z": floats(latent_dim),
            "action": floats(action_dim),
            "reward": floats(),
            "end_value": floats(),
            "terminated": floats().bool(),
            "truncated": floats().bool(),
            "evidence": floats().bool(),
            "windows": floats(*window).half(),
        }

    def push(self, **values: Tensor) -> None:
        """Appends ``[T, N, ...]`` of everything that is held, in place of the oldest."""
        count = len(values["reward"])
        rows = (self.next + torch.arange(count, device=values["reward"].device)) % self.steps
        for name, held in self.held.items():
            held.view(self.steps, self.num_envs, *held.shape[1:])[rows] = values[name].to(held.dtype)
        self.next, self.filled = (self.next + count) % self.steps, min(self.filled + count, self.steps)

    def draw(self, n: int, length: int, generator: torch.Generator) -> Tensor:
        """``n`` strips of ``length`` consecutive steps of one environment each, and the step after them: ``[n, length + 1]`` indices."""
        device = generator.device
        first = torch.randint(self.filled - length, (n, 1), generator=generator, device=device)
        env = torch.randint(self.num_envs, (n, 1), generator=generator, device=device)
        row = (self.next - self.filled + first + torch.arange(length + 1, device=device)) % self.steps
        return row * self.num_envs + env


def strip_returns(reward: Tensor, value: Tensor, end_value: Tensor, terminated: Tensor, truncated: Tensor, discount: float, lam: float) -> Tensor:
    """Peng's λ-returns ``[n, L]`` of consecutive steps: with ``R_L = v_L``, ``R_t = r_t + γ ((1 - λ) v_{t+1} + λ R_{t+1})``; ``r_t`` alone where the step ended in a failure, and
    ``r_t + γ e_t`` where time was up.

    Args:
        reward: ``[n, L]``. value: ``[n, L]`` of the states after the steps. end_value: ``[n, L]`` of those in which time was up. terminated, truncated: ``[n, L]``.
    """
    returns, after = torch.empty_like(reward), value[:, -1]
    for t in reversed(range(reward.shape[1])):
        ahead = torch.where(truncated[:, t], end_value[:, t], torch.lerp(value[:, t], after, lam))
        after = reward[:, t] + discount * torch.where(terminated[:, t], 0.0, ahead)
        returns[:, t] = after
    return returns


class OffPolicy:
    """Critic and memory of a ``learner``, and how it improves by them.

    Args:
        num_envs: ``N``.
    """

    def __init__(self, config: OffPolicyConfig, learner: Learner, num_envs: int):
        z_dim, device = learner.config.latents.dim, learner.device
        obs_dim, action_dim = len(learner.obs_normalizer.mean), learner.policy.mlp.output.out_features
        self.config, self.learner = config, learner
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (), generator=learner.generator, device=device)))
            self.critic = Critic(obs_dim, z_dim, action_dim, config.critic_hidden, learner.mirror).to(device)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        copy_from_first([self.critic, self.target])
        self.optimizer = torch.optim.Adam(self.critic.parameters(), config.critic_lr, fused=True)
        self.memory = Memory(config.stored_steps, num_envs, obs_dim, z_dim, action_dim, learner.style.replay.window, device)
        horizon = 1 / (1 - learner.ppo.discount)
        self.scale, self.centre = SCALE * horizon, CENTRE * horizon

    @torch.no_grad()
    def values(self, obs: Tensor, z: Tensor, bf16: bool) -> Tensor:
        """Values ``[B]``, in units of reward, of acting on in normalised ``obs [B, O]`` under ``z [B, Z]``: of what the policy does there, with its noise."""
        policy, generator = self.learner.policy, self.learner.generator
        with torch.autocast(obs.device.type, torch.bfloat16, enabled=bf16):
            mean = policy(obs, z)
            action = mean + policy.std * torch.randn(mean.shape, generator=generator, device=mean.device)
            return self.centre + self.scale * self.target(obs, z, action).amin(0)

    @torch.no_grad()
    def rewards(self, ids: Tensor, bf16: bool) -> Tensor:
        """What the steps ``ids [B]`` are worth to discriminator and encoder as they are now, with what no network gave, ``[B]``."""
        held, style, config = self.memory.held, self.learner.style, self.learner.config.style
        found = []
        for part in ids.split(REWARD_BATCH):
            like, skill = style.rewards(held["windows"][part].float(), held["z"][part], bf16)
            skill = torch.where(held["evidence"][part], skill, 0.0)
            found.append(held["reward"][part] + config.style_weight * like + config.skill_weight_at(self.learner.samples) * skill)
        return torch.cat(found)

    def remember(self, rollout: Rollout) -> None:
        """Keeps a rollout, whose ``task_reward`` is all that no network gave."""
        windows = torch.cat([rollout.windows[ids] for ids in torch.arange(len(rollout.windows), device=rollout.obs.device).split(REWARD_BATCH)])
        names = ("obs", "z", "action", "end_value", "terminated", "truncated", "evidence")
        held = {name: getattr(rollout, name) for name in names}
        self.memory.push(**held, reward=rollout.task_reward, windows=windows.view(*rollout.task_reward.shape, *windows.shape[1:]))

    def improve(self, rollout: Rollout, progress: float, bf16: bool, rehearse: Rehearsal | None) -> dict[str, float]:
        """One iteration's learning, from what has been remembered and ``rollout``; normalisers are frozen meanwhile. ``progress`` and ``rehearse`` as for `ase.ppo.ppo_update`."""
        self.remember(rollout)
        learner, config, memory = self.learner, self.config, self.memory
        alone, device = learner.samples < config.alone_samples, learner.device
        updates, strips = (2 if alone else 1) * config.updates, max(1, config.batch_size // config.strip)
        if memory.filled <= config.strip:
            updates = 0  # there is no strip yet with a step after it
        learner.policy_opt.param_groups[0]["lr"] = learner.ppo.policy_lr_at(progress)
        acted = copy.deepcopy(learner.policy).requires_grad_(False)
        critic_step, policy_step = Descent(self.optimizer, CRITIC_GRAD_NORM), Descent(learner.policy_opt, learner.ppo.max_grad_norm)
        logs: dict[str, list[Tensor]] = defaultdict(list)
        for k in range(updates):
            rows = memory.draw(strips, config.strip, learner.generator)
            ids, later = rows[:, :-1].flatten(), rows[:, 1:].flatten()
            obs, z = learner.obs_normalizer(memory.held["obs"][ids]), memory.held["z"][ids]
            target = (self._returns(ids, later, bf16) - self.centre) / self.scale
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                error = target - self.critic(obs, z, memory.held["action"][ids])
            loss = 0.5 * error.square().mean(1).sum()
            critic_step.start(loss)
            critic_step.finish()
            lerp_weights(self.target, self.critic, config.target_step)
            with torch.no_grad():
                self.critic.spread.lerp_(average(error.std()), SPREAD_STEP)
            found = {"critic": loss, "explained": 1 - error[0].var() / target.var().clamp_min(1e-8)}
            if not alone and (k + 1) % config.policy_every == 0:
                policy_step.start(self._policy_loss(obs, z, acted, rehearse, bf16, found))
                policy_step.finish()
            for key, number in found.items():
                logs[key].append(number.detach())
        learner.update_obs_statistics(rollout.flat("obs"))
        return {"ppo/kl" if key == "kl" else f"off_policy/{key}": float(torch.stack(numbers).mean()) for key, numbers in logs.items()}

    def _returns(self, ids: Tensor, later: Tensor, bf16: bool) -> Tensor:
        """λ-returns ``[B]``, in units of reward, of the steps ``ids [B]``, strip by strip, after each of which comes that of ``later [B]``."""
        held, strip = self.memory.held, self.config.strip
        value = self.values(self.learner.obs_normalizer(held["obs"][later]), held["z"][later], bf16)
        parts = (self.rewards(ids, bf16), value, held["end_value"][ids], held["terminated"][ids], held["truncated"][ids])
        reward, value, end_value, terminated, truncated = (part.view(-1, strip) for part in parts)
        return strip_returns(reward, value, end_value, terminated, truncated, self.learner.ppo.discount, self.config.lam).flatten()

    def _policy_loss(self, obs: Tensor, z: Tensor, acted: Policy, rehearse: Rehearsal | None, bf16: bool, found: dict[str, Tensor]) -> Tensor:
        """What the policy steps down in normalised ``obs [B, O]`` under ``z [B, Z]``; puts its parts among what was ``found``."""
        policy, ppo, generator = self.learner.policy, self.learner.ppo, self.learner.generator
        self.critic.requires_grad_(False)
        with torch.autocast(obs.device.type, torch.bfloat16, enabled=bf16):
            mean = policy(obs, z)
            action = mean + policy.std * torch.randn(mean.shape, generator=generator, device=obs.device)
            gain = self.critic(obs, z, action).mean() / self.critic.spread.clamp_min(1e-3)
            with torch.no_grad():
                before = acted(obs, z)
            kl = (mean - before).square().sum(-1).mean() / (2 * policy.std**2)
            loss = self.config.keep_weight * kl - gain + ppo.bound_weight * bound_loss(mean).mean()
            loss, besides = with_duties(loss, policy, obs, z, mean, ppo, generator, rehearse)
        found |= besides | {"kl": kl}
        self.critic.requires_grad_(True)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The critics; what is remembered is left out, for it is large and soon replaced."""
        return {"critic": self.critic.state_dict(), "target": self.target.state_dict()}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        load_module(self.critic, saved["critic"], "critic")
        load_module(self.target, saved["target"], "target")

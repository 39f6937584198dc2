"""The high-level training loop: the same acting and the same improvement as `ase.pretrain`, on the environment's own reward.

Shapes: ``T`` rollout steps, ``N`` environments.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from ase.actor_critic import ActorCritic, use_bf16
from ase.collect import collect
from ase.distributed import agree
from ase.ppo import PpoConfig
from ase.rollout import Env, Rollout


@dataclass(frozen=True)
class TaskTrainConfig:
    """Settings of high-level training.

    Attributes:
        max_samples: control steps over all environments after which training ends. Other settings: as in `ase.learner.PretrainConfig`.
        symmetric: the controller is symmetric where character, skills and task are.
        ppo: its ``discount`` is that of a control step.
    """

    max_samples: int = 20_000_000
    max_minutes: float = 0.0
    save_every_s: float = 120.0
    log_every: int = 5
    bf16: str = "auto"
    symmetric: bool = True
    ppo: PpoConfig = field(default_factory=PpoConfig)


def task_train(env: Env, learner: ActorCritic, config: TaskTrainConfig, steps_each: int, obs: Tensor, on_iteration: Callable[[dict[str, float]], bool]) -> None:
    """Trains until the configured samples or minutes are reached or ``on_iteration`` returns False.

    Args:
        env: environments, already reset; their reward is what is maximised. steps_each: control steps in one step of theirs. obs: ``[N, O]`` present observations.
        on_iteration: called after every iteration with its metrics; logs, saves, and says whether to go on.
    """
    bf16 = use_bf16(config.bf16, env.device)
    window = (env.history.shape[1], env.history.shape[2])
    rollout = Rollout.empty(config.ppo.rollout_steps, env.num_envs, env.obs_dim, 0, env.action_dim, window, env.device)
    if not learner.samples:
        learner.update_obs_statistics(obs)
    while learner.samples < config.max_samples and not 0 < 60 * config.max_minutes <= learner.seconds:
        start = time.perf_counter()
        obs, metrics = collect(env, learner, rollout, obs, bf16)
        acted = time.perf_counter()
        metrics |= learner.improve(rollout, rollout.task_reward, obs, learner.samples / config.max_samples, bf16)
        if not agree(on_iteration(learner.end_iteration(metrics, rollout, start, acted, steps_each)), env.device):
            return

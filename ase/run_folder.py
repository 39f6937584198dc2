"""`RunFolder`: what a training leaves on disk, and how it goes on from there.

`checkpoint.safetensors` holds what all ranks share and what is rank 0's own; `checkpoint.rank1.safetensors` and so on hold what is the others' own. A training
that resumes on as many ranks goes on bit for bit. On another number of ranks weights, optimisers, normalisers and counters go on, while each rank begins with
fresh environments, latents and replay.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from ase import checkpoint
from ase.actor_critic import ActorCritic
from ase.distributed import rank, world_size
from ase.rollout import Env

CONFIG, CHECKPOINT, SKILLS, CONTROLLER = "config.yaml", "checkpoint.safetensors", "skills.safetensors", "controller.safetensors"


class SavedEnv(Env, Protocol):
    """An environment that can be saved."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, saved: dict[str, Any]) -> Tensor: ...


class RunFolder:
    """Args:
    path: of the folder. config: the run's configuration as plain data, kept with the weights.
    product: the file that holds what was trained, without what only training needs: `SKILLS` or `CONTROLLER`. clips: names of the clips that are learned from.
    """

    def __init__(self, path: Path, config: dict[str, Any], product: str = SKILLS, clips: tuple[str, ...] = ()):
        self.path, self.config, self.product, self.clips = path, config, product, clips

    def _own_file(self, of_rank: int) -> Path:
        return self.path / (f"checkpoint.rank{of_rank}.safetensors" if of_rank else CHECKPOINT)

    def save(self, learner: ActorCritic, env: SavedEnv) -> None:
        """Writes this rank's files, each at once or not at all. Rank 0 comes last, so that what it says of the others exists."""
        own: dict[str, Any] = {"own": {"learner": learner.own_state(), "env": env.state_dict()}}
        shared = {} if rank() else {"shared": learner.shared_state()}
        checkpoint.save(self._own_file(rank()), own | shared, "training", self._info(learner))
        if rank() == 0:
            self.save_product(learner)

    def save_product(self, learner: ActorCritic) -> None:
        """Writes what has been trained so far, without what only training needs."""
        modules = {name: module.state_dict() for name, module in learner.trained().items()}
        checkpoint.save(self.path / self.product, modules, self.product.partition(".")[0], self._info(learner))

    def _info(self, learner: ActorCritic) -> dict[str, Any]:
        done = {"samples": learner.samples, "iteration": learner.iteration, "minutes": round(learner.seconds / 60, 2)}
        return {"config": self.config, "clips": self.clips, "ranks": world_size()} | done

    def resume(self, learner: ActorCritic, env: SavedEnv) -> Tensor:
        """Restores a training; returns the observations ``[N, O]`` that it goes on from.

        Raises:
            ValueError: no checkpoint, or one of another shape or version.
        """
        tree, info = checkpoint.load(self.path / CHECKPOINT, "training")
        learner.load_shared_state(tree["shared"])
        if info["ranks"] == world_size() and self._own_file(rank()).is_file():
            own, own_info = (tree, info) if rank() == 0 else checkpoint.load(self._own_file(rank()), "training")
            if own_info["iteration"] == info["iteration"]:
                try:
                    learner.load_own_state(own["own"]["learner"])
                    return env.load_state_dict(own["own"]["env"])
                except KeyError as error:
                    raise ValueError(
                        f"run {self.path}: its checkpoint was saved without {error.args[0]}; expected one that this version wrote. A new run can begin with its skills"
                    ) from None
        return env.reset()

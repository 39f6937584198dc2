"""Transitions between clips, counted and acted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ase.clip_space import EVERY, ClipSpace
from ase.transitions import HOLD_S, measure_transitions, transition_counts, transition_coverage
from tests.ase.toys import ToyStep, make_learner, tiny_config

WAYS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])  # what the three clips show: a velocity each


class Ways:
    """Clips of one constant window each, many times over."""

    clip_names = ("east", "north", "west")

    def all_windows(self) -> tuple[Tensor, Tensor]:
        clips = torch.arange(3).repeat_interleave(10)
        return WAYS[clips].unsqueeze(1).expand(-1, 2, -1) + 0.01 * torch.randn(30, 2, 2, generator=torch.Generator().manual_seed(0)), clips


class Follower:
    """Characters that move as they are told, ``lag`` steps later. Window: the last two velocities. Environments ``falls`` fall at control step ``when`` after each reset of all."""

    obs_dim, action_dim, rest_action, device, window = 2, 2, torch.zeros(2), torch.device("cpu"), (2, 2)

    def __init__(self, num_envs: int, falls: tuple[int, ...] = (), when: int = 5, lag: int = 0):
        self.num_envs, self.falls, self.when, self.lag = num_envs, falls, when, lag
        self.history = torch.zeros(num_envs, 2, 2)

    def reset(self, env_ids: Tensor | None = None) -> Tensor:
        if env_ids is None:
            self.time, self.told, self.held = 0, [], []
        return torch.zeros(self.num_envs, 2)

    def allow_floor(self, env_ids: Tensor, steps: Tensor) -> None:
        assert not steps.any(), "there is no floor here"

    def step(self, action: Tensor) -> ToyStep:
        self.time += 1
        self.told.append(action)
        self.history = torch.cat((self.history[:, 1:], self.told[max(0, len(self.told) - 1 - self.lag)].unsqueeze(1)), dim=1)
        fell = torch.tensor([k in self.falls and self.time == self.when for k in range(self.num_envs)])
        return ToyStep(torch.zeros(self.num_envs, 2), torch.zeros(self.num_envs), fell, torch.zeros_like(fell), self.history)


class Obedient:
    """Goes the way that its latent says; draws the given ways in turn."""

    def __init__(self, draws: list[list[int]]):
        self.draws = iter(draws)

    def draw_latents(self, n: int, generator: torch.Generator) -> Tensor:
        return WAYS[torch.tensor(next(self.draws))]

    def act(self, obs: Tensor, z: Tensor) -> Tensor:
        return z

    def hold(self, env: Follower, z: Tensor, steps: int) -> Tensor:
        env.held.append((env.time, z.tolist(), steps))
        return z


def test_counts_and_coverage() -> None:
    counts = transition_counts(torch.tensor([0, 0, 0, 2, 1]), torch.tensor([1, 1, 0, 0, 1]), 3)
    assert counts.tolist() == [[1, 2, 0], [0, 1, 0], [1, 0, 0]]
    assert transition_coverage(counts) == pytest.approx(2 / 6), "two of six ordered pairs; staying is no transition"
    assert transition_coverage(torch.ones(3, 3)) == 1.0
    assert transition_coverage(5 * torch.eye(3)) == 0.0
    assert transition_coverage(torch.zeros(1, 1)) == 1.0


def test_each_latent_is_made_known_when_it_begins() -> None:
    env = Follower(2)
    measured(env, [[0, 1], [1, 2]], 2)
    assert env.held == [(0, WAYS[torch.tensor([0, 1])].tolist(), 30), (30, WAYS[torch.tensor([1, 2])].tolist(), 30)], "three seconds each, 0.1 s a step"


def measured(env: Follower, draws: list[list[int]], rollouts: int) -> dict:
    return measure_transitions(env, Obedient(draws), ClipSpace(Ways()), rollouts, 0.1, torch.Generator().manual_seed(0))


def test_latents_that_change_are_seen_to_change_clips() -> None:
    found = measured(Follower(4), [[0, 0, 1, 2], [1, 2, 2, 2], [1, 1, 1, 1], [0, 0, 0, 0]], 8)
    assert found["transitions"] == {"clips": ["east", "north", "west"], "counts": [[0, 1, 1], [4, 0, 1], [0, 0, 1]]}
    assert found["transition_coverage"] == pytest.approx(4 / 6)
    assert found["transition_fall_rate"] == 0.0


def test_only_the_end_of_each_half_counts() -> None:
    """Who takes two of the three seconds to change is seen to have changed."""
    found = measured(Follower(3, lag=19), [[0, 1, 2], [1, 2, 0]], 1)
    assert found["transitions"]["counts"] == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize("when", [5, round(HOLD_S / 0.1) + 5])
def test_rollouts_that_fall_have_no_transition(when: int) -> None:
    found = measured(Follower(4, falls=(0, 2), when=when), [[0, 0, 1, 2], [1, 2, 2, 2]], 1)
    assert found["transition_fall_rate"] == 0.5
    assert found["transitions"]["counts"] == [[0, 0, 1], [0, 0, 0], [0, 0, 1]]


def test_real_skills_can_be_measured() -> None:
    env = Follower(6)
    learner = make_learner(env, tiny_config(latents={"dim": 4}))
    found = measure_transitions(env, learner, ClipSpace(Ways()), 12, 0.1, torch.Generator().manual_seed(0))
    assert sum(map(sum, found["transitions"]["counts"])) == 12


def test_clips_are_drawn_equally_often_however_long() -> None:
    class Uneven:
        clip_names = ("long", "short")

        def all_windows(self) -> tuple[Tensor, Tensor]:
            return torch.cat((torch.full((990, 1, 1), 1.0), torch.full((10, 1, 1), -1.0))), (torch.arange(1000) >= 990).long()

    space = ClipSpace(Uneven())
    assert len(space.demo) == 1000 // EVERY
    assert space.demo.mean().abs() < 0.02, "scaled windows of the clips have mean 0 and deviation 1"
    assert space.demo.std().item() == pytest.approx(1.0, abs=0.02)
    drawn = space.draw(4000, torch.Generator().manual_seed(0))
    assert (drawn > drawn.mean()).float().mean().item() == pytest.approx(0.5, abs=0.04)
    assert space.nearest(space.scaled(torch.tensor([[[0.9]], [[-0.9]], [[-0.8]]])), torch.tensor([4, 2, 2]))[0].tolist() == [1, 0]

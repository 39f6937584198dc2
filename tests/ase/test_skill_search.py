"""The search for a latent, on characters that go the way their latent says."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from ase.skill_search import Played, SearchConfig, around, distance_to, held_score, play, search, spread_times
from tests.ase.toys import ToyStep

WANTED = torch.nn.functional.normalize(torch.tensor([3.0, -1.0, 2.0, 0.5]), dim=0)


class Compass:
    """Characters that move by their action. Window: the last two moves. With ``cliff`` whoever moves against the first axis falls."""

    obs_dim, action_dim, rest_action, device, window = 1, 4, torch.zeros(4), torch.device("cpu"), (2, 4)

    def __init__(self, num_envs: int, cliff: bool = False):
        self.num_envs, self.cliff = num_envs, cliff
        self.history = torch.zeros(num_envs, 2, 4)

    def reset(self, env_ids: Tensor | None = None) -> Tensor:
        return torch.zeros(self.num_envs, 1)

    def start_on_clip(self, env_ids: Tensor, clip_ids: Tensor, times_s: Tensor) -> Tensor:
        assert (clip_ids == 7).all()
        self.history[env_ids] = 0.0
        return self.reset()

    def step(self, action: Tensor) -> ToyStep:
        self.history = torch.cat((self.history[:, 1:], action.unsqueeze(1)), dim=1)
        fell = (action[:, 0] < 0) & self.cliff
        return ToyStep(self.reset(), torch.zeros(self.num_envs), fell, torch.zeros_like(fell), self.history)


def acted(z: Tensor, cliff: bool = False) -> Played:
    """Scores of latents ``[L, 4]`` against a clip that goes `WANTED`."""
    distance = distance_to(WANTED.repeat(1, 2), lambda windows: windows.flatten(1))
    return play(Compass(3 * len(z), cliff), lambda obs, held: held, z, torch.full((3,), 7), torch.zeros(3), 10, distance, 2)


def found(seed: int = 0, **config):
    generator = torch.Generator().manual_seed(seed)
    known = {"reading": torch.nn.functional.normalize(torch.tensor([1.0, 1.0, 1.0, 1.0]), dim=0)}
    return search(acted, known, lambda n: torch.nn.functional.normalize(torch.randn(n, 4, generator=generator), dim=-1), SearchConfig(**config), generator)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_search_finds_the_way_and_beats_what_it_began_with(seed: int) -> None:
    result = found(seed)
    assert (result.latent @ WANTED).item() > 0.96
    assert result.latent.norm().item() == pytest.approx(1.0)
    assert result.origin == "search"
    assert result.measured["found"].score < 0.5 * result.measured["reading"].score < result.measured["random latents"].score
    assert result.measured["reading"].gain > 0.5
    assert result.rounds[-1] < 0.7 * result.rounds[0]


def test_candidates_close_in_from_round_to_round() -> None:
    width = []

    def watched(z: Tensor) -> Played:
        width.append(z.std(0).mean().item())
        return acted(z)

    generator = torch.Generator().manual_seed(0)
    search(watched, {"anchor": WANTED}, lambda n: torch.nn.functional.normalize(torch.randn(n, 4, generator=generator), dim=-1), SearchConfig(rounds=4), generator)
    first, *middle, last = width[:5]
    assert last < 0.5 * min(middle[0], first)


def test_a_known_latent_that_is_best_is_kept() -> None:
    generator = torch.Generator().manual_seed(0)
    result = search(acted, {"anchor": WANTED}, lambda n: torch.nn.functional.normalize(torch.randn(n, 4, generator=generator), dim=-1), SearchConfig(), generator)
    assert result.origin == "anchor"
    assert torch.equal(result.latent, WANTED)


def test_the_same_seed_finds_the_same() -> None:
    assert torch.equal(found(5, rounds=1).latent, found(5, rounds=1).latent)


def test_a_latent_scores_its_distance_and_a_fall_the_worst_that_was_seen() -> None:
    ways = torch.stack((WANTED, -WANTED, torch.tensor([0.0, 1.0, 0.0, 0.0])))
    played = acted(ways)
    assert played.score.shape == (3, 3)
    expected = (ways - WANTED).square().mean(-1).sqrt()
    torch.testing.assert_close(played.score.mean(1), expected, atol=1e-6, rtol=0)
    assert not played.fell.any()
    assert acted(ways, cliff=True).fell.tolist() == [[False] * 3, [True] * 3, [False] * 3]
    distance = torch.tensor([[9.0, 9.0, 9.0], [1.0, 2.0, 0.5], [1.0, 4.0, 0.5], [1.0, 7.0, 0.5]])
    alive = torch.tensor([[True] * 3, [True] * 3, [True, False, True], [True, False, True]])
    assert held_score(distance[1:], alive[1:], 1).tolist() == [1.0, 4.0, 0.5], "the worst until the fall, from the fall on"


def test_candidates_stay_on_the_sphere_and_near_their_centres() -> None:
    near = around(WANTED.unsqueeze(0), 500, 0.2, torch.Generator().manual_seed(0))
    torch.testing.assert_close(near.norm(dim=-1), torch.ones(500))
    angle = (near @ WANTED).clamp(max=1).acos()
    assert 0.1 < angle.mean() < 0.25


def test_each_latent_starts_at_each_time() -> None:
    """In this order: the starts of the first latent, those of the second."""

    class Watch(Compass):
        def start_on_clip(self, env_ids: Tensor, clip_ids: Tensor, times_s: Tensor) -> Tensor:
            assert clip_ids.tolist() == [5, 6, 7] * 2
            assert times_s.tolist() == [1.0, 2.0, 3.0] * 2
            return self.reset()

    held = []
    play(
        Watch(6),
        lambda obs, z: held.append(z) or z,
        torch.stack((WANTED, -WANTED)),
        torch.tensor([5, 6, 7]),
        torch.tensor([1.0, 2.0, 3.0]),
        3,
        lambda windows: windows[:, -1, 0],
        1,
    )
    assert all(torch.equal(z, torch.stack([WANTED] * 3 + [-WANTED] * 3)) for z in held)


def test_start_times_cover_a_clip() -> None:
    times = spread_times(1.0, 5.0, 4, torch.Generator().manual_seed(0))
    assert [int(t) for t in times] == [1, 2, 3, 4]
    assert spread_times(1.0, 0.5, 2, torch.Generator().manual_seed(0)).tolist() == [1.0, 1.0]


def test_too_few_candidates_and_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("skill search: candidates: got 7; expected at least 8")):
        SearchConfig(candidates=7)
    with pytest.raises(ValueError, match=re.escape("skill search: rounds: got -1; expected at least 0")):
        SearchConfig(rounds=-1)

"""Measures of whole rollouts that are made up: a replayer of the clips, a policy that plays one clip, one that stands still, one that shakes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ase.clip_space import LEAST_UNIT, ClipSpace
from ase.evaluate import Rollouts, measure, on_a_plane

DT, HISTORY, STEPS, LATENTS, REPLICAS = 1 / 30, 4, 150, 8, 3
CLIPS = ("slow", "fast", "wide", "odd")


def phase_window(clip: Tensor, phase: Tensor) -> Tensor:
    """Windows ``[W, H, 5]`` of gaits: two swinging features, each clip at a rate and size of its own, the rate and size themselves, and something that is nobody's."""
    rate, size = torch.tensor([2.0, 6.0, 2.0, 4.0])[clip], torch.tensor([1.0, 1.0, 3.0, 2.0])[clip]
    angle = phase.unsqueeze(-1) + rate.unsqueeze(-1) * DT * torch.arange(HISTORY)
    ones = torch.ones_like(angle)
    return torch.stack((size.unsqueeze(-1) * angle.cos(), size.unsqueeze(-1) * angle.sin(), rate.unsqueeze(-1) * ones, size.unsqueeze(-1) * ones, (3 * angle).sin()), dim=-1)


class Gaits:
    """All windows of the clips."""

    clip_names = CLIPS

    def all_windows(self) -> tuple[Tensor, Tensor]:
        clips = torch.arange(4).repeat_interleave(200)
        return phase_window(clips, torch.linspace(0, 6.28, 200).repeat(4)), clips


def measured(plays: list[int], shake: float = 0.0, frozen: bool = False, falls: int = 0) -> dict:
    """Measures of latents that each play the clip ``plays [L]``."""
    generator = torch.Generator().manual_seed(0)
    owner = torch.arange(LATENTS * REPLICAS) % LATENTS
    every = torch.arange(HISTORY, STEPS, 5)
    rollout = torch.arange(len(owner)).repeat(len(every))
    step = every.repeat_interleave(len(owner))
    clip = torch.tensor(plays)[owner[rollout]]
    start = 6.28 * torch.rand(len(owner), generator=generator)
    rate = torch.tensor([2.0, 6.0, 2.0, 4.0])[clip]
    windows = phase_window(clip, start[rollout] + (0.0 if frozen else 1.0) * rate * DT * step)
    if frozen:
        windows = windows[:, :1].expand(-1, HISTORY, -1).clone()
        windows[..., 2] = 0.0
    windows = windows + shake * torch.randn(windows.shape, generator=generator)
    pose = torch.zeros(STEPS, len(owner), 3)
    fell = torch.arange(len(owner)) < falls
    began = torch.arange(len(owner)) % 3 - 1  # none, slow, fast
    rolled = Rollouts(pose, torch.ones(STEPS, len(owner), dtype=torch.bool), fell, began, windows, rollout, step)
    return measure(rolled, owner, LATENTS, ClipSpace(Gaits()), DT, generator)


REPLAYER, COLLAPSED = [0, 1, 2, 3, 0, 1, 2, 3], [1] * 8


def test_a_replayer_covers_every_clip_and_cannot_be_told() -> None:
    found = measured(REPLAYER)
    assert found["clip_coverage"] == 1.0
    assert [found["clips"][name]["share"] for name in CLIPS] == [0.25] * 4
    assert found["latent_map"]["nearest"] == REPLAYER
    assert found["heldout_disc_accuracy"] < 0.6
    assert found["frechet_distance"] < 0.1


def test_a_collapsed_policy_covers_its_clip() -> None:
    found = measured(COLLAPSED)
    assert found["clip_coverage"] == 0.25
    assert [name for name, clip in found["clips"].items() if clip["covered"]] == ["fast"]
    assert found["clips"]["fast"]["share"] == 1.0
    assert found["diversity"] == pytest.approx(found["within_latent"], rel=0.2), "latents differ no more than starts"


def test_policies_are_ranked_as_a_person_would() -> None:
    """A replayer before one that shakes, before one that plays a single clip, before one that holds a pose."""
    replayer, shaky, collapsed, frozen = measured(REPLAYER), measured(REPLAYER, shake=0.3), measured(COLLAPSED), measured(COLLAPSED, frozen=True)
    for name in ("frechet_distance", "earth_movers_distance", "heldout_disc_noise"):
        assert replayer[name] < shaky[name] < collapsed[name] < frozen[name], name
    assert replayer["heldout_disc_accuracy"] < shaky["heldout_disc_accuracy"] <= frozen["heldout_disc_accuracy"]
    assert replayer["diversity"] > 3 * collapsed["diversity"]


class OneStill:
    """A clip of two features, one that swings and one that it holds still."""

    clip_names = ("swing",)

    def all_windows(self) -> tuple[Tensor, Tensor]:
        swing = (torch.linspace(0, 6.28, 400).unsqueeze(-1) + DT * torch.arange(HISTORY)).sin()
        return torch.stack((swing, torch.zeros_like(swing)), dim=-1), torch.zeros(400, dtype=torch.long)


def test_what_a_clip_holds_still_is_not_all_there_is_to_tell() -> None:
    """Off by one unit in each frame of it, a window is √H from the clip's; in units of its deviation, which is none, it would be a thousand times as far."""
    windows, step = OneStill().all_windows()[0].repeat(5, 1, 1), torch.full((2000,), HISTORY)
    windows[..., 1] += LEAST_UNIT
    owner, rollout = torch.arange(100), torch.arange(100).repeat(20)
    rolled = Rollouts(torch.zeros(STEPS, 100, 3), torch.ones(STEPS, 100, dtype=torch.bool), owner < 0, owner, windows, rollout, step)
    found = measure(rolled, owner, 100, ClipSpace(OneStill()), DT, torch.Generator().manual_seed(0))
    assert found["heldout_disc_noise"] == pytest.approx(HISTORY**0.5 / 1.349, rel=0.15)


def test_falls_are_counted() -> None:
    found = measured(REPLAYER, falls=6)
    assert found["fall_rate"] == pytest.approx(6 / 24)
    assert sum(found["fall_rate_per_latent"]) == pytest.approx(6 / 3, abs=1e-3)
    by_start = measured(REPLAYER, falls=5)["falls_by_start"]
    assert by_start == {"slow": {"rollouts": 8, "fell": 2}, "fast": {"rollouts": 8, "fell": 1}, "rest": {"rollouts": 8, "fell": 2}}


def test_latents_on_a_plane_keep_their_distances_where_two_dimensions_suffice() -> None:
    flat = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    turned = flat @ torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1)))[0][:2]
    torch.testing.assert_close(torch.cdist(on_a_plane(turned), on_a_plane(turned)), torch.cdist(flat, flat), atol=1e-3, rtol=0)
    assert on_a_plane(torch.ones(3, 1)).shape == (3, 2)

"""Latents on the sphere and their schedule."""

import pytest
import torch

from ase.latents import LatentConfig, LatentSchedule, sample_latents

DT = 0.1


def make_schedule(num_envs=8, seed=0, **config):
    return LatentSchedule(LatentConfig(**{"dim": 4, "min_hold_s": 0.3, "max_hold_s": 0.6} | config), num_envs, DT, torch.Generator().manual_seed(seed))


def test_latents_are_uniform_on_the_unit_sphere():
    z = sample_latents(20000, 3, torch.Generator().manual_seed(0))
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(20000))
    assert z.mean(0).abs().max() < 0.02
    torch.testing.assert_close(z.t() @ z / len(z), torch.eye(3) / 3, rtol=0, atol=0.02)  # every direction alike
    torch.testing.assert_close((z[:, 0].abs() < 0.5).float().mean(), torch.tensor(0.5), rtol=0, atol=0.02)  # Archimedes: a coordinate is uniform in 3-D


def test_holds_last_between_the_configured_times_and_reach_both_ends():
    schedule = make_schedule(num_envs=300)
    held = torch.zeros(300, dtype=torch.long)
    lengths = []
    for _ in range(60):
        over = schedule.advance()
        held += 1
        lengths += held[over].tolist()
        schedule.switch(over)
        held[over] = 0
    assert set(lengths) == {3, 4, 5, 6}
    assert min(lengths.count(k) for k in (3, 4, 5, 6)) > 0.2 * len(lengths)


def test_age_counts_from_the_switch_and_only_switched_environments_change():
    schedule = make_schedule(min_hold_s=1.0, max_hold_s=1.0)
    for _ in range(3):
        assert len(schedule.advance()) == 0
    before = schedule.z.clone()
    held = schedule.z
    schedule.switch(torch.tensor([1, 6]))
    assert schedule.age.tolist() == [3, 0, 3, 3, 3, 3, 0, 3]
    changed = (schedule.z != before).any(-1)
    assert changed.tolist() == [False, True, False, False, False, False, True, False]
    assert torch.equal(held, before), "latents handed out before must not change under the caller"
    for step in range(1, 8):
        assert schedule.advance().tolist() == ([0, 2, 3, 4, 5, 7] if step == 7 else []), "a hold that began earlier ends earlier"


def test_without_latents_the_schedule_still_runs():
    schedule = make_schedule(dim=0)
    assert schedule.z.shape == (8, 0)
    for _ in range(20):
        schedule.switch(schedule.advance())
    assert schedule.z.shape == (8, 0)
    assert (schedule.age < 6).all()


def test_state_continues_as_if_uninterrupted():
    schedule, other = make_schedule(seed=3), make_schedule(seed=4)
    schedule.advance()
    saved = {key: value.clone() for key, value in schedule.state_dict().items()}
    other.load_state_dict(saved)
    other._generator.set_state(schedule._generator.get_state())
    for _ in range(12):
        over, other_over = schedule.advance(), other.advance()
        assert torch.equal(over, other_over)
        schedule.switch(over)
        other.switch(other_over)
    assert torch.equal(schedule.z, other.z)
    assert torch.equal(schedule.age, other.age)


def test_impossible_hold_times_are_refused():
    with pytest.raises(ValueError, match=r"min_hold_s: got 2\.0; expected at most max_hold_s = 1\.0"):
        make_schedule(min_hold_s=2.0, max_hold_s=1.0)


@pytest.mark.parametrize("shares", [(0.6, 0.5), (-0.1, 0.5), (0.0, 1.1)])
def test_impossible_shares_are_refused(shares):
    with pytest.raises(ValueError, match=r"latents: recognized_share, clip_share: got .*; expected shares >= 0 of a sum of at most 1"):
        LatentConfig(recognized_share=shares[0], clip_share=shares[1])

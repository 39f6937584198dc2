"""Teaching a policy where it gets to, on points of which an expert knows how they stay in place."""

import pytest
import torch

from ase.cloning import Memory
from ase.coaching import ANEW, CoachConfig, coach
from ase.normalizer import SETTLED
from tests.ase.toys import PointMass, make_learner, tiny_config

LATENTS = {"dim": 8, "clip_share": 0.5, "clip_focus": 0.9}


class Points:
    """Points on a line and a second number that says nothing; who should do clip 0 should go to -1, clip 1 to 1. The expert goes half of the way; further than 3 is lost."""

    num_envs = 32

    def __init__(self, changes=()):
        self.obs = torch.zeros(32, 2)
        self.goal = torch.arange(32) % 2
        self.lost, self.age = torch.zeros(32, dtype=torch.bool), torch.zeros(32, dtype=torch.long)
        self.generator = torch.Generator().manual_seed(0)
        self.actions, self.advised, self.begun, self.changes = [], [], [], list(changes)
        self.moment, self.regret = torch.zeros(32, dtype=torch.long), torch.eye(2).unsqueeze(0)

    @property
    def clip(self):
        return self.goal.clone()

    def begin(self, ids):
        self.begun.append(ids.tolist())
        self.obs = self.obs.clone()
        self.obs[ids] = 4 * torch.rand(len(ids), 2, generator=self.generator) - 2
        self.age[ids], self.lost[ids] = 0, False

    def advice(self):
        found = torch.stack((0.5 * (2.0 * self.goal - 1 - self.obs[:, 0]), torch.zeros(32)), -1)
        self.advised.append(found)
        return found

    def weights(self):
        return torch.ones(32)

    def step(self, action):
        self.actions.append(action.clone())
        self.obs = torch.stack((self.obs[:, 0] + action[:, 0], self.obs[:, 1]), -1)
        self.age += 1
        self.lost = self.obs[:, 0].abs() > 3
        return self.lost | (self.age >= 10)

    def change(self):
        ids = torch.tensor(self.changes, dtype=torch.long)
        self.goal[ids] = 1 - self.goal[ids]
        return ids


def player():
    env = PointMass(4, seed=0)
    return make_learner(env, tiny_config(latents=LATENTS), mirrored_clips=torch.tensor([-1, -1, -1]))


def coached(points, memory=None, told=lambda made: None, **settings):
    learner = player()
    config = CoachConfig(**({"rounds": 60, "steps": 10, "updates": 20, "batch_size": 256, "lr": 5e-3, "led_rounds": 5, "kept": 4000, "shown": 500} | settings))
    return learner, coach(learner, points, config, memory, told)


def test_a_policy_learns_what_the_expert_says_of_where_it_gets_to():
    rounds = []
    learner, shown = coached(Points(), told=rounds.append)
    points = Points()
    points.begin(torch.arange(32))
    z = learner.anchors.points[points.goal]
    for _ in range(12):
        points.step(learner.act(points.obs, z))
    torch.testing.assert_close(points.obs[:, 0], 2.0 * points.goal - 1, atol=0.25, rtol=0)
    assert [made.number for made in rounds] == list(range(1, 61))
    assert rounds[-1].progress == 1.0
    assert rounds[-1].error < 0.3 * rounds[0].error
    assert shown.obs.shape == (500, 2)
    torch.testing.assert_close(shown.action[:, 0], 0.5 * (2.0 * shown.clip - 1 - shown.obs[:, 0]), atol=0.02, rtol=0)


def test_the_expert_acts_at_first_and_the_policy_then():
    """A third of the characters act without noise."""
    points = Points()
    coached(points, rounds=4, led_rounds=2)
    clean = torch.arange(32) % 3 == 0

    def agrees(k):  # the share of characters that did what was advised in the steps of round k; the first advice is only looked at
        steps = range(10 * k, 10 * k + 10)
        return sum(float(torch.isclose(points.actions[t], points.advised[t + 1], atol=1e-6).all(-1)[clean].float().mean()) for t in steps) / 10

    assert agrees(0) == 1.0
    assert 0.2 < agrees(1) < 0.8
    assert agrees(2) < 0.1


def test_who_ends_begins_anew_and_is_told_of():
    rounds, points = [], Points()
    coached(points, rounds=2, told=rounds.append, led_rounds=100)
    assert points.begun[0] == list(range(32))
    assert sum(len(ids) for ids in points.begun[1:]) == sum(len(made.ended) for made in rounds) >= 32
    assert all(set(made.ended.tolist()) <= {0, 1} and len(made.lost) == len(made.ended) for made in rounds)


def test_latents_are_of_the_clip_that_is_to_be_done(monkeypatch):
    """Characters that never end nor get another latent of their own, but for two that change the clip in every step."""
    monkeypatch.setattr("ase.coaching.ANEW", 0.0)
    assert 0 < ANEW < 0.1
    learner, seen = player(), []
    act = learner.act
    monkeypatch.setattr(learner, "act", lambda obs, z: (seen.append(z.clone()), act(obs, z))[1])
    points = Points(changes=[3, 4])
    monkeypatch.setattr(points, "step", lambda action: torch.zeros(32, dtype=torch.bool))
    coach(learner, points, CoachConfig(rounds=1, steps=4, updates=1, batch_size=8, kept=200, shown=8))
    for t, z in enumerate(seen):
        goal = torch.arange(32) % 2
        goal[3:5] = (goal[3:5] + t) % 2
        assert torch.equal(learner.anchors.cell(z), goal)
    assert torch.equal(seen[0][5:], seen[3][5:])
    assert not torch.equal(seen[0][3], seen[2][3])


def test_advice_counts_by_its_weight_and_by_what_it_costs_to_act_otherwise(monkeypatch):
    """All are in the same place; half are told to do 0.5 in both numbers and half to do nothing. The first half counts three times as much, and to it their sum alone matters."""
    points, first = Points(), torch.arange(32) < 16
    monkeypatch.setattr(points, "begin", lambda ids: None)
    monkeypatch.setattr(points, "step", lambda action: torch.zeros(32, dtype=torch.bool))
    monkeypatch.setattr(points, "advice", lambda: 0.5 * first.float().unsqueeze(-1).expand(-1, 2))
    monkeypatch.setattr(points, "weights", lambda: torch.where(first, 1.5, 0.5))
    points.goal[:], points.moment = 0, (~first).long()
    sides, both = torch.tensor([[1.0, 0.9], [0.9, 1.0]]), torch.eye(2)
    points.regret = torch.stack((sides, torch.diag(torch.tensor([1.0, 4.0]))))
    learner, shown = coached(points, rounds=30, obs_noise=0.0)
    assert 0.65 < float((shown.action[:, 0] > 0.25).float().mean()) < 0.8  # 500 of 4,000, drawn by weight
    wanted = torch.linalg.solve(1.5 * points.regret[0] + 0.5 * points.regret[1], 1.5 * points.regret[0] @ torch.full((2,), 0.5))
    found = learner.act(points.obs[:1], learner.anchors.points[[0]])
    torch.testing.assert_close(found[0], wanted, atol=0.03, rtol=0)
    assert (wanted - torch.linalg.solve(1.5 * both + 0.5 * both, torch.full((2,), 0.75))).abs().max() > 0.1  # it is not the mean by weights alone


def test_what_skills_did_before_is_kept():
    def memory():
        return Memory(4 * torch.rand(500, 2, generator=torch.Generator().manual_seed(2)) - 2, torch.tensor([2]), lambda obs, z: torch.full_like(obs, 0.7))

    def of_old(learner):
        obs = memory().obs[:50]
        return learner.act(obs, learner.anchors.points[[2]].expand(50, -1))

    with_it, without = (of_old(coached(Points(), memory=known, rounds=40, memory_share=0.5)[0]) for known in (memory(), None))
    assert (with_it - 0.7).abs().mean() < 0.15
    assert (without - 0.7).abs().mean() > 0.4


def test_statistics_are_of_what_is_seen_first_and_stay():
    points = Points()
    learner, _ = coached(points, rounds=1, updates=1)
    assert float(learner.obs_normalizer.count) == SETTLED
    before = learner.obs_normalizer.mean.clone()
    assert 0.1 < float(learner.obs_normalizer.std[1]) < 3
    learner.update_obs_statistics(100 + torch.randn(1000, 2))
    torch.testing.assert_close(learner.obs_normalizer.mean, before, atol=1e-5, rtol=0)


def test_coaching_ends_after_its_minutes(monkeypatch):
    clock = iter(range(0, 10**6, 30))
    monkeypatch.setattr("ase.coaching.time.monotonic", lambda: next(clock))
    rounds = []
    coached(Points(), told=rounds.append, rounds=100, minutes=2.0, updates=1)
    assert [round(made.progress, 3) for made in rounds] == [0.25, 0.5, 0.75, 1.0]


def test_only_the_latest_moments_are_kept():
    points = Points()
    _, shown = coached(points, rounds=3, kept=64, shown=1000, updates=1)
    assert len(shown.obs) == 64
    latest = torch.cat(points.advised[-2:]).half().float()
    assert set(map(tuple, shown.action.tolist())) == set(map(tuple, latest.tolist()))


@pytest.mark.parametrize("wrong", [{"rounds": -1}, {"steps": 0}, {"kept": 0}, {"led_rounds": 0}, {"minutes": -1.0}, {"memory_share": -0.1}])
def test_settings_that_make_no_sense_are_named(wrong):
    with pytest.raises(ValueError, match=r"^coach: rounds, minutes, memory_share, steps, .*: got .*; expected at least 0, 0, 0, and 1 each of the others$"):
        CoachConfig(**wrong)

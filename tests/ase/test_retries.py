"""Episodes that begin a moment before somebody fell."""

import pytest
import torch

from ase import checkpoint
from ase.collect import collect
from ase.pretrain import restart_lost
from ase.retries import EVERY, Retries, RetryConfig
from ase.rollout import Rollout
from tests.ase.toys import CPU, Scripted, make_learner, tiny_config


class Recorded:
    """What can be captured of ``count`` environments, now at control step ``time``."""

    def __init__(self, count):
        self.count, self.time, self.started = count, 0, []

    def capture(self):
        return {"where": 100.0 * torch.arange(self.count) + self.time}

    def start_at(self, env_ids, moments):
        self.started.append((env_ids.tolist(), moments["where"].tolist()))
        return torch.full((self.count, 1), -1.0)


def lived(steps, count=3, **settings):
    """Retries that have seen ``steps`` control steps of environments with latents of their own."""
    env = Recorded(count)
    retries = Retries(RetryConfig(**{"share": 0.5, "back_s": 2.0, "kept": 100} | settings), env, 0.1, torch.Generator().manual_seed(0))
    for _ in range(steps):
        retries.watch(torch.arange(2.0 * count).view(count, 2))
        env.time += 1
    return env, retries


def test_moments_of_the_last_seconds_are_remembered():
    _, retries = lived(33)
    assert [moment["where"].tolist() for moment in retries.latest] == [[float(t), 100.0 + t, 200.0 + t] for t in (15, 20, 25, 30)]


@pytest.mark.parametrize(("age", "expected"), [(100, {15, 20, 25, 30}), (13, {20, 25, 30}), (12, {25, 30}), (8, {25, 30}), (7, {30}), (3, {30}), (2, set())])
def test_who_fell_is_remembered_at_a_moment_under_the_same_latent(age, expected):
    """Who falls in the 33rd step has had its latent since the step that many before."""
    _, retries = lived(33)
    for _ in range(60):
        retries.learn(torch.tensor([2]), torch.tensor([age]))
    kept = retries.kept.get("where", torch.zeros(0))
    assert {x - 200 for x in kept.tolist()} == expected
    if expected:
        assert (retries.kept["z"] == torch.tensor([4.0, 5.0])).all()


def test_each_of_several_has_moments_of_its_own():
    _, retries = lived(31)
    retries.learn(torch.tensor([0, 1, 2]), torch.tensor([1, 0, 1]))
    assert retries.kept["where"].tolist() == [30.0, 230.0]
    assert retries.kept["z"].tolist() == [[0.0, 1.0], [4.0, 5.0]]


def test_the_latest_falls_are_kept():
    _, retries = lived(31, kept=3)
    for env_id in (0, 1, 2, 2):
        retries.learn(torch.tensor([env_id]), torch.tensor([1]))
    assert retries.kept["where"].tolist() == [130.0, 230.0, 230.0]


def test_a_share_begins_where_others_fell_under_their_latents():
    env, retries = lived(31, count=1000, share=0.3)
    obs, everybody = torch.zeros(1000, 1), torch.arange(1000)
    assert retries.begin(obs, everybody)[0] is obs, "nobody has fallen yet"
    assert not env.started
    retries.learn(torch.tensor([7, 9]), torch.tensor([1, 1]))
    now, again, z = retries.begin(obs, everybody)
    assert now.tolist() == [[-1.0]] * 1000
    assert len(again) / 1000 == pytest.approx(0.3, abs=0.04)
    ids, where = env.started[0]
    assert again.tolist() == ids
    assert set(where) == {730.0, 930.0}
    assert where.count(730.0) / len(where) == pytest.approx(0.5, abs=0.1)
    assert torch.equal(z, torch.tensor([[14.0, 15.0] if x == 730.0 else [18.0, 19.0] for x in where]))


def test_it_goes_on_as_it_was(tmp_path):
    _, retries = lived(33)
    retries.learn(torch.tensor([0, 2]), torch.tensor([20, 20]))
    checkpoint.save(tmp_path / "saved", {"retries": retries.state_dict()}, "test", {})
    _, other = lived(0)
    other.load_state_dict(checkpoint.load(tmp_path / "saved", "test")[0]["retries"])
    assert other.count == 33
    assert [moment["where"].tolist() for moment in other.latest] == [moment["where"].tolist() for moment in retries.latest]
    assert {name: part.tolist() for name, part in other.kept.items()} == {name: part.tolist() for name, part in retries.kept.items()}
    fresh = lived(0)[1]
    checkpoint.save(tmp_path / "fresh", {"retries": fresh.state_dict()}, "test", {})
    other.load_state_dict(checkpoint.load(tmp_path / "fresh", "test")[0]["retries"])
    assert (other.count, other.latest, other.kept) == (0, [], {})


class Replayed(Scripted):
    """Scripted environments whose characters can be put to where others were; the third number that they see is then -1."""

    def capture(self):
        return {"obs": self.obs.clone()}

    def start_at(self, env_ids, moments):
        self.obs = self.obs.index_copy(0, env_ids, torch.cat((moments["obs"][:, :2], torch.full((len(env_ids), 1), -1.0)), dim=-1))
        self.history = self.history.index_copy(0, env_ids, self.obs[env_ids].unsqueeze(1).expand(-1, self.window[0], -1))
        return self.obs


LATENTS = {"dim": 4, "clip_share": 0.5, "min_hold_s": 90.0, "max_hold_s": 99.0}


def test_training_begins_episodes_before_falls():
    """Environment 0 falls in its eighth step, when 1 comes to its time limit."""
    env = Replayed(2, 2, terminate={(7, 0)}, truncate={(7, 1)})
    learner = make_learner(env, tiny_config(latents=LATENTS, retry=RetryConfig(share=0.99, back_s=3.0)), control_dt=0.1, mirrored_clips=torch.tensor([-1, -1]))
    learner.retry(env)
    z = learner.latents.z.clone()
    obs, _ = collect(env, learner, Rollout.empty(8, 2, 3, 4, 2, env.window, CPU), env.reset(), bf16=False)
    where = learner.retries.kept["obs"]
    assert len(where) == 1
    assert where[0].tolist() in ([0.0, 0.0, 1.0], [0.0, float(EVERY), 1.0])
    assert obs.tolist() == [[*where[0, :2].tolist(), -1.0]] * 2
    assert torch.equal(learner.latents.z, z[[0, 0]])
    assert learner.latents.age.tolist() == [0, 0]
    env.fail = lambda ids: None
    restart_lost(env, learner, torch.tensor([1]))
    assert torch.equal(learner.latents.z[0], z[0])
    assert not torch.equal(learner.latents.z[1], z[0]), "who has lost its clip begins as always"


def test_without_them_nothing_is_remembered():
    env = Scripted(2, 2, terminate={(3, 0)})
    learner = make_learner(env, tiny_config(latents=LATENTS), mirrored_clips=torch.tensor([-1, -1]))
    obs, _ = collect(env, learner, Rollout.empty(5, 2, 3, 4, 2, env.window, CPU), env.reset(), bf16=False)
    assert obs[:, 2].tolist() == [2.0, 1.0]
    assert "retries" not in learner.own_state()


@pytest.mark.parametrize("wrong", [{"share": -0.1}, {"share": 1.0}, {"back_s": 0.0}, {"kept": 0}])
def test_wrong_settings_are_named(wrong):
    got = {"share": 0.0, "back_s": 2.0, "kept": 4096} | wrong
    with pytest.raises(ValueError, match="retry: share, back_s, kept") as caught:
        RetryConfig(**wrong)
    assert (
        str(caught.value) == f"retry: share, back_s, kept: got {got['share']:g}, {got['back_s']:g}, {got['kept']}; expected at least 0 and less than 1, more than 0, and at least 1"
    )

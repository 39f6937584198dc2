"""Recovery as defined, on scripted characters."""

import math

import pytest
import torch

from ase.metrics import recovery
from ase.robustness import Riser, fall_trial, knock_trial
from tests.ase.toys import CPU, ToyStep, make_learner, tiny_config

DT = 0.1


def flags(*rows):
    """``[T, R]`` from one string of 0 and 1 for each character."""
    return torch.tensor([[c == "1" for c in row] for row in rows]).t()


def test_recovery_is_when_a_stand_that_lasts_begins():
    recovered, time = recovery(flags("1111111", "0011111", "0010111", "0010110", "0000000", "1100111"), DT, hold_s=0.3)
    assert recovered.tolist() == [True, True, True, False, False, True]
    assert time.tolist()[:3] == pytest.approx([0.0, 0.2, 0.4])
    assert math.isnan(time[3])
    assert time[5].item() == pytest.approx(0.4), "two steps are too short a stand"


class Scripted:
    """Characters that stand when their script says; the script starts over with a reset."""

    obs_dim = action_dim = 1
    device = CPU

    def __init__(self, *rows):
        self.script, self.num_envs, self.t = flags(*rows), len(rows), 0
        self.history, self.start_clip = torch.zeros(self.num_envs, 1, 1), torch.full((self.num_envs,), -1)
        self.pushed_at = []

    def reset(self, env_ids=None):
        self.t = 0
        return torch.zeros(self.num_envs, 1)

    def step(self, action):
        self.t += 1
        no = torch.zeros(self.num_envs, dtype=torch.bool)
        return ToyStep(torch.full((self.num_envs, 1), float(self.t)), torch.zeros(self.num_envs), no, no, self.history)

    def push(self, env_ids):
        self.pushed_at.append((self.t, env_ids.tolist()))

    @property
    def standing(self):
        return self.script[self.t - 1]


def test_a_knock_trial_counts_those_that_stood_when_it_began():
    after = "1" * 10
    env = Scripted("11" + "00" + after + "1", "11" + "00" + "0" * 11, "10" + "11" + after + "1", "11" + "11" + "0" + after)
    found = knock_trial(env, "push", env.push, lambda obs: obs, before_s=0.2, knock_s=0.2, after_s=1.1, dt=DT)
    assert env.pushed_at == [(2, [0, 1, 2, 3])]
    assert found["push_trials"] == 3, "the third was down before"
    assert found["push_survival"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["push_recovery_time_s"] == {"mean": 0.05, "max": 0.1}


def test_a_fall_trial_measures_the_time_to_stand():
    env = Scripted("0" * 3 + "1" * 10, "0" * 13)
    found = fall_trial(env, lambda obs: obs, after_s=1.3, dt=DT)
    assert found == {"fallen_recovery": 0.5, "fallen_recovery_time_s": {"mean": 0.3, "max": 0.3}, "fallen": 2}
    none = fall_trial(Scripted("0" * 13), lambda obs: obs, after_s=1.3, dt=DT)
    assert none["fallen_recovery_time_s"] == {"mean": None, "max": None}


class Lying(Scripted):
    """Characters that fall and stand when told to; actions do nothing."""

    obs_dim, action_dim, window = 3, 2, (2, 3)
    rest_action = torch.zeros(2)

    def __init__(self, num_envs):
        super().__init__(*["0"] * num_envs)
        self.fallen, self.up = torch.zeros(num_envs, dtype=torch.bool), torch.ones(num_envs, dtype=torch.bool)
        self.history = torch.randn(num_envs, 2, 3, generator=torch.Generator().manual_seed(0))

    @property
    def standing(self):
        return self.up


@pytest.mark.parametrize("hold", [0.0, 3.0])
def test_who_falls_acts_under_a_fitting_latent_until_it_stands(hold):
    env = Lying(2)
    learner = make_learner(env, tiny_config(latents={"dim": 4, "fallen_hold_s": hold}))
    own = torch.nn.functional.normalize(torch.ones(2, 4), dim=-1)
    obs = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
    riser = Riser(env, learner, own, seed=0)
    usual, fitting = learner.act(obs, own), learner.act(obs, learner.style.encode(env.history))
    assert not torch.allclose(usual, fitting)

    def first_acts_as(expected):
        found = riser(obs)
        torch.testing.assert_close(found[1], usual[1])
        return bool(torch.allclose(found[0], expected[0], atol=1e-6))

    assert first_acts_as(usual)
    env.fallen[0], env.up[0] = True, False
    assert first_acts_as(fitting if hold else usual)
    env.fallen[0] = False  # half up
    assert first_acts_as(fitting if hold else usual)
    env.up[0] = True
    assert first_acts_as(usual)
    env.fallen[0], env.up[0] = True, False
    old = fitting
    assert first_acts_as(old if hold else usual)
    env.history = env.history + 1.0
    fitting = learner.act(obs, learner.style.encode(env.history))
    assert first_acts_as(old if hold else usual)
    assert first_acts_as(old if hold else usual)
    assert first_acts_as(fitting if hold else usual), "a latent that has not helped for three steps gives way to another"

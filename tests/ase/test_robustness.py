"""Recovery as defined, on scripted characters."""

import math

import pytest
import torch

from ase.metrics import recovery
from ase.robustness import fall_trial, knock_trial
from tests.ase.toys import CPU, ToyStep

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

"""The rollout buffer."""

import torch

from ase.rollout import Rollout


def make():
    return Rollout.empty(steps=3, num_envs=2, obs_dim=4, latent_dim=0, action_dim=5, window=(6, 7), device=torch.device("cpu"))


def test_fields_have_their_shapes_and_types():
    rollout = make()
    assert rollout.obs.shape == (3, 2, 4)
    assert rollout.z.shape == (3, 2, 0)
    assert rollout.action.shape == (3, 2, 5)
    for name in ("terminated", "truncated", "stochastic", "evidence"):
        assert getattr(rollout, name).dtype == torch.bool
        assert getattr(rollout, name).shape == (3, 2)
    for name in ("log_prob", "task_reward", "end_value"):
        assert getattr(rollout, name).dtype == torch.float32
        assert getattr(rollout, name).shape == (3, 2)
    own = 4 * 6 * (4 + 5 + 3) + 6 * 4
    assert rollout.num_bytes == own + rollout.windows.num_bytes


def test_store_writes_one_row_of_the_named_fields():
    rollout = make()
    rollout.task_reward.zero_()
    rollout.obs.zero_()
    rollout.store(1, task_reward=torch.tensor([2.0, 3.0]))
    assert rollout.task_reward.tolist() == [[0.0, 0.0], [2.0, 3.0], [0.0, 0.0]]
    assert not rollout.obs.any()


def test_stored_values_are_copies():
    rollout, reward = make(), torch.tensor([2.0, 3.0])
    rollout.store(0, task_reward=reward)
    reward.zero_()
    assert rollout.task_reward[0].tolist() == [2.0, 3.0]


def test_flat_is_time_major():
    rollout = make()
    for t in range(3):
        rollout.store(t, log_prob=torch.tensor([10.0 * t, 10.0 * t + 1]))
    assert rollout.flat("log_prob").tolist() == [0.0, 1.0, 10.0, 11.0, 20.0, 21.0]

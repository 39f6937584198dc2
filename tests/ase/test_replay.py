"""The replay ring."""

import torch

from ase.replay import Replay


def rows(*values):
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1).expand(-1, 2, 3)


def contents(replay, seed=0):
    return set(replay.sample(400, torch.Generator().manual_seed(seed))[:, 0, 0].tolist())


def test_only_pushed_rows_are_sampled_while_it_fills():
    replay = Replay(5, (2, 3))
    replay.push(rows(1, 2))
    assert contents(replay) == {1, 2}
    replay.push(rows(3, 4))
    assert contents(replay) == {1, 2, 3, 4}


def test_the_oldest_rows_are_overwritten():
    replay = Replay(5, (2, 3))
    for first in range(1, 12, 3):  # 1..3, 4..6, 7..9, 10..12
        replay.push(rows(first, first + 1, first + 2))
    assert contents(replay) == {8, 9, 10, 11, 12}
    assert replay.size == 5


def test_a_push_larger_than_the_ring_keeps_its_end():
    replay = Replay(4, (2, 3))
    replay.push(rows(1, 2))
    replay.push(rows(*range(10, 20)))
    assert contents(replay) == {16, 17, 18, 19}
    replay.push(rows(30))
    assert contents(replay) == {17, 18, 19, 30}


def test_samples_are_even_and_float32():
    replay = Replay(4, (2, 3))
    replay.push(rows(1, 2, 3, 4))
    sample = replay.sample(8000, torch.Generator().manual_seed(1))
    assert sample.dtype == torch.float32
    assert sample.shape == (8000, 2, 3)
    counts = sample[:, 0, 0].long().bincount()[1:]
    assert (counts.float() / 8000 - 0.25).abs().max() < 0.02


def test_state_goes_on_at_the_same_place():
    replay, other = Replay(4, (2, 3)), Replay(4, (2, 3))
    replay.push(rows(1, 2, 3, 4, 5))
    other.load_state_dict({key: value.clone() for key, value in replay.state_dict().items()})
    for ring in (replay, other):
        ring.push(rows(6))
    assert contents(other) == contents(replay) == {3, 4, 5, 6}

"""The replay ring: strips of frames, windows cut from them."""

import torch

from ase.replay import Replay
from ase.windows import FrameLog
from tests.ase.toys import all_windows, log_of


def strips(*values, steps=1):
    """Strips whose frames all hold one value."""
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1).expand(-1, steps + 1, 3), torch.ones(len(values), steps, dtype=torch.bool)


def contents(replay, seed=0):
    return set(replay.sample(400, torch.Generator().manual_seed(seed))[0][:, 0, 0].tolist())


def test_only_what_was_pushed_is_sampled_while_it_fills():
    replay = Replay(5, 1, (2, 3))
    assert len(replay) == 0
    replay.push(*strips(1, 2))
    assert contents(replay) == {1, 2}
    replay.push(*strips(3, 4))
    assert contents(replay) == {1, 2, 3, 4}


def test_the_oldest_are_overwritten():
    replay = Replay(5, 1, (2, 3))
    for first in range(1, 12, 3):  # 1..3, 4..6, 7..9, 10..12
        replay.push(*strips(first, first + 1, first + 2))
    assert contents(replay) == {8, 9, 10, 11, 12}
    assert len(replay) == 5


def test_a_push_larger_than_the_ring_keeps_its_end():
    replay = Replay(4, 1, (2, 3))
    replay.push(*strips(1, 2))
    replay.push(*strips(*range(10, 20)))
    assert contents(replay) == {16, 17, 18, 19}
    replay.push(*strips(30))
    assert contents(replay) == {17, 18, 19, 30}


def test_samples_are_even_and_float32():
    replay = Replay(4, 1, (2, 3))
    replay.push(*strips(1, 2, 3, 4))
    sample, _ = replay.sample(8000, torch.Generator().manual_seed(1))
    assert sample.dtype == torch.float32
    assert sample.shape == (8000, 2, 3)
    counts = sample[:, 0, 0].long().bincount()[1:]
    assert (counts.float() / 8000 - 0.25).abs().max() < 0.02


def test_state_goes_on_at_the_same_place():
    replay, other = Replay(4, 1, (2, 3)), Replay(4, 1, (2, 3))
    replay.push(*strips(1, 2, 3, 4, 5))
    other.load_state_dict({key: value.clone() for key, value in replay.state_dict().items()})
    for ring in (replay, other):
        ring.push(*strips(6))
    assert contents(other) == contents(replay) == {3, 4, 5, 6}


def test_a_window_is_a_run_of_frames_that_may_be_drawn():
    replay = Replay(8, 4, (3, 1))  # two strips of four windows of three frames
    frames = torch.arange(12.0).view(2, 6, 1)
    replay.push(frames, torch.tensor([[True, False, False, True], [False, True, False, False]]))
    assert len(replay) == 3
    sample, _ = replay.sample(300, torch.Generator().manual_seed(0))
    assert {tuple(row) for row in sample.squeeze(-1).tolist()} == {(0, 1, 2), (3, 4, 5), (7, 8, 9)}


def test_windows_of_a_rollout_across_a_reset_or_unwanted_are_left_out():
    log = FrameLog(4, 3, (3, 1))
    number = iter(range(1000))

    def some(*shape):
        return torch.tensor([float(next(number)) for _ in range(torch.Size(shape).numel())]).view(shape)

    log.begin(some(3, 3, 1))
    for t in range(4):
        log.append(t, some(3, 1))
        if t == 0:
            log.restart(torch.tensor([1]), some(1, 3, 1))
    log.finish()
    windows = all_windows(log)
    wanted = torch.ones(12, dtype=torch.bool)
    wanted[2 * 3 + 0] = False
    replay = Replay(1000, 4, (3, 1))
    replay.push_from(log, wanted, 400, torch.Generator().manual_seed(0))
    drawn = {tuple(row) for row in replay.sample(2000, torch.Generator().manual_seed(1))[0].squeeze(-1).tolist()}
    kept = [(t, n) for t in range(4) for n in range(3) if (t, n) not in ((2, 0), (1, 1), (2, 1))]
    assert drawn == {tuple(windows[t, n, :, 0].tolist()) for t, n in kept}


def test_about_as_many_windows_are_kept_as_asked_for():
    replay = Replay(1000, 1, (2, 3))
    wanted = torch.arange(600) % 3 == 0
    replay.push_from(log_of(torch.randn(600, 2, 3)), wanted, 90, torch.Generator().manual_seed(0))
    assert len(replay) == 90


def test_frames_take_a_fraction_of_the_memory_of_windows():
    replay = Replay(3200, 32, (10, 5))
    assert len(replay.frames) == 100
    assert replay.frames.nbytes < 2 * 3200 * 10 * 5 / 7

"""The frame log gives back the very windows that the environment showed, from a fraction of the memory."""

import copy

import pytest
import torch

from ase.replay import Replay
from ase.style import Style, StyleConfig, style_update
from ase.windows import FrameLog
from tests.ase.toys import Demonstrations, all_windows


def play(steps=7, num_envs=40, window=(4, 3), reset_share=0.2, seed=0):
    """A log beside the whole windows of the same rollout, with random resets."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape):
        return torch.randn(*shape, generator=generator)

    log, history = FrameLog(steps, num_envs, window), noise(num_envs, *window)
    log.begin(history)
    whole, clean = [], torch.zeros(steps, num_envs, dtype=torch.bool)
    since_reset = torch.full((num_envs,), 1000)
    for t in range(steps):
        history = torch.cat((history[:, 1:], noise(num_envs, 1, window[1])), dim=1)
        log.append(t, history[:, -1])
        whole.append(history)
        since_reset += 1
        clean[t] = since_reset >= window[0]
        ids = (torch.rand(num_envs, generator=generator) < reset_share).nonzero().squeeze(-1)
        history = history.index_copy(0, ids, noise(len(ids), *window))
        log.restart(ids, history[ids])
        since_reset[ids] = 0
    log.finish()
    return log, torch.stack(whole), clean


@pytest.mark.parametrize("reset_share", [0.0, 0.2, 1.0])
def test_windows_are_those_that_the_environment_showed(reset_share):
    for _ in range(2):  # a log can be used again
        log, whole, clean = play(reset_share=reset_share)
        assert torch.equal(all_windows(log), whole)
        ids = torch.tensor([5, 279, 0, 5, 133])
        assert torch.equal(log[ids], whole.flatten(0, 1)[ids])
        assert torch.equal(log.contiguous, clean)


def test_strips_hold_the_frames_before_and_in_the_rollout():
    log, whole, _ = play(reset_share=0.0)
    strips = log.strips(torch.tensor([3, 11]))
    assert strips.shape == (2, 7 + 3, 3)
    for t in range(7):
        assert torch.equal(strips[:, t : t + 4], whole[t, [3, 11]])


def test_a_log_takes_less_than_a_fifth_of_whole_windows():
    log, whole, _ = play(steps=32, num_envs=64, window=(10, 105), reset_share=0.004)
    replay = Replay(32 * 64, 32, (10, 105))
    assert log.num_bytes + replay.frames.nbytes + replay.valid.nbytes < (whole.nbytes + whole.nbytes / 2) / 5


def test_losses_are_those_of_whole_windows_bit_for_bit():
    """The same training on a log that holds whole windows only: each environment and step is one of its own, so nothing is put together."""
    log, whole, _ = play(reset_share=0.1)

    class Whole(FrameLog):
        def __getitem__(self, ids):
            return whole.flatten(0, 1)[ids]

    other = copy.copy(log)
    other.__class__ = Whole
    z = torch.nn.functional.normalize(torch.randn(280, 2, generator=torch.Generator().manual_seed(1)), dim=-1)
    demos = Demonstrations(torch.randn(50, 4, 3, generator=torch.Generator().manual_seed(2)))
    yes, losses = torch.ones(280, dtype=torch.bool), []
    for source in (log, other):
        torch.manual_seed(0)
        style = Style(StyleConfig(disc_hidden=(16,), encoder_hidden=(16,), updates=3, batch_size=64, replay_size=140, replay_push=70), (4, 3), 2, 7)
        generator = torch.Generator().manual_seed(3)
        losses.append([style_update(style, source, z, yes, yes, demos, generator, bf16=False) for _ in range(4)])
    assert losses[0] == losses[1]

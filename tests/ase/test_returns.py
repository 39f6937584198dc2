"""Generalised advantage estimation against the definition and against hand-worked ends of episodes."""

import pytest
import torch

from ase.returns import gae

DISCOUNT, LAM = 0.9, 0.8


def lambda_return_advantage(reward, value, next_value, terminated, truncated):
    """One environment, by definition: the λ-weighted mean of all n-step returns up to the episode's (or rollout's) end, minus the value. O(T²)."""
    steps, out = len(reward), []
    for t in range(steps):
        n_step, so_far = [], 0.0
        for k in range(t, steps):
            so_far += DISCOUNT ** (k - t) * reward[k]
            n_step.append(so_far + (0.0 if terminated[k] else DISCOUNT ** (k - t + 1) * next_value[k]))
            if terminated[k] or truncated[k]:
                break
        mixed = (1 - LAM) * sum(LAM**i * g for i, g in enumerate(n_step[:-1])) + LAM ** (len(n_step) - 1) * n_step[-1]
        out.append(mixed - value[t])
    return out


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_lambda_return_on_random_episodes(seed):
    generator = torch.Generator().manual_seed(seed)
    steps, envs = 17, 6
    reward, value, end_value = (torch.randn(steps, envs, generator=generator, dtype=torch.float64) for _ in range(3))
    terminated = torch.rand(steps, envs, generator=generator) < 0.15
    truncated = (torch.rand(steps, envs, generator=generator) < 0.15) & ~terminated
    done = terminated | truncated
    # Within an episode the next value is the value of the next row, as in a rollout; at its end it is that of the true next state.
    next_value = torch.where(done, end_value, torch.cat((value[1:], end_value[-1:])))
    found = gae(reward, value, next_value, terminated, truncated, DISCOUNT, LAM)
    expected = [lambda_return_advantage(*(x[:, i].tolist() for x in (reward, value, next_value, terminated, truncated))) for i in range(envs)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64).t())


def column(*values):
    return torch.tensor(values).unsqueeze(-1)


@pytest.mark.parametrize(
    ("terminated", "truncated", "expected"),
    [
        # rewards 1, 1; values 2, 3; true next values 3 (of step 0), 5 (of step 1); δ1 = 1 + 0.9·5 - 3 = 2.5, δ0 = 1 + 0.9·3 - 2 = 1.7
        ((False, False), (False, False), (1.7 + 0.72 * 2.5, 2.5)),  # the rollout ends, the episode goes on
        ((False, True), (False, False), (1.7 + 0.72 * -2.0, -2.0)),  # a failure: nothing follows, 1 - 3
        ((False, False), (False, True), (1.7 + 0.72 * 2.5, 2.5)),  # a time limit: the true next state's value counts
        ((True, False), (False, False), (-1.0, 2.5)),  # a failure in step 0: step 1 belongs to another episode
        ((False, False), (True, False), (1.7, 2.5)),  # a time limit in step 0: its next value counts, the next episode's rewards do not
    ],
)
def test_ends_of_episodes(terminated, truncated, expected):
    found = gae(column(1.0, 1.0), column(2.0, 3.0), column(3.0, 5.0), column(*terminated), column(*truncated), DISCOUNT, LAM)
    torch.testing.assert_close(found, column(*expected))


def test_no_discount_leaves_the_immediate_error():
    found = gae(column(1.0, 2.0), column(0.5, 0.25), column(9.0, 9.0), column(False, False), column(False, False), 0.0, LAM)
    torch.testing.assert_close(found, column(0.5, 1.75))

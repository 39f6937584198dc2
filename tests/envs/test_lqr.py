"""Linear feedback: the regulator against the least squares that it solves, and a standing character that it keeps up."""

import pytest
import torch

from envs import refine as refining
from envs.deviations import Deviations
from envs.expert import Expert, lost_share
from envs.lqr import LAST_WEIGHT, Dynamics, Regulators, regulate
from envs.physics_cpu import CpuPhysics
from envs.refine import best_refined, refine, shares_under, smoothed
from envs.resets import default_state
from envs.samcon import Motion

DT = 1 / 30


def problem(moments=5, seed=0):
    """Random dynamics of three deviations and two targets, with four errors."""
    generator = torch.Generator().manual_seed(seed)

    def some(*shape):
        return torch.randn(*shape, generator=generator)

    return some(moments, 3, 3), some(moments, 3, 2), some(moments, 3, 4), some(moments, 4), some(moments, 2)


def least(parts, start, effort):
    """The changes ``[M - 1, A]`` that cost least from ``start [E]``, by solving for all of them at once."""
    dynamics, control, slope, errors, off = (part.double() for part in parts)
    moments, size = len(off), off.shape[1]
    free = torch.zeros(3, (moments - 1) * size, dtype=torch.float64)  # how the deviation of each moment depends on all changes
    fixed = start.double()
    rows, wanted = [], []
    for k in range(moments):
        weight = LAST_WEIGHT**0.5 if k == moments - 1 else 1.0
        rows.append(weight * slope[k].t() @ free)
        wanted.append(-weight * (errors[k] + slope[k].t() @ fixed))
        if k < moments - 1:
            pick = torch.zeros(size, free.shape[1], dtype=torch.float64)
            pick[:, k * size : (k + 1) * size] = torch.eye(size)
            rows.append(effort**0.5 * pick)
            wanted.append(-(effort**0.5) * off[k])
            free, fixed = dynamics[k] @ free + control[k] @ pick, dynamics[k] @ fixed
    return torch.linalg.lstsq(torch.cat(rows), torch.cat(wanted)).solution.view(moments - 1, size).float()


@pytest.mark.parametrize("effort", [0.1, 2.0])
def test_the_regulator_does_what_costs_least(effort):
    parts = problem()
    found = regulate(*parts, effort)
    start = torch.tensor([0.3, -0.2, 0.5])
    off, done = start, []
    for k in range(4):
        done.append(found.change[k] - found.gain[k] @ off)
        off = parts[0][k] @ off + parts[1][k] @ done[-1]
    torch.testing.assert_close(torch.stack(done), least(parts, start, effort), atol=1e-3, rtol=1e-3)


def test_costs_to_go_are_what_deviations_cost_in_the_end():
    dynamics, control, slope, errors, off = problem()
    found = regulate(dynamics, control, slope, 0 * errors, 0 * off, 0.7)
    start = torch.tensor([0.3, -0.2, 0.5])
    state, cost = start, 0.0
    for k in range(5):
        change = -found.gain[k] @ state
        cost += (LAST_WEIGHT if k == 4 else 1.0) * float((slope[k].t() @ state).square().sum()) + 0.7 * float(change.square().sum())
        state = dynamics[k] @ state + control[k] @ change
    assert cost == pytest.approx(float(start @ found.cost[0] @ start), rel=1e-4)


def test_regret_is_what_acting_otherwise_for_a_step_costs_in_the_end():
    dynamics, control, slope, errors, off = problem()
    found = regulate(dynamics, control, slope, 0 * errors, 0 * off, 0.7)

    def cost(otherwise):
        state, total = torch.tensor([0.3, -0.2, 0.5]), 0.0
        for k in range(5):
            change = -found.gain[k] @ state + (otherwise if k == 0 else 0)
            total += (LAST_WEIGHT if k == 4 else 1.0) * float((slope[k].t() @ state).square().sum()) + (0.7 * float(change.square().sum()) if k < 4 else 0)
            state = dynamics[k] @ state + control[k] @ change
        return total

    for otherwise in torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]]):
        assert cost(otherwise) - cost(0 * otherwise) == pytest.approx(float(otherwise @ found.regret[0] @ otherwise), rel=1e-3)


def test_damping_makes_changes_smaller():
    parts = problem()
    sizes = [float(regulate(*parts, 0.1, damping).change.norm()) for damping in (0.0, 10.0, 1000.0)]
    assert sizes[0] > 2 * sizes[1] > 4 * sizes[2] > 0


def test_targets_are_smoothed_and_straight_ways_are_left():
    straight = torch.arange(10.0).unsqueeze(-1) * 0.1
    torch.testing.assert_close(smoothed(straight)[2:-2], straight[2:-2])
    rough = torch.tensor([1.0, -1.0] * 6).unsqueeze(-1)
    torch.testing.assert_close(smoothed(rough)[2:-2].abs(), torch.full((8, 1), 1 / 9))
    torch.testing.assert_close(smoothed(torch.ones(4, 2)), torch.ones(4, 2))


@pytest.fixture(scope="module")
def dynamics(character):
    return Dynamics(character, CpuPhysics(character.model, 48, 1), DT)


def stood(dynamics, steps=30, push=0.0):
    """A second of a character that targets its rest pose, while it begins to topple; ``push``: a first deviation of its velocity, m/s."""
    character = dynamics.character
    qpos, qvel = dynamics.deviations.codec.encode(default_state(character, 1))
    qvel[:, 0] += push
    action = (-dynamics.offset / dynamics.scale).clamp(-1.0, 1.0).unsqueeze(0)
    made = []
    for _ in range(steps):
        made.append(Motion(qpos, qvel, action))
        qpos, qvel = dynamics.advance(qpos, qvel, action)
    return Motion.cat(made)


@pytest.fixture(scope="module")
def path(dynamics):
    return stood(dynamics)


def test_a_linearisation_foretells_what_comes_of_small_deviations(dynamics, path):
    """Half a second after the start, where the feet have settled."""
    few = path.rows(slice(15, 18))
    of_state, of_target = dynamics.linearize(few)
    generator = torch.Generator().manual_seed(0)
    deviations = dynamics.deviations
    off = 0.3 * deviations.steps * torch.randn(3, len(deviations.steps), generator=generator)
    off[:, :2] = off[:, 3:6] = 0.0
    push = 0.01 * torch.randn(3, few.action.shape[1], generator=generator)
    qpos, qvel = deviations.added(few.qpos, few.qvel, off)
    after = dynamics.advance(qpos, qvel, few.action + push / dynamics.scale)
    found = deviations.between(*after, *dynamics.advance(few.qpos, few.qvel, few.action))
    told = (of_state @ off.unsqueeze(-1) + of_target @ push.unsqueeze(-1)).squeeze(-1)
    for part in (slice(2, deviations.num_dofs), slice(deviations.num_dofs, None)):
        assert (told - found)[:, part].norm() < 0.3 * found[:, part].norm()


def test_feedback_keeps_somebody_up_who_falls_without(dynamics, path):
    """Three seconds in the place of one: the last moments again and again."""
    expert = Expert(dynamics, Regulators.around(dynamics, path, 0, 10))
    with_it = lost_share(expert, torch.Generator().manual_seed(0))
    expert.regulators.gain.zero_()
    without = lost_share(expert, torch.Generator().manual_seed(0))
    assert with_it < 0.2
    assert without > 0.8


def test_refining_brings_a_motion_to_its_clip(dynamics, path):
    """The clip stands still; the motion was pushed and walks off."""
    pushed = stood(dynamics, push=0.4)
    still = path.qpos[:1].expand(30, -1), torch.zeros_like(path.qvel)

    def cost(motion):
        return float(dynamics.deviations.errors(motion.qpos, motion.qvel, *still).square().sum(-1).mean())

    found = refine(dynamics, pushed, *still, 2, 0.05, torch.Generator().manual_seed(0))
    assert cost(found) < 0.35 * cost(pushed)
    torch.testing.assert_close(found.qpos[0], pushed.qpos[0])
    after = dynamics.advance(*(part[:-1] for part in vars(found).values()))
    torch.testing.assert_close(after[0], found.qpos[1:], atol=1e-5, rtol=1e-4)  # physics makes the one moment of the other


def test_the_more_noise_the_fewer_shares_are_tried():
    assert [shares_under(noise) for noise in (0.0, 0.01, 0.03, 0.05, 1.0)] == [14, 12, 8, 4, 2]


def test_of_a_motion_and_what_is_made_of_it_the_best_goes_on(dynamics, path, monkeypatch):
    """Here refining under much noise spoils it, under little makes it the clip, which nobody loses, or nearly all: then it is chosen only if nearness is all that counts."""
    still = path.qpos[:1].expand(30, -1), torch.zeros_like(path.qvel)
    clip = Motion(*still, path.action)
    asked = []

    def refined(dynamics, motion, qpos, qvel, iterations, noise, generator):
        asked.append((iterations, noise))
        return clip if noise == 0.01 else stood(dynamics, push=1.0)

    for lost, nearness, best in ((0.0, 0.3, clip), (0.9, 0.3, path), (0.9, 1e4, clip)):
        shares = iter([0.0, 0.0, lost])
        monkeypatch.setattr(refining, "refine", refined)
        monkeypatch.setattr(refining, "lost_share", lambda expert, generator, shares=shares: next(shares))
        found, its_lost, cost = best_refined(dynamics, path, *still, 0, 10, 7, (0.04, 0.01), nearness, torch.Generator())
        assert torch.equal(found.qpos, best.qpos)
        assert its_lost == (lost if best is clip else 0.0)
        assert cost == pytest.approx(float(dynamics.deviations.errors(best.qpos, best.qvel, *still).square().sum(-1).mean()), abs=1e-6)
    assert asked == [(7, 0.04), (7, 0.01)] * 3


def test_regulators_go_round_and_stand_beside_each_other(dynamics, path):
    once, round_ = (Regulators.around(dynamics, path, clip, cycle) for clip, cycle in ((3, 0), (5, 12)))
    assert once.after.tolist() == [*range(1, 30), 29]
    last = int((round_.after <= torch.arange(30)).nonzero()[0])
    assert round_.after[last] == last + 1 - 12
    both = Regulators.cat([once, round_])
    assert both.after[:30].tolist() == once.after.tolist()
    assert both.after[30:].tolist() == (round_.after + 30).tolist()
    assert both.clip.tolist() == [3] * 30 + [5] * 30
    assert [cycle.tolist() for cycle in Expert(dynamics, both).cycles] == [list(range(6, 30)), list(range(30 + last + 1 - 12, 30 + last + 1))]


def test_deviations_of_a_character_have_a_place_each(character):
    assert len(Deviations(character).steps) == 2 * (6 + character.skeleton.num_dofs)

"""How clips are done and reached: moments of a clip that goes round, of one that ends, and of experts that stand."""

from types import SimpleNamespace

import pytest
import torch

from envs.expert import Expert
from envs.features import FeatureLayout, observe
from envs.lqr import Dynamics, Regulators
from envs.physics_cpu import CpuPhysics
from envs.ways import DETOUR, Ways, clip_ways, motion_ways
from motions.library import MotionLibrary
from tests.envs.helpers import gait_clip
from tests.envs.test_lqr import DT, stood


@pytest.fixture
def ways():
    """Clip 0 goes round from 0 to 4, clip 1 runs from 10 to 14 and ends; clip 2 is 20, alone. Clip 0 is left at 3 for moment 6, clip 1 at moment 7 for moment 1."""
    frames = torch.cat((torch.arange(5.0), torch.arange(10.0, 15.0), torch.tensor([20.0]))).unsqueeze(1)
    after = torch.tensor([1, 2, 3, 4, 0, 6, 7, 8, 9, 9, 10])
    none = torch.full((3, 3), -1)
    leave, enter, toward = none.clone(), none.clone(), torch.arange(3).unsqueeze(1).repeat(1, 3)
    leave[0, 1], enter[0, 1], leave[1, 0], enter[1, 0] = 3, 6, 7, 1
    toward[0, 1], toward[1, 0] = 1, 0
    return Ways(frames, after, torch.tensor([0] * 5 + [1] * 5 + [2]), torch.ones(11, dtype=torch.bool), toward, leave, enter)


@pytest.mark.parametrize(
    ("moment", "part", "goal", "expected"),
    [
        (0, 0.6, 0, (0, 0.6)),
        (0, 2.4, 0, (2, 0.4)),
        (4, 1.5, 0, (0, 0.5)),
        (2, 1.2, 1, (6, 0.2)),  # there it is left
        (2, 2.2, 1, (7, 0.2)),  # it has just been
        (2, 2.2, 2, (4, 0.2)),  # nothing leads there
        (8, 2.0, 1, (9, 0.0)),
        (6, 1.0, 0, (1, 0.0)),
        (8, 1.0, 0, (9, 0.0)),  # too late
    ],
)
def test_a_way_goes_on_round_to_the_end_or_where_a_clip_is_left_for_another(ways, moment, part, goal, expected):
    found, rest = ways.ahead(torch.tensor([moment]), torch.tensor([part]), torch.tensor([goal]))
    assert (found.item(), rest.item()) == (expected[0], pytest.approx(expected[1], abs=1e-6))


def test_between_moments_a_character_is_between_their_frames(ways):
    assert ways.at(torch.tensor([1, 4, 9]), torch.tensor([0.25, 0.5, 0.7])).flatten().tolist() == pytest.approx([1.25, 2.0, 14.0])
    assert ways.ends(torch.tensor([3, 9])).tolist() == [False, True]


def test_one_begins_on_the_clip_itself_or_on_another_that_still_leads_there(ways):
    weights = torch.tensor([4.0])

    def begun(goal, x):
        return ways.nearest(torch.tensor([goal]), torch.tensor([[x]]), weights).item()

    assert begun(0, 3.1) == 3
    assert begun(1, 3.1) == 3, "clip 0 leads there, and is nearer by more than the detour"
    assert begun(0, 12.1) == 7
    assert begun(0, 13.0) == 7, "clip 1 leads back until it is left at 12, not from 13 on"
    assert begun(2, 3.1) == 10, "nothing leads there"
    assert begun(2, 20.0) == 10
    half = 2 * (9.0 - 3.0)  # of the distance between moments 3 and 5, where the costs differ by as much as the detour: 4 (x - 4)² + DETOUR = 4 (10 - x)²
    x = 7.0 - DETOUR / (4 * half)
    assert (begun(1, x - 0.003), begun(1, x + 0.003)) == (4, 5)
    closed = Ways(**{**ways.state_dict(), "entry": torch.arange(11) != 3})
    assert closed.nearest(torch.tensor([0]), torch.tensor([[3.1]]), weights).item() in (2, 4)


def test_ways_of_clips_are_their_own_frames_and_lead_nowhere(character):
    skeleton, layout = character.skeleton, FeatureLayout.of(character)
    library = MotionLibrary([gait_clip(skeleton, "once", seconds=0.5), gait_clip(skeleton, "loop", seconds=1.02, loop="wrap", seed=1)], skeleton)
    ways = clip_ways(library, layout, DT)
    counts = ways.clip.bincount().tolist()
    assert counts == [16, round(float(library.durations_s[1]) / DT)]
    assert ways.after[15] == 15
    assert ways.after[-1] == 16
    times = torch.tensor([0.0, 5 * DT, 0.5])
    expected = observe(library.state_at(torch.zeros(3, dtype=torch.long), times), skeleton)[:, layout.style_columns]
    torch.testing.assert_close(ways.frames[[0, 5, 15]], expected)
    seam = observe(library.state_at(torch.ones(1, dtype=torch.long), library.durations_s[1:] * (1 - 1 / counts[1])), skeleton)[:, layout.style_columns]
    torch.testing.assert_close(ways.frames[-1:], seam, atol=1e-4, rtol=1e-4)
    assert (ways.leave == -1).all()
    assert ways.toward.tolist() == [[0, 0], [1, 1]]
    assert ways.entry.all()
    found = ways.nearest(ways.clip, ways.frames, layout.tracking_weights())
    assert (found == torch.arange(len(found))).float().mean() > 0.9


def test_ways_of_an_expert_are_its_motions_and_of_other_clips_what_they_show(character):
    skeleton, layout = character.skeleton, FeatureLayout.of(character)
    library = MotionLibrary([gait_clip(skeleton, name, seconds=0.5, seed=k) for k, name in enumerate("abc")], skeleton)
    dynamics = Dynamics(character, CpuPhysics(character.model, 16, 1), DT)
    path = stood(dynamics)
    expert = Expert(dynamics, Regulators.cat([Regulators.around(dynamics, path, clip, 12) for clip in (2, 0)]))
    count = len(expert.motion) // 2
    graph = SimpleNamespace(leave=torch.tensor([[-1, 8], [-1, -1]]), enter=torch.tensor([[-1, count + 9], [-1, -1]]), toward=torch.tensor([[0, 1], [1, 1]]))
    ways = motion_ways(expert, graph, library, layout, DT)
    own = clip_ways(library, layout, DT)
    assert ways.clip.unique_consecutive().tolist() == [2, 0, 1]
    torch.testing.assert_close(ways.frames[2 * count :], own.frames[own.clip == 1])
    assert ways.after[-1] == len(ways.clip) - 1
    assert ways.after[2 * count] == 2 * count + 1
    assert torch.equal(ways.after[: 2 * count], expert.regulators.after)
    standing = observe(expert.deviations.codec.decode(expert.regulators.qpos[:1], expert.regulators.qvel[:1]), skeleton)[:, layout.style_columns]
    torch.testing.assert_close(ways.frames[:1], standing)
    assert ways.toward.tolist() == [[0, 0, 0], [1, 1, 1], [0, 2, 2]]
    assert (ways.leave[2, 0].item(), ways.enter[2, 0].item()) == (8, count + 9)
    assert int((ways.leave >= 0).sum()) == 1
    assert ways.entry[torch.cat(expert.cycles)].all()
    assert not ways.entry[0]
    assert ways.entry[2 * count :].all()

"""Which motions lead into which: the ways against ones that are drawn by hand, and two standing characters that can take each other's place."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from envs import motion_graph as motion_graphs
from envs.deviations import SPEED_WEIGHT
from envs.expert import LOST, Expert
from envs.guided import FAR, NEAR, NEAR_CHANGED, PATIENCE, SURE, GuideConfig, Guided
from envs.lqr import Dynamics, Regulators
from envs.motion_graph import CHANGE, LEAD_STEPS, MotionGraph, candidates, cheapest, motion_graph, stays
from envs.physics_cpu import CpuPhysics
from envs.resets import default_state
from tests.envs.test_lqr import DT, stood


def test_ways_cost_as_little_as_can_be():
    price = torch.full((5, 5), torch.inf)
    for a, b in ((0, 1), (1, 2), (2, 3), (0, 2), (3, 0)):
        price[a, b] = 1.0
    toward = cheapest(price)
    assert toward[0].tolist() == [0, 1, 2, 2, 0]  # 3 by way of 2; 4 not at all
    assert toward[1].tolist() == [2, 1, 2, 2, 1]
    assert toward[4].tolist() == [4, 4, 4, 4, 4]
    assert toward[:, 4].tolist() == [0, 1, 2, 3, 4]
    price[0, 2] = 2.5
    assert cheapest(price)[0].tolist() == [0, 1, 1, 1, 0]  # a change that costs more than two others is not made


def test_a_graph_says_how_many_pairs_lead_into_each_other_and_how_many_to_each_other():
    leave = torch.tensor([[-1, 3, -1], [-1, -1, 4], [-1, -1, -1]])
    cost = torch.full((4, 4), torch.inf)
    cost[0, 1] = cost[1, 2] = cost[3, 1] = 1.0
    graph = MotionGraph.of(leave, leave, torch.tensor([-1, 5, -1]), cost)
    assert graph.density == pytest.approx(2 / 6)
    assert graph.reach == pytest.approx(3 / 6)
    assert graph.toward.tolist() == [[0, 1, 1], [1, 1, 2], [2, 2, 2]]
    assert graph.first.tolist() == [-1, 1, 1]  # from standing the second can be begun, and it leads to the third
    far = cost.clone()
    far[0, 2] = 1.0 + 1.0 + 0.9 * CHANGE  # at once, for less than a further change
    assert MotionGraph.of(leave, leave, torch.tensor([-1, 5, -1]), far).toward[0].tolist() == [0, 1, 2]
    far[0, 2] += 0.2 * CHANGE
    assert MotionGraph.of(leave, leave, torch.tensor([-1, 5, -1]), far).toward[0].tolist() == [0, 1, 1]


@pytest.fixture(scope="module")
def dynamics(character):
    return Dynamics(character, CpuPhysics(character.model, 16, 1), DT)


@pytest.fixture(scope="module")
def two(dynamics):
    """Somebody who stands, twice, as clips 3 and 5: moments 0 to 29 and 30 to 59."""
    path = stood(dynamics)
    return Expert(dynamics, Regulators.cat([Regulators.around(dynamics, path, clip, 12) for clip in (3, 5)]))


def test_motions_are_left_where_the_other_is_nearest(two):
    left, taken, cost = candidates(two)
    assert len(left) == 8  # four moments of each pair
    assert (two.motion[left] != two.motion[taken]).all()
    assert ((left - taken).abs() == 30).sum() >= 5  # the same moments of the other, but where these lie side by side
    assert cost.min() < 1e-3
    assert (left[:4].diff().abs() >= 4).all()


def test_who_is_put_where_no_feedback_helps_does_not_stay(two, dynamics):
    left, taken = torch.tensor([8, 8]), torch.tensor([38, 8])
    assert stays(two, left, taken, torch.Generator().manual_seed(0)).tolist() == [True, True]
    qvel = two.regulators.qvel.clone()
    qvel[8 - LEAD_STEPS, 0] += 6.0  # runs away
    away = Expert(dynamics, replace(two.regulators, qvel=qvel))
    assert stays(away, left[:1], taken[:1], torch.Generator().manual_seed(0)).tolist() == [False]


def test_who_is_far_off_in_the_end_does_not_stay_and_must_not_be_in_any_trial(two, monkeypatch):
    monkeypatch.setattr("envs.motion_graph.KEPT", -1.0)
    assert stays(two, torch.tensor([8]), torch.tensor([38]), torch.Generator().manual_seed(0)).tolist() == [False]
    trials = iter([[True, True, False], *[[True, False, False]] * (motion_graphs.TRIALS - 1)])
    assert motion_graphs.always(lambda: torch.tensor(next(trials))).tolist() == [True, False, False]


def test_who_never_comes_to_where_it_changes_does_not_stay(two, monkeypatch):
    monkeypatch.setattr("envs.motion_graph.LEAD_STEPS", 0)
    monkeypatch.setattr("envs.motion_graph.TRIAL_STEPS", 0)
    assert stays(two, torch.tensor([8, 8]), torch.tensor([38, 8]), torch.Generator()).tolist() == [False, True]


def test_motions_are_changed_where_one_is_left_or_a_step_later(two):
    moment = two.change(torch.tensor([7, 8, 9, 10]), torch.tensor([8] * 4), torch.tensor([35] * 4))
    assert moment.tolist() == [7, 35, 36, 10]


def test_two_who_stand_lead_into_each_other(two, monkeypatch):
    graph = motion_graph(two, torch.Generator().manual_seed(0))
    assert graph.density == 1.0
    assert graph.toward.tolist() == [[0, 1], [0, 1]]
    assert (two.motion[graph.leave[[0, 1], [1, 0]]] == torch.tensor([0, 1])).all()
    assert (two.motion[graph.enter[[0, 1], [1, 0]]] == torch.tensor([1, 0])).all()
    assert graph.leave.diagonal().tolist() == [-1, -1]
    monkeypatch.setattr("envs.motion_graph.stays", lambda expert, left, taken, generator: torch.zeros(len(left), dtype=torch.bool))
    assert motion_graph(two, torch.Generator().manual_seed(0)).density == 0.0


def test_of_the_changes_that_work_the_one_with_the_least_cost_is_made(two, monkeypatch):
    left, taken = torch.tensor([8, 9, 10, 11]), torch.tensor([38, 39, 40, 41])
    monkeypatch.setattr("envs.motion_graph.candidates", lambda expert: (left, taken, torch.tensor([3.0, 1.0, 0.5, 2.0])))
    monkeypatch.setattr("envs.motion_graph.stays", lambda expert, left, taken, generator: left != 10)
    graph = motion_graph(two, torch.Generator())
    assert (int(graph.leave[0, 1]), int(graph.enter[0, 1]), int(graph.leave[1, 0])) == (9, 39, -1)


def test_ways_are_by_what_the_changes_cost(two, monkeypatch):
    seen = []
    monkeypatch.setattr("envs.motion_graph.candidates", lambda expert: (torch.tensor([8, 9, 38]), torch.tensor([38, 39, 8]), torch.tensor([3.0, 1.0, 2.0])))
    monkeypatch.setattr("envs.motion_graph.stays", lambda expert, left, taken, generator: left != 9)
    monkeypatch.setattr("envs.motion_graph.risings", lambda expert, qpos, qvel: (torch.tensor([2, 36]), torch.tensor([1.5, 0.5])))
    monkeypatch.setattr("envs.motion_graph.cheapest", lambda price: seen.append(price) or cheapest(price))
    motion_graph(two, torch.Generator().manual_seed(0))
    none = torch.inf
    assert (seen[0] - CHANGE).tolist() == [[none, 3.0, none], [2.0, none, none], [1.5, 0.5, none]]


def test_what_stands_can_be_begun_from_standing(two, monkeypatch):
    graph = motion_graph(two, torch.Generator().manual_seed(0))
    assert graph.first.tolist() == [0, 1]
    assert (two.motion[graph.rise] == torch.tensor([0, 1])).all()
    monkeypatch.setattr("envs.motion_graph.risings", lambda expert, qpos, qvel: (torch.tensor([2, 6, 8, 32, 36]), torch.tensor([1.0, 0.5, 2.0, 3.0, 4.0])))
    assert motion_graph(two, torch.Generator().manual_seed(0)).rise.tolist() == [6, 32]  # what costs least
    follows = motion_graphs.follows
    monkeypatch.setattr("envs.motion_graph.follows", lambda expert, qpos, qvel, moment, *rest: follows(expert, qpos, qvel, moment, *rest) & (moment != 6) & (moment < 32))
    assert motion_graph(two, torch.Generator().manual_seed(0)).rise.tolist() == [2, -1]


def test_some_of_those_who_change_begin_in_the_rest_pose(two, monkeypatch):
    qpos = two.deviations.codec.encode(default_state(two.dynamics.character, 1))[0]
    monkeypatch.setattr("envs.guided.REST_SHARE", 1.0)
    way = torch.tensor([[-1, -1], [38, -1]])  # the second can be begun, and leads to the first
    there = Guided(two, MotionGraph.of(way, way - 30, torch.tensor([-1, 36]), costs(way, [-1, 36])), shown(two), GuideConfig(start_off=0.0), torch.Generator().manual_seed(0))
    assert torch.equal(there.physics.qpos[8:], qpos.expand(8, -1))
    assert there.moment[8:].tolist() == [36] * 8
    assert set(there.goal[8:].tolist()) == {0, 1}
    assert there.patience.tolist() == [0] * 8 + [PATIENCE] * 8
    assert not torch.equal(there.physics.qpos[:8], qpos.expand(8, -1))
    monkeypatch.setattr("envs.guided.REST_SHARE", 0.0)
    assert not guided(two, start_off=0.0).patience.any()


def test_one_motion_leads_nowhere(dynamics):
    alone = Expert(dynamics, Regulators.around(dynamics, stood(dynamics), 3, 12))
    assert motion_graph(alone, torch.Generator()).toward.tolist() == [[0]]


def guided(two, **settings):
    graph = motion_graph(two, torch.Generator().manual_seed(0))
    return Guided(two, graph, shown(two), GuideConfig(**settings), torch.Generator().manual_seed(0))


def costs(ways, risings):
    """1 for each change that there is."""
    made = torch.cat((ways, torch.tensor([risings]))) >= 0
    return torch.where(torch.cat((made, torch.zeros(len(made), 1, dtype=torch.bool)), dim=1), 1.0, torch.inf)


def shown(expert):
    return expert.regulators.qpos + 0.01, expert.regulators.qvel - 0.01


@pytest.fixture(autouse=True)
def nobody_begins_where_a_clip_has_the_character(monkeypatch):
    monkeypatch.setattr("envs.guided.CLIP_SHARE", 0.0)


def test_some_begin_where_the_clip_has_the_character(two, monkeypatch):
    monkeypatch.setattr("envs.guided.CLIP_SHARE", 1.0)
    monkeypatch.setattr("envs.guided.REST_SHARE", 0.5)
    there = guided(two)
    qpos, qvel = shown(two)
    resting = (there.physics.qpos == two.dynamics.rest()[0]).all(1)
    assert 0 < int(resting.sum()) < 8
    assert not resting[:8].any()
    torch.testing.assert_close(there.physics.qpos[~resting], qpos[there.moment[~resting]], rtol=0, atol=1e-6)
    torch.testing.assert_close(there.physics.qvel[~resting], qvel[there.moment[~resting]], rtol=0, atol=1e-6)
    assert there.patience.tolist() == [PATIENCE] * 16


def test_where_clips_have_the_character_is_asked_for_by_the_time_since_a_motion_began(two):
    state = default_state(two.dynamics.character, 60)
    asked = []
    library = SimpleNamespace(state_at=lambda clip, times_s: asked.append((clip, times_s)) or state)
    qpos, qvel = two.shown(library, DT)
    torch.testing.assert_close(asked[0][1], torch.arange(30).repeat(2) * DT)
    assert asked[0][0].tolist() == [3] * 30 + [5] * 30
    assert torch.equal(qpos, two.deviations.codec.encode(state)[0])
    assert torch.equal(qvel, two.deviations.codec.encode(state)[1])


@pytest.fixture(scope="module")
def ending(dynamics):
    """Somebody who stands: over and over, once, and over and over."""
    path = stood(dynamics)
    return Expert(dynamics, Regulators.cat([Regulators.around(dynamics, path, clip, cycle) for clip, cycle in ((3, 12), (4, 0), (5, 12))]))


def test_motions_that_end_are_ways_and_nobody_is_told_to_do_them(ending, monkeypatch):
    assert ending.ends.tolist() == [False, True, False]
    monkeypatch.setattr("envs.guided.REST_SHARE", 0.5)
    enter = torch.tensor([[-1, 36, -1], [-1, -1, 66], [-1, -1, -1]])  # each leads into the next
    there = Guided(ending, MotionGraph.of(enter - 30, enter, torch.tensor([5, -1, -1]), costs(enter, [5, -1, -1])), shown(ending), GuideConfig(), torch.Generator().manual_seed(0))
    assert set(there.goal[8:].tolist()) == {0, 2}
    there.moment[:], there.goal[:] = 59, 1
    there.moment[2], there.goal[3] = 40, 2
    there.physics.set_state(torch.arange(16), ending.regulators.qpos[there.moment], ending.regulators.qvel[there.moment])
    assert there.step(ending.regulators.action[there.moment]).tolist() == [k not in (2, 3) for k in range(16)]


def test_half_of_the_characters_stay_with_their_motion_and_half_go_to_the_other(two, monkeypatch):
    monkeypatch.setattr("envs.guided.REST_SHARE", 0.0)
    there = guided(two)
    assert torch.equal(there.goal[:8], two.motion[there.moment[:8]])
    assert torch.equal(there.goal[8:], 1 - two.motion[there.moment[8:]])  # the only one that it leads to
    assert torch.equal(there.clip, torch.tensor([3, 5])[there.goal])
    for _ in range(30):
        there.step(there.advice())
    assert torch.equal(two.motion[there.moment], there.goal)  # all have gone over
    assert not there.lost.any()


def test_only_the_second_half_is_given_something_else_to_do(two):
    there = guided(two, change_every=1)
    before = there.goal.clone()
    assert there.change().tolist() == list(range(8, 16))
    assert torch.equal(there.goal[:8], before[:8])
    assert len(guided(two, change_every=10**9).change()) == 0
    assert guided(two, change_every=1, change_share=0.25).change().tolist() == list(range(12, 16))
    assert len(guided(two, change_every=1, change_share=0.0).change()) == 0


def test_who_is_far_off_or_has_been_on_the_way_for_long_begins_anew(two):
    there = guided(two, episode_steps=4)
    there.physics.qvel[5, 0] += 8.0
    ends = [there.step(there.advice()) for _ in range(4)]
    assert ends[0].nonzero().flatten().tolist() == [5]
    assert there.lost.nonzero().flatten().tolist() == [5]
    assert ends[3].all()
    there.begin(torch.tensor([2, 5]))
    assert there.age.tolist() == [4, 4, 0, 4, 4, 0, *[4] * 10]
    assert not there.lost.any()


def test_only_who_is_close_to_its_motion_changes_and_is_given_time_then(two):
    there = guided(two, start_off=0.0)
    motion = torch.arange(16) // 8
    leave = there.graph.leave[motion, 1 - motion]
    there.moment, there.goal = leave.clone(), 1 - motion
    there.physics.set_state(torch.arange(16), two.regulators.qpos[leave], two.regulators.qvel[leave])
    there.physics.qvel[5, 0] += (1.2 * SURE / SPEED_WEIGHT) ** 0.5
    there.advice()
    assert (two.motion[there.moment] != motion).nonzero().flatten().tolist() == [k for k in range(16) if k != 5]
    assert there.patience.tolist() == [PATIENCE] * 5 + [0] + [PATIENCE] * 10
    there.physics.qvel[4:6, 0] += (LOST / SPEED_WEIGHT) ** 0.5 + 1.0
    there.physics.qvel[6, 0] += (FAR / SPEED_WEIGHT) ** 0.5 + 1.0
    there.step(two.regulators.action[there.moment])
    assert there.lost.nonzero().flatten().tolist() == [5, 6]
    there.moment, there.goal = leave.clone(), motion
    there.advice()
    assert torch.equal(two.motion[there.moment], motion)  # nobody changes who is where it should be
    assert there.patience.tolist() == [PATIENCE - 1] * 5 + [0] + [PATIENCE - 1] * 10


def test_advice_answers_a_push_and_moves_on_with_who_is_ahead(two):
    there = guided(two, start_off=0.0)
    there.moment[:] = torch.where(two.motion[there.moment] == 0, 25, 55)
    there.goal[:] = two.motion[there.moment]
    where = two.regulators.qpos[there.moment + 1], two.regulators.qvel[there.moment + 1]
    there.physics.set_state(torch.arange(16), *where)  # a step ahead of what is expected; standing changes little in it
    action = there.advice()
    assert set((there.moment % 30).tolist()) <= {24, 25, 26}
    there.physics.qvel[3, 4] += 1.0  # toppling forward
    pushed = there.advice()
    assert (pushed[3] - action[3]).abs().max() > 0.01
    torch.testing.assert_close(pushed[:3], action[:3], atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"refinements": -1},
        {"start_off": -0.1},
        {"nearness": -0.1},
        {"refine_noises": (0.0, -0.1)},
        {"episode_steps": 0},
        {"change_every": 0},
        {"change_share": 1.1},
        {"change_share": -0.1},
    ],
)
def test_settings_that_make_no_sense_are_named(wrong):
    names = "refinements, start_off, nearness, refine_noises, episode_steps, change_every, change_share"
    with pytest.raises(ValueError, match=rf"^guide: {names}: got .*; expected at least 0, 0, 0, 0 each, 1, 1, and 0 to 1$"):
        GuideConfig(**wrong)


def test_advice_counts_by_how_near_to_the_motion_it_is_given(two):
    there = guided(two, start_off=0.0)
    there.physics.qvel[3, 0] += (NEAR / SPEED_WEIGHT) ** 0.5
    weights = there.weights()
    assert float(weights[3]) == pytest.approx(0.5, abs=0.02)
    torch.testing.assert_close(weights[:3], torch.ones(3), atol=1e-3, rtol=0)
    there.patience[3] = 1
    assert float(there.weights()[3]) == pytest.approx(NEAR_CHANGED / (NEAR_CHANGED + NEAR), abs=0.02)


def test_regret_is_by_units_of_the_action_and_one_on_average(two):
    regret, moment = guided(two).regret, 20
    torch.testing.assert_close(regret.diagonal(dim1=1, dim2=2).mean(-1), torch.ones(len(regret)))
    scale, by_radians = two.dynamics.scale, two.regulators.regret[moment]
    a, b = int(scale.argmin()), int(scale.argmax())
    torch.testing.assert_close(regret[moment, a, b] / regret[moment, b, b], by_radians[a, b] * scale[a] / (by_radians[b, b] * scale[b]))

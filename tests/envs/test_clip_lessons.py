"""What is followed so that a skill begins where another is: which joins are drawn, and of which clip they are a lesson."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from envs.clip_lessons import BLEND_S, EARLY, JOINED_S, draw_joins, join_clip, lessons
from envs.mirror import mirror_map
from envs.samcon import Tube
from motions.clip import mirror
from motions.library import MotionLibrary
from tests.envs.helpers import gait_clip

NEW, KNOWN = ("kick", "spin"), ("walk", "run", "rise")


@pytest.fixture
def library(character) -> MotionLibrary:
    gait = gait_clip(character.skeleton, "kick", seconds=2.0)
    clips = [gait, *(replace(gait, name=name, loop=loop) for name, loop in (("spin", "wrap"), ("walk", "wrap"), ("run", "wrap"), ("rise", "none")))]
    return MotionLibrary([*clips, *map(mirror, clips)], character.skeleton, [3.0, *[1.0] * 9])


def draw(library: MotionLibrary, count: int, new=NEW, known=KNOWN, seed: int = 0):
    return draw_joins(new, known, count, library, torch.Generator().manual_seed(seed))


def pairs(joins) -> list[tuple[str, str]]:
    return [tuple(name.split(">")) for name in joins]


def test_each_new_clip_is_entered_from_old_and_new_ones_and_left_for_old_ones(library):
    found = pairs(draw(library, 2))
    for name in NEW:
        sources = [source for source, target in found if target == name and source != name]
        assert len(sources) == 2
        assert sum(source in KNOWN for source in sources) == 1
        targets = [target for source, target in found if source == name and target not in NEW]
        assert len(targets) == 1
        assert targets[0] in KNOWN
    assert ("kick", "kick") in found  # it ends, and can be done again
    assert ("spin", "spin") not in found
    assert all({first, second} & set(NEW) for first, second in found)


def test_there_are_as_many_as_asked_for_if_one_kind_of_clips_is_too_few(library):
    entered = [source for source, target in pairs(draw(library, 4)) if target == "spin"]
    assert sorted(entered) == ["kick", "rise", "run", "walk"]
    entered = [source for source, target in pairs(draw(library, 1, new=("kick", "spin", "walk"), known=())) if target == "spin"]
    assert len(entered) == 1


def test_known_loops_are_left_anywhere_and_others_at_their_end(library):
    moments = {name: set() for name in ("walk", "rise", "kick")}
    for seed in range(6):
        for join in draw(library, 4, seed=seed).values():
            moments.setdefault(library.names[join.source], set()).add(round(join.source_s, 4))
    assert len(moments["walk"]) > 3
    assert all(0 <= moment <= 2.0 for moment in moments["walk"])
    assert moments["rise"] == moments["kick"] == moments["spin"] == {2.0}


def test_clips_that_do_not_loop_are_entered_early(library):
    joins = [join for seed in range(4) for join in draw(library, 4, seed=seed).values()]
    kicks = [join.target_s for join in joins if library.names[join.target] == "kick"]
    assert max(kicks) < EARLY * 2.0
    assert max(join.target_s for join in joins if library.loops[join.target]) > EARLY * 2.0


def test_clips_that_are_further_apart_are_blended_for_longer(library):
    join = next(iter(draw(library, 2).values()))
    near, far = (join_clip("a>b", replace(join, target=1, target_s=0.0, gap=gap), library) for gap in (0.0, 0.5))
    assert near.duration_s == pytest.approx(BLEND_S + JOINED_S, abs=0.02)
    assert far.duration_s == pytest.approx(BLEND_S + JOINED_S + 0.5, abs=0.02)
    assert near.name == "a>b"


def test_a_join_is_a_lesson_of_the_clip_that_it_leads_into(character, library):
    generator = torch.Generator().manual_seed(0)
    qpos = torch.zeros(3, 7 + library.skeleton.num_dofs + sum(joint.kind == "ball" for joint in library.skeleton.joints))
    qpos[:, 2:4] = 1.0
    qpos[:, 7:] = torch.randn(qpos[:, 7:].shape, generator=generator)
    tube = Tube(qpos, torch.zeros(3, 6 + library.skeleton.num_dofs), torch.rand(3, library.skeleton.num_dofs, generator=generator))
    found = lessons({"kick": tube, "kick_mirror": tube, "walk_mirror>kick": tube, "spin>walk": tube, "run>spin": tube.none()}, character, library)
    kick, image, walk, walk_image, spin = (found.clip == library.index(name) for name in ("kick", "kick_mirror", "walk", "walk_mirror", "spin"))
    assert [int(x.sum()) for x in (kick, image, walk, walk_image, spin)] == [6, 6, 3, 3, 0]
    reflection = mirror_map(character)
    torch.testing.assert_close(found.action[image][3:], found.action[kick][3:][:, reflection.action_index] * reflection.action_sign)
    assert float(found.weight[kick].sum() / found.weight[walk].sum()) == pytest.approx(3.0)
    assert float(found.weight[walk].sum() / found.weight[walk_image].sum()) == pytest.approx(1.0)
    assert torch.isfinite(found.weight).all()

"""Dataset files: strict loading, weights, mirror images, and the files that the project ships."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from motions import synthetic
from motions.clip import Clip, mirror
from motions.dataset import build_library, cut, load_clip, load_dataset
from motions.sources import CLIPS

SHIPPED = Path(__file__).parents[2] / "cfg" / "datasets"


def write(tmp_path, text: str, name: str = "mine.yaml") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


@pytest.fixture
def clips_dir(tmp_path, skeleton) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, seconds, height in (("long", 3.0, 0.9), ("short", 1.0, 1.9)):
        clip = synthetic.circle(skeleton, duration_s=seconds, height_m=height)
        replace(clip, name=name).save(folder / f"{name}.npz")
    return folder


def test_a_dataset_is_read_by_name_or_path(tmp_path):
    path = write(tmp_path, "weighting: duration\nground: true\nclips: {walk: 1, run: 0.5}\n")
    for reference in ("mine", path, str(path)):
        got = load_dataset(reference, tmp_path)
        assert (got.name, got.clips, got.weighting, all(e.ground for e in got.entries)) == ("mine", (("walk", 1.0), ("run", 0.5)), "duration", True)


def test_defaults(tmp_path):
    got = load_dataset(write(tmp_path, "clips: {walk: 1}"), tmp_path)
    assert (got.clips, got.weighting, got.entries[0].ground) == ((("walk", 1.0),), "clip", False)


def test_mirror_adds_each_clips_image_at_the_same_weight(tmp_path):
    got = load_dataset(write(tmp_path, "mirror: true\nclips: {walk: 1, run: 2}"), tmp_path)
    assert got.clips == (("walk", 1.0), ("walk_mirror", 1.0), ("run", 2.0), ("run_mirror", 2.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clips: {walk: 1}\nweigting: clip", "key weigting: unknown. Closest: weighting. Available: clips, ground, groups, mirror, smooth_s, weighting"),
        ("clips: {walk: 1}\nzzz: 1", "key zzz: unknown. Available: clips, ground, groups, mirror, smooth_s, weighting"),
        ("clips: {walk: 1}\nclips: {run: 1}", "not valid YAML: clips: got it 2 times; expected once"),
        ("clips:\n  walk: 1\n  walk: 2", "not valid YAML: walk: got it 2 times; expected once"),
        ("clips: [", "not valid YAML: while parsing a flow node"),
        ("- walk", "got list; expected a mapping. Available: clips, ground, groups, mirror, smooth_s, weighting"),
        ("", "got NoneType; expected a mapping."),
        ("ground: true", "clips: got None; expected at least one line `name: weight`"),
        ("clips: {}", "clips: got {}; expected at least one line `name: weight`"),
        ("clips: [walk]", "clips: got ['walk']; expected at least one line `name: weight`"),
        ("clips: {1: 1}", "clips: got name 1; expected text"),
        ("clips: {walk: -1}", "clip walk: weight: got -1; expected a number >= 0"),
        ("clips: {walk: .nan}", "clip walk: weight: got nan; expected a number >= 0"),
        ("clips: {walk: .inf}", "clip walk: weight: got inf; expected a number >= 0"),
        ("clips: {walk: true}", "clip walk: weight: got True; expected a number >= 0"),
        ("clips: {walk: much}", "clip walk: weight: got 'much'; expected a number >= 0"),
        ("clips: {walk: 0, run: 0}", "clips: got weight 0 for all; expected one above 0"),
        ("clips: {walk: 1}\nweighting: length", "weighting: got 'length'; expected one of clip, duration"),
        ("clips: {walk: 1}\nground: 1", "ground: got 1; expected true or false"),
        ("clips: {walk: 1}\nmirror: both", "mirror: got 'both'; expected true or false"),
        ("clips: {walk: 1, walk_mirror: 1}\nmirror: true", "clip walk_mirror: listed beside `mirror: true`; expected only the clips themselves"),
        ("clips: {walk: {wait: 1}}", "clip walk: key wait: unknown. Closest: weight. Available: clip, ground, loop_s, mirror, range_s, tags, tempo, turn_rad_s, weight"),
        ("clips: {walk: {weight: -1}}", "clip walk: weight: got -1; expected a number >= 0"),
        ("clips: {walk: {clip: 3}}", "clip walk: clip: got 3; expected a clip's name"),
        ("clips: {walk: {mirror: 1}}", "clip walk: mirror: got 1; expected true or false"),
        ("clips: {walk: {tags: slow}}", "clip walk: tags: got 'slow'; expected a list of words"),
        ("clips: {walk: {range_s: [1, 1]}}", "clip walk: range_s: got [1, 1]; expected [start, end] in seconds, 0 <= start < end"),
        ("clips: {walk: {tempo: 5}}", "clip walk: tempo: got 5; expected a number from 0.25 to 4"),
        ("clips: {walk: {loop_s: -1}}", "clip walk: loop_s: got -1; expected seconds, 0 or more"),
        ("clips: {walk: {loop_s: true}}", "clip walk: loop_s: got True; expected seconds, 0 or more"),
        ("clips: {walk: {turn_rad_s: -7}}", "clip walk: turn_rad_s: got -7; expected rad/s from -6 to 6, to the left if positive"),
        ("clips: {walk: {turn_rad_s: left}}", "clip walk: turn_rad_s: got 'left'; expected rad/s from -6 to 6, to the left if positive"),
        ("clips: {walk: {tempo: true}}", "clip walk: tempo: got True; expected a number from 0.25 to 4"),
        ("clips: {walk: {range_s: 3}}", "clip walk: range_s: got 3; expected [start, end] in seconds, 0 <= start < end"),
        ("clips: {walk: {mirror: true}, walk_mirror: 1}", "clip walk_mirror: got it 2 times, mirror images counted; expected each name once"),
        ("groups: [walk]", "groups: got ['walk']; expected lines `name:` with weight and clips"),
        ("groups: {slow: 1}", "group slow: got 1; expected a name and a mapping. Available: clips, tags, weight"),
        ("groups: {slow: {clip: {walk: 1}}}", "group slow: key clip: unknown. Closest: clips. Available: clips, tags, weight"),
        ("groups: {slow: {weight: 1}}", "group slow: clips: got None; expected at least one line `name: weight`"),
        ("groups: {slow: {weight: x, clips: {walk: 1}}}", "group slow: weight: got 'x'; expected a number >= 0"),
        ("groups: {slow: {weight: 0, clips: {walk: 1}}}", "clips: got weight 0 for all; expected one above 0"),
        ("clips: {walk: 1}\ngroups: {slow: {clips: {walk: 1}}}", "clip walk: got it 2 times, mirror images counted; expected each name once"),
    ],
)
def test_loading_is_strict(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=re.escape(f"dataset {path}: {message}")):
        load_dataset(path, tmp_path)


def test_an_unknown_dataset_lists_the_known(tmp_path):
    write(tmp_path, "clips: {walk: 1}")
    with pytest.raises(ValueError, match=r"dataset yours: not found. Available: mine, or a path that ends in .yaml"):
        load_dataset("yours", tmp_path)


@pytest.mark.parametrize(("weighting", "expected"), [("clip", [0.25, 0.75]), ("duration", [0.5, 0.5])])
def test_weights_count_clips_or_seconds(tmp_path, clips_dir, skeleton, weighting, expected):
    path = write(tmp_path, f"weighting: {weighting}\nclips: {{long: 1, short: 3, absent: 0}}")
    library = build_library(load_dataset(path, tmp_path), clips_dir, skeleton)
    assert library.names == ("long", "short")
    torch.testing.assert_close(library.weights, torch.tensor(expected))


@pytest.mark.parametrize("ground", [True, False])
def test_ground_is_passed_on(tmp_path, clips_dir, skeleton, ground):
    path = write(tmp_path, f"ground: {str(ground).lower()}\nclips: {{short: 1}}")
    state = build_library(load_dataset(path, tmp_path), clips_dir, skeleton).state_at(torch.tensor([0]), torch.tensor([0.5]))
    assert (abs(float(skeleton.lowest_point(state.body_pos_w, state.body_mat_w))) < 1e-4) == ground


def test_a_mirror_image_without_a_file_is_made(tmp_path, clips_dir, skeleton):
    path = write(tmp_path, "mirror: true\nclips: {long: 1}")
    library = build_library(load_dataset(path, tmp_path), clips_dir, skeleton)
    assert library.names == ("long", "long_mirror")
    y = library.state_at(torch.tensor([0, 1]), torch.tensor([2.0, 2.0])).root_pos[:, 1]
    assert float(y[0]) == pytest.approx(2 * (1 - np.cos(1.0)), abs=1e-4)  # a left turn, and its image a right turn
    assert float(y[1]) == pytest.approx(-float(y[0]))


def test_a_mirror_image_with_a_file_is_read(clips_dir):
    other = replace(mirror(Clip.load(clips_dir / "short.npz")), source="by hand")
    other.save(clips_dir / "long_mirror.npz")
    assert load_clip("long_mirror", clips_dir).source == "by hand"


def test_a_missing_clip_says_where_and_how_to_get_it(tmp_path, clips_dir, skeleton):
    dataset = load_dataset(write(tmp_path, "clips: {walk: 1}"), tmp_path)
    text = f"clip walk of dataset mine: not in {clips_dir}; get the free clips with: python run.py motions fetch. Available: long, short"
    with pytest.raises(ValueError, match=re.escape(text)):
        build_library(dataset, clips_dir, skeleton)
    with pytest.raises(ValueError, match=r"clip walk: not in .*nowhere; get .* Available: none"):
        load_clip("walk", tmp_path / "nowhere")


def test_the_shipped_datasets():
    walk, locomotion, full = (load_dataset(name, SHIPPED) for name in ("walk", "locomotion", "full"))
    assert [name for name, _ in walk.clips] == ["walk"]
    assert len(locomotion.clips) == 14
    assert {name for name, weight in locomotion.clips if weight == 2.0} == {"run", "run_mirror"}
    assert {name for name, _ in full.clips} == {name + end for name in CLIPS for end in ("", "_mirror")}
    assert [name for name, _ in full.clips[: len(locomotion.clips)]] == [name for name, _ in locomotion.clips], "trained skills of locomotion can be taught the rest"
    assert dict(full.clips)["backflip"] > dict(full.clips)["walk"], "what is known weighs less"
    flights = {"run", "jump", "spinkick", "backflip"}
    assert not {entry.name for entry in full.entries if entry.ground} & flights, "a landing would lift them"


RICH = """
mirror: true
clips:
  long: {weight: 3, mirror: false, tags: [far]}
  start: {clip: long, weight: 1, range_s: [0.0, 1.0], tags: [far, part]}
groups:
  rest:
    weight: 2
    tags: [near]
    clips:
      short: 1
      short_end: {clip: short, weight: 3, range_s: [0.5, 1.0], mirror: false}
"""


def test_groups_share_a_weight_and_parts_are_cut(tmp_path, clips_dir, skeleton):
    library = build_library(load_dataset(write(tmp_path, RICH), tmp_path), clips_dir, skeleton)
    assert library.names == ("long", "start", "start_mirror", "short", "short_mirror", "short_end")
    torch.testing.assert_close(library.weights, torch.tensor([3, 1, 1, 0.4, 0.4, 1.2]) / 7)
    torch.testing.assert_close(library.durations_s, torch.tensor([3.0, 1.0, 1.0, 1.0, 1.0, 0.5]))
    ends = library.state_at(torch.tensor([0, 1, 2]), torch.ones(3)).root_pos
    torch.testing.assert_close(ends[1], ends[0])
    torch.testing.assert_close(ends[2], ends[0] * torch.tensor([1.0, -1.0, 1.0]))
    assert library.loops.tolist() == [True, False, False, True, True, False]


def test_a_groups_weight_is_kept_when_lengths_count(tmp_path, clips_dir, skeleton):
    library = build_library(load_dataset(write(tmp_path, "weighting: duration" + RICH), tmp_path), clips_dir, skeleton)
    torch.testing.assert_close(library.weights, torch.tensor([9, 1, 1, 2 * 1 / 3.5, 2 * 1 / 3.5, 2 * 1.5 / 3.5]) / 13)


def test_clips_are_chosen_by_tag(tmp_path):
    dataset = load_dataset(write(tmp_path, RICH), tmp_path)
    assert dataset.tags == ("far", "near", "part")
    assert [e.name for e in dataset.tagged("far").entries] == ["long", "start", "start_mirror"]
    assert [e.name for e in dataset.tagged("far", "part").entries] == ["start", "start_mirror"]
    with pytest.raises(ValueError, match=r"dataset mine: tag fast: on no clip. Available: far, near, part"):
        dataset.tagged("fast")
    with pytest.raises(ValueError, match=r"dataset mine: tags near, part: got no clip that carries all; expected at least one. Available: far, near, part"):
        dataset.tagged("near", "part")


def test_a_cut_keeps_both_ends(skeleton):
    clip = synthetic.constant_velocity(skeleton, (1.0, 0.0, 0.0), duration_s=2.0, fps=30.0)
    part = cut(clip, 0.5, 1.5)
    assert (part.num_frames, part.duration_s, part.loop) == (31, 1.0, "none")
    np.testing.assert_allclose(part.root_pos[[0, -1], 0], [0.5, 1.5])
    for start, end in ((0.0, 2.2), (1.0, 1.01)):
        with pytest.raises(ValueError, match=rf"clip constant_velocity: range_s: got \[{start:g}, {end:g}\]; expected a part of at least two frames within 0 to 2.000 s"):
            cut(clip, start, end)


def test_one_clip_can_be_put_on_the_floor_alone(tmp_path, skeleton):
    high = synthetic.constant_velocity(skeleton, height_m=1.5)
    for name in ("a", "b"):
        replace(high, name=name).save(tmp_path / f"{name}.npz")
    for text, expected in (
        ("clips: {a: {ground: true}, b: 1}", (True, False)),
        ("ground: true\nclips: {a: 1, b: {ground: false}}", (True, False)),
        ("ground: true\nclips: {a: 1}\ngroups: {more: {clips: {b: 1}}}", (True, True)),
    ):
        library = build_library(load_dataset(write(tmp_path, text), tmp_path), tmp_path, skeleton)
        state = library.state_at(torch.arange(2), torch.full((2,), 0.5))
        feet = skeleton.lowest_point(state.body_pos_w, state.body_mat_w)
        assert tuple(abs(float(low)) < 1e-6 for low in feet) == expected, text
        assert max(feet) < 0.01 or max(feet) > 0.5


def test_a_clip_can_be_played_faster(tmp_path, clips_dir, skeleton):
    """A circle of 3 s at 1.5 times its tempo takes 2 s: the same way, half as fast again."""
    path = write(tmp_path, "mirror: true\nclips: {long: 1, quick: {clip: long, tempo: 1.5}}")
    library = build_library(load_dataset(path, tmp_path), clips_dir, skeleton)
    assert library.names == ("long", "long_mirror", "quick", "quick_mirror")
    torch.testing.assert_close(library.durations_s, torch.tensor([3.0, 3.0, 2.0, 2.0]))
    slow, quick = (library.state_at(torch.tensor([k]), torch.tensor([t])) for k, t in ((0, 1.2), (2, 0.8)))
    torch.testing.assert_close(quick.root_pos, slow.root_pos, atol=1e-5, rtol=0)
    torch.testing.assert_close(quick.root_lin_vel, 1.5 * slow.root_lin_vel, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(quick.root_ang_vel, 1.5 * slow.root_ang_vel, atol=1e-3, rtol=1e-3)


def test_a_clip_can_be_bent_into_a_turn(tmp_path, clips_dir, skeleton):
    """At twice the tempo a circle turns twice as fast, and by 0.5 rad/s more; its mirror image to the other side."""
    path = write(tmp_path, "mirror: true\nclips: {long: 1, sharp: {clip: long, tempo: 2, turn_rad_s: 0.5}}")
    library = build_library(load_dataset(path, tmp_path), clips_dir, skeleton)
    rates = [float(library.state_at(torch.tensor([k]), torch.tensor([0.7])).root_ang_vel[0, 2]) for k in range(4)]
    assert rates[1] == pytest.approx(-rates[0], abs=1e-4)
    assert rates[2] == pytest.approx(2 * rates[0] + 0.5, abs=0.02)
    assert rates[3] == pytest.approx(-rates[2], abs=1e-4)


def test_a_clip_can_be_joined_to_its_own_beginning(tmp_path, clips_dir, skeleton):
    path = write(tmp_path, "mirror: true\nclips: {part: {clip: long, range_s: [0.0, 2.0], loop_s: 0.5}, once: {clip: long, range_s: [0.0, 2.0]}}")
    library = build_library(load_dataset(path, tmp_path), clips_dir, skeleton)
    assert dict(zip(library.names, library.loops.tolist(), strict=True)) == {"part": True, "part_mirror": True, "once": False, "once_mirror": False}
    assert library.durations_s.tolist() == pytest.approx([2.0] * 4)
    here, there = (library.state_at(torch.tensor([k, k + 1]), torch.full((2,), t)) for k, t in ((0, 0.5), (2, 1.0)))
    torch.testing.assert_close(here.body_pos_w, there.body_pos_w, atol=1e-4, rtol=0)  # it begins after what its end goes over into
    with pytest.raises(ValueError, match=r"loop_s: got 0.5 for a clip that loops; expected none"):
        build_library(load_dataset(write(tmp_path, "clips: {short: {loop_s: 0.5}}"), tmp_path), clips_dir, skeleton)

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
from motions.dataset import build_library, load_clip, load_dataset
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
        assert (got.name, got.clips, got.weighting, got.ground) == ("mine", (("walk", 1.0), ("run", 0.5)), "duration", True)


def test_defaults(tmp_path):
    got = load_dataset(write(tmp_path, "clips: {walk: 1}"), tmp_path)
    assert (got.clips, got.weighting, got.ground) == ((("walk", 1.0),), "clip", False)


def test_mirror_adds_each_clips_image_at_the_same_weight(tmp_path):
    got = load_dataset(write(tmp_path, "mirror: true\nclips: {walk: 1, run: 2}"), tmp_path)
    assert got.clips == (("walk", 1.0), ("walk_mirror", 1.0), ("run", 2.0), ("run_mirror", 2.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clips: {walk: 1}\nweigting: clip", "key weigting: unknown. Closest: weighting. Available: clips, ground, mirror, weighting"),
        ("clips: {walk: 1}\nzzz: 1", "key zzz: unknown. Available: clips, ground, mirror, weighting"),
        ("clips: {walk: 1}\nclips: {run: 1}", "not valid YAML: clips: got it 2 times; expected once"),
        ("clips:\n  walk: 1\n  walk: 2", "not valid YAML: walk: got it 2 times; expected once"),
        ("clips: [", "not valid YAML: while parsing a flow node"),
        ("- walk", "got list; expected a mapping. Available: clips, ground, mirror, weighting"),
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
    share = sum(weight for name, weight in full.clips if name in dict(locomotion.clips)) / sum(weight for _, weight in full.clips)
    assert share == pytest.approx(0.5, abs=0.03)

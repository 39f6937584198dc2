"""``run.py skill`` and the skill book."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import run
from ase.skill_search import Found, Measured, play
from cfg.commands.skill import STARTS, clear
from cfg.skill_book import BOOK, load_book, require_writable, save_skill
from cfg.wiring import latents_of, load_policy, load_skills, load_world, make_env, read_skills
from envs.assist import AssistConfig
from motions.skeleton import Skeleton
from motions.synthetic import sine_gait
from tests.commands import error_line

FAST = ["--seconds", "0.5", "--candidates", "8", "--rounds", "1"]


@pytest.fixture
def own(trained: Path, tmp_path: Path) -> Path:
    """A run of preset `tiny` that may be changed."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_a_skill_is_found_named_drawn_and_shown_by_its_name(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CHARACTER_RENDERER", "stick")
    strip = tmp_path / "skill.png"
    assert run.main(["skill", str(own), "--like", "walk", "--name", "stroll", "--strip", str(strip), "--size", "64", *FAST]) == 0
    said = capsys.readouterr().out
    assert "like walk" in said
    assert "random latents" in said
    assert strip.stat().st_size > 0
    book = json.loads((own / BOOK).read_text())
    assert set(book) == {"stroll"}
    assert book["stroll"]["like"] == "walk"
    assert math.hypot(*book["stroll"]["latent"]) == pytest.approx(1.0, abs=1e-3)
    assert run.main(["render", str(own), "--skills", "stroll", "--strip", str(tmp_path / "r.png"), "--seconds", "0.5", "--size", "64"]) == 0
    assert f"skill strol: not in run {own}. Closest: stroll. Available: all; in its skill book: stroll" in error_line(
        capsys, "render", str(own), "--strip", str(tmp_path / "r.png"), "--skills", "strol"
    )


def test_an_unseen_clip_by_path_gives_its_name(own: Path, clips_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other.npz"
    shutil.copy(clips_dir / "walk.npz", copy)
    assert run.main(["skill", str(own), "--like", str(copy), *FAST]) == 0
    book = json.loads((own / BOOK).read_text())
    assert set(book) == {"other"}, "the name that the file has"
    assert book["other"]["like"] == str(copy)


def test_a_short_clip_that_does_not_loop_is_started_on_at_different_times(own: Path, tmp_path: Path, skeleton: Skeleton, capsys: pytest.CaptureFixture[str]) -> None:
    """Were all starts the same, the figures would have no error, and say more than they know."""
    once = tmp_path / "once.npz"
    replace(sine_gait(skeleton), name="once", loop="none").save(once)
    assert run.main(["skill", str(own), "--like", str(once), "--seconds", "9", *FAST[2:]]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("│ random latents"))
    assert "± 0.0%" not in row, row


def test_a_skill_can_be_searched_for_from_where_somebody_stands(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is judged by what comes two seconds later, and shown from the rest pose."""
    acted = []

    def watched(env, act, z, clip_ids, times_s, steps, distance, skip):
        acted.append((clip_ids.tolist(), times_s, steps, skip))
        return play(env, act, z, clip_ids, times_s, steps, distance, skip)

    def early(state, character):
        return torch.arange(len(state.root_pos)) < 12

    monkeypatch.setattr("cfg.commands.skill.play", watched)
    monkeypatch.setattr("cfg.commands.skill.stands", early)
    monkeypatch.setenv("CHARACTER_RENDERER", "stick")
    strip = tmp_path / "skill.png"
    assert run.main(["skill", str(own), "--like", "walk", "--from-standing", "--strip", str(strip), "--size", "64", *FAST]) == 0
    assert all((clips, steps, skip) == ([0] * STARTS, 75, 60) for clips, _, steps, skip in acted)
    times = torch.cat([times for _, times, _, _ in acted])
    assert {round(30 * float(time)) for time in times} == {4, 5, 6, 7, 8, 9, 10, 11}, "of these moments none has too little before it for a window"
    assert strip.stat().st_size > 0
    assert set(load_book(own, 4)) == {"walk"}
    monkeypatch.setattr("cfg.commands.skill.stands", lambda state, character: torch.zeros(len(state.root_pos), dtype=torch.bool))
    line = error_line(capsys, "skill", str(own), "--like", "walk", "--from-standing", *FAST)
    assert "--from-standing: in none of the clips walk somebody stands or walks; expected one, or the search without it" in line


def test_clips_of_the_folder_are_known_by_name_and_their_mirror_images(own: Path, clips_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    shutil.copytree(clips_dir, folder)
    shutil.copy(clips_dir / "walk.npz", folder / "amble.npz")
    for name in ("amble", "amble_mirror"):
        assert run.main(["skill", str(own), "--like", name, "--clips-dir", str(folder), *FAST]) == 0
    assert set(load_book(own, 4)) == {"amble", "amble_mirror"}


@pytest.mark.parametrize(("gain", "error", "plain"), [(0.3, 0.1, True), (0.3, 0.2, False), (-0.3, 0.1, False)])
def test_a_gain_within_two_errors_is_not_clear(gain: float, error: float, plain: bool) -> None:
    assert clear(Found(torch.ones(1), "search", {"random latents": Measured(1.0, 0.0, gain, error)}, ())) == plain


def test_the_same_seed_finds_the_same_skill(own: Path) -> None:
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert run.main(["skill", str(own), "--like", "walk", "--name", name, "--seed", seed, *FAST]) == 0
    book = load_book(own, 4)
    assert torch.equal(book["a"], book["b"])
    assert not torch.equal(book["a"], book["c"])


def test_the_book_wins_by_name_but_all_are_the_clips(tmp_path: Path, clips_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cells"
    assert run.main(["pretrain", "tiny", "--out", str(out), "--clips-dir", str(clips_dir), "--train.max-samples", "0", "--train.latents.clip-share", "0.5"]) == 0
    config, tree = load_skills(out)
    character, library = load_world(config)
    learner = load_policy(config, tree, make_env(config, character, library, 0), out)
    mine = torch.tensor([0.0, 0.0, 1.0, 0.0])
    assert torch.equal(latents_of(["walk"], learner, library, out, {"walk": mine})["walk"], mine)
    assert torch.equal(latents_of(["all"], learner, library, out, {"walk": mine})["walk"], learner.anchors.points[0])
    assert torch.equal(latents_of(["walk"], learner, library, out)["walk"], learner.anchors.points[0])
    save_skill(out, "stroll", mine, "walk", 0.5)
    line = error_line(capsys, "render", str(out), "--strip", str(tmp_path / "r.png"), "--skills", "wlk")
    assert f"skill wlk: not in run {out}. Closest: walk. Available: all, walk; in its skill book: stroll" in line


def test_what_cannot_be_searched_for_is_one_line(own: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = error_line(capsys, "skill", str(own), "--like", "wolk", *FAST)
    assert "clip wolk: got neither a clip of run nor of folder" in line
    assert "expected one. Closest: walk. Available: of the run: walk; in the folder: walk" in line
    assert "clip file nowhere/x.npz: not found" in error_line(capsys, "skill", str(own), "--like", "nowhere/x.npz", *FAST)
    assert "--name: got all; expected another name" in error_line(capsys, "skill", str(own), "--like", "walk", "--name", "all", *FAST)
    assert "skill search: candidates: got 3; expected at least 8" in error_line(capsys, "skill", str(own), "--like", "walk", "--candidates", "3")
    line = error_line(capsys, "skill", str(own), "--like", "walk", "--seconds", "0.1")
    assert "clip walk: leaves 3 control steps to act out; expected at least 10, of a longer clip or with more --seconds" in line
    (own / BOOK).write_text("[]")
    assert f"skill book {own / BOOK}: got list; expected a JSON object of named skills, each with a latent of 4 numbers" in error_line(capsys, "skill", str(own), "--like", "walk")
    assert (own / BOOK).read_text() == "[]", "it is left as it is"


def test_skills_without_latents_have_none_to_find(tmp_path: Path, clips_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "plain"
    assert run.main(["pretrain", "tiny", "--out", str(out), "--clips-dir", str(clips_dir), "--train.latents.dim", "0"]) == 0
    assert f"run {out}: preset tiny: has no latents; expected skills trained with them, such as preset locomotion" in error_line(capsys, "skill", str(out), "--like", "walk")


def test_the_book_keeps_what_it_has_and_replaces_by_name(tmp_path: Path) -> None:
    assert load_book(tmp_path, 2) == {}
    save_skill(tmp_path, "a", torch.tensor([1.0, 0.0]), "walk", 0.5)
    save_skill(tmp_path, "b", torch.tensor([0.0, 1.0]), "run", 0.25)
    save_skill(tmp_path, "a", torch.tensor([0.0, -1.0]), "walk", 0.4)
    assert {name: z.tolist() for name, z in load_book(tmp_path, 2).items()} == {"a": [0.0, -1.0], "b": [0.0, 1.0]}
    assert [p.name for p in tmp_path.iterdir()] == [BOOK], "nothing half written is left"


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("{", "got Expecting property name"),
        ('{"a": {"latent": [1, 2, 3]}}', "a: got 3 numbers"),
        ('{"a": {"latent": [1, "x"]}}', "a: got no list of numbers"),
        ('{"a": {"latent": [1, NaN]}}', "a: got no list of numbers"),
        ('{"a": 3}', "a: got no list of numbers"),
        ('{"a": {"latent": [true, false]}}', "a: got no list of numbers"),
        (f'{{"a": {{"latent": [{"9" * 400}, 0]}}}}', "a: got no list of numbers"),
        ('{"a": {"latent": [0, 0]}}', "a: got 2 numbers of norm 0;"),
        ('{"a": {"latent": [1, 1]}}', "a: got 2 numbers of norm 1.41421;"),
        ("[" * 100_000, "got maximum recursion depth exceeded"),
    ],
)
def test_a_broken_book_is_refused(tmp_path: Path, text: str, got: str) -> None:
    (tmp_path / BOOK).write_text(text)
    with pytest.raises(ValueError, match=re.escape(got)) as refused:
        load_book(tmp_path, 2)
    assert str(tmp_path / BOOK) in str(refused.value)
    assert "expected a JSON object of named skills, each with a latent of 2 numbers on the unit sphere" in str(refused.value)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    for write in (lambda run: save_skill(run, "a", torch.tensor([1.0, 0.0]), "walk", 0.5), lambda run: require_writable(run / BOOK)):
        with pytest.raises(ValueError, match=r"file .*skill_book\.json: cannot be written: No such file or directory; expected a folder that can, such as a copy of the run"):
            write(tmp_path / "nowhere")
    require_writable(tmp_path / BOOK)
    assert not list(tmp_path.iterdir())


def test_skills_are_read_without_the_help_and_the_starts_of_their_training(tmp_path: Path, clips_dir: Path) -> None:
    out = tmp_path / "held"
    helped = ["--env.assist.hold", "0.5", "--env.start.approach", "0.25"]
    assert run.main(["pretrain", "tiny", "--out", str(out), "--clips-dir", str(clips_dir), "--train.max-samples", "0", *helped]) == 0
    env = read_skills(out)[1]["config"]["env"]
    assert (env["assist"]["hold"], env["start"]["approach"]) == (0.5, 0.25)
    alone = load_skills(out)[0].env
    assert alone.assist == AssistConfig()
    assert (alone.start.approach, alone.start.clip) == (0.0, 0.6)

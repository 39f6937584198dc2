"""``run.py skill`` and the skill book."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path

import pytest
import torch

import run
from cfg.skill_book import BOOK, load_book, save_skill
from tests.commands import error_line

FAST = ["--seconds", "0.5", "--search.candidates", "8", "--search.rounds", "1"]


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
    assert f"skill strol: not in run {own}. Closest: stroll. Available: all, stroll" in error_line(
        capsys, "render", str(own), "--strip", str(tmp_path / "r.png"), "--skills", "strol"
    )


def test_an_unseen_clip_by_path_gives_its_name(own: Path, clips_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other.npz"
    shutil.copy(clips_dir / "walk.npz", copy)
    assert run.main(["skill", str(own), "--like", str(copy), *FAST]) == 0
    assert set(json.loads((own / BOOK).read_text())) == {"walk"}, "the name that the clip has"


def test_what_cannot_be_searched_for_is_one_line(own: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "clip wolk" in error_line(capsys, "skill", str(own), "--like", "wolk", *FAST)
    assert "; clips of the run: walk" in error_line(capsys, "skill", str(own), "--like", "wolk", *FAST)
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
    ],
)
def test_a_broken_book_is_refused(tmp_path: Path, text: str, got: str) -> None:
    (tmp_path / BOOK).write_text(text)
    with pytest.raises(ValueError, match=re.escape(got)) as refused:
        load_book(tmp_path, 2)
    assert str(tmp_path / BOOK) in str(refused.value)
    assert "expected a JSON object of named skills, each with a latent of 2 numbers" in str(refused.value)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"skill book .*: cannot be written: No such file or directory; expected a folder that can"):
        save_skill(tmp_path / "nowhere", "a", torch.ones(2), "walk", 0.5)

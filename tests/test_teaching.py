"""Runs that are taught what simulated characters did when they followed the clips."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import run
from envs.samcon import Samcon, Track
from tests.commands import COACHED, TRACKED, error_line


def test_clips_are_followed_once_and_skills_are_taught_those_that_they_do_not_know(tmp_path: Path, clips_dir: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = tmp_path / "more.yaml"
    more.write_text("clips: {walk: 1, quick: {clip: walk, tempo: 1.5}}")
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--dataset", str(more), *TRACKED, "--train.max-samples"]
    new, other, taught = (str(tmp_path / name) for name in ("new", "other", "taught"))
    assert run.main([*args, "128", "--out", new]) == 0
    out = capsys.readouterr().out
    assert "walk                     followed for " in out
    assert "quick                    followed for " in out
    tracks = load_file(Path(new) / "tracks.safetensors")
    assert sorted(tracks) == [f"{name}/{part}" for name in ("quick", "walk") for part in ("action", "qpos", "qvel")]
    assert run.main([*args, "256", "--out", new, "--resume"]) == 0
    assert "followed for" not in capsys.readouterr().out
    assert run.main([*args, "128", "--out", other, "--tracks", new]) == 0
    assert "followed for" not in capsys.readouterr().out
    whole, again = (load_file(Path(run_dir) / "skills.safetensors") for run_dir in (new, other))
    assert torch.equal(load_file(Path(other) / "tracks.safetensors")["walk/action"], tracks["walk/action"])
    assert whole.keys() == again.keys()
    assert run.main([*args, "128", "--out", taught, "--skills", str(trained)]) == 0
    out = capsys.readouterr().out
    assert "quick                    followed for " in out
    assert "walk  " not in out
    assert "cloned the clips' actions" in out


def test_what_was_followed_is_rehearsed_as_before_when_a_run_is_resumed_and_missed_if_it_is_gone(tmp_path: Path, clips_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = tmp_path / "more.yaml"
    more.write_text("clips: {walk: 1, quick: {clip: walk, tempo: 1.5}}")
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--dataset", str(more), *TRACKED, "--train.clone.rehearse-samples", "4000", "--train.max-samples"]
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    assert run.main([*args, "128", "--out", str(parts)]) == 0
    assert run.main([*args, "256", "--out", str(parts), "--resume"]) == 0
    assert run.main([*args, "256", "--out", str(whole), "--tracks", str(parts)]) == 0
    once, twice = (load_file(folder / "checkpoint.safetensors") for folder in (whole, parts))
    modules = [key for key in once if key.startswith("shared/modules/")]
    assert len(modules) > 10
    for key in modules:
        assert torch.equal(once[key], twice[key]), key
    (parts / "tracks.safetensors").unlink()
    assert error_line(capsys, *args, "384", "--out", str(parts), "--resume") == f"error: checkpoint {parts}/tracks.safetensors: not found"


def test_clips_that_were_followed_before_an_interruption_are_not_followed_again(
    tmp_path: Path, clips_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more = tmp_path / "more.yaml"
    more.write_text("clips: {walk: 1, quick: {clip: walk, tempo: 1.5}}")
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--dataset", str(more), *TRACKED, "--train.max-samples", "128", "--out", str(tmp_path / "run")]
    follow = Samcon.track

    def stop(self: Samcon, clip: int) -> Track:
        if clip == 1:
            raise ValueError("power cut")
        return follow(self, clip)

    with monkeypatch.context() as patch:
        patch.setattr(Samcon, "track", stop)
        assert error_line(capsys, *args) == "error: power cut"
    assert run.main(args) == 0
    out = capsys.readouterr().out
    assert "quick                    followed for " in out
    assert "walk   " not in out


@pytest.mark.parametrize("ends", [True, False])
def test_joins_are_followed_and_what_cannot_be_followed_to_its_end_is_not_taught(
    tmp_path: Path, clips_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ends: bool
) -> None:
    more = tmp_path / "more.yaml"
    more.write_text("clips: {walk: 1, quick: {clip: walk, tempo: 1.5}}")
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--dataset", str(more), *TRACKED, "--train.clone.joins", "1", "--train.max-samples", "128", "--out"]
    monkeypatch.setattr(Track, "complete", ends)
    new, other = (str(tmp_path / name) for name in ("new", "other"))
    assert run.main([*args, new]) == 0
    out = capsys.readouterr().out
    for name in ("walk", "quick", "walk>quick", "quick>walk"):
        assert f"{name:24} followed for " in out
    tracks = load_file(Path(new) / "tracks.safetensors")
    assert (len(tracks["walk>quick/action"]) > 0) == ends
    assert len(tracks["walk/action"]) > 0  # a clip itself is learned from as far as it can be followed
    assert run.main([*args, other, "--tracks", new]) == 0
    assert "followed for" not in capsys.readouterr().out  # nor is what was lost tried again
    assert run.main([*args, new, "--train.max-samples", "256", "--resume"]) == 0
    assert "followed for" not in capsys.readouterr().out


def test_a_run_without_tracks_is_named(tmp_path: Path, clips_dir: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), *TRACKED, "--out", str(tmp_path / "run"), "--tracks", str(trained)]
    assert error_line(capsys, *args) == f"error: checkpoint {trained / 'tracks.safetensors'}: not found"
    args.remove("--train.clone.tracked")
    assert error_line(capsys, *args) == f"error: run.py pretrain: --tracks: got {trained} with neither --train.clone.tracked nor --train.coach.rounds; expected one of them"


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Half a second of a walk, closed, and a dataset of it."""
    monkeypatch.setattr("cfg.coached.REFINERS", 16)
    (tmp_path / "short.yaml").write_text("clips: {walk: {range_s: [0.0, 0.6], loop_s: 0.2}}")
    return str(tmp_path / "short.yaml")


def test_a_policy_is_coached_along_motions_that_are_found_once_and_rehearses_what_it_was_told(
    tmp_path: Path, clips_dir: Path, trained: Path, short: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Track, "complete", True)
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--dataset", short, *COACHED, "--train.clone.rehearse-samples", "4000", "--train.max-samples"]
    new, other, again = (tmp_path / name for name in ("new", "other", "again"))
    assert run.main([*args, "128", "--out", str(new)]) == 0
    out = capsys.readouterr().out
    assert "walk                     followed for " in out
    assert "walk                     refined: cost " in out
    assert "of 1 motions 0 % of the pairs lead into each other, 0 % by way of others" in out
    assert "coached, round 2 (100 %): error 0." in out
    assert "cloned the clips' actions" not in out
    motions, lessons = (load_file(new / f"{name}.safetensors") for name in ("motions", "lessons"))
    assert sorted(motions) == ["walk/action", "walk/qpos", "walk/qvel"]
    assert len(lessons["clip"]) == len(lessons["obs"]) == 2 * 4 * 16  # rounds, steps, characters
    assert run.main([*args, "256", "--out", str(new), "--resume"]) == 0
    assert "coached, round" not in capsys.readouterr().out
    assert run.main([*args, "256", "--out", str(other), "--tracks", str(new)]) == 0
    out = capsys.readouterr().out
    assert "followed for" not in out
    assert "coached, round 2 (100 %)" in out
    once, twice = (load_file(folder / "checkpoint.safetensors") for folder in (new, other))
    for key in once:
        if key.startswith("shared/modules/"):
            assert torch.equal(once[key], twice[key]), key
    (new / "lessons.safetensors").unlink()
    assert error_line(capsys, *args, "384", "--out", str(new), "--resume") == f"error: checkpoint {new}/lessons.safetensors: not found"
    assert run.main([*args, "128", "--out", str(again), "--tracks", str(new), "--skills", str(trained)]) == 0  # a clip that loops is coached, known or not
    assert "coached, round 2 (100 %)" in capsys.readouterr().out


def test_coaching_without_a_clip_that_can_be_followed_is_named(
    tmp_path: Path, clips_dir: Path, trained: Path, short: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Track, "complete", False)
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--dataset", short, *COACHED, "--out", str(tmp_path / "run")]
    assert error_line(capsys, *args) == "error: coach: rounds: got 2, but no clip could be followed; expected at least one"
    found = error_line(capsys, *args, "--tracks", str(trained))
    assert found == f"error: checkpoint {trained / 'motions.safetensors'}: not found"


def test_clips_that_end_and_are_known_are_remembered_not_coached(tmp_path: Path, clips_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    more = tmp_path / "more.yaml"
    more.write_text("clips: {walk: {range_s: [0.0, 0.6], loop_s: 0.2}, once: {clip: walk, range_s: [0.0, 0.6]}}")
    monkeypatch.setattr(Track, "complete", True)
    monkeypatch.setattr("cfg.coached.best_refined", lambda dynamics, path, *rest: (path, 0.25, 0.5))
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--dataset", str(more), "--train.max-samples", "128", "--out"]
    old, new, all_new = (str(tmp_path / name) for name in ("old", "new", "all_new"))
    assert run.main([*args, old]) == 0
    capsys.readouterr()
    assert run.main([*args, new, *COACHED, "--skills", old]) == 0
    out = capsys.readouterr().out
    assert "once   " not in out
    assert "walk                     refined: cost 0.50; with noise 25 % lose it" in out
    assert "of 1 motions" in out
    assert run.main([*args, all_new, *COACHED]) == 0
    assert "of 2 motions" in capsys.readouterr().out

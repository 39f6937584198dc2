"""Runs that are taught what simulated characters did when they followed the clips."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import run
from envs.samcon import Samcon, Track
from tests.commands import TRACKED, error_line


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
    assert error_line(capsys, *args) == f"error: run.py pretrain: --tracks: got {trained} without --train.clone.tracked; expected both or neither"

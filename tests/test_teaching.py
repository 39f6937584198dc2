"""Runs that are coached along what simulated characters did when they followed the clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import run
from ase.cloning import CloneConfig, remember
from ase.coaching import CoachConfig
from cfg.presets import preset
from cfg.teaching import to_follow
from envs.character import load_character
from envs.samcon import Track
from motions.clip import mirror
from motions.library import MotionLibrary
from tests.commands import COACHED, error_line
from tests.envs.helpers import gait_clip


def test_motions_that_nobody_is_coached_along_are_refused(tmp_path: Path, clips_dir: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--out", str(tmp_path / "run"), "--tracks", str(trained)]
    assert error_line(capsys, *args) == f"error: run.py pretrain: --tracks: got {trained} without --train.coach.rounds or --train.imitation-weight; expected one of them"


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Half a second of a walk, closed, and a dataset of it."""
    monkeypatch.setattr("cfg.teaching.REFINERS", 16)
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
    assert error_line(capsys, *args) == "error: clips walk: none could be followed in simulation; expected at least one"
    found = error_line(capsys, *args, "--tracks", str(trained))
    assert found == f"error: checkpoint {trained / 'motions.safetensors'}: not found"


def test_a_run_is_rewarded_for_what_physics_allows_of_the_clips(
    tmp_path: Path, clips_dir: Path, short: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Coached or not, from the motions of another run or its own; and as it was when it is resumed."""
    monkeypatch.setattr(Track, "complete", True)
    imitates = ["--train.imitation-weight", "0.5", "--train.latents.clip-share", "0.5", "--train.latents.clip-focus", "0.5", "--train.style.conditional"]
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--dataset", short, *COACHED, *imitates, "--train.max-samples"]
    coached, uncoached, plain = (tmp_path / name for name in ("coached", "uncoached", "plain"))
    assert run.main([*args, "128", "--out", str(coached)]) == 0
    assert run.main([*args, "128", "--out", str(uncoached), "--train.coach.rounds", "0", "--tracks", str(coached)]) == 0
    out = capsys.readouterr().out
    assert out.count("followed for") == 1
    assert out.count("coached, round 2") == 1
    ways = [load_file(folder / "ways.safetensors") for folder in (coached, uncoached)]
    motion = load_file(coached / "motions.safetensors")["walk/qpos"]
    for name, each in ways[0].items():
        assert torch.equal(each, ways[1][name]), name
    assert len(ways[0]["frames"]) == len(motion)
    assert run.main([*args, "128", "--out", str(plain), "--train.coach.rounds", "0"]) == 0
    assert not (plain / "ways.safetensors").exists()
    used = []
    weighed = []
    monkeypatch.setattr("ase.learner.Learner.imitate", lambda self, ways, weights: (used.append(ways), weighed.append(weights)))
    for folder, rounds in ((coached, "2"), (uncoached, "0"), (plain, "0")):
        assert run.main([*args, "256", "--out", str(folder), "--resume", "--train.coach.rounds", rounds, "--train.imitation-travel", "0.4", "0.2"]) == 0
    assert weighed[0][[7, 8, 12]].tolist() == pytest.approx([0.4, 0.4, 0.2])
    assert [len(each.frames) for each in used] == [len(motion), len(motion), len(set(used[2].after.tolist()))]
    assert not torch.equal(used[2].frames[:5], used[0].frames[:5])
    assert torch.equal(used[1].leave, ways[1]["leave"])


def test_known_clips_that_end_are_remembered_while_all_are_coached(tmp_path: Path, clips_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    more = tmp_path / "more.yaml"
    more.write_text("clips: {walk: {range_s: [0.0, 0.6], loop_s: 0.2}, once: {clip: walk, range_s: [0.0, 0.6]}}")
    monkeypatch.setattr(Track, "complete", True)
    remembered, refined = [], []
    monkeypatch.setattr("cfg.teaching.best_refined", lambda dynamics, path, *rest: refined.append(rest[-4:-1]) or (path, 0.25, 0.5))
    monkeypatch.setattr("cfg.teaching.remember", lambda env, learner, clips, steps: remembered.append(clips.tolist()) or remember(env, learner, clips, steps))
    guide = ["--guide.refine-noises", "0.02", "--guide.nearness", "7"]
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--dataset", str(more), "--train.max-samples", "128", *guide, "--out"]
    old, new, all_new = (str(tmp_path / name) for name in ("old", "new", "all_new"))
    assert run.main([*args, old]) == 0
    capsys.readouterr()
    assert run.main([*args, new, *COACHED, "--skills", old]) == 0
    out = capsys.readouterr().out
    assert remembered == [[1]]
    assert refined == [(1, (0.02,), 7.0)] * 2
    assert "once                     followed for " in out
    assert "walk                     refined: cost 0.50; with noise 25 % lose it" in out
    assert "of 2 motions" in out
    assert run.main([*args, all_new, *COACHED]) == 0
    assert len(remembered) == 1


def test_a_mirror_image_is_followed_only_for_a_character_that_is_not_its_own() -> None:
    symmetric, armed = load_character(), load_character("armed")
    gait = gait_clip(symmetric.skeleton, "gait", seconds=2.0)
    library = MotionLibrary([gait, mirror(gait), replace(gait, name="alone")], symmetric.skeleton)
    assert to_follow(symmetric, library) == ["gait", "alone"]
    assert to_follow(armed, library) == ["gait", "gait_mirror", "alone"]
    assert to_follow(symmetric, MotionLibrary([mirror(gait)], symmetric.skeleton)) == ["gait_mirror"]


def test_what_presets_begin_with() -> None:
    """Who knows nothing is coached, or taught the clips' actions and held upright; trained skills are neither."""
    for name, coached in (("walk", False), ("cloned", False), ("locomotion", True)):
        config = preset(name)
        given = (config.train.coach.rounds > 0, config.train.clone.steps == 0, config.env.assist.hold == 0)
        assert given == (coached,) * 3, name
        assert config.train.clone.rehearse_weight > 0, name
    for name in ("agile", "swift", "getup"):
        config = preset(name)
        assert (config.train.clone, config.train.coach, config.env.assist.hold) == (CloneConfig(), CoachConfig(), 0), name

"""The commands of high-level training, on tiny skills."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import run
from ase import checkpoint
from cfg.load import to_dict
from cfg.presets import preset, task_preset
from envs.tasks.location import Location
from tests.commands import error_line

SHIPPED = Path(run.__file__).parent / "ase" / "pretrained"
SMALL = ["--num-envs", "8", "--train.ppo.minibatch-size", "32", "--train.ppo.policy-hidden", "16", "--train.ppo.value-hidden", "16", "--train.ppo.rollout-steps", "4"]
SMALL += ["--train.ppo.policy-lr-end", "0", "--num-threads", "1", "--train.bf16", "off", "--episode-length-s", "1", "--train.log-every", "1"]


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Path:
    out = tmp_path_factory.mktemp("tasks") / "heading"
    assert run.main(["train-task", "heading", "--skills", str(trained), "--out", str(out), *SMALL, "--train.max-samples", "640"]) == 0
    return out


def test_a_controller_is_complete_without_the_skills_it_came_from(controller: Path, trained: Path) -> None:
    assert {"config.yaml", "checkpoint.safetensors", "controller.safetensors", "skills.safetensors"} <= {p.name for p in controller.iterdir()}
    assert (controller / "skills.safetensors").read_bytes() == (trained / "skills.safetensors").read_bytes()
    _, info = checkpoint.load(controller / "controller.safetensors", "controller")
    assert info["samples"] == 640, "counted in control steps"
    assert info["config"]["task"] == "heading"


def test_the_skills_stay_as_they_are(controller: Path, trained: Path) -> None:
    tree, _ = checkpoint.load(controller / "controller.safetensors", "controller")
    assert set(tree) == {"policy", "value", "obs_normalizer", "return_normalizer"}


def test_resume_continues_bit_for_bit(tmp_path: Path, controller: Path, trained: Path) -> None:
    command = ["train-task", "heading", "--out", str(tmp_path / "parts"), "--skills", str(trained)]
    assert run.main([*command, *SMALL, "--train.max-samples", "320"]) == 0
    assert run.main([*command, "--resume", "--train.max-samples", "640"]) == 0
    whole, parts = load_file(controller / "checkpoint.safetensors"), load_file(tmp_path / "parts" / "checkpoint.safetensors")
    compared = [key for key in whole if key.startswith(("shared/modules/", "shared/optimizers/", "own/env/"))]
    assert len(compared) > 40
    for key in compared:
        assert torch.equal(whole[key], parts[key]), key


def test_evaluate_gives_every_measure_with_its_spread(controller: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.json"
    assert run.main(["evaluate", str(controller), "--json", str(out), "--episodes", "8", "--seeds", "2"]) == 0
    measures = json.loads(out.read_text())
    for key in ("normalized_return", "success_rate", "fall_rate", "style_reward"):
        assert set(measures[key]) == {"mean", "std", "each"}
        assert len(measures[key]["each"]) == 2
    assert 0 < measures["normalized_return"]["mean"] < 1
    again = tmp_path / "again.json"
    assert run.main(["evaluate", str(controller), "--json", str(again), "--episodes", "8", "--seeds", "1", "--seed", "1"]) == 0
    assert json.loads(again.read_text())["normalized_return"]["each"] == measures["normalized_return"]["each"][1:]


def test_render_shows_characters_and_targets(controller: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARACTER_RENDERER", "stick")
    video, strip = tmp_path / "a.mp4", tmp_path / "a.png"
    command = ["render", str(controller), "--out", str(video), "--strip", str(strip), "--characters", "2", "--seconds", "0.5", "--size", "64", "--strip-seconds", "0.2"]
    assert run.main(command) == 0
    assert video.stat().st_size > 1000
    assert strip.stat().st_size > 1000


def test_a_controller_without_a_copy_finds_its_skills_by_the_way_from_its_folder(tmp_path: Path, controller: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "skills").mkdir()
    (tmp_path / "heading").mkdir()
    (tmp_path / "skills" / "skills.safetensors").write_bytes((controller / "skills.safetensors").read_bytes())
    tree, info = checkpoint.load(controller / "controller.safetensors", "controller")
    info["config"]["skills"] = "../skills"
    checkpoint.save(tmp_path / "heading" / "controller.safetensors", tree, "controller", info)
    monkeypatch.chdir(tmp_path)
    assert run.main(["evaluate", "heading", "--episodes", "4", "--seeds", "1"]) == 0


@pytest.mark.parametrize("task", sorted(path.parent.name for path in SHIPPED.glob("*/controller.safetensors")))
def test_what_is_shipped_for_a_task_acts_on_the_skills_that_its_preset_trains_on(task: str) -> None:
    _, info = checkpoint.load(SHIPPED / task / "controller.safetensors", "controller")
    skills = SHIPPED / task / info["config"]["skills"]
    assert (skills / "skills.safetensors").is_file()
    assert task_preset(task).skills == f"ase/pretrained/{skills.resolve().name}"
    assert info["config"]["task"] == task
    assert info["config"]["clips_dir"] == ""
    assert info["provenance"]["trained_with"].startswith(f"python run.py train-task {task} ")
    assert json.loads((SHIPPED / task / "evaluation.json").read_text())["normalized_return"]["mean"] > 0.4


@pytest.mark.parametrize(("task", "on_clips"), [("location", 0.2), ("strike", 0.0), ("reach", 0.0)])
def test_tasks_with_skills_of_their_own_begin_at_rest_or_mostly_and_try_what_lasts(task: str, on_clips: float) -> None:
    config, other = task_preset(task), task_preset("heading")
    assert (config.start.clip, config.start.default) == (on_clips, 1 - on_clips)
    assert config.train.ppo.noise_memory > other.train.ppo.noise_memory
    assert config.skills != other.skills
    assert task_preset(task, from_scratch=True).start == other.start


@pytest.mark.parametrize("task", ["location", "strike"])
def test_what_is_far_away_is_looked_far_ahead_for(task: str) -> None:
    assert task_preset(task).train.ppo.discount > task_preset("reach").train.ppo.discount == task_preset("heading").train.ppo.discount


def test_a_task_is_told_how_long_it_has_been_trained_and_not_where_it_is_measured(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(Location, "trained_for", lambda self, samples: told.append(samples))
    out = tmp_path / "location"
    command = ["train-task", "location", "--out", str(out), "--skills", str(trained), *SMALL, "--train.max-samples"]
    assert run.main([*command, "320"]) == 0
    assert told[0] == 0
    assert told[1:] == sorted(set(told[1:]))
    assert told[-1] == checkpoint.load(out / "controller.safetensors", "controller")[1]["samples"]
    last = told[-1]
    told.clear()
    assert run.main([*command, "640", "--resume"]) == 0
    assert told[0] == last
    told.clear()
    assert run.main(["evaluate", str(out), "--episodes", "4", "--seeds", "1"]) == 0
    assert not told
    assert task_preset("location").tasks.location.first_samples > 0 == task_preset("location", from_scratch=True).tasks.location.first_samples


def test_from_scratch_learns_joint_targets(tmp_path: Path, trained: Path) -> None:
    out = tmp_path / "scratch"
    assert run.main(["train-task", "location", "--from-scratch", "--skills", str(trained), "--out", str(out), *SMALL, "--train.max-samples", "128"]) == 0
    tree, info = checkpoint.load(out / "controller.safetensors", "controller")
    assert info["samples"] == 128
    assert tree["policy"]["mlp.output.bias"].shape == (28,)
    assert run.main(["evaluate", str(out), "--episodes", "4", "--seeds", "1"]) == 0


def test_errors_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, controller: Path, trained: Path) -> None:
    out = str(tmp_path / "x")
    assert "Closest: heading." in error_line(capsys, "train-task", "headin", "--out", out)
    assert "Closest: train-task." in error_line(capsys, "train-tasks", "heading")
    assert "holds no skills.safetensors" in error_line(capsys, "train-task", "heading", "--out", out, "--skills", str(tmp_path))
    assert "holds a checkpoint already; expected --resume" in error_line(capsys, "train-task", "heading", "--out", str(controller), "--skills", str(trained))
    assert "task: got location; expected heading, which it was started with" in error_line(capsys, "train-task", "location", "--out", str(controller), "--resume")
    assert "--clip: got walk for a task controller" in error_line(capsys, "render", str(controller), "--out", out + ".mp4", "--clip", "walk")
    assert "--seeds: got 0; expected at least 1" in error_line(capsys, "evaluate", str(controller), "--seeds", "0")
    found = error_line(capsys, "evaluate", str(controller), "--pushes", "3")
    assert "--pushes, --throws, --falls: got 3, 0, 0; expected numbers of trials of skills, not of a task controller" in found
    assert "hold_steps: got 7; expected a divisor" in error_line(capsys, "train-task", "heading", "--out", out, "--skills", str(trained), *SMALL, "--skill.hold-steps", "7")


def test_skills_without_latents_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, trained: Path) -> None:
    tree, info = checkpoint.load(trained / "skills.safetensors", "skills")
    config = to_dict(preset("walk"))
    checkpoint.save(tmp_path / "skills.safetensors", tree, "skills", info | {"config": config})
    line = error_line(capsys, "train-task", "heading", "--skills", str(tmp_path), "--out", str(tmp_path / "x"))
    assert "preset walk: has no latents; expected skills trained with them, such as preset locomotion" in line


def test_strike_is_trained_resumed_measured_and_rendered(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its world holds a box, which every command must know of."""
    monkeypatch.setenv("CHARACTER_RENDERER", "stick")
    out = tmp_path / "strike"
    command = ["train-task", "strike", "--out", str(out), "--skills", str(trained)]
    assert run.main([*command, *SMALL, "--train.max-samples", "320"]) == 0
    assert run.main([*command, "--resume", "--train.max-samples", "640"]) == 0
    found = tmp_path / "e.json"
    assert run.main(["evaluate", str(out), "--json", str(found), "--episodes", "8", "--seeds", "1"]) == 0
    assert 0 <= json.loads(found.read_text())["success_rate"]["mean"] <= 1
    strip = tmp_path / "a.png"
    assert run.main(["render", str(out), "--strip", str(strip), "--seconds", "0.5", "--size", "64"]) == 0
    assert strip.stat().st_size > 500

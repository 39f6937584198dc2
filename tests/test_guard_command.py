"""``run.py guard``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

import run
from ase.evaluate import roll_out
from ase.run_folder import SKILLS
from cfg.wiring import begin_with, load_policy, load_skills, load_world, make_env, make_learner, read_skills
from tests.commands import error_line

FAST = ["--learn.rounds", "2", "--learn.steps", "20", "--learn.updates", "3", "--learn.last-updates", "3", "--learn.horizon-s", "0.1", "--num-envs", "32", "--trials", "16"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, clips_dir: Path) -> Path:
    """A run whose latents stand for two clips, without a guard."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "two.yaml").write_text("clips: {walk: {weight: 3}, once: {clip: walk, range_s: [0.0, 0.6]}}")
    args = ["pretrain", "tiny", "--out", str(folder / "run"), "--clips-dir", str(clips_dir), "--dataset", str(folder / "two.yaml")]
    assert run.main([*args, "--train.latents.clip-share", "0.5", "--train.max-samples", "128"]) == 0
    return folder / "run"


def measures(found: Path, out: Path, *more: str) -> dict[str, float]:
    assert run.main(["evaluate", str(found), "--json", str(out), "--latents", "4", "--replicas", "2", "--transitions", "0", "--seconds", "1", "--seeds", "1", *more]) == 0
    return dict(json.loads(out.read_text()))


def test_skills_are_given_a_guard_with_which_they_act(alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, info = read_skills(alone)
    assert measures(alone, tmp_path / "a.json")["overruled"] is None
    capsys.readouterr()
    assert run.main(["guard", str(alone), *FAST, "--learn.margin", "0.25"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"guard, round 2 of 2: falls per 1,000 steps \d+\.\d\d; cross-entropy 0\.\d+; \d+ s", told)
    assert re.search(r"falls in 16 rollouts of 10 s: \d+\.\d%; with the guard \d+\.\d%, which overrules \d+\.\d% of the time", told)
    after, kept = read_skills(alone)
    assert kept.pop("guard") == {"rounds": 2, "steps": 20, "updates": 3, "last_updates": 3, "horizon_s": 0.1, "margin": 0.25, "num_envs": 32, "seed": 0}
    assert kept == info
    guard = after.pop("guard")
    assert guard["margin"] == pytest.approx(0.25)
    assert {name: set(part) for name, part in after.items()} == {name: set(part) for name, part in before.items()}
    assert all(torch.equal(tensor, before[name][key]) for name, part in after.items() for key, tensor in part.items()), "only the guard is new"

    config, tree = load_skills(alone)
    character, library = load_world(config)
    env = make_env(config, character, library, 0)
    learner = load_policy(config, tree, env, alone)
    assert learner.guard is not None
    learner.guard.danger = lambda obs: torch.tensor([[0.9, 0.1]]).expand(len(obs), -1)
    obs, points = env.reset(), learner.anchors.points
    torch.testing.assert_close(learner.act(obs, points[[0]].expand(len(obs), -1)), learner.act(obs, points[[1]].expand(len(obs), -1)))

    some = torch.arange(len(obs)) % 4 // 3  # three of four are asked for the first clip
    assert roll_out(env, learner, points[some], 16, config.env.history).overruled == pytest.approx(0.75)

    assert measures(alone, tmp_path / "b.json")["overruled"] >= 0
    assert measures(alone, tmp_path / "c.json", "--no-guard")["overruled"] is None
    capsys.readouterr()
    assert run.main(["guard", str(alone), *FAST, "--trials", "0"]) == 0, "it is learned anew"
    assert "rollouts" not in capsys.readouterr().out
    assert read_skills(alone)[0]["guard"]["margin"] == pytest.approx(0.12)

    fresh = make_learner(config, env)
    begin_with(fresh, alone, library.names)
    assert fresh.guard is None, "a training begins without: it would be that of another policy"
    args = ["pretrain", "tiny", "--out", str(alone), "--clips-dir", config.clips_dir, "--dataset", config.dataset, "--train.latents.clip-share", "0.5"]
    assert run.main([*args, "--train.max-samples", "256", "--resume"]) == 0
    assert "guard" not in read_skills(alone)[0]


def test_what_cannot_be_guarded_is_one_line(trained: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert error_line(capsys, "guard", str(trained), *FAST) == (
        "error: guard: got skills whose latents stand for no clips; expected some trained with --train.latents.clip-share, such as preset locomotion"
    )
    assert error_line(capsys, "guard", str(tmp_path)) == f"error: run {tmp_path}: holds no {SKILLS}; expected the folder that pretrain wrote with --out"
    assert error_line(capsys, "guard", str(alone), "--num-envs", "0") == "error: run.py guard: --num-envs, --trials: got 0, 1024; expected at least 1, and at least 0"
    assert error_line(capsys, "guard", str(alone), "--trials", "-1") == "error: run.py guard: --num-envs, --trials: got 2048, -1; expected at least 1, and at least 0"
    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    line = error_line(capsys, "guard", str(alone), *FAST)
    assert line == f"error: file {alone / SKILLS}: cannot be written: Permission denied; expected a folder that can, such as a copy of the run"

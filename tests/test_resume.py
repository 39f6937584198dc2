"""A run that goes on from its checkpoint."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import run
from ase import checkpoint
from ase.evaluate import Rollouts, roll_out
from ase.learner import Learner
from ase.reading import learn_to_read
from ase.style import Style
from envs.humanoid import HumanoidEnv
from tests.commands import error_line

FINAL = ("shared/modules/", "shared/optimizers/", "own/learner/replay/", "own/learner/latents/", "own/env/")


def test_resume_continues_bit_for_bit(tmp_path: Path, clips_dir: Path, trained: Path) -> None:
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--out", str(tmp_path / "parts")]
    assert run.main([*args, "--train.max-samples", "256"]) == 0
    assert run.main([*args, "--resume", "--train.max-samples", "512"]) == 0
    whole, parts = load_file(trained / "checkpoint.safetensors"), load_file(tmp_path / "parts" / "checkpoint.safetensors")
    compared = [key for key in whole if key.startswith(FINAL)]
    assert len(compared) > 50
    for key in compared:
        assert torch.equal(whole[key], parts[key]), key


@pytest.mark.parametrize(("of", "key"), [("env", "may_lie"), ("learner", "noise")])
def test_a_checkpoint_of_another_version_is_not_resumed(of: str, key: str, tmp_path: Path, clips_dir: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = tmp_path / "old"
    shutil.copytree(trained, old)
    tree, info = checkpoint.load(old / "checkpoint.safetensors", "training")
    del tree["own"][of][key]
    checkpoint.save(old / "checkpoint.safetensors", tree, "training", info)
    line = error_line(capsys, "pretrain", "tiny", "--out", str(old), "--resume", "--train.max-samples", "640")
    assert line.startswith(f"error: run {old}: its checkpoint was saved without {key}; expected one that this version wrote. A new run can begin with its skills")


def test_a_run_that_learns_off_policy_goes_on_with_its_critics(tmp_path: Path, clips_dir: Path) -> None:
    """What it remembered is gone, so it does not go on bit for bit; what was learned is there."""
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--train.off-policy.updates", "2", "--train.off-policy.alone-samples", "200", "--out", str(tmp_path / "run")]
    assert run.main([*args, "--train.max-samples", "256"]) == 0
    first = load_file(tmp_path / "run" / "checkpoint.safetensors")
    assert run.main([*args, "--resume", "--train.max-samples", "256"]) == 0
    again = load_file(tmp_path / "run" / "checkpoint.safetensors")
    kept = [key for key in first if key.startswith(("shared/off_policy/", "shared/optimizers/critic/"))]
    assert len(kept) > 20
    for key in kept:
        assert torch.equal(first[key], again[key]), key
    assert run.main([*args, "--resume", "--train.max-samples", "512"]) == 0
    assert not torch.equal(again[kept[0]], load_file(tmp_path / "run" / "checkpoint.safetensors")[kept[0]])
    assert not [key for key in load_file(tmp_path / "run" / "skills.safetensors") if "critic" in key]


def test_a_run_that_imitates_clips_at_their_pace_resumes_bit_for_bit(tmp_path: Path, clips_dir: Path) -> None:
    more = ["--train.imitation-weight", "0.5", "--train.latents.clip-share", "0.5", "--train.latents.clip-focus", "0.5", "--train.style.conditional"]
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), *more, "--train.max-samples"]
    assert run.main([*args, "256", "--out", str(tmp_path / "parts")]) == 0
    assert run.main([*args, "512", "--out", str(tmp_path / "parts"), "--resume"]) == 0
    assert run.main([*args, "512", "--out", str(tmp_path / "whole")]) == 0
    whole, parts = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "parts"))
    assert {"own/learner/imitation/moment", "own/learner/imitation/z"} <= set(whole)
    for key in whole:
        if key.startswith((*FINAL, "own/learner/imitation/")):
            assert torch.equal(whole[key], parts[key]), key


def test_a_run_whose_episodes_begin_before_falls_resumes_bit_for_bit(tmp_path: Path, clips_dir: Path) -> None:
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--train.retry.share", "0.7", "--train.max-samples"]
    assert run.main([*args, "1280", "--out", str(tmp_path / "parts")]) == 0
    assert run.main([*args, "2560", "--out", str(tmp_path / "parts"), "--resume"]) == 0
    assert run.main([*args, "2560", "--out", str(tmp_path / "whole")]) == 0
    whole, parts = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "parts"))
    assert {"own/learner/retries/kept/qpos", "own/learner/retries/latest/0/z"} <= set(whole)
    for key in whole:
        if key.startswith((*FINAL, "own/learner/retries/")):
            assert torch.equal(whole[key], parts[key]), key


def test_the_policy_that_is_saved_as_trained_is_the_mean_of_the_last(tmp_path: Path, clips_dir: Path) -> None:
    """An iteration has 128 samples; the mean of one iteration is the policy itself, and one that is asked for later begins then."""
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--train.max-samples"]
    longer, folders = [*args, "512", "--train.ppo.average-samples"], [tmp_path / name for name in ("whole", "parts", "short", "late")]
    whole, parts, short, late = map(str, folders)
    assert run.main([*longer, "512", "--out", whole]) == 0
    assert run.main([*args, "256", "--train.ppo.average-samples", "512", "--out", parts]) == 0
    assert run.main([*longer, "512", "--out", parts, "--resume"]) == 0
    assert run.main([*longer, "128", "--out", short]) == 0
    assert run.main([*args, "384", "--out", late]) == 0
    assert run.main([*longer, "512", "--out", late, "--resume"]) == 0
    mean, again, last, once = (load_file(folder / "skills.safetensors") for folder in folders)
    before = [load_file(folder / "checkpoint.safetensors") for folder in folders]
    for key in (key for key in mean if key.startswith("policy/") and "mirror" not in key):
        assert torch.equal(mean[key], again[key]), key
        now = before[0][f"shared/modules/{key}"]
        assert torch.equal(last[key], now), key
        assert not torch.equal(mean[key], now), key
        assert torch.equal(once[key], now), "the first mean is the policy as it is then"
        assert torch.equal(before[0][f"shared/averaged/{key.removeprefix('policy/')}"], mean[key])


def test_a_run_may_imitate_from_some_time_on_and_no_longer(tmp_path: Path, clips_dir: Path) -> None:
    more = ["--train.latents.clip-share", "0.5", "--train.latents.clip-focus", "0.5", "--train.style.conditional"]
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), *more, "--out", str(tmp_path / "run"), "--train.max-samples"]
    for samples, weight in (("128", "0"), ("256", "0.5"), ("384", "0")):
        assert run.main([*args, samples, "--train.imitation-weight", weight, *["--resume"] * (samples != "128")]) == 0
        saved = load_file(tmp_path / "run" / "checkpoint.safetensors")
        assert ("own/learner/imitation/moment" in saved) == (weight != "0")


def test_the_encoder_is_taught_once_more_on_what_is_saved(tmp_path: Path, clips_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The file of skills has another encoder than the checkpoint, and nothing else is other; the rollouts are the mean policy's."""
    acted: list[tuple[Learner, torch.Tensor, Rollouts]] = []

    def spy(env: HumanoidEnv, learner: Learner, z: torch.Tensor, steps: int, history: int) -> Rollouts:
        assert (env.assist, steps, history) == (None, 15, 4)
        acted.append((learner, z, roll_out(env, learner, z, steps, history)))
        return acted[-1][-1]

    taught: list[tuple[torch.Tensor, torch.Tensor]] = []

    def learn(style: Style, seen: torch.Tensor, latents: torch.Tensor, *rest: Any) -> float:
        taught.append((seen, latents))
        return learn_to_read(style, seen, latents, *rest)

    monkeypatch.setattr("cfg.commands.pretrain.roll_out", spy)
    monkeypatch.setattr("cfg.commands.pretrain.learn_to_read", learn)
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--train.max-samples", "256", "--train.ppo.average-samples", "512", "--env.assist.hold", "1", "--out"]
    assert run.main([*args, str(tmp_path / "run")]) == 0
    assert "taught the encoder once more in " in capsys.readouterr().out
    skills, checkpoint_ = load_file(tmp_path / "run" / "skills.safetensors"), load_file(tmp_path / "run" / "checkpoint.safetensors")
    reader = [key for key in skills if key.startswith("style/encoder.")]
    assert len(reader) > 2
    for key in skills:
        if key.startswith("style/"):
            assert torch.equal(skills[key], checkpoint_[f"shared/modules/{key}"]) == (key not in reader), key
    for key in [key for key in skills if key.startswith("policy/")]:
        assert torch.equal(skills[key], acted[0][0].policy.state_dict()[key.removeprefix("policy/")]), "what is saved acted"
        assert torch.equal(skills[key], checkpoint_[f"shared/averaged/{key.removeprefix('policy/')}"])
    latents = torch.cat([z[rolled.window_owner] for _, z, rolled in acted])
    assert len(latents) >= 32 > len(latents) - len(acted[-1][2].windows), "as many windows as are needed"
    assert torch.equal(taught[0][1], latents)
    for args_ in (["--train.read.windows", "0"], ["--train.latents.dim", "0"]):
        assert run.main([*args, str(tmp_path / args_[0][8:12]), *args_]) == 0
        assert "taught the encoder" not in capsys.readouterr().out


def test_rollouts_too_short_to_be_read_are_refused_before_a_training_begins(tmp_path: Path, clips_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--out", str(tmp_path / "run"), "--train.read.seconds", "0.1"]
    assert error_line(capsys, *args).startswith("error: read: seconds: got 0.1; expected at least 0.3, so that there are windows to read")
    assert not (tmp_path / "run").exists()


def test_an_encoder_with_nothing_to_read_stays_as_it_is(tmp_path: Path, clips_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fallen(env: HumanoidEnv, learner: Learner, z: torch.Tensor, steps: int, history: int) -> Rollouts:
        rolled = roll_out(env, learner, z, steps, history)
        return replace(rolled, windows=rolled.windows[:0], window_owner=rolled.window_owner[:0])

    monkeypatch.setattr("cfg.commands.pretrain.roll_out", fallen)
    assert run.main(["pretrain", "tiny", "--clips-dir", str(clips_dir), "--out", str(tmp_path), "--train.max-samples", "128"]) == 0
    assert "taught the encoder" not in capsys.readouterr().out
    skills, saved = load_file(tmp_path / "skills.safetensors"), load_file(tmp_path / "checkpoint.safetensors")
    assert all(torch.equal(skills[key], saved[f"shared/modules/{key}"]) for key in skills if key.startswith("style/encoder."))


def test_resume_reads_the_saved_settings(tmp_path: Path, clips_dir: Path) -> None:
    out = tmp_path / "run"
    args = ["pretrain", "tiny", "--out", str(out)]
    assert run.main([*args, "--clips-dir", str(clips_dir), "--train.max-samples", "128", "--env.num-envs", "8"]) == 0
    assert run.main([*args, "--resume", "--train.max-samples", "256"]) == 0
    tree, info = checkpoint.load(out / "checkpoint.safetensors", "training")
    assert info["config"]["env"]["num_envs"] == 8
    assert len(tree["own"]["env"]["episode_step"]) == 8


@pytest.mark.parametrize(("kept", "rollouts"), [(1, 2), (48, 1)])
def test_skills_that_fall_at_once_are_not_read_for_ever(tmp_path: Path, clips_dir: Path, monkeypatch: pytest.MonkeyPatch, kept: int, rollouts: int) -> None:
    """One rollout of the sixteen characters gives windows enough if nobody falls; of those who leave one window behind, two are made."""
    made = []

    def soon_fallen(*args: Any) -> Rollouts:
        rolled = roll_out(*args)
        made.append(len(rolled.windows))
        return replace(rolled, windows=rolled.windows[:kept], window_owner=rolled.window_owner[:kept])

    monkeypatch.setattr("cfg.commands.pretrain.roll_out", soon_fallen)
    assert run.main(["pretrain", "tiny", "--clips-dir", str(clips_dir), "--train.max-samples", "128", "--out", str(tmp_path / "run")]) == 0
    assert len(made) == rollouts

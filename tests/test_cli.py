"""The command line: every command on a tiny run, every error as one line."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import run
from ase import checkpoint
from motions.reaching import PLACES
from motions.skeleton import Skeleton
from motions.synthetic import sine_gait
from tests.commands import error_line

ROOT = Path(__file__).parents[1]


def test_pretrain_leaves_a_complete_run(trained: Path) -> None:
    assert {"config.yaml", "checkpoint.safetensors", "skills.safetensors"} <= {p.name for p in trained.iterdir()}
    assert any(p.name.startswith("events.out.tfevents") for p in trained.iterdir())
    _, info = checkpoint.load(trained / "skills.safetensors", "skills")
    assert info["samples"] == 512
    assert info["config"]["preset"] == "tiny"


def test_a_new_policy_is_taught_the_clips_actions_and_a_trained_one_is_not(tmp_path: Path, clips_dir: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["pretrain", "tiny", "--clips-dir", str(clips_dir), "--train.max-samples", "128", "--out"]
    assert run.main([*args, str(tmp_path / "new"), "--train.clone.steps", "200"]) == 0
    long = capsys.readouterr().out
    assert run.main([*args, str(tmp_path / "short")]) == 0
    errors = [float(out.split("root mean square error ")[1].split()[0]) for out in (long, capsys.readouterr().out)]
    assert errors[0] < 0.5 * errors[1]
    assert run.main([*args, str(tmp_path / "more"), "--skills", str(trained)]) == 0
    assert "cloned" not in capsys.readouterr().out


def test_a_training_begins_with_trained_skills_on_more_clips(tmp_path: Path, clips_dir: Path, trained: Path) -> None:
    """The networks are those of the trained run; the counters and the clips' pace are its own, and statistics go on from those of the trained run, which count for little."""
    out, more = tmp_path / "run", tmp_path / "more.yaml"
    more.write_text("clips: {walk: 1, quick: {clip: walk, tempo: 1.5}}")
    own = ["--dataset", str(more), "--train.max-samples", "0", "--train.read.windows", "0"]
    assert run.main(["pretrain", "tiny", "--skills", str(trained), "--clips-dir", str(clips_dir), "--out", str(out), *own]) == 0
    before, after = (load_file(folder / "skills.safetensors") for folder in (trained, out))
    networks = [key for key in before if "normalizer" not in key and key != "style/pace"]
    assert len(networks) > 20
    for key in networks:
        assert torch.equal(before[key], after[key]), key
    assert after["return_normalizer/count"] == pytest.approx(0.02 * float(before["return_normalizer/count"]))
    first = after["obs_normalizer/count"] - 0.02 * before["obs_normalizer/count"]
    assert 0 < first < before["obs_normalizer/count"], "the first observations of the new run have been added"
    assert (after["obs_normalizer/mean"] - before["obs_normalizer/mean"]).abs().max() > 0
    assert checkpoint.load(out / "skills.safetensors", "skills")[1]["samples"] == 0


def test_clips_that_skills_knew_keep_their_cells_whatever_their_order(tmp_path: Path, clips_dir: Path) -> None:
    found, quick = {}, "quick: {clip: walk, tempo: 1.5}"
    for name, clips in (("old", f"walk: 1, {quick}"), ("new", f"slow: {{clip: walk, tempo: 0.7}}, {quick}, walk: 1")):
        (tmp_path / f"{name}.yaml").write_text(f"clips: {{{clips}}}")
        begun = ["--skills", str(tmp_path / "old")] if name == "new" else []
        own = ["--dataset", str(tmp_path / f"{name}.yaml"), "--clips-dir", str(clips_dir), "--train.max-samples", "0", "--train.latents.clip-share", "0.5"]
        assert run.main(["pretrain", "tiny", *begun, "--out", str(tmp_path / name), *own]) == 0
        tree, info = checkpoint.load(tmp_path / name / "skills.safetensors", "skills")
        found[name] = dict(zip(info["clips"], tree["style"]["anchors.points"], strict=True))
    command = ["pretrain", "tiny", "--dataset", str(tmp_path / "new.yaml"), "--clips-dir", str(clips_dir), "--train.max-samples", "0"]
    assert run.main([*command, "--skills", str(tmp_path / "old"), "--out", str(tmp_path / "plain")]) == 0
    command += ["--train.latents.clip-share", "0.5"]
    assert run.main([*command, "--skills", str(tmp_path / "plain"), "--out", str(tmp_path / "back")]) == 0, "skills without cells begin those with them, and the other way round"
    assert list(found["new"]) == ["slow", "quick", "walk"]
    for clip in ("walk", "quick"):
        assert torch.equal(found["new"][clip], found["old"][clip])


def test_evaluate_writes_every_measure(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "e.json"
    assert run.main(["evaluate", str(trained), "--json", str(out), "--latents", "16", "--replicas", "1", "--seconds", "1", "--seeds", "1", "--transitions", "8"]) == 0
    measures = json.loads(out.read_text())
    assert set(measures) >= {"fall_rate", "clip_coverage", "retrieval_top1", "speed_m_s", "style_reward", "likeness", "diverged", "num_latents", "seconds", "seed"}
    assert set(measures["speed_m_s"]) == {"min", "mean", "max", "per_latent"}
    assert len(measures["speed_m_s"]["per_latent"]) == measures["num_latents"] == 16
    assert 0 <= measures["fall_rate"] <= 1
    assert sum(each["rollouts"] for each in measures["falls_by_start"].values()) == 16


def test_evaluate_pushes_and_fells_on_demand(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "e.json"
    command = ["evaluate", str(trained), "--json", str(out), "--latents", "16", "--replicas", "1", "--seconds", "0.5", "--seeds", "1", "--transitions", "8"]
    assert run.main([*command, "--pushes", "4", "--throws", "5", "--falls", "6"]) == 0
    measures = json.loads(out.read_text())
    assert 0 <= measures["push_trials"] <= 4
    assert 0 <= measures["throw_trials"] <= 5
    assert set(measures["throw_recovery_time_s"]) == {"mean", "max"}
    assert measures["fallen"] == 6
    assert 0 <= measures["fallen_recovery"] <= 1
    assert set(measures["push_recovery_time_s"]) == {"mean", "max"}
    assert "--pushes, --throws, --falls: got -1, 0, 0; expected numbers of trials of skills" in error_line(capsys, *command, "--pushes", "-1")


def test_render_writes_video_and_strip(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARACTER_RENDERER", "stick")
    video, strip = tmp_path / "a.mp4", tmp_path / "a.png"
    command = ["render", str(trained), "--out", str(video), "--strip", str(strip), "--latents", "2", "--seconds", "0.5", "--size", "64", "--clip", "walk"]
    assert run.main(command) == 0
    assert video.stat().st_size > 1000
    assert strip.stat().st_size > 1000


def test_bench_reports_every_figure(clips_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    code = "import sys, run; sys.exit(run.main(sys.argv[1:]))"
    command = ["bench", "--json", str(out), "--preset", "tiny", "--iterations", "2", "--seconds", "0.1", "--sizes", "16", "--clips-dir", str(clips_dir)]
    subprocess.run([sys.executable, "-c", code, *command], cwd=ROOT, check=True, capture_output=True, timeout=300)
    figures = json.loads(out.read_text())
    for key in ("bare_control_steps_per_s", "env_control_steps_per_s", "async_vector_env_control_steps_per_s", "train_samples_per_s", "peak_memory_bytes"):
        assert figures[key] > 0, key
    assert set(figures["split_s"]) == {"physics", "features", "inference", "update"}
    assert all(seconds > 0 for seconds in figures["split_s"].values())


def test_fetch_adds_computed_clips(clips_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fetch(out: Path, wheel: Path | None) -> None:
        out.mkdir()
        for name in ("walk_forward", "turn_right0", "run"):
            shutil.copy(clips_dir / "walk.npz", out / f"{name}.npz")

    monkeypatch.setattr("cfg.commands.motions.fetch", fetch)
    assert run.main(["motions", "fetch", "--out", str(tmp_path / "clips")]) == 0
    assert run.main(["motions", "check", "--clips-dir", str(tmp_path / "clips")]) == 0
    said = capsys.readouterr().out
    assert "wrote 45 computed clips" in said
    for name in ("stand", *(f"{reach}{side}" for reach in PLACES for side in ("", "_mirror"))):
        assert f"{name}: good (" in said
    assert {path.stem for path in (tmp_path / "clips").glob("*.npz")} >= {"walk_reach", "walk_reach_mirror", "walk_push", "turn_push", "run_push", "run_push_mirror"}


def test_motions_check_reports_each_clip(clips_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["motions", "check", "--clips-dir", str(clips_dir)]) == 0
    assert capsys.readouterr().out.startswith("walk: ")
    assert run.main(["motions", "check", str(clips_dir / "walk.npz")]) == 0, "a file of its own"
    assert capsys.readouterr().out.startswith("walk: ")


def test_motions_check_writes_a_page_with_pictures(clips_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARACTER_RENDERER", "stick")
    assert run.main(["motions", "check", "--clips-dir", str(clips_dir), "--html", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "walk" in page
    assert "data:image/png;base64," in page


def test_motions_dataset_is_one_that_training_reads(clips_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    assert run.main(["motions", "dataset", "--clips-dir", str(clips_dir), "--out", str(out)]) == 0
    command = ["pretrain", "tiny", "--dataset", str(out), "--clips-dir", str(clips_dir), "--out", str(tmp_path / "run"), "--train.max-samples", "128"]
    assert run.main(command) == 0


def test_an_empty_clips_folder_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert f"clips folder {tmp_path}: holds no .npz clips; get the free clips" in error_line(capsys, "motions", "check", "--clips-dir", str(tmp_path))
    file = tmp_path / "file"
    file.write_text("")
    assert "holds no .npz clips" in error_line(capsys, "motions", "dataset", "--clips-dir", str(tmp_path), "--out", str(file / "x.yaml"))


def test_unknown_words_name_the_closest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "Closest: pretrain." in error_line(capsys, "pretrian")
    assert "Closest: locomotion." in error_line(capsys, "pretrain", "locomotoin", "--out", str(tmp_path))
    assert "Closest: --env.num-envs." in error_line(capsys, "pretrain", "tiny", "--out", str(tmp_path), "--env.num-env", "3")
    assert "Closest: --train.ppo.policy-lr." in error_line(capsys, "pretrain", "tiny", "--out", str(tmp_path), "--train.ppo.polcy-lr", "3")
    assert "Available: fetch, check" in error_line(capsys, "motions", "fly")


def test_bad_values_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line = error_line(capsys, "pretrain", "tiny", "--out", str(tmp_path), "--env.num-envs", "many")
    assert "--env.num-envs" in line
    assert "--out" in error_line(capsys, "pretrain", "tiny")
    assert "got none of --out, --strip and --motions; expected at least one" in error_line(capsys, "render", str(tmp_path))


def test_missing_things_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path, trained: Path, clips_dir: Path) -> None:
    assert "motions fetch" in error_line(capsys, "pretrain", "tiny", "--out", str(tmp_path / "a"), "--clips-dir", str(tmp_path))
    assert "skills.safetensors" in error_line(capsys, "evaluate", str(tmp_path))
    assert "config.yaml" in error_line(capsys, "pretrain", "tiny", "--out", str(tmp_path / "b"), "--resume")
    assert "Available: walk" in error_line(capsys, "render", str(trained), "--out", str(tmp_path / "x.mp4"), "--clip", "wlak", "--seconds", "0.2")
    assert "expected --resume" in error_line(capsys, "pretrain", "tiny", "--out", str(trained), "--clips-dir", str(clips_dir))
    assert "expected tiny" in error_line(capsys, "pretrain", "walk", "--out", str(trained), "--resume")


def test_a_run_of_other_sizes_is_refused_with_both_shapes(capsys: pytest.CaptureFixture[str], trained: Path) -> None:
    line = error_line(capsys, "pretrain", "tiny", "--out", str(trained), "--resume", "--train.latents.dim", "5")
    assert "got shape" in line
    assert "expected (" in line


@pytest.mark.parametrize("damage", ["truncated", "nan"])
def test_damaged_clips_are_refused(damage: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, skeleton: Skeleton) -> None:
    path = tmp_path / "walk.npz"
    replace(sine_gait(skeleton), name="walk").save(path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:500])
    else:
        with np.load(path) as data:
            values = {key: data[key] for key in data.files}
        values["root_pos"][3, 1] = np.nan
        np.savez(path, **values)
    line = error_line(capsys, "pretrain", "tiny", "--out", str(tmp_path / "run"), "--clips-dir", str(tmp_path))
    assert "walk.npz" in line
    assert ("frame 3" in line) == (damage == "nan")


def test_a_folder_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path, clips_dir: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in error_line(capsys, "pretrain", "tiny", "--out", str(tmp_path / "file" / "run"), "--clips-dir", str(clips_dir))


@pytest.mark.slow
def test_kill_nine_times_ten_loses_nothing(tmp_path: Path, clips_dir: Path) -> None:
    """SIGKILL at arbitrary moments of a training that saves after every iteration: each checkpoint left behind loads, and never goes back."""
    out, samples = tmp_path / "run", 0
    command = [sys.executable, "run.py", "pretrain", "tiny", "--out", str(out), "--clips-dir", str(clips_dir), "--train.max-samples", "100000000"]
    for round_ in range(10):
        process = subprocess.Popen(
            [*command, *(["--resume"] if round_ else [])], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        before = (out / "checkpoint.safetensors").stat().st_mtime_ns if round_ else 0
        while not (out / "checkpoint.safetensors").exists() or (out / "checkpoint.safetensors").stat().st_mtime_ns == before:
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            time.sleep(0.01)
        time.sleep(0.05 + 0.037 * round_)
        process.kill()
        process.wait()
        _, info = checkpoint.load(out / "checkpoint.safetensors", "training")
        checkpoint.load(out / "skills.safetensors", "skills")
        assert info["samples"] > samples
        samples = info["samples"]


def _ranks(command: list[str]) -> list[subprocess.Popen]:
    """Two processes of one training, as torchrun would start them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    return [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=shared | {"RANK": str(k), "LOCAL_RANK": str(k)}) for k in range(2)
    ]


@pytest.mark.slow
def test_two_ranks_train_and_a_dead_one_ends_the_job_with_one_line_and_a_whole_checkpoint(tmp_path: Path, clips_dir: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "run.py", "pretrain", "tiny", "--out", str(out), "--clips-dir", str(clips_dir)]
    processes = _ranks([*command, "--train.max-samples", "1024"])
    assert [(p.wait(timeout=120), p.stderr.read() if p.returncode else "") for p in processes] == [(0, "")] * 2
    _, info = checkpoint.load(out / "checkpoint.safetensors", "training")
    assert (info["samples"], info["ranks"], info["iteration"]) == (1024, 2, 4)
    checkpoint.load(out / "checkpoint.rank1.safetensors", "training")

    processes = _ranks([*command, "--resume", "--train.max-samples", "100000000"])
    while checkpoint.load(out / "checkpoint.safetensors", "training")[1]["samples"] < 4096:
        assert processes[0].poll() is None, processes[0].stderr.read()
        time.sleep(0.05)
    processes[1].kill()
    assert processes[0].wait(timeout=60) == 2
    assert processes[0].stderr.read().strip().splitlines()[-1].startswith("error: rank 0 of 2: another rank is gone (")
    _, info = checkpoint.load(out / "checkpoint.safetensors", "training")
    assert run.main(["pretrain", "tiny", "--out", str(out), "--resume", "--train.max-samples", str(info["samples"] + 128), "--clips-dir", str(clips_dir)]) == 0
    assert checkpoint.load(out / "checkpoint.safetensors", "training")[1]["samples"] == info["samples"] + 128


@pytest.fixture(scope="module")
def with_cells(tmp_path_factory: pytest.TempPathFactory, clips_dir: Path) -> Path:
    """A finished tiny run in which the clip has latents of its own."""
    out = tmp_path_factory.mktemp("runs") / "cells"
    assert run.main(["pretrain", "tiny", "--out", str(out), "--clips-dir", str(clips_dir), "--train.latents.clip-share", "0.5", "--train.style.conditional"]) == 0
    return out


def test_evaluate_says_what_each_clips_latents_do(with_cells: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    for folder in (with_cells, trained):
        assert (
            run.main(["evaluate", str(folder), "--json", str(tmp_path / "e.json"), "--latents", "16", "--replicas", "1", "--seconds", "0.5", "--seeds", "1", "--transitions", "0"])
            == 0
        )
        found[folder] = json.loads((tmp_path / "e.json").read_text())
    assert set(found[with_cells]["clip_latents"]) == {"walk"}
    assert set(found[with_cells]["clip_latents"]["walk"]) == {"fall_rate", "speed_m_s", "turn_rad_s", "clip_speed_m_s", "style_reward", "joint_error_deg", "from_rest"}
    assert found[with_cells]["begun_from_rest"] == (found[with_cells]["clip_latents"]["walk"]["from_rest"] >= 0.25)
    assert found[with_cells]["clip_latents"]["walk"]["clip_speed_m_s"] == pytest.approx(1.0)
    assert found[with_cells]["joint_error_deg"] == found[with_cells]["clip_latents"]["walk"]["joint_error_deg"]
    out = capsys.readouterr().out
    assert "latents of walk" in out
    assert "falls, by where they" in out
    assert not {"clip_latents", "begun_from_rest", "joint_error_deg"} & set(found[trained])


def test_evaluate_measures_over_seeds_and_writes_a_page(with_cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARACTER_RENDERER", "stick")
    files = ["--json", str(tmp_path / "e.json"), "--html", str(tmp_path / "e.html")]
    assert run.main(["evaluate", str(with_cells), *files, "--latents", "16", "--replicas", "1", "--seconds", "1", "--seeds", "2", "--transitions", "8"]) == 0
    found = json.loads((tmp_path / "e.json").read_text())
    assert found["seeds"] == 2
    assert set(found["confidence"]) >= {"fall_rate", "clip_coverage", "frechet_distance", "retrieval_top1", "latent_cosine"}
    assert found["transitions"]["clips"] == ["walk"]
    assert len(found["latent_map"]["xy"]) == 16
    assert found["convergence"]["verdict"] in ("still improving", "converged", "collapsed onto none of the clips")
    page = (tmp_path / "e.html").read_text()
    assert "<h2>Skills</h2>" in page
    assert page.count("data:image/png") == 1


def test_what_evaluate_cannot_do_is_one_line(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--transitions: got -1; expected at least 0" in error_line(capsys, "evaluate", str(trained), "--transitions", "-1")
    line = error_line(capsys, "evaluate", "ase/pretrained/heading", "--html", "page.html")
    assert "--html: got task controller ase/pretrained/heading; expected skills (for controllers: run.py compare RUN RUN --html FILE)" in line
    assert (
        error_line(capsys, "evaluate", "ase/pretrained/heading", "--no-guard") == "error: run.py evaluate: --no-guard: got task controller ase/pretrained/heading; expected skills"
    )


def test_render_shows_the_latents_of_named_clips(with_cells: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CHARACTER_RENDERER", "stick")
    command = ["--strip", str(tmp_path / "a.png"), "--seconds", "0.5", "--size", "64", "--skills"]
    for names in (["all"], ["walk", "walk"]):
        assert run.main(["render", str(with_cells), *command, *names]) == 0
    assert f"skill wlk: not in run {with_cells}. Closest: walk. Available: all, walk" in error_line(capsys, "render", str(with_cells), *command, "wlk")
    assert f"run {trained}: its clips have no latents of their own; expected skills trained with" in error_line(capsys, "render", str(trained), *command, "walk")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """As in ``run.py bench --help | head -1``: the pipe is closed before anything is written."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "run.py"], cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")

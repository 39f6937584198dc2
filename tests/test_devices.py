"""Training and measuring on a GPU, with one that is none (`tests.fake_gpu`): nothing mixes its tensors with the host's."""

from __future__ import annotations

import pytest
import torch

import run
from tests.commands import COACHED
from tests.fake_gpu import GPU, FakeGpu, Generator, on_gpu, pretend

IMITATING = ("--train.imitation-weight", "0.5", "--train.imitation-stray-s", "0.5", "--train.latents.clip-share", "0.5", "--train.style.conditional")
COMMANDS = {
    "pretrain": ("pretrain", "tiny", "--device", "cuda"),
    "pretrain, coached": ("pretrain", "tiny", "--device", "cuda", *COACHED, "--dataset", "two.yaml", *IMITATING),
    "pretrain, off-policy": ("pretrain", "tiny", "--device", "cuda", "--train.off-policy.updates", "2", "--train.off-policy.alone-samples", "200"),
    "task": ("train-task", "heading", "--device", "cuda", "--num-envs", "16", "--train.max-samples", "700", "--train.ppo.minibatch-size", "64"),
    "strike": ("train-task", "strike", "--device", "cuda", "--num-envs", "16", "--train.max-samples", "700", "--train.ppo.minibatch-size", "64"),
}


@pytest.fixture
def gpu(monkeypatch):
    with pretend(monkeypatch):
        yield


def test_the_fake_refuses_what_a_gpu_refuses():
    host = torch.ones(3)
    with FakeGpu():
        there, ids = torch.ones(3, device="cuda"), torch.zeros(2, dtype=torch.long, device="cuda")
        assert there.device == GPU
        assert on_gpu((there * 2.0 + torch.tensor(1.0)).sum())
        assert on_gpu(there[torch.tensor([0, 1])])
        assert on_gpu(host.to(there))
        assert not on_gpu(there.cpu())
        assert there.cpu().numpy().sum() == 3
        for wrong in (
            lambda: there + host,
            lambda: host[ids],
            lambda: there.index_select(0, torch.tensor([0])),
            lambda: there.numpy(),
            lambda: torch.cat((there, host)),
            lambda: torch.rand(3, generator=Generator("cpu"), device="cuda"),
            lambda: there.__setitem__(ids, host[:2]),
        ):
            with pytest.raises((RuntimeError, TypeError)):
                wrong()


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_mixes_devices(name, trained, clips_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cfg.teaching.REFINERS", 16)
    if "coached" in name:
        monkeypatch.setattr("envs.samcon.Track.complete", True)
    (tmp_path / "two.yaml").write_text("clips: {walk: 1, part: {clip: walk, range_s: [0.0, 1.0], loop_s: 0.3}, once: {clip: walk, range_s: [0.0, 1.0]}}")
    args = COMMANDS[name] + (() if name.startswith("pretrain") else ("--skills", str(trained)))
    assert run.main([*args, "--out", str(tmp_path / "run"), "--clips-dir", str(clips_dir)]) == 0


@pytest.mark.usefixtures("gpu")
def test_nor_do_measures(trained):
    small = ("--latents", "4", "--replicas", "2", "--seconds", "0.5", "--transitions", "8", "--seeds", "1")
    assert run.main(["evaluate", str(trained), "--device", "cuda", *small, "--falls", "4", "--pushes", "4", "--throws", "4"]) == 0


@pytest.mark.usefixtures("gpu")
def test_nor_does_a_guard(clips_dir, tmp_path):
    out, clips = str(tmp_path / "run"), ("--clips-dir", str(clips_dir))
    assert run.main(["pretrain", "tiny", "--device", "cuda", "--train.latents.clip-share", "0.5", "--train.max-samples", "128", "--out", out, *clips]) == 0
    short = ("--learn.rounds", "2", "--learn.steps", "20", "--learn.updates", "3", "--learn.last-updates", "3", "--learn.horizon-s", "0.1", "--num-envs", "32", "--trials", "8")
    assert run.main(["guard", out, "--device", "cuda", *short]) == 0

"""Runs that are taught what other trained skills do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import run
from ase.distillation import ANY, School
from cfg.teaching import masters_of
from cfg.wiring import begin_with, load_skills, load_world, make_env, make_learner
from envs.approach import stands
from envs.features import observe
from tests.commands import error_line

TAUGHT = ["--train.latents.clip-share", "0.5", "--train.distill.rounds", "2", "--train.distill.steps", "3", "--train.distill.updates", "4", "--train.distill.batch-size", "32"]


@pytest.fixture
def args(clips_dir: Path) -> list[str]:
    return ["pretrain", "tiny", "--clips-dir", str(clips_dir), *TAUGHT, "--train.max-samples", "128", "--out"]


@pytest.fixture
def known(tmp_path: Path, args: list[str]) -> tuple[str, str]:
    """Skills of one clip, and of that and another; and a dataset of three."""
    for name, clips in (("one", "once"), ("two", "walk: {weight: 3}, once"), ("three", "half, walk: {weight: 3}, once")):
        entries = clips.replace("once", "once: {clip: walk, range_s: [0.0, 0.6]}").replace("half,", "half: {clip: walk, range_s: [0.0, 0.8]},")
        (tmp_path / f"{name}.yaml").write_text(f"clips: {{{entries}}}")
    for seed, name in enumerate(("one", "two")):
        assert run.main([*args, str(tmp_path / name), "--dataset", str(tmp_path / f"{name}.yaml"), "--seed", str(seed)]) == 0
    return str(tmp_path / "one"), str(tmp_path / "two")


def test_a_run_is_taught_each_clip_by_the_first_who_knows_it(
    tmp_path: Path, args: list[str], known: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    schools: list[School] = []
    act = School.act
    monkeypatch.setattr(School, "act", lambda self, steps, led: (schools.append(self), act(self, steps, led))[1])
    out = str(tmp_path / "three")
    capsys.readouterr()
    assert run.main([*args, out, "--dataset", str(tmp_path / "three.yaml"), "--teachers", *known]) == 0
    told = capsys.readouterr().out
    assert "taught, round 2 of 2: error 0." in told
    assert "cloned" not in told
    assert schools[0].env.num_envs == 16
    assert [each.teaches.tolist() for each in schools[0].masters] == [[False, False, True], [False, True, True]]
    assert [each.anywhere.tolist() for each in schools[0].masters] == [[False, False, False], [False, True, True]]
    landmarks, env = schools[0].landmarks, schools[0].env
    clips, times = env.library.moments(env.config.control_dt)
    assert torch.equal(landmarks.obs, observe(env.library.state_at(clips, times), env.character.skeleton))
    assert torch.equal(landmarks.clip, torch.where(stands(env.library.state_at(clips, times), env.character), ANY, clips))
    shown = torch.zeros(env.obs_dim, dtype=torch.bool)
    shown[env.layout.style_columns] = True
    assert torch.equal(landmarks.scale > 0, shown)
    assert schools[0].weights.tolist() == pytest.approx([0.0, 0.6, 0.2])
    assert run.main([*args, out, "--resume"]) == 0
    assert len(schools) == 2, "a run that goes on is not taught anew"


def test_masters_act_as_the_runs_do_under_their_own_latents(tmp_path: Path, known: tuple[str, str], args: list[str]) -> None:
    one = Path(known[0])
    config, _ = load_skills(one)
    character, library = load_world(config)
    learner = make_learner(config, make_env(config, character, library, 0))
    begin_with(learner, one, library.names)
    points = learner.anchors.points.clone()
    with torch.no_grad():
        learner.anchors.points.mul_(-1)
    other = masters_of(learner, library.names, [str(one)])[0]
    obs = torch.randn(5, len(learner.obs_normalizer.mean))
    z = points.expand(5, -1)
    expected = learner.act(obs, z)
    with torch.no_grad():
        for parameter in learner.policy.parameters():
            parameter.zero_()
    torch.testing.assert_close(torch.nn.functional.normalize(-z + other.shift, dim=-1), z)
    torch.testing.assert_close(other.policy(other.normalizer(obs), z), expected)


def test_teachers_that_have_nothing_to_teach_are_named(tmp_path: Path, args: list[str], known: tuple[str, str], trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = known
    (tmp_path / "other.yaml").write_text("clips: {long: {clip: walk}}")
    begin = [*args, str(tmp_path / "out"), "--dataset", str(tmp_path / "other.yaml")]
    assert error_line(capsys, *begin, "--teachers", one) == f"error: teacher {one}: knows once; expected some of long"
    assert error_line(capsys, *begin, "--teachers", str(trained)) == f"error: teacher {trained}: knows no clip by its latents; expected some of long"
    assert error_line(capsys, *begin, "--teachers", str(tmp_path)) == f"error: run {tmp_path}: holds no skills.safetensors; expected the folder that pretrain wrote with --out"
    assert error_line(capsys, *begin, "--teachers", two, "--train.latents.clip-share", "0") == "error: train: latents.clip_share: got 0 with teachers; expected a share above 0"
    text = f"error: teacher {two}: clip long: not one that it can teach here. Available: walk, once"
    begin[begin.index("--dataset") + 1] = str(tmp_path / "three.yaml")
    assert error_line(capsys, *begin, "--teachers", f"{two}=walk, long") == text
    assert not list((tmp_path / "out").glob("*.safetensors"))


def test_a_teacher_of_some_of_its_clips_has_been_on_all_of_them(tmp_path: Path, known: tuple[str, str]) -> None:
    two = Path(known[1])
    config, _ = load_skills(two)
    character, library = load_world(config)
    learner = make_learner(config, make_env(config, character, library, 0))
    made = masters_of(learner, ("once", "walk"), [f"{two}=once", str(two)])
    assert [each.teaches.tolist() for each in made] == [[True, False], [True, True]]
    assert [each.been.tolist() for each in made] == [[True, True]] * 2
    assert [each.anywhere.tolist() for each in made] == [[False, False], [True, True]]
    equal = two.rename(tmp_path / "lr=1")
    assert [each.teaches.tolist() for each in masters_of(learner, ("once", "walk"), [str(equal), f"{equal}=walk"])] == [[True, True], [False, True]]

"""``run.py compare``: several runs side by side."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

import run
from cfg.commands.compare import comparison_table
from cfg.measures import HIGH, LOW, MEASURES, NEITHER, ONE, best_of, compare
from tests.commands import error_line

SKILLS = {"fall_rate": 0.02, "clip_coverage": 0.8, "style_reward": 0.7, "jerk_ratio": 1.4, "speed_m_s": {"min": 0.1, "mean": 1.0, "max": 3.0, "per_latent": [0.1, 3.0]}}
BETTER = {"fall_rate": 0.01, "clip_coverage": 0.9, "style_reward": 0.7, "jerk_ratio": 0.9, "speed_m_s": {"min": 0.2, "mean": 1.5, "max": 3.5, "per_latent": [0.2, 3.5]}}
TASK = {"normalized_return": {"mean": 0.85, "std": 0.006, "each": [0.85]}, "fall_rate": {"mean": 0.01, "std": 0.0, "each": [0.01]}, "task": "heading", "from_scratch": False}
OTHER = {"normalized_return": {"mean": 0.75, "std": 0.01, "each": [0.75]}, "fall_rate": {"mean": 0.0, "std": 0.0, "each": [0.0]}, "task": "heading", "from_scratch": True}

HIGHS = "normalized_return success_rate clip_coverage transition_coverage style_reward likeness retrieval_top1 latent_cosine diversity push_survival"
HIGHS += " throw_survival fallen_recovery begun_from_rest"
LOWS = "fall_rate transition_fall_rate heldout_disc_accuracy frechet_distance earth_movers_distance within_latent foot_skate_m_s foot_skate_ratio limit_pressing diverged"
LOWS += " overruled heldout_disc_noise joint_error_deg push_recovery_time_s throw_recovery_time_s fallen_recovery_time_s"


def make_run(folder: Path, measures: dict) -> str:
    folder.mkdir(parents=True)
    (folder / "evaluation.json").write_text(json.dumps(measures))
    return str(folder)


def bold(names: list[str], measures: list[dict]) -> dict[str, list[str]]:
    """What a terminal shows in bold, by the name of the measure."""
    out = io.StringIO()
    Console(file=out, force_terminal=True, width=150, color_system="standard", legacy_windows=False).print(comparison_table(names, compare(measures)))
    lines = [line for line in out.getvalue().splitlines() if line.startswith("│")]
    return {re.sub(r"\x1b\[[\d;]*m", "", line).split("│")[1].strip(): [text.strip() for text in re.findall(r"\x1b\[1m(.*?)\x1b\[0m", line)] for line in lines}


@pytest.mark.parametrize(("better", "best"), [(HIGH, {3}), (LOW, {0}), (ONE, {1}), (NEITHER, set())])
def test_the_best_is_picked_the_right_way_round(better, best):
    values = [0.25, 1.2, None, 3.0]
    assert best_of(values, [None if v is None else str(v) for v in values], better) == best


def test_values_that_are_shown_alike_are_equally_good():
    assert best_of([0.9001, 0.9002, 0.8], ["0.90", "0.90", "0.80"], HIGH) == {0, 1}
    assert best_of([0.9001, 0.9002], ["0.90", "0.90"], HIGH) == set()
    assert best_of([0.9, None], ["0.90", None], HIGH) == set(), "with nothing to compare nothing is best"
    assert best_of([None, None], [None, None], LOW) == set()


def test_every_measure_is_known_once_and_the_right_way_round():
    better = {m.key: m.better for m in MEASURES}
    assert len(better) == len(MEASURES)
    assert {key for key, way in better.items() if way == HIGH} == set(HIGHS.split())
    assert {key for key, way in better.items() if way == LOW} == set(LOWS.split())
    assert {key for key, way in better.items() if way == ONE} == {"jerk_ratio"}
    assert all(m.why for m in MEASURES)


def test_skills_side_by_side():
    rows = {row.measure.key: row for row in compare([SKILLS | {"confidence": {"fall_rate": 0.003}}, BETTER | {"new": 2.0, "retrieval_top1": None, "fall_rate_per_latent": [0.0]}])}
    assert list(rows) == ["fall_rate", "clip_coverage", "style_reward", "speed_m_s.min", "speed_m_s", "speed_m_s.max", "jerk_ratio", "new"]
    assert rows["fall_rate"].texts == ("2.0% ± 0.3%", "1.0%")
    assert rows["fall_rate"].spreads == (0.003, None)
    assert rows["speed_m_s"].texts == ("1.00", "1.50")
    assert rows["new"].texts == ("–", "2.000")
    assert {key: set(row.best) for key, row in rows.items() if row.best} == {"fall_rate": {1}, "clip_coverage": {1}, "jerk_ratio": {1}}


def test_what_is_no_number_is_absent():
    rows = compare([SKILLS | {"fall_rate": float("nan"), "confidence": {"clip_coverage": float("nan")}}, SKILLS])
    assert rows[0].texts == ("–", "2.0%")
    assert rows[1].texts == ("80.0%", "80.0%")
    assert not rows[0].best


def test_words_are_shown():
    (row,) = (row for row in compare([SKILLS | {"convergence": {"verdict": "converged", "detail": ""}}, SKILLS]) if row.measure.name == "training")
    assert (row.texts, row.best) == (("converged", "–"), frozenset())


def test_the_best_is_bold_in_the_table():
    found = bold(["a", "b"], [SKILLS, BETTER])
    assert found["falls"] == ["1.0%"]
    assert found["clip coverage"] == ["90.0%"]
    assert found["jerk by that of the clips"] == ["0.90"]
    assert found["style reward"] == found["mean speed, m/s"] == []


def test_names_of_runs_are_no_markup():
    out = io.StringIO()
    Console(file=out, width=80).print(comparison_table(["[red]a", "b"], compare([SKILLS, BETTER])))
    assert "[red]a" in out.getvalue()


def test_controllers_of_one_task_are_compared_and_of_two_are_not():
    assert bold(["a", "b"], [TASK, OTHER]) == {"task": [], "return": ["0.850 ± 0.006"], "falls": ["0.0% ± 0.0%"]}
    assert bold(["a", "b"], [TASK, OTHER | {"task": "location"}]) == {"task": [], "return": [], "falls": []}


def test_the_command_prints_and_writes(tmp_path, capsys):
    a, b = make_run(tmp_path / "a", SKILLS), make_run(tmp_path / "<b>", BETTER)
    writer = SummaryWriter(a)
    writer.add_scalar("reward/style", 0.5, 100)
    writer.close()
    page, data = tmp_path / "out" / "c.html", tmp_path / "out" / "c.json"
    assert run.main(["compare", a, b, "--html", str(page), "--json", str(data)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"falls +│ +2\.0% │ +1\.0% │", out)
    assert f"wrote {page}\n" in out
    saved = json.loads(data.read_text())
    assert saved["runs"] == ["a", "<b>"]
    assert saved["measures"]["fall_rate"] == {"better": "lower is better", "values": [0.02, 0.01], "spreads": [None, None], "best": ["<b>"]}
    assert saved["measures"]["speed_m_s"]["best"] == []
    text = page.read_text()
    assert "<th>measure</th><th>a</th><th>&lt;b&gt;</th>" in text
    assert "<b>" not in text
    assert '<tr><td>falls</td><td>2.0%</td><td class="best">1.0%</td><td class="why">' in text
    assert "<tr><td>mean speed, m/s</td><td>1.00</td><td>1.50</td>" in text
    assert text.count("<img") == 1
    assert "each run&#x27;s own discriminator" in text
    assert "http" not in text


def test_a_page_without_curves_and_with_controllers(tmp_path, capsys):
    a, b = make_run(tmp_path / "x" / "run", TASK), make_run(tmp_path / "y" / "run", OTHER)
    page = tmp_path / "c.html"
    assert run.main(["compare", a, b, "--html", str(page)]) == 0
    assert "standard deviation between seeds" in capsys.readouterr().out
    text = page.read_text()
    assert "<img" not in text
    assert "Learning curves" not in text
    assert f"<th>{a}</th><th>{b}</th>" in text, "names that are alike are told apart by their paths"
    assert '<td class="word">heading</td>' in text


def test_the_shipped_skills_can_be_compared(capsys):
    shipped = Path(run.__file__).parent / "ase" / "pretrained"
    assert run.main(["compare", str(shipped / "agile"), str(shipped / "locomotion")]) == 0
    assert "clip coverage" in capsys.readouterr().out


def test_refusals(tmp_path, capsys):
    a, task = make_run(tmp_path / "a", SKILLS), make_run(tmp_path / "task", TASK)
    assert error_line(capsys, "compare") == "error: run.py compare: runs: got 0; expected at least 2"
    assert error_line(capsys, "compare", a) == "error: run.py compare: runs: got 1; expected at least 2"
    assert error_line(capsys, "compare", a, task) == "error: run.py compare: runs: got skills (a) and task controllers (task); expected one kind"
    none = tmp_path / "none"
    command = f"expected the file that is written by: run.py evaluate {none} --json {none}/evaluation.json"
    assert error_line(capsys, "compare", a, str(none)) == f"error: run {none}: got no evaluation.json; {command}"
    none.mkdir()
    assert error_line(capsys, "compare", a, str(none)) == f"error: run {none}: got no evaluation.json; {command}"
    file = none / "evaluation.json"
    file.write_text("{")
    line = error_line(capsys, "compare", a, str(none))
    assert line.startswith(f"error: file {file}: got no JSON (")
    assert line.endswith(f"); {command}")
    file.write_bytes(b"\xff\xfe\x00")
    assert error_line(capsys, "compare", a, str(none)).startswith(f"error: file {file}: got no JSON (")
    for text in ("[]", "{}"):
        file.write_text(text)
        assert error_line(capsys, "compare", a, str(none)) == f"error: file {file}: got no fall_rate; {command}"
    assert error_line(capsys, "compare", a, a, "--html", str(none)) == f"error: file {none}: cannot be written: Is a directory"

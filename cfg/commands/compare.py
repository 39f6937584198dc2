"""``run.py compare``: which of several runs is the better one, and in what?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cfg.cli import parse
from cfg.measures import Row, compare
from cfg.page import comparison_page, learning_curves
from cfg.wiring import write_json

EVALUATION = "evaluation.json"
SKILLS_NOTE = "± is half the width of the 95 % confidence interval of the mean over seeds. Style reward and likeness are by each run's own discriminator."
CONTROLLERS_NOTE = "± is the standard deviation between seeds."


@dataclass(frozen=True)
class CompareArgs:
    """Puts what was measured of several runs side by side, the best value of each measure in bold. A run is measured by: run.py evaluate RUN --json RUN/evaluation.json

    Attributes:
        runs: folders with an evaluation.json, all of skills or all of task controllers.
        html: file that receives the comparison as a page, with learning curves of those runs that have TensorBoard files.
        json: file that receives the numbers.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]] = ()
    html: Path | None = None
    json: Path | None = None


def main(args: Sequence[str]) -> None:
    given = parse(CompareArgs, args, "run.py compare")
    if len(given.runs) < 2:
        raise ValueError(f"run.py compare: runs: got {len(given.runs)}; expected at least 2")
    found, names = [read_evaluation(run) for run in given.runs], run_names(given.runs)
    controllers = of_controllers(dict(zip(names, found, strict=True)))
    rows, note = compare(found), CONTROLLERS_NOTE if controllers else SKILLS_NOTE
    if given.json:
        write_json(given.json, as_data(names, rows))
    if given.html:
        curves = {name: learned for name, run in zip(names, given.runs, strict=True) if (learned := learning_curves(run))}
        print(f"wrote {comparison_page(given.html, names, rows, curves, note)}")
    console = Console()
    console.print(comparison_table(names, rows))
    console.print(note, highlight=False)


def read_evaluation(run: Path) -> dict[str, Any]:
    """What ``run.py evaluate`` wrote into a run's folder.

    Raises:
        ValueError: no such file, or one that holds no measures.
    """
    path = run / EVALUATION
    command = f"run.py evaluate {run} --json {path}"
    try:
        measures = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ValueError(f"run {run}: got no {EVALUATION}; expected the file that is written by: {command}") from None
    except ValueError as error:
        raise ValueError(f"file {path}: got no JSON ({error}); expected the file that is written by: {command}") from None
    if not isinstance(measures, dict) or "fall_rate" not in measures:
        raise ValueError(f"file {path}: got no fall_rate; expected the file that is written by: {command}")
    return measures


def run_names(runs: Sequence[Path]) -> list[str]:
    """The folders' own names where those tell them apart, else the paths as they were given."""
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def of_controllers(runs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the runs are task controllers rather than skills.

    Raises:
        ValueError: some are, some are not.
    """
    tasks = [name for name, found in runs.items() if "normalized_return" in found]
    skills = [name for name in runs if name not in tasks]
    if tasks and skills:
        raise ValueError(f"run.py compare: runs: got skills ({', '.join(skills)}) and task controllers ({', '.join(tasks)}); expected one kind")
    return bool(tasks)


def comparison_table(names: Sequence[str], rows: Sequence[Row]) -> Table:
    """A line a measure, a column a run; the best of a line in bold."""
    table = Table()
    table.add_column("measure")
    for name in names:
        table.add_column(Text(name), justify="right", overflow="fold")
    for row in rows:
        table.add_row(row.measure.name, *(Text(text, style="bold" if k in row.best else "") for k, text in enumerate(row.texts)))
    return table


def as_data(names: Sequence[str], rows: Sequence[Row]) -> dict[str, Any]:
    """The comparison as JSON-able data: for each measure which way is better, and lists with an entry a run (null: absent)."""
    measures = {
        row.measure.key: {"better": row.measure.better, "values": row.values, "spreads": row.spreads, "best": [names[k] for k in sorted(row.best)]}
        for row in rows
        if any(value is not None for value in row.values)
    }
    return {"runs": list(names), "measures": measures}

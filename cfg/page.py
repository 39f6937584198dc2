"""What was measured as one web page that needs nothing else: style and pictures are inside it."""

from __future__ import annotations

import base64
import contextlib
import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cfg.figures import CURVES, Curve, coverage_figure, curves_figure, latent_map_figure, svg, transition_figure
from cfg.measures import Row, measures_in
from motions.page import PNG
from motions.page import STYLE as TABLES

BEST, WORD = ' class="best"', ' class="word"'
STYLE = f"""{TABLES.strip()}
.wide{{overflow-x:auto}}td.why{{text-align:left;white-space:normal;opacity:.8}}td.word{{white-space:normal}}td.best{{font-weight:700;color:#1d7a46}}th.why{{text-align:left}}
figure{{margin:1rem 0}}figure img{{background:#fff}}h3{{margin:1.4rem 0 .2rem}}.note{{opacity:.8}}
@media(prefers-color-scheme:dark){{td.best{{color:#5cc48a}}}}
"""


def skills_page(
    path: str | Path, run_name: str, measures: Mapping[str, Any], curves: Mapping[str, tuple[list[int], list[float]]] | None = None, thumbnails: Mapping[str, bytes] | None = None
) -> Path:
    """Writes a page about a run's skills: numbers, clips, transitions, latents, learning curves and pictures, each part where there is something to show.

    Args:
        measures: what ``run.py evaluate`` found. curves: see `learning_curves`. thumbnails: for each skill a picture as PNG bytes; a clip's numbers are put under it.

    Raises:
        ValueError: a picture that is no PNG, or a path that cannot be written.
    """
    parts = [_verdict(measures), _numbers(measures)]
    clips = measures.get("clips")
    if clips:
        note = f"{sum(clip['covered'] for clip in clips.values())} of {len(clips)} are covered: some latent plays the clip for at least a quarter of its time."
        parts.append(_section("Clips that are played", note, coverage_figure(clips)))
    if measures.get("transitions"):
        note = "How often each clip (row) was followed by each other one (column) when the latent changed. Rollouts that fell are left out."
        parts.append(_section("Transitions", note, transition_figure(measures["transitions"])))
    found = measures.get("latent_map") or {}
    if found.get("xy") and clips:
        note = "Each mark is a latent, on the plane of the latents' two main components, coloured by the clip that it plays most. Mirror images have the same colour."
        parts.append(_section("Latents", note, latent_map_figure(found, list(clips))))
    if curves:
        parts.append(_section("Learning curves", "Every value pale, their running mean on top.", curves_figure({run_name: curves})))
    if thumbnails:
        strips = "\n".join(_strip(name, picture, measures.get("clip_latents", {}).get(name)) for name, picture in thumbnails.items())
        parts.append(f"<section><h2>Skills</h2>\n{strips}</section>")
    return write_page(path, f"Skills of {run_name}", parts)


def comparison_page(path: str | Path, names: Sequence[str], rows: Sequence[Row], curves: Mapping[str, Mapping[str, Curve]], note: str = "") -> Path:
    """Writes a page with the table of several runs and their learning curves, one above the other.

    Args:
        names: of the runs. curves: of those runs that have any, by name. note: a line under the table.

    Raises:
        ValueError: a path that cannot be written.
    """
    heads = "".join(f"<th>{html.escape(text)}</th>" for text in ("measure", *names))
    body = []
    for row in rows:
        word = WORD if all(value is None for value in row.values) else ""
        cells = "".join(f"<td{BEST if k in row.best else word}>{html.escape(text)}</td>" for k, text in enumerate(row.texts))
        body.append(f'<tr><td>{html.escape(row.measure.name)}</td>{cells}<td class="why">{_why(row.measure.why, row.measure.better)}</td></tr>')
    parts = [_table(f'{heads}<th class="why">what it is</th>', body), f'<p class="note">{html.escape(note)}</p>' if note else ""]
    if curves:
        parts.append(_section("Learning curves", "Every value pale, their running mean on top.", curves_figure(curves)))
    return write_page(path, f"Comparison of {', '.join(names)}", parts)


def learning_curves(run: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Control steps and values of those of `CURVES` that a run folder's TensorBoard files hold; empty without such files. Where a training was begun anew or resumed from
    an earlier point, what came after that point before is left out."""
    if not any(run.glob("events.out.tfevents.*")):
        return {}
    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 1, "tensors": 1, "histograms": 1, "distributions": 1, "audio": 1})
    events.Reload()
    return {key: _unbroken((e.step, e.value) for e in events.Scalars(key)) for key in CURVES if key in events.Tags()["scalars"]}


def _unbroken(points: Iterable[tuple[int, float]]) -> tuple[list[int], list[float]]:
    steps: list[int] = []
    values: list[float] = []
    for step, value in points:
        while steps and steps[-1] >= step:
            steps.pop()
            values.pop()
        steps.append(step)
        values.append(value)
    return steps, values


def write_page(path: str | Path, title: str, parts: Iterable[str]) -> Path:
    """Writes ``parts`` (HTML) under a heading; the file is replaced as a whole or not at all, and its folder is made."""
    page = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">\n<title>{html.escape(title)}</title>'
    page += f"<style>{STYLE}</style></head>\n<body>\n<h1>{html.escape(title)}</h1>\n" + "\n".join(part for part in parts if part) + "\n</body></html>\n"
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(page, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise ValueError(f"file {path}: cannot be written: {error.strerror}") from None
    return path


def _verdict(measures: Mapping[str, Any]) -> str:
    """How the run was measured, and whether its training has come to its end."""
    lines = []
    if {"num_latents", "replicas", "seconds"} <= measures.keys():
        seeds = f", {measures['seeds']} seeds" if measures.get("seeds", 1) > 1 else ""
        lines.append(f"<p>{measures['num_latents']} latents x {measures['replicas']} rollouts of {measures['seconds']:g} s{seeds}.</p>")
    if measures.get("convergence"):
        verdict, detail = (html.escape(str(measures["convergence"].get(key, ""))) for key in ("verdict", "detail"))
        lines.append(f"<p>Training: <strong>{verdict}</strong>. {detail}{'.' if detail and not detail.endswith('.') else ''}</p>")
    return "\n".join(lines)


def _numbers(measures: Mapping[str, Any]) -> str:
    shown = [m for m in measures_in(measures) if m.key != "convergence.verdict"]  # it stands above
    rows = [f'<tr><td>{html.escape(m.name)}</td><td>{html.escape(m.text(measures))}</td><td class="why">{_why(m.why, m.better)}</td></tr>' for m in shown]
    table = _table('<th>measure</th><th>value</th><th class="why">what it is</th>', rows)
    note = '<p class="note">± is half the width of the 95 % confidence interval of the mean over seeds.</p>' if measures.get("confidence") else ""
    return f"<section><h2>Numbers</h2>\n{table}{note}</section>" if rows else ""


def _why(why: str, better: str) -> str:
    return html.escape("; ".join(text for text in (why, better) if text))


def _table(heads: str, rows: Iterable[str]) -> str:
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead>\n<tbody>\n' + "\n".join(rows) + "\n</tbody></table></div>\n"


def _section(title: str, note: str, figure: Figure) -> str:
    picture = f'<img alt="{html.escape(title)}" src="data:image/svg+xml;base64,{base64.b64encode(svg(figure)).decode()}">'
    return f"<section><h2>{html.escape(title)}</h2><p>{html.escape(note)}</p>\n<figure>{picture}</figure></section>"


def _strip(name: str, picture: bytes, played: Mapping[str, float | None] | None) -> str:
    """A skill's picture with its numbers."""
    if not picture.startswith(PNG):
        raise ValueError(f"skill {name}: picture: got {picture[:8]!r}; expected PNG bytes")
    title, numbers = html.escape(name), ""
    if played:
        numbers = "<p>" + ", ".join(_said(played)) + "</p>"
    return f'<h3>{title}</h3>{numbers}<figure><img alt="{title}" src="data:image/png;base64,{base64.b64encode(picture).decode()}"></figure>'


def _said(played: Mapping[str, float | None]) -> Iterator[str]:
    """A clip's numbers, those that there are."""
    if "speed_m_s" in played:
        yield f"{played['speed_m_s']:.2f} m/s" + (f" (the clip {played['clip_speed_m_s']:.2f})" if "clip_speed_m_s" in played else "")
    forms = {
        "turn_rad_s": "turns {:+.2f} rad/s",
        "fall_rate": "falls {:.1%}",
        "style_reward": "style {:.2f}",
        "joint_error_deg": "joints {:.1f}° off",
        "from_rest": "from standing {:.0%} of the time",
    }
    for key, form in forms.items():
        if played.get(key) is not None:
            yield form.format(played[key])

"""Assessments as one web page that needs nothing else: style and pictures are inside it."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from pathlib import Path

from motions.assess import RULES, Assessment

PNG = b"\x89PNG\r\n\x1a\n"
COLUMNS = (
    ("duration_s", "length s", "{:.2f}"),
    ("fps", "Hz", "{:.4g}"),
    ("penetration_cm", "sinks cm", "{:.1f}"),
    ("floating_cm", "floats cm", "{:.1f}"),
    ("skate_mps", "skate m/s", "{:.2f}"),
    ("limit_deg", "limits deg", "{:.0f}"),
    ("spikes_per_s", "spikes /s", "{:.1f}"),
    ("self_penetration_cm", "self cm", "{:.1f}"),
    ("duplicate_share", "repeated", "{:.0%}"),
    ("seam_deg", "seam deg", "{:.0f}"),
    ("fallen_share", "down", "{:.0%}"),
)
STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1c2733;background:#fff}
table{border-collapse:collapse;width:100%}th,td{padding:.35rem .5rem;text-align:right;border-bottom:1px solid #dde3ea;white-space:nowrap}
th:first-child,td:first-child{text-align:left}td.bad{background:#fbe3da}td.fair{background:#fff3d1}.good{color:#1d7a46}.usable{color:#96690b}.poor{color:#b3311d}
section{margin:2rem 0;border-top:2px solid #dde3ea}img{max-width:100%;height:auto;border-radius:4px}ul{margin:.3rem 0}
@media(prefers-color-scheme:dark){body{background:#151b22;color:#dce4ec}th,td{border-color:#303b47}td.bad{background:#5a2a1f}td.fair{background:#4d4020}section{border-color:#303b47}}
"""


def html_report(path: str | Path, assessments: Sequence[Assessment], draw: Callable[[str], bytes] | None = None, title: str = "Motion clips") -> Path:
    """Writes a page with a table of all clips, then each with its picture and what to do; the file is replaced as a whole or not at all.

    Args:
        draw: a clip's picture as PNG bytes, by name; none without.

    Raises:
        ValueError: nothing to report, or a picture that is no PNG.
    """
    if not assessments:
        raise ValueError(f"report {path}: got no clips; expected at least one")
    ranked = sorted(assessments, key=lambda a: (a.score, a.name))
    heads = "".join(f"<th>{text}</th>" for text in ("clip", "score", "verdict", *(text for _, text, _ in COLUMNS)))
    rows = "\n".join(f"<tr>{_row(a)}</tr>" for a in ranked)
    counts = ", ".join(f"{sum(a.verdict == word for a in assessments)} {word}" for word in ("good", "usable", "poor"))
    body = f"<h1>{html.escape(title)}</h1>\n<p>{len(assessments)} clips, {sum(a.measures.duration_s for a in assessments):.1f} s: {counts}. Worst first.</p>\n"
    body += f"<table><thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>\n" + "\n".join(_section(a, draw) for a in ranked)
    page = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">\n<title>{html.escape(title)}</title>'
    page += f"<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    part.write_text(page, encoding="utf-8")
    part.replace(path)
    return path


def _row(a: Assessment) -> str:
    rules = {rule.measure: rule for rule in RULES}
    cells = [f'<td><a href="#{html.escape(a.name)}">{html.escape(a.name)}</a></td>', f"<td>{a.score:.0f}</td>", f'<td class="{a.verdict}">{a.verdict}</td>']
    for field, _, form in COLUMNS:
        value = getattr(a.measures, field)
        lost = rules[field].penalty(value) / rules[field].weight if field in rules else 0.0
        kind = ' class="bad"' if lost > 0.5 else ' class="fair"' if lost > 0.1 else ""
        cells.append(f"<td{kind}>{form.format(value)}</td>")
    return "".join(cells)


def _section(a: Assessment, draw: Callable[[str], bytes] | None) -> str:
    picture = ""
    if draw is not None:
        data = draw(a.name)
        if not data.startswith(PNG):
            raise ValueError(f"clip {a.name}: picture: got {data[:8]!r}; expected PNG bytes")
        picture = f'<img alt="{html.escape(a.name)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'
    todo = "".join(f"<li>{html.escape(line)}</li>" for line in a.advice) or "<li>nothing to do</li>"
    return f'<section id="{html.escape(a.name)}"><h2>{html.escape(a.name)} <span class="{a.verdict}">{a.verdict}, {a.score:.0f}</span></h2>{picture}<ul>{todo}</ul></section>'

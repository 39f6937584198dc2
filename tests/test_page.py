"""The page about a run's skills, and its pictures."""

from __future__ import annotations

import base64
import re
import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex
from torch.utils.tensorboard import SummaryWriter

from cfg.figures import COLOURS, COVERED, MISSED, clip_marks, coverage_figure, curves_figure, latent_map_figure, running_mean, svg, transition_figure, transition_shares
from cfg.page import learning_curves, skills_page

PNG = b"\x89PNG\r\n\x1a\n"
COUNTS = [[5, 15, 0], [0, 0, 0], [1, 2, 7]]
CLIPS = {"walk": {"covered": True, "best_share": 0.9, "share": 0.7}, "run": {"covered": False, "best_share": 0.1, "share": 0.05}, "run_mirror": {"covered": True, "share": 0.25}}
MEASURES = {
    "fall_rate": 0.0123,
    "clip_coverage": 0.75,
    "retrieval_top1": None,
    "speed_m_s": {"min": 0.5, "mean": 1.25, "max": 3.0, "per_latent": [0.5, 2.0]},
    "clips": CLIPS,
    "clip_latents": {"walk": {"fall_rate": 0.125, "speed_m_s": 0.9, "turn_rad_s": -0.25, "clip_speed_m_s": 1.1, "style_reward": 0.8, "joint_error_deg": 5.25, "from_rest": 0.25}},
    "transitions": {"clips": list(CLIPS), "counts": COUNTS},
    "latent_map": {"xy": [[0.1, 0.2], [0.3, -0.4], [-0.5, 0.6], [0.7, 0.8]], "nearest": [0, 2, 0, -1]},
    "convergence": {"verdict": "still improving", "detail": "reward/style +3 %"},
    "confidence": {"fall_rate": 0.004},
    "num_latents": 4,
    "replicas": 2,
    "seconds": 10.0,
    "seed": 0,
}
CURVES = {"reward/style": ([100, 200, 300], [0.1, 0.2, 0.4]), "episode/mean_steps": ([100, 200, 300], [10.0, 30.0, 50.0])}
HEADINGS = {"clips": "Clips that are played", "transitions": "Transitions", "latent_map": "Latents", "curves": "Learning curves", "thumbnails": "Skills"}


def page(tmp_path: Path, measures: dict = MEASURES, curves: dict = CURVES, thumbnails: dict | None = None, name: str = "agile") -> str:
    return skills_page(tmp_path / "page.html", name, measures, curves, {"walk": PNG + b"strip"} if thumbnails is None else thumbnails).read_text()


def headings(text: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", text)


def drawn(text: str) -> list[bytes]:
    """The page's SVG pictures."""
    return [base64.b64decode(data) for data in re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', text)]


def test_the_page_holds_everything_and_needs_nothing_else(tmp_path):
    text = page(tmp_path)
    assert headings(text) == ["Numbers", *HEADINGS.values()]
    assert len(drawn(text)) == 4
    assert f"data:image/png;base64,{base64.b64encode(PNG + b'strip').decode()}" in text
    assert "0.90 m/s (the clip 1.10), turns -0.25 rad/s, falls 12.5%, style 0.80, joints 5.2° off, from standing 25% of the time" in text
    assert "4 latents x 2 rollouts of 10 s." in text
    assert "2 of 3 are covered" in text
    assert "Training: <strong>still improving</strong>. reward/style +3 %." in text
    assert all(source.startswith("data:image/") for source in re.findall(r'(?:src|href)="([^"]*)"', text))
    assert "http" not in text
    assert "<script" not in text
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_every_number_has_a_name_and_is_explained(tmp_path):
    text = page(tmp_path, MEASURES | {"something_new": 7.5, "fall_rate_per_latent": [0.0, 1.0]})
    assert '<tr><td>falls</td><td>1.2% ± 0.4%</td><td class="why">share of rollouts or episodes that end in a fall; lower is better</td></tr>' in text
    assert '<tr><td>clip coverage</td><td>75.0%</td><td class="why">share of clips that fill at least a quarter of some latent&#x27;s seconds; higher is better</td></tr>' in text
    for name, value in (("slowest latent, m/s", "0.50"), ("mean speed, m/s", "1.25"), ("fastest latent, m/s", "3.00"), ("something_new", "7.500")):
        assert f"<tr><td>{name}</td><td>{value}</td>" in text
    assert "latent recognised" not in text, "it is null"
    assert "fall_rate_per_latent" not in text
    assert "95 % confidence interval" in text
    assert "95 % confidence interval" not in page(tmp_path, {key: value for key, value in MEASURES.items() if key != "confidence"})


@pytest.mark.parametrize("left_out", HEADINGS)
def test_a_part_is_left_out_with_its_data_and_alone(tmp_path, left_out):
    measures = {key: value for key, value in MEASURES.items() if key != left_out}
    text = page(tmp_path, measures, {} if left_out == "curves" else CURVES, {} if left_out == "thumbnails" else None)
    gone = {left_out, "latent_map"} if left_out == "clips" else {left_out}  # the map's legend needs the clips' names
    assert headings(text) == ["Numbers", *(title for key, title in HEADINGS.items() if key not in gone)]


def test_a_page_of_next_to_nothing(tmp_path):
    text = skills_page(tmp_path / "new" / "page.html", "x", {"latent_map": {"nearest": [0]}, "clips": CLIPS}).read_text()
    assert headings(text) == ["Clips that are played"]
    assert "Training:" not in text
    assert headings(skills_page(tmp_path / "page.html", "x", {}).read_text()) == []
    assert "<p>" not in page(tmp_path, {}, {}, {"jump": PNG}), "a skill without numbers"


def test_names_are_text_and_nothing_else(tmp_path):
    evil = r"<b>&$\frac$"  # half a formula
    measures = MEASURES | {"clips": {evil: CLIPS["walk"]}, "transitions": {"clips": [evil], "counts": [[1]]}, "latent_map": {"xy": [[0, 0]], "nearest": [0]}}
    measures |= {"convergence": {"verdict": evil, "detail": evil}, "clip_latents": {}, evil: 1.0, "task": evil}
    text = page(tmp_path, measures, CURVES | {evil: ([1], [1.0])}, {evil: PNG}, evil)
    assert "<b>" not in text
    assert text.count(r"&lt;b&gt;&amp;$\frac$") == 8  # title, heading, verdict and detail, two rows of the table, a picture's heading and its text
    pictures = drawn(text)
    assert len(pictures) == 4
    for picture in pictures:
        ElementTree.fromstring(picture)
        assert all(link.startswith((b"#", b"data:")) for link in re.findall(rb'href="([^"]*)"', picture))
        assert b"<script" not in picture


def test_the_page_refuses(tmp_path):
    with pytest.raises(ValueError, match=r"skill walk: picture: got b'GIF89a'; expected PNG bytes"):
        page(tmp_path, thumbnails={"walk": b"GIF89a"})
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file .*page.html: cannot be written: "):
        skills_page(tmp_path / "file" / "page.html", "x", MEASURES)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=r"file .*folder: cannot be written: "):
        skills_page(tmp_path / "folder", "x", MEASURES)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_rows_of_transitions_are_what_came_before():
    shares = transition_shares(COUNTS)
    np.testing.assert_allclose(shares[[0, 2]], [[0.25, 0.75, 0.0], [0.1, 0.2, 0.7]])
    assert np.isnan(shares[1]).all()


def test_the_picture_of_transitions_reads_from_left_to_top():
    axes = transition_figure(MEASURES["transitions"]).axes[0]
    (mesh,) = axes.collections
    np.testing.assert_allclose(mesh.get_array().filled(-1), [[25, 75, 0], [-1, -1, -1], [10, 20, 70]])
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("from", "to")
    assert axes.yaxis_inverted()
    assert [t.get_text() for t in axes.get_yticklabels()] == [t.get_text() for t in axes.get_xticklabels()] == list(CLIPS)
    assert list(axes.get_yticks()) == [0.5, 1.5, 2.5]
    assert {t.get_position(): t.get_text() for t in axes.texts} == {(0.5, 0.5): "5", (1.5, 0.5): "15", (0.5, 2.5): "1", (1.5, 2.5): "2", (2.5, 2.5): "7"}


def test_transitions_that_never_were_are_drawn_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg(transition_figure({"clips": ["a", "b"], "counts": [[0, 0], [0, 0]]}))


def test_bars_are_shares_in_the_colour_of_coverage():
    axes = coverage_figure(CLIPS).axes[0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([70.0, 5.0, 25.0])
    assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == [COVERED, MISSED, COVERED]
    assert [bool(bar.get_hatch()) for bar in axes.patches] == [False, True, False]
    assert [t.get_text() for t in axes.get_yticklabels()] == list(CLIPS)
    assert [t.get_text() for t in axes.texts] == ["70.0", "5.0", "25.0"]
    assert axes.yaxis_inverted(), "the first clip is on top"


def test_latents_have_the_colour_of_their_clip():
    figure = latent_map_figure(MEASURES["latent_map"], list(CLIPS))
    walk, mirrored, none = figure.axes[0].collections  # no latent plays run
    np.testing.assert_allclose(walk.get_offsets(), [[0.1, 0.2], [-0.5, 0.6]])
    np.testing.assert_allclose(mirrored.get_offsets(), [[0.3, -0.4]])
    np.testing.assert_allclose(none.get_offsets(), [[0.7, 0.8]])
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["walk (2)", "run_mirror (1)", "none (1)"]
    marks = clip_marks(list(CLIPS))
    assert [to_hex(group.get_facecolor()[0]) for group in (walk, mirrored)] == [marks[0][0], marks[2][0]]
    assert [line.get_color() for line in figure.legends[0].get_lines()][:2] == [marks[0][0], marks[2][0]]


def test_mirror_images_share_a_colour_and_no_two_clips_a_mark():
    names = [f"clip{k}{end}" for k in range(4 * len(COLOURS)) for end in ("", "_mirror")]
    marks = clip_marks(names)
    assert len(set(marks)) == len(names) == 120
    assert all(ours[0] == mirror[0] for ours, mirror in zip(marks[::2], marks[1::2], strict=True))
    assert len({colour for colour, _ in marks[: 2 * len(COLOURS)]}) == len(COLOURS)


def test_the_running_mean_looks_back():
    np.testing.assert_allclose(running_mean([3.0, 1.0, 2.0]), [3.0, 1.0, 2.0])  # a twentieth of few is one
    values = np.arange(40.0)
    np.testing.assert_allclose(running_mean(values), [0.0, *(values[1:] - 0.5)])
    assert len(running_mean(np.arange(1000.0))) == 1000
    assert running_mean(np.arange(1000.0))[-1] == pytest.approx(999 - 12)


def test_curves_of_several_runs_share_panels():
    more = {"reward/style": ([100, 200], [0.3, 0.5]), "reward/task": ([1_000_000], [2.0])}
    figure = curves_figure({"a": CURVES, "b": more})
    panels = [panel for panel in figure.axes if panel.axison]
    assert [panel.get_title("left") for panel in panels] == ["style reward", "task reward", "steps per episode"]
    assert len(figure.axes) == 4
    lines = panels[0].lines
    assert [line.get_color() for line in lines] == [COLOURS[0]] * 2 + [COLOURS[1]] * 2
    np.testing.assert_allclose(lines[0].get_xydata(), [[1e-4, 0.1], [2e-4, 0.2], [3e-4, 0.4]])
    np.testing.assert_allclose(panels[1].lines[0].get_xydata(), [[1.0, 2.0]])
    assert panels[1].lines[0].get_color() == COLOURS[1], "a run has one colour in all panels"
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["a", "b"]
    assert not curves_figure({"a": CURVES}).legends


def write_events(run: Path, suffix: str, points: dict[str, list[tuple[int, float]]]) -> None:
    writer = SummaryWriter(str(run), filename_suffix=suffix)
    for key, values in points.items():
        for step, value in values:
            writer.add_scalar(key, value, step)
    writer.close()


def test_curves_are_read_from_event_files(tmp_path):
    write_events(tmp_path, "", {"reward/style": [(10, 0.5), (20, 0.25)], "episode/falls_per_1000_steps": [(10, 4.0)], "ppo/kl": [(10, 1.0)]})
    (tmp_path / "config.yaml").write_text("")
    assert learning_curves(tmp_path) == {"reward/style": ([10, 20], [0.5, 0.25]), "episode/falls_per_1000_steps": ([10], [4.0])}


def test_a_training_that_was_begun_anew_counts_from_there(tmp_path, caplog):
    write_events(tmp_path, ".a", {"reward/style": [(10, 0.0), (20, 1.0), (30, 2.0)]})
    write_events(tmp_path, ".b", {"reward/style": [(20, 3.0), (25, 4.0)]})
    assert learning_curves(tmp_path) == {"reward/style": ([10, 20, 25], [0.0, 3.0, 4.0])}
    assert not caplog.records


def test_a_run_without_event_files_has_no_curves(tmp_path):
    assert learning_curves(tmp_path) == {}
    assert learning_curves(tmp_path / "absent") == {}
    (tmp_path / "events.out.tfevents.1").write_bytes(b"")
    assert learning_curves(tmp_path) == {}

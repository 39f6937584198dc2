"""Progress of a training: a live table on a terminal, plain lines elsewhere, and TensorBoard scalars."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

SHOWN = (
    ("style reward", "reward/style", "{:.3f}"),
    ("  without noise", "reward/style_noise_free", "{:.3f}"),
    ("skill reward", "reward/skill", "{:.3f}"),
    ("steps per episode", "episode/mean_steps", "{:.0f}"),
    ("falls per 1,000 steps", "episode/falls_per_1000_steps", "{:.2f}"),
    ("policy KL", "ppo/kl", "{:.4f}"),
    ("discriminator right, agent", "style/agent_accuracy", "{:.2f}"),
    ("discriminator right, clips", "style/demo_accuracy", "{:.2f}"),
    ("samples per second", "time/samples_per_s", "{:,.0f}"),
)
TASK_SHOWN = (
    ("reward a step", "reward/total", "{:.3f}"),
    ("  of the task", "reward/task", "{:.3f}"),
    ("steps per episode", "episode/mean_steps", "{:.0f}"),
    ("episodes that fall", "episode/fall_share", "{:.3f}"),
    ("policy KL", "ppo/kl", "{:.4f}"),
    ("value explained", "value/explained", "{:.2f}"),
    ("samples per second", "time/samples_per_s", "{:,.0f}"),
)
LINE_EVERY_S = 20.0


class Reporter:
    """Shows and writes metrics.

    Args:
        folder: where TensorBoard's event files go. total: samples that end the training. minutes: minutes that end it, 0 for no limit.
        silent: neither shows nor writes anything, as all ranks but one. shown: rows of the table: name, metric, format.
    """

    def __init__(self, folder: Path, total: int, minutes: float, silent: bool = False, shown: tuple[tuple[str, str, str], ...] = SHOWN):
        self._silent, self._shown = silent, shown
        self.writer = SummaryWriter(str(folder)) if not silent else None
        self._total, self._minutes = total, minutes
        self._console = Console()
        self._progress = Progress(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("ETA {task.fields[eta]}"))
        self._task = self._progress.add_task("training", total=1.0, eta="?")
        self._live = Live(console=self._console, refresh_per_second=2) if self._console.is_terminal and not silent else None
        self._last_line = 0.0

    def __enter__(self) -> Reporter:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
        if self.writer:
            self.writer.close()

    def update(self, samples: int, seconds: float, metrics: dict[str, float]) -> None:
        """Logs one iteration's metrics at ``samples`` after ``seconds`` of training."""
        if self.writer is None:
            return
        for key, value in metrics.items():
            self.writer.add_scalar(key, value, samples)
        share = max(samples / self._total, seconds / (60 * self._minutes) if self._minutes else 0.0)
        eta = str(timedelta(seconds=int(seconds / share - seconds))) if share > 0 else "?"
        title = f"{samples / 1e6:.2f} M samples in {timedelta(seconds=int(seconds))}"
        if self._live:
            self._progress.update(self._task, completed=min(share, 1.0), description=title, eta=eta)
            table = Table(show_header=False, box=None)
            for name, key, form in self._shown:
                table.add_row(name, form.format(metrics.get(key, float("nan"))))
            self._live.update(Group(self._progress, table))
        elif time.monotonic() - self._last_line > LINE_EVERY_S:
            self._last_line = time.monotonic()
            shown = "  ".join(f"{name.strip()} {form.format(metrics.get(key, float('nan')))}" for name, key, form in self._shown)
            self._console.print(f"{title}, ETA {eta}: {shown}", soft_wrap=True, highlight=False)

    def say(self, text: str) -> None:
        """One line above the live table."""
        if not self._silent:
            self._console.print(text, soft_wrap=True, highlight=False)

    def scalar(self, name: str, value: float, samples: int) -> None:
        """One TensorBoard number."""
        if self.writer:
            self.writer.add_scalar(name, value, samples)

    def histogram(self, name: str, values: Tensor, samples: int) -> None:
        """A TensorBoard histogram, such as the speed of each latent."""
        if self.writer:
            self.writer.add_histogram(name, values, samples)

    def video(self, name: str, frames: Tensor, fps: float, samples: int) -> None:
        """A TensorBoard video of frames ``uint8 [T, 3, h, w]``."""
        if self.writer:
            self.writer.add_video(name, frames.unsqueeze(0), samples, fps=fps)


def measures_table(measures: dict[str, Any], title: str) -> Table:
    """What `ase.evaluate.evaluate` returns, for people."""
    table = Table(title=f"{title}: {measures['num_latents']} latents x {measures['replicas']} rollouts of {measures['seconds']:g} s", show_header=False)
    for key, value in measures.items():
        if key == "clips":
            table.add_row("clips not covered", ", ".join(name for name, clip in value.items() if not clip["covered"]) or "none")
        elif key == "falls_by_start":
            table.add_row("falls, by where they began", ", ".join(f"{name} {each['fell']} of {each['rollouts']}" for name, each in value.items()))
        elif key == "clip_latents":
            for name, played in value.items():
                what = "{speed_m_s:.2f} m/s of {clip_speed_m_s:.2f}, {turn_rad_s:+.2f} rad/s, style {style_reward:.2f}, falls {fall_rate:.0%}; {from_rest:.0%} from standing"
                off = "" if played["joint_error_deg"] is None else f", joints {played['joint_error_deg']:.1f}° off"
                table.add_row(f"latents of {name}", what.format(**played) + off)
        elif isinstance(value, dict) and "per_latent" in value:
            table.add_row(key, f"{value['min']:.2f} to {value['max']:.2f}, mean {value['mean']:.2f}")
        elif isinstance(value, dict) and set(value) == {"mean", "max"}:
            table.add_row(key, f"mean {value['mean']}, max {value['max']}")
        elif not isinstance(value, dict | list):
            table.add_row(key, f"{value:.3f}" if isinstance(value, float) else str(value))
    return table


def task_table(measures: dict[str, Any], title: str) -> Table:
    """What `ase.evaluate_task` returns, for people."""
    table = Table(title=f"{title}: {measures['task']}, {measures['seeds']} x {measures['episodes']} episodes of {measures['seconds']:g} s", show_header=False)
    for key, value in measures.items():
        if isinstance(value, dict):
            table.add_row(key, f"{value['mean']:.3f} ± {value['std']:.3f}")
    table.add_row("diverged", str(measures["diverged"]))
    return table

"""Learning curves of runs in one picture, from their TensorBoard files.

python docs/examples/plot_curves.py runs/heading runs/scratch --names "on skills" "from scratch" --out docs/heading_curves.png
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tyro
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


@dataclass(frozen=True)
class Args:
    """Attributes:
    runs: folders. names: of the curves, one a run. out: picture file. scalar: what is plotted. smooth: points averaged. y_name: name of the vertical axis.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    names: tuple[str, ...] = ()
    out: Path = Path("curves.png")
    scalar: str = "reward/task"
    smooth: int = 15
    y_name: str = "reward of the task, a step"


def read(run: Path, scalar: str) -> tuple[np.ndarray, np.ndarray]:
    """Control steps and values of a scalar."""
    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    found = events.Scalars(scalar)
    return np.array([e.step for e in found]), np.array([e.value for e in found])


def main(given: Args) -> None:
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for run, name in zip(given.runs, given.names or [str(run) for run in given.runs], strict=True):
        steps, values = read(run, given.scalar)
        width = min(given.smooth, len(values))
        axes.plot(steps[width - 1 :] / 1e6, np.convolve(values, np.ones(width) / width, "valid"), label=name)
    axes.set(xlabel="million control steps", ylabel=given.y_name, ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(given.out, dpi=110)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main(tyro.cli(Args))

"""Running commands in tests."""

from __future__ import annotations

import pytest

import run

# Follows clips in simulation, in a second, and is coached along what comes of it; whether a clip was followed to its end must be patched.
COACHED = tuple(
    "--samcon.trials 16 --samcon.survivors 4 --samcon.max-passes 2 --guide.refinements 1 --train.coach.rounds 2 --train.coach.steps 4 --train.coach.updates 2".split()  # noqa: SIM905
)


def error_line(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """The single line that a failing command prints."""
    capsys.readouterr()
    assert run.main(args) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]

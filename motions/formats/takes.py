"""Which of several motions in one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def choose_take(path: Path, take: str, names: Sequence[str]) -> int:
    """The index of the take with a name, or with a number from 0 on; empty: the first.

    Raises:
        ValueError: no such take; the message lists those there are.
    """
    if not take:
        return 0
    if take in names:
        return names.index(take)
    if take.isascii() and take.isdigit() and len(take) < 9 and int(take) < len(names):
        return int(take)
    have = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    raise ValueError(f"{path}: take: got {take!r}; expected its name, or a number from 0 to {len(names) - 1}. Available: {have}")

"""The skill book: latents with names, found with ``run.py skill``, in a file of their own beside the skills."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

BOOK = "skill_book.json"
MAX_NORM_ERROR = 1e-3  # of a latent, which lies on the unit sphere


def load_book(run: Path, dim: int) -> dict[str, Tensor]:
    """The latents ``[Z]`` of a run's book by name, on the unit sphere; empty without a book.

    Raises:
        ValueError: a file that is no book, or one of other skills, whose latents have another size than ``dim``.
    """
    return {name: torch.tensor(skill["latent"], dtype=torch.float32) for name, skill in read_book(run, dim).items()}


def read_book(run: Path, dim: int) -> dict[str, Any]:
    """What stands in a run's book: for each name ``latent``, ``like`` (the clip) and ``score``; errors as in `load_book`."""
    path = run / BOOK
    if not path.exists():
        return {}
    expected = f"expected a JSON object of named skills, each with a latent of {dim} numbers on the unit sphere"
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"skill book {path}: got {error}; {expected}") from None
    if not isinstance(found, dict):
        raise ValueError(f"skill book {path}: got {type(found).__name__}; {expected}")
    for name, skill in found.items():
        latent = skill.get("latent") if isinstance(skill, dict) else None
        got = "no list of numbers"
        if isinstance(latent, list) and all(type(x) in (int, float) and abs(x) < 1e6 for x in latent):  # NaN is not less either
            norm = sum(x * x for x in latent) ** 0.5
            got = f"{len(latent)} numbers" + (f" of norm {norm:g}" if len(latent) == dim else "")
            if len(latent) == dim and abs(norm - 1) < MAX_NORM_ERROR:
                continue
        raise ValueError(f"skill book {path}: {name}: got {got}; {expected}")
    return found


def require_writable(file: Path) -> None:
    """Raises ValueError if a ``file`` of a run cannot be written, before the work is done for it."""
    try:
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise _unwritable(file, error) from None


def _unwritable(path: Path, error: OSError) -> ValueError:
    return ValueError(f"file {path}: cannot be written: {error.strerror}; expected a folder that can, such as a copy of the run")


def save_skill(run: Path, name: str, latent: Tensor, like: str, score: float) -> Path:
    """Adds a skill of ``latent [Z]`` to a run's book, or replaces the one of that name; the file is whole at any time.

    Raises:
        ValueError: a book that cannot be read (it is left as it is) or written.
    """
    book = read_book(run, len(latent)) | {name: {"latent": [round(x, 6) for x in latent.tolist()], "like": like, "score": round(score, 4)}}
    path = run / BOOK
    fresh = path.with_name(f".{BOOK}.{os.getpid()}.tmp")
    try:
        fresh.write_text(json.dumps(book, indent=1) + "\n")
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise _unwritable(path, error) from None
    return path

"""What a planted bug is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """``original``, a text that occurs once in ``file``, becomes ``mutated``; ``tests`` are pytest's arguments, separated by spaces."""

    file: str
    original: str
    mutated: str
    tests: str

    def __str__(self) -> str:
        return f"{self.file}: {self.original}  ->  {self.mutated}"

"""Command-line plumbing on top of tyro: one-line errors for unknown commands and flags."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import sys
import typing
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import tyro

from cfg.load import closest

T = TypeVar("T")


def parse(kind: type[T], args: Sequence[str], prog: str, default: Any = None) -> T:
    """Parses ``args`` into a dataclass, nested fields as ``--a.b-c`` flags.

    Raises:
        ValueError: an unknown flag (with the closest match) or a value that does not fit, as one line. ``--help`` prints and exits as usual.
    """
    errors = io.StringIO()
    known = [*_flags(kind), "--help"]
    for arg in args:
        flag = arg.split("=")[0]
        if flag.startswith("--") and _canonical(flag) not in known:
            raise ValueError(f"{prog}: flag {flag}: unknown.{closest(_canonical(flag), known)} See {prog} --help")
    keywords: dict[str, Any] = {"args": list(args), "prog": prog} | ({"default": default} if default is not None else {})
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(kind, **keywords)
    except SystemExit as stop:
        if not stop.code:
            raise
        words = " ".join("".join(c for c in errors.getvalue() if c not in "╭─╮│╰╯").split())
        raise ValueError(f"{prog}: {words.replace('Parsing error ', '').replace('Required options ', 'missing: ')}") from None


def _canonical(flag: str) -> str:
    """The spelling of ``--flag`` with dashes and without a boolean's ``no-``."""
    name = flag.removeprefix("--").replace("_", "-")
    path, _, last = name.rpartition(".")
    last = last.removeprefix("no-")
    return "--" + (f"{path}.{last}" if path else last)


def _flags(kind: Any, prefix: str = "") -> Iterator[str]:
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        name = prefix + field.name.replace("_", "-")
        if dataclasses.is_dataclass(hints[field.name]):
            inner = "" if field.name == "config" else f"{name}."  # the run's own fields carry no prefix
            yield from _flags(hints[field.name], prefix + inner if field.name == "config" else inner)
        else:
            yield f"--{name}"


def fail(error: Exception) -> int:
    """Prints one line to standard error and returns the exit status 2."""
    print(f"error: {error}", file=sys.stderr)
    return 2

"""Configurations as plain dicts and YAML, loaded strictly: an unknown key, a missing file or a wrong type is an error that names the choices."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
    """A config dataclass as nested plain dicts; tuples become lists."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


def from_dict(kind: type[T], data: Any, where: str) -> T:
    """Builds a config of type ``kind`` from nested dicts; fields left out keep their defaults.

    Raises:
        ValueError: unknown key (the closest match is named) or a value of the wrong type, with ``where`` and the key's path.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{where}: got {type(data).__name__}; expected a mapping of {', '.join(f.name for f in dataclasses.fields(kind))}")  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    values = {}
    for key, value in data.items():
        if key not in hints:
            raise ValueError(f"{where}: key {key}: unknown.{closest(str(key), hints)} Available: {', '.join(hints)}")
        values[key] = _convert(hints[key], value, f"{where}: {key}")
    return kind(**values)


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where)  # type: ignore[arg-type]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{where}: got {value!r}; expected a list")
        return tuple(_convert(args[0], v, where) for v in value)
    if origin in (typing.Union, types.UnionType):
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"{where}: got {value!r}; expected {hint.__name__}")
    return value


def closest(word: str, choices: typing.Iterable[str]) -> str:
    """``" Closest: X."`` for the choice most like ``word``, or nothing."""
    found = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f" Closest: {found[0]}." if found else ""


def save_yaml(config: Any, path: Path) -> None:
    """Writes a config so that `load_yaml` gives it back."""
    path.write_text(yaml.safe_dump(to_dict(config), sort_keys=False))


def load_yaml(kind: type[T], path: Path) -> T:
    """Reads a config; raises ValueError naming the file if it is missing, no YAML, or holds unknown keys."""
    if not path.is_file():
        raise ValueError(f"config {path}: not found")
    try:
        data = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"config {path}: not valid YAML: {' '.join(str(error).split())}") from None
    return from_dict(kind, data, f"config {path}")

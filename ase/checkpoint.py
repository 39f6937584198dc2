"""Checkpoints: one safetensors file each, written atomically, loaded strictly.

A file is a flat map of tensors with ``/`` between the levels of nested dicts, and string metadata (a format version, the kind of file, and a JSON document).
Nothing in it is ever executed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

FORMAT = "1"


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Tensor]:
    """A nested dict of tensors as a flat one with ``/``-joined keys."""
    flat: dict[str, Tensor] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}/")
        else:
            flat[prefix + key] = value
    return flat


def unflatten(flat: dict[str, Tensor]) -> dict[str, Any]:
    """The inverse of `flatten` (empty dicts are lost)."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *path, leaf = key.split("/")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = value
    return tree


def save(path: str | Path, tree: dict[str, Any], kind: str, info: dict[str, Any]) -> None:
    """Writes a nested dict of tensors and a JSON-able ``info``: to a temporary file, flushed to disk, then renamed over ``path``.

    Raises:
        ValueError: the folder cannot be written to.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in flatten(tree).items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in path.parent.glob(f".{path.name}.*.tmp"):  # left by a killed process
            stale.unlink()
        save_file(tensors, temporary, metadata={"format": FORMAT, "kind": kind, "info": json.dumps(info)})
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"checkpoint {path}: cannot be written: {error}") from None


def load(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads what `save` wrote: the nested dict and ``info``.

    Raises:
        ValueError: the file is missing, damaged, of another kind or of another format version.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"checkpoint {path}: not found")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("kind") != kind or metadata.get("format") != FORMAT:
                found = f"{metadata.get('kind', 'none')} of format {metadata.get('format', 'none')}"
                raise ValueError(f"checkpoint {path}: kind: got {found}; expected {kind} of format {FORMAT}")
            return unflatten({key: file.get_tensor(key) for key in file.keys()}), json.loads(metadata["info"])  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ValueError(f"checkpoint {path}: damaged or no safetensors file: {error}") from None


def load_module(module: nn.Module, saved: dict[str, Tensor], what: str) -> None:
    """Strictly loads a module's tensors.

    Raises:
        ValueError: a tensor is missing, unexpected or of another shape; the message holds both shapes.
    """
    own = module.state_dict()
    for key, tensor in own.items():
        if key not in saved:
            raise ValueError(f"checkpoint {what}: tensor {key}: missing; expected shape {tuple(tensor.shape)}")
        if saved[key].shape != tensor.shape:
            raise ValueError(f"checkpoint {what}: tensor {key}: got shape {tuple(saved[key].shape)}; expected {tuple(tensor.shape)} (another character or other network sizes)")
    extra = sorted(set(saved) - set(own))
    if extra:
        raise ValueError(f"checkpoint {what}: tensor {extra[0]}: unexpected. Available: {', '.join(sorted(own))}")
    module.load_state_dict(saved)

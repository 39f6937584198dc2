"""What a glTF 2.0 file holds: its JSON, its binary buffers, and the arrays in them (accessors).

A ``.glb`` has both in one file: a header of 12 bytes (``glTF``, version, length), then chunks (length, kind, data). A ``.gltf`` is the JSON alone; its buffers are written
into it as base64 or lie beside it. Every index and size is checked before it is used. Source: Khronos glTF 2.0 specification, sections 3.6 (binary data) and 4 (GLB).
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from motions.formats.files import check_size, read_text

JSON_CHUNK, BIN_CHUNK = 0x4E4F534A, 0x004E4942  # "JSON", "BIN\0" in little-endian order
COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
DATA_URI = ";base64,"


@dataclass
class Document:
    """``data``: the JSON object. ``binary``: the ``.glb``'s buffer, or None. Messages begin with ``path``."""

    path: Path
    data: dict[str, Any]
    binary: bytes | None = None
    _buffers: dict[int, bytes] = field(default_factory=dict)

    def items(self, kind: str) -> list[dict[str, Any]]:
        """The list of nodes, animations, ... ; empty where the file has none."""
        found = self.data.get(kind, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise ValueError(f"{self.path}: {kind}: got {type(found).__name__}; expected a list of objects")
        return found

    def item(self, kind: str, index: Any) -> dict[str, Any]:
        """One of them."""
        found = self.items(kind)
        if type(index) is not int or not 0 <= index < len(found):
            raise ValueError(f"{self.path}: {kind}: got index {index!r:.40}; expected one of {len(found)}")
        return found[index]

    def indices(self, item: dict[str, Any], key: str) -> list[int]:
        """A field of an object that lists nodes."""
        listed = item.get(key, [])
        for index in listed if isinstance(listed, list) else [listed]:
            self.item("nodes", index)
        return listed

    def numbers(self, item: dict[str, Any], key: str, default: list[float]) -> np.ndarray:
        """A field of an object as finite numbers, as many as the default has."""
        value = item.get(key, default)
        if not isinstance(value, list) or len(value) != len(default) or not all(type(v) in (int, float) and abs(v) < 1e30 for v in value):
            raise ValueError(f"{self.path}: {key} of {item.get('name', 'a node')!r:.60}: got {value!r:.60}; expected {len(default)} finite numbers")
        return np.array(value, dtype=np.float64)

    def array(self, index: Any) -> np.ndarray:
        """The accessor as float64 ``[n, width]``; normalised integers become -1 to 1.

        Raises:
            ValueError: sparse, compressed, of another type, or beyond its buffer.
        """
        accessor, where = self.item("accessors", index), f"{self.path}: accessor {index}"
        kind, width = COMPONENTS.get(_hashable(accessor.get("componentType"))), WIDTHS.get(_hashable(accessor.get("type")))
        if kind is None or width is None or "sparse" in accessor or "bufferView" not in accessor:
            got = "sparse" if "sparse" in accessor else f"{accessor.get('componentType')!r:.20}, {accessor.get('type')!r:.20}"
            raise ValueError(f"{where}: got {got}; expected a buffer view of component type {', '.join(map(str, COMPONENTS))} and type {', '.join(WIDTHS)}")
        view = self.item("bufferViews", accessor["bufferView"])
        if view.get("extensions"):
            raise ValueError(f"{where}: compressed with {', '.join(map(str, view['extensions']))!s:.80}; expected plain data: export again without compression")
        data, dtype = self._buffer(view.get("buffer")), np.dtype(kind)
        count, start, inner, length = (_size(where, item, key, top) for item, key, top in (
            (accessor, "count", 0), (view, "byteOffset", 0), (accessor, "byteOffset", 0), (view, "byteLength", len(data)),
        ))  # fmt: skip
        row = width * dtype.itemsize
        stride = _size(where, view, "byteStride", row) or row
        if start + length > len(data) or inner + stride * (count - 1) + row > length or stride < row or not count:
            raise ValueError(f"{where}: got {count} x {row} bytes from {start + inner} on; expected at least one, within the {length} of its view and {len(data)} of its buffer")
        array = np.ndarray((count, width), dtype, data, start + inner, (stride, dtype.itemsize)).astype(np.float64)
        return np.maximum(array / np.iinfo(dtype).max, -1.0) if accessor.get("normalized") is True and dtype.kind in "iu" else array

    def _buffer(self, index: Any) -> bytes:
        uri = self.item("buffers", index).get("uri")
        if index not in self._buffers:
            if uri is None and index == 0 and self.binary is not None:
                self._buffers[index] = self.binary
            elif isinstance(uri, str) and uri.startswith("data:") and DATA_URI in uri[:200]:
                try:
                    self._buffers[index] = base64.b64decode(uri[uri.index(DATA_URI) + len(DATA_URI) :], validate=True)
                except (binascii.Error, ValueError) as error:
                    raise ValueError(f"{self.path}: buffer {index}: {error}; expected base64") from None
            else:
                self._buffers[index] = self._beside(index, uri)
        return self._buffers[index]

    def _beside(self, index: int, uri: Any) -> bytes:
        """A buffer file in the same folder or below it."""
        name = unquote(uri) if isinstance(uri, str) else ""
        try:
            file = (self.path.parent / name).resolve()
            if not name or not file.is_relative_to(self.path.parent.resolve()):
                raise ValueError("expected a file beside it, or data")
            check_size(file)
            return file.read_bytes()
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise ValueError(f"{self.path}: buffer {index}: got {uri!r:.80}: {said}") from None


def open_document(path: Path) -> Document:
    """Reads a ``.glb`` or ``.gltf`` file.

    Raises:
        ValueError: unreadable, another version, a damaged container, or no JSON object.
    """
    try:
        check_size(path)
        with path.open("rb") as file:
            head = file.read(12)
        if head[:4] == b"glTF":
            return _glb(path, path.read_bytes())
        data, binary = json.loads(read_text(path, "a glTF file")), None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(str(error) if str(path) in str(error) else f"{path}: not a glTF file: {error}") from None
    return _document(path, data, binary)


def _glb(path: Path, content: bytes) -> Document:
    if len(content) < 20 or struct.unpack_from("<I", content, 4)[0] != 2:
        raise ValueError(f"got {len(content)} bytes, version {content[4:8].hex()}; expected a GLB of version 2")
    if (claimed := struct.unpack_from("<I", content, 8)[0]) > len(content):
        raise ValueError(f"got {len(content)} bytes; expected {claimed}: the file is cut off")
    chunks: dict[int, bytes] = {}
    at = 12
    while at + 8 <= len(content):
        size, kind = struct.unpack_from("<II", content, at)
        if at + 8 + size > len(content):
            raise ValueError(f"got a chunk of {size} bytes at {at}; expected at most {len(content) - at - 8}")
        chunks.setdefault(kind, content[at + 8 : at + 8 + size])
        at += 8 + size
    if JSON_CHUNK not in chunks:
        raise ValueError("got no JSON chunk; expected one")
    return _document(path, json.loads(chunks[JSON_CHUNK].decode("utf-8")), chunks.get(BIN_CHUNK))


def _document(path: Path, data: Any, binary: bytes | None) -> Document:
    version = data["asset"].get("version") if isinstance(data, dict) and isinstance(data.get("asset"), dict) else None
    if not isinstance(version, str) or not version.startswith("2."):
        raise ValueError(f"{path}: not a glTF file: asset.version: got {version!r:.20}; expected 2.0")
    return Document(path, data, binary)


def _size(where: str, item: dict[str, Any], key: str, default: int) -> int:
    value = item.get(key, default)
    if type(value) is not int or value < 0:
        raise ValueError(f"{where}: {key}: got {value!r:.40}; expected a whole number >= 0")
    return value


def _hashable(value: Any) -> Any:
    return value if isinstance(value, int | str) else None

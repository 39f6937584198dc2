"""Reading files that nobody vouches for: text, plain arrays, and pickles of which only arrays and plain containers are rebuilt.

Sizes that a file claims are compared with the file before memory is taken; nothing that is loaded is ever executed.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO, ClassVar

import numpy as np

MAX_BYTES = 512 * 2**20  # of a file, and of an array in one
MAX_VALUE = 1e30  # numbers beyond are as good as infinite: their squares soon would be
MAX_NAME, MAX_MEMBERS = 80, 200  # characters of a name, arrays in an archive
MAX_ITEMS, MAX_DEPTH = 50_000_000, 4  # of lists in a pickle or JSON that are to be an array
ALLOWED = (
    *("collections.OrderedDict", "numpy.ndarray", "numpy.dtype", "numpy._core.multiarray._reconstruct", "numpy._core.multiarray.scalar"),
    *("numpy._core.numeric._frombuffer", "_codecs.encode"),
)
TUPLES = (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)
BROKEN = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OSError),
    *(MemoryError, OverflowError, ImportError, NotImplementedError, RecursionError, SyntaxError, BufferError, TokenError),
)


class NoMotionError(ValueError):
    """A file that is no motion and does not claim to be one: a folder's import passes over it."""


def _shallow(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """A pickle's instruction that builds a tuple, but none in a tuple in a tuple: as a key such a nest can take for ever, and arrays need none."""

    def build(unpickler: Any) -> None:
        load(unpickler)
        if any(isinstance(inner, tuple) for part in unpickler.stack[-1] if isinstance(part, tuple) for inner in part):
            raise pickle.UnpicklingError("pickled tuples in tuples in tuples: not allowed; expected arrays and plain containers")

    return build


class ArrayUnpickler(pickle._Unpickler):
    """Rebuilds arrays and plain containers; everything else is refused before it is called. It derives from the unpickler written in Python, whose instructions can be changed."""

    dispatch: ClassVar[dict[int, Callable]] = pickle._Unpickler.dispatch | {op[0]: _shallow(pickle._Unpickler.dispatch[op[0]]) for op in TUPLES}

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core.", "numpy._core.")  # its name before numpy 2
        if f"{module}.{name}" not in ALLOWED:
            raise pickle.UnpicklingError(f"pickled class {module}.{name}: not allowed; expected arrays and plain containers. Available: {', '.join(ALLOWED)}")
        return {"_reconstruct": _empty_array, "ndarray": _NoArray, "encode": _bytes}.get(name) or super().find_class(module, name)


class _NoArray:
    """Stands for ``numpy.ndarray`` in a pickle, which names it only to say what to rebuild: calling it could take any amount of memory."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        raise pickle.UnpicklingError("pickled call of numpy.ndarray: not allowed; expected arrays with their contents")


def _empty_array(_: Any, shape: Any, dtype: Any) -> np.ndarray:
    """An array without elements, which the pickle then fills."""
    return np.ndarray((0,), dtype)


def _bytes(text: str, encoding: str) -> bytes:
    """Bytes as pickle protocol 2 writes them."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"pickled text in {encoding!r}: not allowed; expected latin1")
    return text.encode("latin1")


def check_size(path: Path) -> None:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"got {path.stat().st_size / 2**20:.0f} MiB; expected at most {MAX_BYTES / 2**20:.0f} MiB")


def read_text(path: Path, what: str) -> str:
    """The file as text (UTF-8, with or without a mark, else Latin-1), line ends made one character.

    Raises:
        ValueError: missing, too large, or binary.
    """
    try:
        check_size(path)
        data = path.read_bytes()
        if b"\0" in data:
            raise ValueError("got zero bytes; expected text")
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not {what}: {error}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path, what: str) -> Any:
    """The contents of a JSON file; raises ValueError for none."""
    try:
        return json.loads(read_text(path, what))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not {what}: {error}; expected JSON") from None


def read_pickle(path: Path, what: str) -> Any:
    """The object in a pickle file, of arrays and plain containers.

    Raises:
        ValueError: missing or broken, or it holds anything else.
    """
    try:
        check_size(path)
        return ArrayUnpickler(io.BytesIO(path.read_bytes())).load()
    except BROKEN as error:
        raise ValueError(f"{path}: not {what}: {error}") from None


def read_npy(path: Path, what: str) -> Any:
    """The array in a ``.npy`` file, or the one pickled object in it.

    Raises:
        ValueError: missing or broken, or the pickle holds more than arrays and plain containers.
    """
    try:
        check_size(path)
        with path.open("rb") as file:
            return _array(file, path.stat().st_size)
    except BROKEN as error:
        raise ValueError(f"{path}: not {what}: {error}") from None


def read_npz(path: Path, what: str) -> dict[str, Any]:
    """The arrays in a ``.npz`` file by name; pickled members are rebuilt like those of `read_npy`.

    Raises:
        ValueError: missing or broken, a member that unpacks to more than a reader may take, or a pickle that holds more than arrays and plain containers.
    """
    try:
        check_size(path)
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if m.filename.endswith(".npy")]
            if sum(m.file_size for m in members) > MAX_BYTES:
                raise ValueError(f"unpacks to {sum(m.file_size for m in members) / 2**20:.0f} MiB; expected at most {MAX_BYTES / 2**20:.0f} MiB")
            if len(members) > MAX_MEMBERS:
                raise ValueError(f"holds {len(members)} arrays; expected at most {MAX_MEMBERS}")
            return {printable(m.filename.removesuffix(".npy")): _array(io.BytesIO(archive.read(m)), m.file_size) for m in members}
    except BROKEN as error:
        raise ValueError(f"{path}: not {what}: {error}") from None


def _array(file: BinaryIO, size: int) -> Any:
    """An array from an open ``.npy`` file of ``size`` bytes, or the object pickled in it."""
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if dtype.hasobject:
        if math.prod(shape) != 1:
            raise ValueError(f"got an array {shape} of {dtype}; expected numbers, or one pickled object")
        return ArrayUnpickler(file).load().item()
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"got an array {shape} of {dtype}; expected what {size} bytes can hold")
    data = file.read(math.prod(shape) * dtype.itemsize)
    array = np.frombuffer(data, dtype, math.prod(shape))
    return array.reshape(shape, order="F" if fortran else "C").copy()


def printable(text: str, longest: int = MAX_NAME) -> str:
    """A text from a file, fit for messages: one line without control characters, not endless."""
    return "".join(c if c.isprintable() else "_" for c in text[:longest])


def as_array(value: Any) -> np.ndarray:
    """A value from a pickle or JSON as an array; without elements and of type object where it is none, or lists in lists that would become too large."""
    try:
        if not isinstance(value, np.ndarray | np.generic):
            _count(value, MAX_ITEMS, MAX_DEPTH)
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        return np.empty(0, dtype=object)


def _count(value: Any, most: int, depth: int) -> int:
    """Elements of lists in lists; raises ValueError beyond ``most``, and for lists deeper than ``depth``."""
    if not isinstance(value, list | tuple):
        return 1
    total = 0
    for part in value:
        total += _count(part, most - total, depth - 1)
        if total > most or depth <= 0:
            raise ValueError("too large")
    return total


def numbers(path: Path, data: dict[str, Any], field: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """The field of a file as float64 with a shape in which None is any length; with shape ``()`` one number however it is wrapped. What is beyond
    `MAX_VALUE` becomes infinite.

    Raises:
        ValueError: no such field, no numbers, or another shape; names both.
    """
    if field not in data:
        raise ValueError(f"{path}: field {field} is missing. Available: {', '.join(map(str, data)) or 'none'}")
    array = as_array(data[field])
    if not shape and array.size == 1:
        array = array.reshape(())
    if array.dtype.kind not in "fiu" or array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        wanted = f"[{', '.join('n' if n is None else str(n) for n in shape)}] of numbers" if shape else "one number"
        raise ValueError(f"{path}: {field}: got shape {array.shape} of {array.dtype}; expected {wanted}")
    array = array.astype(np.float64)
    return np.where(np.abs(array) > MAX_VALUE, np.copysign(np.inf, array), array)


def strings(path: Path, data: dict[str, Any], field: str) -> list[str]:
    """The field of a file as a list of texts; raises ValueError for none."""
    value = data.get(field)
    items = as_array(value).reshape(-1).tolist() if isinstance(value, np.ndarray | list | tuple) else None
    items = [v.decode("latin-1") if isinstance(v, bytes) else v for v in items] if items else []
    if not items or not all(isinstance(v, str) for v in items):
        raise ValueError(f"{path}: {field}: got {type(value).__name__}; expected a list of names. Available: {', '.join(map(str, data)) or 'none'}")
    return [printable(name) for name in items]

"""Spoilt motion files: what a download that broke off, a bug in somebody's exporter, or an attacker might leave.

Every kind of damage is a function of a file's bytes and a random number generator; the same seed spoils the same way.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import re
import subprocess
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

WORDS = ("nan", "inf", "-inf", "1e308", "-1e308", "1e-320", "-1", "0", "99999999999", "9" * 5000, "x", "", "é", "{", "}", '"', "\0", "\n", "[]", "null")
SENTINEL = "ATTACKED"  # what attacks would create in the working directory
Damage = Callable[[bytes, random.Random], bytes]


class _Call:
    """What is pickled as a call of a function."""

    def __init__(self, function: Callable, *arguments: Any):
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def bomb(depth: int = 40) -> list:
    """A list of lists that is small in a pickle and 2^depth numbers when followed."""
    value: list = [0.0]
    for _ in range(depth):
        value = [value, value]
    return value


def hash_bomb(depth: int = 40) -> bytes:
    """A pickle of a dictionary whose key is a tuple of tuples with 2^depth ends, all of which its hash would visit."""
    pairs = b"".join(b"h" + bytes([k]) + b"\x86\x94" for k in range(depth))  # what was remembered k-th once more, then both as a pair, remembered
    return b"\x80\x04})\x94" + pairs + b"K\x01s."


def ring() -> list:
    value: list = [1.0]
    value.append(value)
    return value


def attacks() -> list[Any]:
    write = f"open({SENTINEL!r}, 'w')"
    return [
        _Call(os.system, f"touch {SENTINEL}"),
        _Call(eval, write),
        _Call(exec, write),
        _Call(open, SENTINEL, "w"),
        _Call(subprocess.Popen, ["touch", SENTINEL]),
        _Call(np.ndarray, (10**12,)),
        _Call(np.fromfile, "/dev/zero"),
        _Call(bytes, 10**12),
        bomb(),
        ring(),
    ]


# Bytes: any file


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def flip(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 3, 30))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def overwrite(data: bytes, rng: random.Random) -> bytes:
    """Sizes and counts: 2, 4 or 8 bytes become as large, or as negative, as they can."""
    at, size = rng.randrange(len(data)), rng.choice((2, 4, 8))
    return data[:at] + rng.choice((b"\xff" * size, b"\xff" * (size - 1) + b"\x7f", bytes(size))) + data[at + size :]


def shuffle(data: bytes, rng: random.Random) -> bytes:
    step = max(1, len(data) // rng.choice((3, 10, 50)))
    blocks = [data[k : k + step] for k in range(0, len(data), step)]
    rng.shuffle(blocks)
    return b"".join(blocks)


def erase(data: bytes, rng: random.Random) -> bytes:
    first = rng.randrange(len(data))
    return data[:first] + data[first + rng.randrange(1, 200) :]


def insert(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.randrange(1, 50)) + data[at:]


def replace_all(data: bytes, rng: random.Random) -> bytes:
    """Keeps only the beginning, by which a format is recognised."""
    return data[: rng.choice((0, 2, 8, 12, 64))] + rng.randbytes(rng.randrange(2000))


def twice(data: bytes, rng: random.Random) -> bytes:
    return data + data


BYTES: tuple[Damage, ...] = (cut, flip, overwrite, shuffle, erase, insert, replace_all, twice)

# Text


def reword(data: bytes, rng: random.Random) -> bytes:
    """Some words become others that a parser may not expect."""
    words = re.split(r"([\s,:\[\]{}\"]+)", data.decode("latin-1"))
    for _ in range(rng.choice((1, 1, 5))):
        words[rng.randrange(len(words))] = rng.choice(WORDS)
    return "".join(words).encode("latin-1", errors="replace")


def reline(data: bytes, rng: random.Random) -> bytes:
    """Lines swapped, lost, or repeated."""
    lines = data.split(b"\n")
    act = rng.choice(("shuffle", "drop", "repeat", "indent"))
    at = rng.randrange(len(lines))
    if act == "shuffle":
        rng.shuffle(lines)
    elif act == "drop":
        del lines[at : at + rng.choice((1, 5))]
    elif act == "repeat":
        lines[at:at] = [lines[at]] * rng.choice((1, 3000))
    else:
        lines[at] = b"\t" * 5000 + lines[at]
    return b"\n".join(lines)


TEXT: tuple[Damage, ...] = (*BYTES, reword, reword, reword, reline, reline)

# Values in containers


def _odd_array(array: np.ndarray, rng: random.Random) -> Any:
    """The array with other values, another shape or another type."""
    with np.errstate(all="ignore"):
        number = array.astype(np.float64) if array.dtype.kind in "fiub" else np.zeros(array.shape)
        spot = number.copy()
        if spot.size:
            spot.reshape(-1)[rng.randrange(spot.size)] = rng.choice((np.nan, np.inf, 1e308, -1e30))
    choices: list[Callable[[], Any]] = [
        lambda: spot,
        lambda: spot,
        lambda: number * np.nan,
        lambda: number * 0,
        lambda: number + 1e300,
        lambda: -number,
        lambda: number.reshape(-1)[:0],
        lambda: number[:1] if number.ndim else number,
        lambda: number.T,
        lambda: number[None],
        lambda: number.reshape(-1),
        lambda: number[..., :-1] if number.ndim else number,
        lambda: number.astype(np.complex128),
        lambda: np.full(number.shape, "x"),
        lambda: number.astype("M8[s]", casting="unsafe") if np.isfinite(number).all() and np.abs(number).max(initial=0) < 1e9 else spot,
        lambda: np.zeros(3, dtype=[("a", "f8"), ("b", "O")]),
        lambda: np.array(rng.choice((-1, 0, 10**15))),
        lambda: np.array("../../x\n\0"),
        lambda: np.array(None, dtype=object),
    ]
    return rng.choice(choices)()


def _odd_value(value: Any, rng: random.Random) -> Any:
    """What a pickle or JSON might hold instead of a value."""
    return rng.choice([None, -1, 0, 10**400, 1e308, float("nan"), "x", "../../x\n", [], [[]], {}, {"a": []}, [value] * 3, True, [[[0.0]] * 50] * 50])


def _spots(tree: Any, path: tuple = ()) -> list[tuple]:
    """Where the values of nested dictionaries and lists are."""
    found = [path] if path else []
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        found += _spots(value, (*path, key))
    return found


def _spoil_tree(tree: Any, rng: random.Random, odd: Callable[[Any], Any]) -> Any:
    path = rng.choice(_spots(tree))
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    if rng.random() < 0.15 and isinstance(holder, dict):
        del holder[path[-1]]
    else:
        holder[path[-1]] = odd(holder[path[-1]])
    return tree


def spoil_json(data: bytes, rng: random.Random) -> bytes:
    return json.dumps(_spoil_tree(json.loads(data), rng, lambda value: _odd_value(value, rng))).encode()


def spoil_glb(data: bytes, rng: random.Random) -> bytes:
    """A value of the JSON in a ``.glb``."""
    size = int.from_bytes(data[12:16], "little")
    text = spoil_json(data[20 : 20 + size], rng)
    text += b" " * (-len(text) % 4)
    rest = len(text).to_bytes(4, "little") + data[16:20] + text + data[20 + size :]
    return data[:8] + (12 + len(rest)).to_bytes(4, "little") + rest


def _odd_object(value: Any, rng: random.Random) -> Any:
    """An attack, another array, or another value."""
    if rng.random() < 0.4:
        return rng.choice(attacks())
    return _odd_array(value, rng) if isinstance(value, np.ndarray) else _odd_value(value, rng)


def spoil_pickle(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.15:
        return rng.choice((hash_bomb(), *(pickle.dumps(attack) for attack in attacks())))
    return pickle.dumps(_spoil_tree(pickle.loads(data), rng, lambda value: _odd_object(value, rng)), rng.choice((0, 2, 4)))


def _npy(value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, value)
    return file.getvalue()


def _boxed(value: Any) -> bytes:
    """A ``.npy`` that holds one pickled object."""
    box = np.empty((), dtype=object)
    box[()] = value
    return _npy(box)


def claim(rng: random.Random) -> bytes:
    """A ``.npy`` whose header promises more than there is."""
    file = io.BytesIO()
    shape = rng.choice(((10**12,), (2**31, 2**31), (10**6, 0, 10**12), (-5, 3), (2**62, 8)))
    np.lib.format.write_array_header_1_0(file, {"descr": rng.choice(("<f8", "|S1000000000", "|V8", "<U2", "|O")), "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(100)


def spoil_npy(data: bytes, rng: random.Random) -> bytes:
    array = np.load(io.BytesIO(data), allow_pickle=True)
    kind = rng.random()
    if kind < 0.2:
        return claim(rng)
    if array.dtype == object:
        return _boxed(_spoil_tree(array.item(), rng, lambda value: _odd_object(value, rng)))
    return _boxed(rng.choice(attacks())) if kind < 0.4 else _npy(_odd_array(array, rng))


def spoil_npz(data: bytes, rng: random.Random) -> bytes:
    """A member of the archive, its name, or how it is packed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name, act = rng.choice(list(members)), rng.random()
    if act < 0.1:
        del members[name]
    elif act < 0.2:
        members[rng.choice(("../../evil.npy", "/tmp/evil.npy", "x" * 60000 + ".npy"))] = members.pop(name)
    elif act < 0.3:
        members[name] = rng.choice(BYTES)(members[name], rng)
    elif act < 0.35:
        members[name] = members[name][:128] + bytes(2**25)
    else:
        members[name] = spoil_npy(members[name], rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in members.items():
            archive.writestr(key, value)
    return out.getvalue()


NPZ: tuple[Damage, ...] = (*BYTES, *[spoil_npz] * 16)
DAMAGES: dict[str, tuple[Damage, ...]] = {
    **dict.fromkeys(("bvh", "amc", "asf", "mjpc"), TEXT),
    **dict.fromkeys(("deepmimic", "names", "gltf"), (*TEXT, *[spoil_json] * 10)),
    **dict.fromkeys(("poselib", "keypoints"), (*BYTES, *[spoil_npy] * 12)),
    **dict.fromkeys(("smpl", "loco_mujoco", "beyondmimic", "points", "clip"), NPZ),
    "mimickit": (*BYTES, *[spoil_pickle] * 12),
    "glb": (*BYTES, *[spoil_glb] * 16),
    "c3d": BYTES,
}


def spoil(kind: str, data: bytes, number: int) -> bytes:
    """The file, spoilt in the ``number``-th way."""
    rng = random.Random(f"{kind} {number}")
    return rng.choice(DAMAGES[kind])(data, rng)

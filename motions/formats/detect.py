"""Which format a file has, by content first and ending second, and reading it."""

from __future__ import annotations

import importlib
import inspect
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from motions.clip import Clip
from motions.formats import beyondmimic, keypoints, loco_mujoco, smpl
from motions.formats.files import NoMotionError, printable
from motions.source_motion import SourceMotion

FORMATS = {
    "bvh": "BVH",
    "asfamc": "CMU ASF/AMC",
    "smpl": "SMPL, SMPL-H or SMPL-X as in AMASS (.npz)",
    "poselib": "poselib (.npy)",
    "deepmimic": "DeepMimic (.txt)",
    "mimickit": "MimicKit (.pkl)",
    "loco_mujoco": "loco-mujoco (.npz)",
    "beyondmimic": "BeyondMimic or mjlab (.npz)",
    "c3d": "C3D markers",
    "gltf": "glTF 2.0 (.glb, .gltf)",
    "keypoints": "key points (.npy, .npz, MuJoCo MPC's .xml)",
    "clip": "this suite's clip (.npz)",
}
ENDINGS = (".bvh", ".amc", ".npz", ".npy", ".pkl", ".pickle", ".c3d", ".glb", ".gltf", ".fbx")  # that claim a motion
MAX_MESSAGE = 2000  # characters: a file may hold names of any length
CONVERT = "convert it with Blender: File > Import > {}, then File > Export > Motion Capture (.bvh), and import that"


def detect(path: str | Path) -> str:
    """The key in `FORMATS` of a file.

    Raises:
        ValueError: missing, a format that is not read (says what to do), or unknown.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: {'is a folder' if path.is_dir() else 'not found'}; expected a motion file")
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise ValueError(f"{path}: not readable: {error}") from None
    ending, text = path.suffix.lower(), head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"Kaydara FBX") or ending == ".fbx":
        raise ValueError(f"{path}: FBX is not read: {CONVERT.format('FBX')}")
    if ending == ".asf":
        raise NoMotionError(f"{path}: a skeleton without motion; expected the .amc file that goes with it")
    if head.startswith(b"PK"):
        return _npz(path)
    if head.startswith(b"\x93NUMPY"):
        return "poselib" if b"'|O'" in head[:256] else "keypoints"
    checks = {
        "bvh": text[:9].upper() == b"HIERARCHY" or ending == ".bvh",
        "asfamc": ending == ".amc" or b":FULLY-SPECIFIED" in head.upper(),
        "c3d": ending == ".c3d" or (head[1:2] == b"\x50" and head[:1] == b"\x02"),
        "gltf": head.startswith(b"glTF") or ending in (".glb", ".gltf"),
        "deepmimic": text.startswith(b"{") and (b'"Frames"' in head or ending == ".txt"),
        "mimickit": ending in (".pkl", ".pickle") or (head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")),
        "keypoints": ending == ".xml" and b"<mujoco" in text,
    }
    found = next((key for key, holds in checks.items() if holds), None)
    if found is None:
        kind = ValueError if ending in ENDINGS else NoMotionError
        raise kind(f"{path}: format: got {head[:16]!r}; expected a motion file. Available: {', '.join(FORMATS.values())}")
    return found


def _npz(path: Path) -> str:
    """The format of an ``.npz`` file, by the names of its arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            fields = [printable(name.removesuffix(".npy")) for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise ValueError(f"{path}: not a readable .npz: {error}") from None
    have: dict[str, Any] = {field: np.empty((0, 0, 3)) for field in fields}
    if {"root_pos", "joint_quat", "joint_names"} <= have.keys():
        return "clip"
    for key, module in (("beyondmimic", beyondmimic), ("loco_mujoco", loco_mujoco), ("smpl", smpl), ("keypoints", keypoints)):
        if module.looks_like(have):
            return key
    raise ValueError(f"{path}: arrays: got {', '.join(fields[:20]) or 'none'}; expected those of one of: {', '.join(v for v in FORMATS.values() if '.npz' in v)}")


def read(path: str | Path, **overrides: Any) -> SourceMotion | Clip:
    """Reads a motion file of any known format: a `Clip` where the format is for our own skeleton, else a `SourceMotion`.

    Args:
        overrides: arguments of the format's ``load``, as ``up``, ``scale``, ``forward``, ``fps``; empty or zero ones are as if not given.

    Raises:
        ValueError: unknown format, an argument that the format has no use for, or what its reader refuses.
    """
    kind = detect(path)
    given = {key: value for key, value in overrides.items() if value}
    if kind == "clip":
        load: Any = Clip.load
    else:
        load = importlib.import_module(f"motions.formats.{kind}").load
    allowed = [key for key in inspect.signature(load).parameters if key != "path"]
    for key, value in given.items():
        if key not in allowed:
            raise ValueError(f"{path}: {key}: got {value!r} for {FORMATS[kind]}, which leaves no choice of it. Available: {', '.join(allowed) or 'none'}")
    try:
        return load(path, **given)
    except ValueError as error:
        raise type(error)(printable(str(error), MAX_MESSAGE)) from None

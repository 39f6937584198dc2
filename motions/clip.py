"""`Clip`: one motion on a named skeleton, and its file format.

A clip file is a plain ``.npz`` (never pickled) with the fields of `Clip`. Loading repairs what has one right answer (quaternion norm and sign) and refuses
what has none (NaN, ragged or missing arrays, impossible rates), naming file, field and frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motions.formats.files import MAX_VALUE, printable, read_npz
from motions.rotations import make_continuous
from motions.skeleton import Skeleton

LOOP_MODES = ("none", "wrap")
MIRROR = "_mirror"  # ends the name of a mirrored clip
MIN_FPS, MAX_FPS = 5.0, 1000.0
MAX_TEXT = 2000  # characters of a source or licence
MAX_NORM_ERROR = 0.5  # some published clips store quaternions off by 0.42; beyond this it is not a rotation


@dataclass(frozen=True, eq=False)
class Clip:
    """A motion clip; z-up, x forward, metres, seconds, quaternions ``wxyz``.

    Attributes:
        name: what messages and datasets call it.
        fps: frames a second.
        loop: ``"wrap"`` if the last frame leads to the first again (displaced), else ``"none"``.
        root_pos: ``[T, 3]`` world. root_quat: ``[T, 4]`` root to world.
        joint_names: ``J`` names. joint_quat: ``[T, J, 4]`` child to parent frame.
        source, license: where the motion comes from and under which terms.
    """

    name: str
    fps: float
    loop: str
    root_pos: np.ndarray
    root_quat: np.ndarray
    joint_names: tuple[str, ...]
    joint_quat: np.ndarray
    source: str = ""
    license: str = ""

    @property
    def num_frames(self) -> int:
        return len(self.root_pos)

    @property
    def duration_s(self) -> float:
        return (self.num_frames - 1) / self.fps

    def poses_on(self, skeleton: Skeleton) -> tuple[Tensor, Tensor, Tensor]:
        """The poses as a skeleton takes them: ``root_pos [T, 3]``, ``root_quat [T, 4]``, ``joint_quat [T, J, 4]`` in its joint order, hinges reduced to their axis.

        Raises:
            ValueError: the clip lacks one of the skeleton's joints.
        """
        missing = [name for name in skeleton.joint_names if name not in self.joint_names]
        if missing:
            raise ValueError(f"clip {self.name}: joint {missing[0]} is missing. Available: {', '.join(self.joint_names)}")
        order = [self.joint_names.index(name) for name in skeleton.joint_names]
        joint_quat = skeleton.project_hinges(torch.from_numpy(self.joint_quat[:, order]))
        return torch.from_numpy(self.root_pos), make_continuous(torch.from_numpy(self.root_quat)), make_continuous(joint_quat)

    def save(self, path: str | Path) -> None:
        """Writes the clip as plain ``.npz`` (float32); a file of that name is replaced as a whole or not at all."""
        path = Path(path)
        part = path.with_name(f".{path.name}.part.npz")
        np.savez_compressed(
            part,
            name=self.name,
            fps=np.float64(self.fps),
            loop=self.loop,
            root_pos=self.root_pos.astype(np.float32),
            root_quat=self.root_quat.astype(np.float32),
            joint_names=np.array(self.joint_names, dtype=np.str_),
            joint_quat=self.joint_quat.astype(np.float32),
            source=self.source,
            license=self.license,
        )
        part.replace(path)

    @staticmethod
    def load(path: str | Path) -> Clip:
        """Reads and validates a clip file.

        Raises:
            ValueError: the file is missing, truncated, pickled, lacks a field, or holds values that are no motion.
        """
        path = Path(path)
        if not path.is_file():
            near = sorted(p.stem for p in path.parent.glob("*.npz")) if path.parent.is_dir() else []
            raise ValueError(f"clip file {path}: not found. Available in its folder: {', '.join(near) or 'none'}")
        try:
            values = read_npz(path, "a readable plain .npz")
        except ValueError as error:
            raise ValueError(f"clip file {error}") from None
        pickled = next((key for key, value in values.items() if not isinstance(value, np.ndarray)), None)
        if pickled is not None:
            raise ValueError(f"clip file {path}: not a readable plain .npz: {pickled} is pickled; expected arrays")
        wanted = ("fps", "loop", "root_pos", "root_quat", "joint_names", "joint_quat")
        missing = [key for key in wanted if key not in values]
        if missing:
            raise ValueError(f"clip file {path}: field {missing[0]} is missing; expected {', '.join(wanted)}")
        if values["fps"].size != 1 or values["fps"].dtype.kind not in "fiu":
            raise ValueError(f"clip file {path}: fps: got {values['fps'].tolist()!r}; expected one number")
        return make_clip(
            name=printable(str(values.get("name", path.stem))),
            fps=values["fps"].item(),
            loop=printable(str(values["loop"])),
            root_pos=values["root_pos"],
            root_quat=values["root_quat"],
            joint_names=tuple(printable(str(n)) for n in values["joint_names"].reshape(-1)),
            joint_quat=values["joint_quat"],
            source=printable(str(values.get("source", "")), MAX_TEXT),
            license=printable(str(values.get("license", "")), MAX_TEXT),
            where=str(path),
        )


def make_clip(*, name: str, fps: float, loop: str, root_pos, root_quat, joint_names, joint_quat, source: str = "", license: str = "", where: str = "") -> Clip:
    """Builds a validated clip: checks shapes, rates and values, normalises quaternions and makes their signs continuous.

    Args:
        where: the file (or other origin) that messages name.

    Raises:
        ValueError: with the clip, the field, the frame where there is one, and the rule.
    """
    where = where or f"clip {name}"
    if not (MIN_FPS <= fps <= MAX_FPS):
        raise ValueError(f"{where}: fps: got {fps:g}; expected {MIN_FPS:g} to {MAX_FPS:g}")
    if loop not in LOOP_MODES:
        raise ValueError(f"{where}: loop: got {loop!r}; expected one of {', '.join(LOOP_MODES)}")
    if not joint_names or len(set(joint_names)) != len(joint_names):
        raise ValueError(f"{where}: joint_names: got {', '.join(joint_names) or 'none'}; expected at least one, each once")
    arrays = {}
    for field, value, tail in (("root_pos", root_pos, (3,)), ("root_quat", root_quat, (4,)), ("joint_quat", joint_quat, (len(joint_names), 4))):
        array = np.asarray(value)
        if array.dtype.kind not in "fiu" or array.ndim != 1 + len(tail) or array.shape[1:] != tail:
            raise ValueError(f"{where}: {field}: got shape {array.shape} of {array.dtype}; expected [T, {', '.join(map(str, tail))}] of numbers")
        array = array.astype(np.float64)
        bad = ~(np.abs(array.reshape(len(array), -1)) < MAX_VALUE).all(axis=1)
        if bad.any():
            raise ValueError(f"{where}: {field}: frame {int(bad.argmax())} holds NaN or infinity; expected finite numbers")
        arrays[field] = array
    lengths = {field: len(array) for field, array in arrays.items()}
    if len(set(lengths.values())) != 1 or lengths["root_pos"] < 2:
        raise ValueError(f"{where}: frames: got {lengths}; expected the same number everywhere, at least 2")
    if np.abs(arrays["root_pos"]).max() > 1e4:
        raise ValueError(f"{where}: root_pos: got {np.abs(arrays['root_pos']).max():g} m; expected metres within 10 km of the origin")
    for field in ("root_quat", "joint_quat"):
        norm = np.linalg.norm(arrays[field], axis=-1)
        off = np.abs(norm - 1).reshape(len(norm), -1).max(axis=1)
        if off.max() > MAX_NORM_ERROR:
            raise ValueError(f"{where}: {field}: frame {int(off.argmax())} has norm off by {off.max():.2f}; expected unit quaternions (wxyz)")
        arrays[field] = make_continuous(torch.from_numpy(arrays[field] / norm[..., None])).numpy()
    return Clip(name, fps, loop, arrays["root_pos"], arrays["root_quat"], tuple(joint_names), arrays["joint_quat"], source, license)


def other_side(name: str) -> str:
    """The name of a body or joint on the other side: ``left_`` and ``right_`` exchanged."""
    return name.replace("left_", "\0").replace("right_", "left_").replace("\0", "right_")


def mirror_name(name: str) -> str:
    """The name of a clip's mirror image; of an image, that of its original."""
    return name.removesuffix(MIRROR) if name.endswith(MIRROR) else name + MIRROR


def mirror(clip: Clip) -> Clip:
    """The clip seen in the x-z plane's mirror: left and right exchanged. Joints are paired by ``left_``/``right_`` in their names.

    Raises:
        ValueError: a joint without its partner.
    """
    alone = [name for name in clip.joint_names if other_side(name) not in clip.joint_names]
    if alone:
        raise ValueError(f"clip {clip.name}: joint {alone[0]}: got no {other_side(alone[0])}; expected both sides. Available: {', '.join(clip.joint_names)}")
    order = [clip.joint_names.index(other_side(name)) for name in clip.joint_names]
    flip_quat, flip_vec = np.array([1.0, -1.0, 1.0, -1.0]), np.array([1.0, -1.0, 1.0])
    return replace(
        clip,
        name=mirror_name(clip.name),
        root_pos=clip.root_pos * flip_vec,
        root_quat=clip.root_quat * flip_quat,
        joint_quat=clip.joint_quat[:, order] * flip_quat,
    )

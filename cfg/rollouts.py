"""What a policy did, as motion files: simulated characters become clips and BVH.

Shapes: ``T`` control steps, ``L`` characters, ``nq`` MuJoCo's positions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs.character import Character
from motions import ik
from motions.clip import Clip, make_clip
from motions.formats import bvh


def rollout_clip(qpos: NDArray[np.floating], fps: float, character: Character, name: str, source: str = "", license: str = "") -> Clip:
    """A clip of what a simulated character did: ``qpos [T, nq]`` at ``fps`` control steps a second.

    Raises:
        ValueError: fewer than two control steps, or a rate that clips do not have.
    """
    root_pos, root_quat, joint_quat = ik.unpack(character.model, character.skeleton, np.asarray(qpos, dtype=np.float64))
    names = character.skeleton.joint_names
    return make_clip(name=name, fps=fps, loop="none", root_pos=root_pos, root_quat=root_quat, joint_names=names, joint_quat=joint_quat, source=source, license=license)


def write_rollouts(folder: Path, qpos: NDArray[np.floating], fps: float, character: Character, names: Sequence[str], source: str, license: str = "") -> list[Path]:
    """Writes each character's motion as a clip (``.npz``) and as BVH, both named after it.

    Args:
        qpos: ``[T, L, nq]``. names: ``L`` texts; what file names cannot hold becomes ``_``. source: what is said of where each comes from, after its name. license: of the clips.

    Returns:
        Two files a character.

    Raises:
        ValueError: fewer than two control steps, or a folder that cannot be written.
    """
    written = []
    for k, name in enumerate(re.sub(r"[^\w.-]+", "_", n) for n in names):
        clip = rollout_clip(qpos[:, k], fps, character, name, f"simulated: {names[k]} {source}", license)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            clip.save(folder / f"{name}.npz")
            written += [folder / f"{name}.npz", bvh.save(clip, character.skeleton, folder / f"{name}.bvh")]
        except OSError as error:
            raise ValueError(f"folder {folder}: cannot be written: {error.strerror}") from None
    return written

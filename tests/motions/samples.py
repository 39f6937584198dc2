"""A short good file of each format, written by the tests' own writers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from motions.clip import Clip
from motions.formats import bvh
from motions.skeleton import Skeleton
from motions.source_motion import from_clip, world_poses
from tests.motions import test_asfamc, test_deepmimic, test_keypoints, test_mimickit, test_robots, test_smpl
from tests.motions.glb_files import clip_document, named, save_glb, save_gltf
from tests.motions.rigs import gait


def _bvh(folder: Path, clip: Clip, skeleton: Skeleton) -> Path:
    """With Mixamo's names, so that it has to be carried over."""
    path = bvh.save(clip, skeleton, folder / "walk.bvh")
    text = path.read_text()
    for body in sorted(skeleton.body_names, key=len, reverse=True):
        text = text.replace(f" {body}\n", f" {named(body)}\n")
    path.write_text(text)
    return path


def _poselib(folder: Path, clip: Clip, skeleton: Skeleton) -> Path:
    source = from_clip(clip, skeleton)
    tree = {"node_names": list(source.names), "parent_indices": {"arr": np.array(source.parents)}, "local_translation": {"arr": source.offsets}}
    motion = {"rotation": {"arr": source.local_quat[..., [1, 2, 3, 0]]}, "root_translation": {"arr": source.root_pos}, "skeleton_tree": tree}
    np.save(folder / "walk.npy", motion | {"is_local": True, "fps": np.array(30), "__name__": "SkeletonMotion"})
    return folder / "walk.npy"


def _clip(folder: Path, clip: Clip, skeleton: Skeleton) -> Path:
    clip.save(folder / "walk.npz")
    return folder / "walk.npz"


def _robot(fields: Callable) -> Callable[[Path, Clip, Skeleton], Path]:
    """World poses of bodies in a format's ``fields``."""

    def write(folder: Path, clip: Clip, skeleton: Skeleton) -> Path:
        source = from_clip(clip, skeleton)
        poses = world_poses(source.parents, source.offsets, source.root_pos, source.local_quat)
        return test_robots.write(folder, **fields(skeleton, poses))

    return write


def _mjpc(folder: Path, clip: Clip, skeleton: Skeleton) -> Path:
    keys = "".join(f'<key mpos="{" ".join(str(v + k / 10) for v in range(48))}"/>' for k in range(4))
    (folder / "walk.xml").write_text(f"<mujoco><keyframe>{keys}</keyframe></mujoco>")
    return folder / "walk.xml"


def _points(folder: Path, clip: Clip, skeleton: Skeleton) -> Path:
    np.savez(folder / "walk.npz", positions=test_keypoints.moving(), names=np.array(test_keypoints.NAMES), fps=30)
    return folder / "walk.npz"


STEP = ("0 17 0 0 0 0", "10 0 0", "5"), ("0 17 1 0 0 0", "12 0 0", "8"), ("0 17 2 0 0 0", "14 0 0", "9")
WRITERS: dict[str, Callable[[Path, Clip, Skeleton], Path]] = {
    "bvh": _bvh,
    "amc": lambda folder, clip, skeleton: test_asfamc.write(folder, *STEP),
    "asf": lambda folder, clip, skeleton: test_asfamc.write(folder, *STEP),
    "smpl": lambda folder, clip, skeleton: test_smpl.write(folder),
    "poselib": _poselib,
    "deepmimic": lambda folder, clip, skeleton: test_deepmimic.write(folder, *[test_deepmimic.row()] * 3),
    "mimickit": lambda folder, clip, skeleton: test_mimickit.write(folder),
    "loco_mujoco": _robot(test_robots.loco),
    "beyondmimic": _robot(test_robots.mimic),
    "c3d": lambda folder, clip, skeleton: test_keypoints.write_c3d(folder, test_keypoints.NAMES, test_keypoints.moving()),
    "keypoints": lambda folder, clip, skeleton: test_keypoints.write(folder, test_keypoints.moving()),
    "names": lambda folder, clip, skeleton: test_keypoints.write(folder, test_keypoints.moving()),
    "points": _points,
    "mjpc": _mjpc,
    "glb": lambda folder, clip, skeleton: save_glb(folder / "walk.glb", *clip_document(clip, skeleton, bind=True)),
    "gltf": lambda folder, clip, skeleton: save_gltf(folder / "walk.gltf", *clip_document(clip, skeleton)),
    "clip": _clip,
}
DAMAGED = {"asf": "02.asf", "names": "take.json"}  # samples of which another file than the motion is spoilt


def write_samples(folder: Path, skeleton: Skeleton) -> dict[str, tuple[Path, Path]]:
    """For each kind the motion file, and the file to spoil (often the same)."""
    clip = gait(skeleton, seconds=11 / 30)
    found = {}
    for kind, write in WRITERS.items():
        (folder / kind).mkdir()
        path = write(folder / kind, clip, skeleton)
        found[kind] = (path, path.with_name(DAMAGED.get(kind, path.name)))
    return found

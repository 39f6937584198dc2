"""glTF 2.0 (``.glb``, ``.gltf``): the bones of a skin, or the nodes that an animation moves, with translation, rotation and scale over time.

The world is y up, in metres, quaternions ``xyzw``. A node's rest rotation is rarely the identity, so joints are turned back by their rest orientation: that of the skin's
bind pose (inverse bind matrices), or of the pose in which the file's nodes stand. Key frames are sampled at a constant rate: in steps, linearly, or along cubic splines.

Shapes: ``T`` frames, ``N`` nodes of the file, ``J`` joints, ``n`` key frames. Source: Khronos glTF 2.0 specification, sections 3.7 (skins), 3.11 and appendix C (animations).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motions.formats.files import NoMotionError, printable
from motions.formats.glb import Document, open_document
from motions.formats.keyframes import HOW, Track, sample
from motions.formats.orient import MAX_JOINTS, Raw, mat_quat, normalise
from motions.formats.takes import choose_take
from motions.rotations import quat_conj, quat_mul, quat_normalize, quat_rotate
from motions.source_motion import SourceMotion

PATHS = {"translation": 3, "rotation": 4, "scale": 3}
REST = {"translation": [0.0, 0.0, 0.0], "rotation": [0.0, 0.0, 0.0, 1.0], "scale": [1.0, 1.0, 1.0]}
USUAL_FPS, SLOW_FPS, FAST_FPS = 30.0, 5.0, 240.0
MAX_POSES = 2_000_000  # nodes times frames


@dataclass
class _Places:
    """Of some things: places ``[..., 3]``, orientations ``[..., 4]`` wxyz and scales ``[..., 3]``."""

    pos: Tensor
    quat: Tensor
    scale: Tensor

    def on(self, above: _Places) -> _Places:
        """These, given in the frames of ``above``, in the frame that those are given in; shear by uneven scales is left out."""
        return _Places(above.pos + quat_rotate(above.quat, above.scale * self.pos), quat_mul(above.quat, self.quat), above.scale * self.scale)


def load(
    path: str | Path, name: str = "", source: str = "", license: str = "", up: str = "", scale: float = 0.0, forward: str = "", fps: float = 0.0, take: str = ""
) -> SourceMotion:
    """Reads an animation of a glTF file.

    Args:
        up, forward, scale: as for `motions.formats.bvh.load`. fps: frames a second to sample at; that of the key frames if 0. take: name or number of one of several animations.

    Raises:
        ValueError: unreadable, no animation, no joints, or a node, channel or array that is not as the format has it; names file and item.
    """
    path = Path(path)
    document = open_document(path)
    animations = document.items("animations")
    if not animations:
        raise NoMotionError(f"{path}: animations: got none; expected at least one")
    titles = [printable(str(a.get("name") or k)) for k, a in enumerate(animations)]
    chosen = choose_take(path, take, titles)
    parents = _parents(document)
    tracks = _tracks(document, animations[chosen], titles[chosen])
    joints, lost = _joints(document, parents, {node for node, _ in tracks})
    times, rate, why = _frames(path, tracks, fps)
    above = {joint: next((a for a in _ancestors(parents, joint) if a in joints), -1) for joint in joints}
    moving, still = _world(document, parents, joints, tracks, times), _world(document, parents, joints, {}, times[:1])
    rest = _rest(document, parents, joints, still)
    turned = quat_mul(moving.quat, quat_conj(rest.quat))
    up_tree = [joints.index(above[joint]) if above[joint] >= 0 else -1 for joint in joints]
    local = torch.stack([turned[:, k] if p < 0 else quat_mul(quat_conj(turned[:, p]), turned[:, k]) for k, p in enumerate(up_tree)], dim=1)
    offsets = torch.stack([torch.zeros(3, dtype=torch.float64) if p < 0 else rest.pos[k] - rest.pos[p] for k, p in enumerate(up_tree)])
    notes = [f"rate: {rate:g} Hz ({why})", f"take: {titles[chosen]}" + (f", one of {len(titles)}: {', '.join(titles)!s:.200}" if len(titles) > 1 else "")]
    notes += [f"joints: {lost} apart from the tree of {_name(document, joints[0])}, left out"] if lost else []
    title = path.stem if len(titles) == 1 else f"{path.stem}_{titles[chosen]}"
    pos = moving.pos.numpy()
    raw = Raw(name or title, _names(document, joints), up_tree, offsets.numpy(), rate, pos[:, 0], local.numpy(), pos, tuple(notes), source or path.name, license, usual_up="y")
    return normalise(raw, up, scale, forward, known_scale=1.0)


def _parents(document: Document) -> list[int]:
    """The node above each, -1 for roots; refuses a node with two and a loop."""
    parents = [-1] * len(document.items("nodes"))
    for k, node in enumerate(document.items("nodes")):
        for child in document.indices(node, "children"):
            if parents[child] >= 0:
                raise ValueError(f"{document.path}: node {child}: below both {parents[child]} and {k}; expected a tree")
            parents[child] = k
    reached = [k for k, parent in enumerate(parents) if parent < 0]
    for k in reached:
        reached += document.items("nodes")[k].get("children", [])
    if len(reached) < len(parents):
        raise ValueError(f"{document.path}: nodes: got {len(parents) - len(reached)} below themselves; expected a tree")
    return parents


def _ancestors(parents: list[int], node: int) -> list[int]:
    """Nodes above a node, nearest first."""
    found: list[int] = []
    while (node := parents[node]) >= 0:
        found.append(node)
    return found


def _tracks(document: Document, animation: dict[str, Any], title: str) -> dict[tuple[int, str], Track]:
    """Key frames by node and path; what moves no node (morph weights) is passed over."""
    inner, found = Document(document.path, animation), {}
    for channel in inner.items("channels"):
        target: Any = channel.get("target")
        node, path = (target.get("node"), target.get("path")) if isinstance(target, dict) else (None, None)
        if node is None or not isinstance(path, str) or path not in PATHS:
            continue
        document.item("nodes", node)
        sampler = inner.item("samplers", channel.get("sampler"))
        times, values, how = document.array(sampler.get("input"))[:, 0], document.array(sampler.get("output")), sampler.get("interpolation", "LINEAR")
        width, each = PATHS[path], 3 if how == "CUBICSPLINE" else 1
        where = f"{document.path}: animation {title}: {path} of {_name(document, node)}"
        if how not in HOW or values.shape != (len(times) * each, width):
            raise ValueError(
                f"{where}: got {how!r:.20}, {len(times)} times and values {values.shape}; expected one of {', '.join(HOW)} and {width} values a time (splines: 3 x {width})"
            )
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any() or not np.isfinite(values).all():
            raise ValueError(f"{where}: got times that do not rise, or no finite numbers; expected key frames in seconds")
        values = values[:, [3, 0, 1, 2]] if path == "rotation" else values
        found[node, path] = (times, values.reshape(len(times), 3, width) if each == 3 else values, how)
    if not found:
        raise ValueError(f"{document.path}: animation {title}: got no translation, rotation or scale of a node; expected some")
    return found


def _joints(document: Document, parents: list[int], moved: set[int]) -> tuple[list[int], int]:
    """Joints with parents first, and how many others there were: a skin's (without one: what the animation moves, and all below it that is drawn as nothing), of the
    tree that holds most of them."""
    found: set[int] = set()
    for skin in document.items("skins"):
        found |= set(document.indices(skin, "joints"))
    if not found & moved:
        plain = [k for k, node in enumerate(document.items("nodes")) if not {"mesh", "camera"} & node.keys()]
        found = {k for k in plain if k in moved or moved & set(_ancestors(parents, k))}
    top = {joint: next((a for a in reversed(_ancestors(parents, joint)) if a in found), joint) for joint in found}
    trees = {root: [j for j in found if top[j] == root] for root in sorted(set(top.values()))}
    tree = max(trees.values(), key=len, default=[])
    if not 2 <= len(tree) <= MAX_JOINTS:
        raise ValueError(f"{document.path}: joints: got {len(tree)} in one tree; expected 2 to {MAX_JOINTS}, the joints of a skin or nodes that the animation moves")
    return sorted(tree, key=lambda j: (len(_ancestors(parents, j)), j)), len(found) - len(tree)


def _name(document: Document, node: int) -> str:
    return printable(str(document.items("nodes")[node].get("name") or f"node_{node}"))


def _names(document: Document, joints: list[int]) -> list[str]:
    """Each joint's name, with its number where another has the same."""
    plain = [_name(document, joint) for joint in joints]
    return [name if plain.count(name) == 1 else f"{name}.{joint}" for name, joint in zip(plain, joints, strict=True)]


def _frames(path: Path, tracks: dict[tuple[int, str], Track], fps: float) -> tuple[np.ndarray, float, str]:
    """Times ``[T]`` at which to sample, their rate, and how that was found: from the track with the most key frames."""
    keys = max((times for times, _, _ in tracks.values()), key=len)
    step = float(np.median(np.diff(keys))) if len(keys) > 1 else 1.0
    rate, why = (fps, "given") if fps else (1 / step, "key frames") if SLOW_FPS <= 1 / step <= FAST_FPS else (USUAL_FPS, "assumed: key frames lie too far or near for one")
    start, end = min(float(t[0]) for t, _, _ in tracks.values()), max(float(t[-1]) for t, _, _ in tracks.values())
    count = (end - start) * rate
    if not count < MAX_POSES:
        raise ValueError(f"{path}: animation: got {end - start:g} s; expected at most {MAX_POSES} frames")
    return start + np.arange(int(count + 1e-3) + 1) / rate, rate, why


def _world(document: Document, parents: list[int], joints: list[int], tracks: dict[tuple[int, str], Track], times: np.ndarray) -> _Places:
    """Where the joints are at ``times [T]``: ``[T, J, .]``; without tracks as the file's nodes stand."""
    nodes = sorted({a for joint in joints for a in (joint, *_ancestors(parents, joint))}, key=lambda k: len(_ancestors(parents, k)))
    if len(nodes) * len(times) > MAX_POSES:
        raise ValueError(f"{document.path}: animation: got {len(times)} frames of {len(nodes)} nodes; expected at most {MAX_POSES} in all")
    done: dict[int, _Places] = {}
    for node in nodes:
        stand = _stand(document, node)
        tracked = [
            sample(tracks[node, path], times) if (node, path) in tracks else np.broadcast_to(value, (len(times), len(value))) for path, value in zip(PATHS, stand, strict=True)
        ]
        pos, quat, scale = (torch.from_numpy(np.array(v)) for v in tracked)
        if not bool((scale > 1e-9).all()) or not bool((quat.norm(dim=-1) > 0.1).all()):
            raise ValueError(
                f"{document.path}: node {_name(document, node)}: got scale {float(scale.min()):g}, rotation {quat[0].tolist()}; expected scales > 0 and unit quaternions"
            )
        own = _Places(pos, quat_normalize(quat), scale)
        done[node] = own.on(done[parents[node]]) if parents[node] >= 0 else own
    return _Places(*(torch.stack([getattr(done[j], part) for j in joints], dim=1) for part in ("pos", "quat", "scale")))


def _stand(document: Document, node: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Translation ``[3]``, rotation ``[4]`` wxyz and scale ``[3]`` of a node as the file has it."""
    item = document.items("nodes")[node]
    if "matrix" in item:
        return split_matrix(document, document.numbers(item, "matrix", np.eye(4).reshape(-1).tolist()).reshape(4, 4).T)
    pos, quat, scale = (document.numbers(item, path, REST[path]) for path in PATHS)
    return pos, quat[[3, 0, 1, 2]], scale


def split_matrix(document: Document, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Translation, rotation (wxyz) and scale of a transform ``[4, 4]``."""
    scale = np.linalg.norm(matrix[:3, :3], axis=0)
    if not (scale > 1e-9).all() or np.linalg.det(matrix[:3, :3] / scale) < 0.1:
        raise ValueError(f"{document.path}: matrix: got {matrix.round(3).tolist()!s:.80}; expected rotation, scale > 0 and translation")
    u, _, vh = np.linalg.svd(matrix[:3, :3] / scale)
    return matrix[:3, 3], mat_quat(u @ vh), scale


def _rest(document: Document, parents: list[int], joints: list[int], still: _Places) -> _Places:
    """The joints ``[J, .]`` in the bind pose of the file's skins; where there is none, as its nodes stand (``still [1, J, .]``).

    A bind pose is relative to the mesh, which lies in the world or in the frame of what the skeleton hangs on: the nearer to where the nodes stand.
    """
    stands = _Places(still.pos[0], still.quat[0], still.scale[0])
    bound: dict[int, np.ndarray] = {}
    for skin in document.items("skins"):
        if "inverseBindMatrices" in skin:
            matrices = document.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
            bound |= dict(zip(document.indices(skin, "joints"), matrices, strict=False)) | bound
    if not set(joints) <= bound.keys():
        return stands
    try:
        each = [split_matrix(document, np.linalg.inv(bound[joint])) for joint in joints]
    except np.linalg.LinAlgError:
        raise ValueError(f"{document.path}: inverseBindMatrices: got one that cannot be inverted; expected transforms") from None
    bind = _Places(*(torch.from_numpy(np.stack(part)) for part in zip(*each, strict=True)))
    first = parents[joints[0]]
    frame = _world(document, parents, [first], {}, np.zeros(1)) if first >= 0 else None
    placed = [bind] if frame is None else [bind, bind.on(_Places(frame.pos[0], frame.quat[0], frame.scale[0]))]
    return min(placed, key=lambda p: float((p.pos - stands.pos).norm(dim=-1).sum()))

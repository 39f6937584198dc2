"""glTF files for tests: packing one, and a clip on a skeleton whose bones point anywhere."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

import numpy as np
import torch

from motions.clip import Clip
from motions.rotations import quat_conj, quat_exp, quat_mul, quat_rotate, quat_to_mat
from motions.skeleton import Skeleton
from motions.source_motion import from_clip

MIXAMO = {"pelvis": "Hips", "torso": "Spine2", "head": "Head", "upper_arm": "Arm", "lower_arm": "ForeArm", "hand": "Hand", "thigh": "UpLeg", "shin": "Leg", "foot": "Foot"}
TO_FILE = [1, 2, 0]  # x forward, y left, z up -> x left, y up, z forward


class Packer:
    """Collects arrays into one buffer with an accessor each."""

    def __init__(self) -> None:
        self.data, self.views, self.accessors = b"", [], []

    def add(self, array, kind: str = "", dtype: str = "<f4", **more) -> int:
        array = np.asarray(array, dtype=np.dtype(dtype))
        array = array.reshape(len(array), -1)
        component = {"<f4": 5126, "<i2": 5122, "|i1": 5120, "|u1": 5121, "<u2": 5123}[np.dtype(dtype).str]
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes})
        width = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}[array.shape[1]]
        self.accessors.append({"bufferView": len(self.views) - 1, "componentType": component, "count": len(array), "type": kind or width} | more)
        self.data += array.tobytes() + bytes(-array.nbytes % 4)
        return len(self.accessors) - 1

    def document(self, **parts) -> dict:
        return {"asset": {"version": "2.0"}, "accessors": self.accessors, "bufferViews": self.views, "buffers": [{"byteLength": len(self.data)}]} | parts


def save_glb(path: Path, document: dict, data: bytes) -> Path:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(data), 0x004E4942) + data
    path.write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks)
    return path


def save_gltf(path: Path, document: dict, data: bytes, beside: str = "") -> Path:
    """The buffer is written into the file, or under the name ``beside`` it."""
    if beside:
        (path.parent / beside).write_bytes(data)
    uri = beside or "data:application/octet-stream;base64," + base64.b64encode(data).decode()
    path.write_text(json.dumps(document | {"buffers": [{"byteLength": len(data), "uri": uri}]}))
    return path


def moved(packer: Packer, node: int, path: str, times, values, how: str = "LINEAR") -> tuple[dict, dict]:
    """A channel (its sampler still to be numbered) and its sampler."""
    sampler = {"input": packer.add(times), "output": packer.add(values), "interpolation": how}
    return {"target": {"node": node, "path": path}}, sampler


def animation(name: str, parts: list[tuple[dict, dict]]) -> dict:
    return {"name": name, "channels": [channel | {"sampler": k} for k, (channel, _) in enumerate(parts)], "samplers": [sampler for _, sampler in parts]}


def clip_document(clip: Clip, skeleton: Skeleton, bind: bool = False, armature: bool = True, prefix: str = "mixamorig:") -> tuple[dict, bytes]:
    """A clip on bones named like Mixamo's whose rest frames are turned at random.

    Args:
        bind: nodes stand in the clip's middle frame, and a skin tells the rest pose. armature: bones hang in centimetres below a node that turns and shrinks them.
    """
    source = from_clip(clip, skeleton)
    local = torch.from_numpy(source.local_quat)[..., [0, 2, 3, 1]]
    offsets, root_pos = torch.from_numpy(source.offsets)[:, TO_FILE], torch.from_numpy(source.root_pos)[:, TO_FILE]
    frames = quat_exp(torch.randn(len(source.names), 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    above = [frames[p] if p >= 0 else torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64) for p in source.parents]
    turns = torch.stack([quat_mul(quat_mul(quat_conj(a), local[:, k]), frames[k]) for k, a in enumerate(above)], dim=1)
    places = torch.stack([quat_rotate(quat_conj(a), offsets[k]) for k, a in enumerate(above)])
    rest_turns = torch.stack([quat_mul(quat_conj(a), frames[k]) for k, a in enumerate(above)])
    size, lift = (100.0, quat_exp(torch.tensor([np.pi / 2, 0.0, 0.0], dtype=torch.float64))) if armature else (1.0, torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64))
    turns[:, 0], rest_turns[0] = quat_mul(quat_conj(lift), turns[:, 0]), quat_mul(quat_conj(lift), rest_turns[0])
    root_pos, places = quat_rotate(quat_conj(lift), root_pos) * size, places * size
    packer = Packer()
    names = [prefix + named(body) for body in source.names]
    nodes = [{"name": n, "children": [k for k, p in enumerate(source.parents) if p == j]} for j, n in enumerate(names)]
    middle = clip.num_frames // 2
    for k, node in enumerate(nodes):
        turn, place = (turns[middle, k] if bind else rest_turns[k]), (root_pos[middle if bind else 0] if k == 0 else places[k])
        node |= {"rotation": turn[[1, 2, 3, 0]].tolist(), "translation": place.tolist()}
    nodes.append({"name": "Armature", "children": [0], "rotation": lift[[1, 2, 3, 0]].tolist(), "scale": [1 / size] * 3})
    nodes.append({"name": "Body", "mesh": 0})
    times = np.arange(clip.num_frames) / clip.fps
    parts = [moved(packer, k, "rotation", times, turns[:, k][:, [1, 2, 3, 0]]) for k in range(len(names))]
    parts.append(moved(packer, 0, "translation", times, root_pos))
    skin = {"joints": list(range(len(names)))}
    if bind:  # relative to the armature
        rest = [quat_rotate(quat_conj(lift), torch.tensor(v, dtype=torch.float64)) * size for v in positions(source.parents, offsets)]
        matrices = np.tile(np.eye(4), (len(names), 1, 1))
        matrices[:, :3, :3] = quat_to_mat(quat_mul(quat_conj(lift).expand_as(frames), frames)).numpy()
        matrices[:, :3, 3] = torch.stack(rest).numpy()
        skin["inverseBindMatrices"] = packer.add(np.linalg.inv(matrices).transpose(0, 2, 1).reshape(-1, 16))
    return packer.document(nodes=nodes, skins=[skin], animations=[animation("Take 001", parts)]), packer.data


def named(body: str) -> str:
    """``left_thigh`` is ``LeftUpLeg``."""
    side, _, part = body.partition("_") if body.startswith(("left_", "right_")) else ("", "", body)
    return side.capitalize() + MIXAMO[part]


def positions(parents, offsets) -> list[list[float]]:
    found: list[torch.Tensor] = []
    for k, p in enumerate(parents):
        found.append(offsets[k] + found[p] if p >= 0 else torch.zeros(3, dtype=torch.float64))
    return [v.tolist() for v in found]

"""The glTF reader on files packed here."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from cfg.importing import ImportArgs, import_file
from motions.formats import gltf
from motions.formats.detect import detect
from motions.formats.files import NoMotionError
from motions.formats.keyframes import sample
from motions.rotations import quat_conj, quat_log, quat_mul
from motions.source_motion import from_clip
from tests.motions.glb_files import Packer, animation, clip_document, moved, named, save_glb, save_gltf
from tests.motions.rigs import gait

HALF = math.sqrt(0.5)


def assert_is(source, clip, skeleton) -> None:
    """The same motion to float32's accuracy, joint by joint."""
    wanted = from_clip(clip, skeleton)
    at = [source.names.index(f"mixamorig:{named(body)}") for body in wanted.names]
    assert [source.names[source.parents[k]] if source.parents[k] >= 0 else "" for k in at] == [f"mixamorig:{named(wanted.names[p])}" if p >= 0 else "" for p in wanted.parents]
    np.testing.assert_allclose(source.world_pos[:, at], wanted.world_pos, atol=1e-5)
    np.testing.assert_allclose(source.offsets[at], wanted.offsets, atol=1e-5)
    turn = quat_log(quat_mul(quat_conj(torch.from_numpy(source.local_quat[:, at])), torch.from_numpy(wanted.local_quat)))
    assert float(turn.norm(dim=-1).max()) < 1e-4


@pytest.mark.parametrize("bind", [False, True])
@pytest.mark.parametrize("armature", [False, True])
def test_a_clip_comes_back_from_bones_that_point_anywhere(tmp_path, skeleton, bind, armature):
    clip = gait(skeleton, seconds=0.5)
    path = save_glb(tmp_path / "walk.glb", *clip_document(clip, skeleton, bind, armature))
    assert detect(path) == "gltf"
    source = gltf.load(path, source="me", license="free")
    assert (source.name, source.fps, source.source, source.license) == ("walk", 30.0, "me", "free")
    assert_is(source, clip, skeleton)
    assert {"rate: 30 Hz (key frames)", "take: Take 001", "up: +y (the format's)", "forward: +z (right to left hip and shoulder, then up)"} <= set(source.notes)


def test_buffers_in_the_file_or_beside_it(tmp_path, skeleton):
    clip = gait(skeleton, seconds=0.2)
    parts = clip_document(clip, skeleton)
    assert_is(gltf.load(save_gltf(tmp_path / "a.gltf", *parts)), clip, skeleton)
    assert_is(gltf.load(save_gltf(tmp_path / "b.gltf", *parts, beside="b 1.bin")), clip, skeleton)
    assert detect(tmp_path / "a.gltf") == "gltf"


def test_it_moves_the_character(tmp_path, skeleton, character):
    clip = gait(skeleton, seconds=0.5)
    path = save_glb(tmp_path / "walk.glb", *clip_document(clip, skeleton))
    back, text = import_file(path, ImportArgs(files=(path,), ground=False), character)
    assert "glTF 2.0 (.glb, .gltf)" in text
    assert "skeleton map mixamo, 15 bodies of 15 joints" in text
    pos, again = (skeleton.forward_kinematics(*c.poses_on(skeleton))[0] for c in (clip, back))
    assert float((pos - again).norm(dim=-1).max()) < 0.01


def two(path, parts, nodes=None, skins=(), take="", titles=("a",), fps=0.0, **more):
    """A root and a joint 1 m above it, moved by ``parts``, a function of a packer."""
    packer = Packer()
    animations = [animation(title, parts(packer)) for title in titles]
    nodes = nodes or [{"name": "base", "children": [1]}, {"name": "tip", "translation": [0, 1, 0]}]
    return gltf.load(save_glb(path, packer.document(nodes=nodes, skins=list(skins), animations=animations) | more, packer.data), take=take, fps=fps)


def quarter(packer, how="LINEAR", dtype="<f4", **more):
    """The root turns from nothing to a quarter about the file's z within a second; steps of 0.1 s."""
    angles = np.linspace(0, math.pi / 2, 11)
    values = np.stack((0 * angles, 0 * angles, np.sin(angles / 2), np.cos(angles / 2)), axis=1)
    scale = {"<f4": 1, "<i2": 32767, "|i1": 127, "|u1": 255, "<u2": 65535}[dtype]
    sampler = {"input": packer.add(np.linspace(0, 1, 11)), "output": packer.add(np.round(values * scale, 7 if scale == 1 else 0), dtype=dtype, **more), "interpolation": how}
    return [({"target": {"node": 0, "path": "rotation"}}, sampler)]


@pytest.mark.parametrize(("dtype", "tolerance"), [("<f4", 1e-6), ("<i2", 1e-4), ("|i1", 0.02), ("<u2", 1e-4), ("|u1", 0.01)])
def test_integers_stand_for_parts_of_one(tmp_path, dtype, tolerance):
    source = two(tmp_path / "a.glb", lambda p: quarter(p, dtype=dtype, **({"normalized": True} if dtype != "<f4" else {})))
    angles = np.linspace(0, math.pi / 2, 11)
    # about the file's z (forward): up goes towards the file's -x, our right
    np.testing.assert_allclose(source.world_pos[:, 1], np.stack((0 * angles, -np.sin(angles), np.cos(angles)), axis=1), atol=tolerance)
    assert source.fps == 10.0


def test_rows_may_lie_apart(tmp_path):
    path = tmp_path / "a.glb"
    packer = Packer()
    times, places = np.arange(4) / 10, np.arange(12.0).reshape(4, 3)
    mixed = packer.add(np.concatenate((places, np.full((4, 1), 9.0)), axis=1))
    packer.views[0]["byteStride"] = 16
    packer.accessors[0] |= {"type": "VEC3"}
    parts = [({"target": {"node": 0, "path": "translation"}}, {"input": packer.add(times), "output": mixed})]
    nodes = [{"name": "base", "children": [1]}, {"name": "tip", "translation": [0, 1, 0]}]
    source = gltf.load(save_glb(path, packer.document(nodes=nodes, animations=[animation("", parts)]), packer.data))
    np.testing.assert_allclose(source.root_pos, places[:, [2, 0, 1]], atol=1e-6)


def test_between_key_frames():
    keys = np.array([0.0, 1.0, 3.0])
    times = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0])
    values = np.array([[0.0, 0, 0], [2.0, 0, 0], [6.0, 1, 0]])
    np.testing.assert_allclose(sample((keys, values, "LINEAR"), times)[:, 0], [0, 0, 1, 2, 4, 6, 6])
    np.testing.assert_allclose(sample((keys, values, "STEP"), times)[:, 0], [0, 0, 0, 2, 2, 6, 6])
    # a cubic is its own spline: t^3 with slopes 3 t^2
    cubes = np.stack((3 * keys**2, keys**3, 3 * keys**2), axis=1)[..., None]
    np.testing.assert_allclose(sample((keys, cubes, "CUBICSPLINE"), times)[:, 0], [0, 0, 0.125, 1, 8, 27, 27])
    apart = cubes * [[[1.0], [1.0], [0.0]]]  # the slope behind a key does not touch what lies before it
    np.testing.assert_allclose(sample((keys, apart, "CUBICSPLINE"), np.array([2.0]))[0, 0], 8 - 2 * 3 * 0.125)
    turn = np.array([[1.0, 0, 0, 0], [HALF, 0, 0, HALF], [-1.0, 0, 0, 0]])
    half = sample((keys, turn, "LINEAR"), np.array([0.5, 2.0]))
    np.testing.assert_allclose(half, [[math.cos(math.pi / 8), 0, 0, math.sin(math.pi / 8)]] * 2 * np.array([[1.0], [math.copysign(1.0, half[1, 0])]]), atol=1e-12)
    np.testing.assert_allclose(sample((keys[:1], values[:1], "LINEAR"), times), np.zeros((7, 3)))
    np.testing.assert_allclose(sample((keys[:1], cubes[:1] + 5, "CUBICSPLINE"), times), np.full((7, 1), 5.0))


def test_splines_of_rotations_are_read(tmp_path):
    def parts(packer):
        values = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, HALF, HALF], [0, 0, 0, 0]])
        return [moved(packer, 0, "rotation", [0.0, 0.1], values, "CUBICSPLINE"), moved(packer, 0, "translation", np.arange(3) / 20, np.zeros((3, 3)))]

    source = two(tmp_path / "a.glb", parts)
    assert source.fps == 20.0
    np.testing.assert_allclose(source.world_pos[:, 1], [[0, 0, 1], [0, -HALF, HALF], [0, -1, 0]], atol=1e-6)


def test_rates(tmp_path):
    def parts(step, count=3):
        return lambda packer: [moved(packer, 0, "translation", np.arange(count) * step, np.arange(3.0 * count).reshape(count, 3))]

    assert "rate: 30 Hz (assumed: key frames lie too far or near for one)" in two(tmp_path / "a.glb", parts(0.5)).notes
    assert two(tmp_path / "a.glb", parts(0.5)).root_pos.shape == (31, 3)
    assert "rate: 60 Hz (given)" in two(tmp_path / "a.glb", parts(0.1), fps=60.0).notes
    with pytest.raises(ValueError, match=r"a.glb: animation: got 2e\+07 s; expected at most 2000000 frames"):
        two(tmp_path / "a.glb", parts(1e7))
    with pytest.raises(ValueError, match=r"a.glb: animation: got 1800001 frames of 2 nodes; expected at most 2000000 in all"):
        two(tmp_path / "a.glb", parts(3e4))


def test_a_take_may_begin_later_than_at_zero(tmp_path):
    source = two(tmp_path / "a.glb", lambda p: [moved(p, 0, "translation", np.arange(20, 24) / 10, np.arange(12.0).reshape(4, 3))])
    np.testing.assert_allclose(source.root_pos[:, 1], [0, 3, 6, 9], atol=1e-5)


def test_one_of_several_takes(tmp_path):
    def parts(packer):
        return quarter(packer)

    source = two(tmp_path / "moves.glb", parts, titles=("run", "jump"), take="jump")
    assert source.name == "moves_jump"
    assert "take: jump, one of 2: run, jump" in source.notes
    assert two(tmp_path / "moves.glb", parts, titles=("run", "jump"), take="1").name == "moves_jump"
    assert two(tmp_path / "moves.glb", parts, titles=("run", "jump")).name == "moves_run"
    with pytest.raises(ValueError, match=r"moves.glb: take: got 'fly'; expected its name, or a number from 0 to 1. Available: run, jump"):
        two(tmp_path / "moves.glb", parts, titles=("run", "jump"), take="fly")


def test_what_is_no_bone_is_left_out(tmp_path):
    """Props of an animation without a skin, and bones of another tree."""
    nodes = [{"name": "base", "children": [1, 2]}, {"name": "tip", "translation": [0, 1, 0]}, {"name": "hat", "mesh": 0}, {"name": "prop"}]

    def parts(packer):
        return [*quarter(packer), moved(packer, 3, "translation", [0.0, 1.0], np.zeros((2, 3)))]

    source = two(tmp_path / "a.glb", parts, nodes)
    assert source.names == ("base", "tip")
    assert "joints: 1 apart from the tree of base, left out" in source.notes
    skin = {"joints": [0, 1, 2]}
    assert two(tmp_path / "a.glb", parts, nodes, [skin]).names == ("base", "tip", "hat")


def test_a_node_may_have_a_matrix_and_a_joint_may_hang_on_what_is_none(tmp_path):
    lift = [0.0, 2.0, 0.0, 0.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 5.0, 0.0, 0.0, 1.0]  # columns: twice as large, a quarter about z, 5 m along x
    nodes = [{"name": "base", "children": [2]}, {"name": "tip", "translation": [0, 1, 0]}, {"name": "between", "matrix": lift, "children": [1]}]
    source = two(tmp_path / "a.glb", quarter, nodes, [{"joints": [0, 1]}])
    assert source.names == ("base", "tip")
    np.testing.assert_allclose(source.offsets[1], [0, 3, 0], atol=1e-6)  # 5 m along the file's x (our left), less 2 m
    np.testing.assert_allclose(source.world_pos[-1, 1], [0, 0, 3], atol=1e-6)


def test_names_may_be_missing_or_double(tmp_path):
    nodes = [{"children": [1, 2]}, {"name": "tip", "translation": [0, 1, 0]}, {"name": "tip", "translation": [0, 2, 0]}]
    assert two(tmp_path / "a.glb", quarter, nodes).names == ("node_0", "tip.1", "tip.2")


def spoil(**change):
    """Changes of the document of a good file."""
    return lambda path, packer, document: save_glb(path, document | change, packer.data)


def spoil_array(**change):
    def act(path, packer, document):
        packer.accessors[1] |= change
        return save_glb(path, document, packer.data)

    return act


def spoil_view(**change):
    def act(path, packer, document):
        packer.views[1] |= change
        return save_glb(path, document, packer.data)

    return act


TIP = {"name": "tip", "translation": [0, 1, 0]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil(asset={"version": "1.0"}), "not a glTF file: asset.version: got '1.0'; expected 2.0"),
        (spoil(asset=[]), "not a glTF file: asset.version: got None; expected 2.0"),
        (spoil(nodes={}), "nodes: got dict; expected a list of objects"),
        (spoil(nodes=[{"children": [5]}, TIP]), "nodes: got index 5; expected one of 2"),
        (spoil(nodes=[{"children": [1, 1]}, TIP]), "node 1: below both 0 and 0; expected a tree"),
        (spoil(nodes=[{"children": [1]}, TIP | {"children": [0]}]), "nodes: got 2 below themselves; expected a tree"),
        (spoil(nodes=[{"children": [1]}, {"name": "tip", "translation": [0, 1]}]), "translation of 'tip': got [0, 1]; expected 3 finite numbers"),
        (spoil(nodes=[{"children": [1], "name": "base"}, {"name": "tip", "scale": [0, 1, 1]}]), "node tip: got scale 0, rotation [1.0, 0.0, 0.0, 0.0]; expected scales > 0"),
        (spoil(nodes=[{"children": [1]}, {"matrix": [0.0] * 16}]), "matrix: got [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], "),
        (spoil(nodes=[{"name": "base"}]), "joints: got 1 in one tree; expected 2 to 2000, the joints of a skin or nodes that the animation moves"),
        (spoil(skins=[{"joints": [0, 7]}]), "nodes: got index 7; expected one of 2"),
        (spoil(skins=[{"joints": [0, 1], "inverseBindMatrices": 2}]), "inverseBindMatrices: got one that cannot be inverted; expected transforms"),
        (spoil(animations=[{"name": "a", "channels": [], "samplers": []}]), "animation a: got no translation, rotation or scale of a node; expected some"),
        (spoil(buffers=[{"uri": "../secret.bin"}]), "buffer 0: got '../secret.bin': expected a file beside it, or data"),
        (spoil(buffers=[{"uri": "/etc/passwd"}]), "buffer 0: got '/etc/passwd': expected a file beside it, or data"),
        (spoil(buffers=[{"uri": "none.bin"}]), "buffer 0: got 'none.bin': No such file or directory"),
        (spoil(buffers=[{"uri": "data:x;base64,a"}]), "buffer 0: Invalid base64-encoded string"),
        (spoil_array(componentType=5130), "accessor 1: got 5130, 'VEC4'; expected a buffer view of component type 5120, 5121, 5122, 5123, 5125, 5126 and type SCALAR, VEC3"),
        (spoil_array(sparse={}), "accessor 1: got sparse; expected a buffer view"),
        (spoil_array(count=10**15), "accessor 1: got 1000000000000000 x 16 bytes from 44 on; expected at least one, within the 176 of its view and "),
        (spoil_array(count=-1), "accessor 1: count: got -1; expected a whole number >= 0"),
        (spoil_array(type="VEC3"), "animation a: rotation of base: got 'LINEAR', 11 times and values (11, 3); expected one of STEP, LINEAR, CUBICSPLINE and 4 values"),
        (spoil_view(extensions={"EXT_meshopt_compression": {}}), "accessor 1: compressed with EXT_meshopt_compression; expected plain data: export again without compression"),
    ],
)
def test_damaged_files_are_refused(tmp_path, change, message):
    packer = Packer()
    parts = quarter(packer)
    packer.add(np.zeros((2, 16)))
    document = packer.document(nodes=[{"name": "base", "children": [1]}, TIP], animations=[animation("a", parts)])
    path = change(tmp_path / "a.glb", packer, document)
    with pytest.raises(ValueError, match=re.escape(f"{path}: {message}")) as caught:
        gltf.load(path)
    assert "\n" not in str(caught.value)


def test_times_must_rise(tmp_path):
    with pytest.raises(ValueError, match=r"animation a: translation of base: got times that do not rise, or no finite numbers; expected key frames in seconds"):
        two(tmp_path / "a.glb", lambda p: [moved(p, 0, "translation", [0.0, 0.2, 0.1], np.zeros((3, 3)))])


def test_damaged_containers_are_refused_and_models_without_motion_passed_over(tmp_path):
    path = tmp_path / "a.glb"
    packer = Packer()
    whole = save_glb(path, packer.document(nodes=[TIP]), b"1234").read_bytes()
    with pytest.raises(NoMotionError, match=r"a.glb: animations: got none; expected at least one"):
        gltf.load(path)
    for content, message in (
        (whole[:-8], f"got {len(whole) - 8} bytes; expected {len(whole)}: the file is cut off"),
        (whole[:-12] + b"\xff" + whole[-11:], "got a chunk of .* bytes at .*; expected at most 4"),
        (whole[:10], "got 10 bytes, version"),
        (whole[:4] + b"\1" + whole[5:], "expected a GLB of version 2"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"a.glb: not a glTF file: .*{message}"):
            gltf.load(path)
    path.write_bytes(whole.replace(b"JSON", b"NOSJ"))
    with pytest.raises(ValueError, match=r"a.glb: not a glTF file: got no JSON chunk; expected one"):
        gltf.load(path)
    for content in (b"[]", b"{", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a.glb: not a glTF file: "):
            gltf.load(path)

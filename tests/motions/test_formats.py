"""Recognising formats, and reading files that nobody vouches for."""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile

import numpy as np
import pytest

from motions.clip import Clip
from motions.formats import files
from motions.formats.detect import detect, read
from motions.source_motion import SourceMotion
from motions.synthetic import sine_gait
from tests.motions import fuzz, test_asfamc, test_bvh, test_deepmimic, test_keypoints, test_mimickit, test_smpl

MAKERS = {
    "bvh": test_bvh.person,
    "asfamc": lambda folder: test_asfamc.write(folder, test_asfamc.STILL, test_asfamc.STILL),
    "deepmimic": lambda folder: test_deepmimic.write(folder, test_deepmimic.row(), test_deepmimic.row()),
    "smpl": test_smpl.write,
    "mimickit": test_mimickit.write,
    "keypoints": lambda folder: test_keypoints.write(folder, test_keypoints.moving()),
    "c3d": lambda folder: test_keypoints.write_c3d(folder, test_keypoints.NAMES, test_keypoints.moving()),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_each_format_is_recognised_and_read_whatever_its_ending(tmp_path, kind):
    path = MAKERS[kind](tmp_path)
    assert detect(path) == kind
    motion = read(path)
    assert isinstance(motion, Clip if kind in ("deepmimic", "mimickit") else SourceMotion)
    if kind not in ("keypoints", "deepmimic"):
        other = path.with_name("02_01.dat")
        path.rename(other)
        assert detect(other) == kind


def test_archives_are_told_apart_by_their_arrays(tmp_path, skeleton):
    path = tmp_path / "a.npz"
    for kind, fields in (("beyondmimic", ("fps", "body_pos_w", "body_quat_w")), ("loco_mujoco", ("qpos", "split_points")), ("keypoints", ("positions", "names"))):
        np.savez(path, **dict.fromkeys(fields, np.zeros(1)))
        assert detect(path) == kind
    sine_gait(skeleton).save(path)
    assert detect(path) == "clip"
    assert isinstance(read(path), Clip)
    box = np.empty((), dtype=object)
    box[()] = {}
    np.save(tmp_path / "b.npy", box)
    assert detect(tmp_path / "b.npy") == "poselib"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.fbx", b"Kaydara FBX Binary  \0", "FBX is not read: convert it with Blender: File > Import > FBX, then File > Export > Motion Capture (.bvh), and import that"),
        ("a.asf", b":version", "a skeleton without motion; expected the .amc file that goes with it"),
        ("a.dat", b"hello", "format: got b'hello'; expected a motion file. Available: BVH, CMU ASF/AMC, "),
        ("a.npz", b"PK\x03\x04", "not a readable .npz: File is not a zip file"),
    ],
)
def test_what_is_not_read_says_so(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / name}: {message}")):
        detect(tmp_path / name)


def test_other_archives_folders_and_missing_files_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", weights=np.zeros(3))
    with pytest.raises(ValueError, match=r"a.npz: arrays: got weights; expected those of one of: SMPL, .*, BeyondMimic"):
        detect(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="is a folder; expected a motion file"):
        detect(tmp_path)
    with pytest.raises(ValueError, match=r"none.bvh: not found; expected a motion file"):
        detect(tmp_path / "none.bvh")


def test_overrides_reach_the_reader_and_useless_ones_are_refused(tmp_path):
    assert "unit: 0.5 m (given)" in read(test_bvh.person(tmp_path), scale=0.5, up="", fps=0.0).notes
    path = MAKERS["deepmimic"](tmp_path)
    with pytest.raises(ValueError, match=re.escape(f"{path}: up: got 'z' for DeepMimic (.txt), which leaves no choice of it. Available: name, source, license")):
        read(path, up="z")


def test_plain_arrays_round_trip_in_both_orders(tmp_path):
    for array in (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array("text"), np.array(3)):
        np.save(tmp_path / "a.npy", array)
        np.testing.assert_array_equal(files.read_npy(tmp_path / "a.npy", "an array"), array)


def header(shape) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header((10**12,)) + bytes(64), r"got an array \(1000000000000,\) of float64; expected what \d+ bytes can hold"),
        (header((-1,)) + bytes(64), r"got an array \(-1,\)"),
        (header((2,))[:20], "."),
        (b"\x93NUMPY\x01\x00\x10\x00{'a': ((((((((((", "."),
        (b"\x93NUMPY", "."),
        (b"", "."),
    ],
)
def test_sizes_that_a_file_only_claims_take_no_memory(tmp_path, content, message):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"a.npy: not an array: {message}"):
        files.read_npy(path, "an array")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(ValueError, match=f"a.npz: not arrays: {message}"):
        files.read_npz(tmp_path / "a.npz", "arrays")


def test_a_file_or_an_archive_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 2**20)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(2**18))
    with pytest.raises(ValueError, match=r"a.npz: not arrays: unpacks to 2 MiB; expected at most 1 MiB"):
        files.read_npz(tmp_path / "a.npz", "arrays")
    (tmp_path / "a.bvh").write_bytes(b" " * 2**21)
    for reader in (files.read_text, files.read_npy, files.read_pickle):
        with pytest.raises(ValueError, match=r"a.bvh: not a file: got 2 MiB; expected at most 1 MiB"):
            reader(tmp_path / "a.bvh", "a file")


class Call:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (Call(np.ndarray, (10**12,)), "pickled call of numpy.ndarray: not allowed; expected arrays with their contents"),
        (Call(eval, "1"), "pickled class builtins.eval: not allowed; expected arrays and plain containers. Available: collections.OrderedDict, numpy.ndarray"),
        (Call(__import__("_codecs").encode, "x", "zip"), "pickled text in 'zip': not allowed; expected latin1"),
    ],
)
def test_pickles_of_anything_else_are_refused(tmp_path, attack, message):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(attack))
    with pytest.raises(ValueError, match=re.escape(f"{path}: not a pickle: {message}")):
        files.read_pickle(path, "a pickle")


def test_small_pickles_that_grow_when_followed_are_refused(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(fuzz.hash_bomb())
    with pytest.raises(ValueError, match=re.escape(f"{path}: not a pickle: pickled tuples in tuples in tuples: not allowed; expected arrays and plain containers")):
        files.read_pickle(path, "a pickle")
    for value in (fuzz.bomb(), fuzz.ring(), [[[[[0.0]]]]], ["x", [1]]):
        with pytest.raises(ValueError, match=re.escape("a.pkl: x: got shape (0,) of object; expected [n] of numbers")):
            files.numbers(path, {"x": value}, "x", (None,))
    np.testing.assert_array_equal(files.numbers(path, {"x": [[1, 2], [3, 4]]}, "x", (None, 2)), [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match=r"a.pkl: x: got list; expected a list of names"):
        files.strings(path, {"x": fuzz.bomb()}, "x")


def test_huge_numbers_are_as_good_as_infinite(tmp_path):
    np.testing.assert_array_equal(files.numbers(tmp_path, {"x": [1e29, 1e31, -1e300]}, "x", (None,)), [1e29, np.inf, -np.inf])


def test_names_from_files_do_not_break_messages(tmp_path):
    assert files.strings(tmp_path, {"x": ["a\nb", "c" * 1000]}, "x") == ["a_b", "c" * 80]
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for k in range(201):
            archive.writestr(f"{k}.npy", header((0,)))
    with pytest.raises(ValueError, match=r"a.npz: not arrays: holds 201 arrays; expected at most 200"):
        files.read_npz(tmp_path / "a.npz", "arrays")
    asf = test_asfamc.ASF.replace("dof rx\n", "dof " + "9" * 5000 + "\n")
    with pytest.raises(ValueError, match=r"bone ltibia: got dof 999") as caught:
        read(test_asfamc.write(tmp_path, test_asfamc.STILL, test_asfamc.STILL, asf=asf))
    assert len(str(caught.value)) == 2000


@pytest.mark.parametrize("protocol", range(2, 6))
def test_pickles_of_arrays_are_read(tmp_path, protocol):
    data = {"a": np.arange(6.0).reshape(2, 3), "b": np.float64(2.5), "c": [1, "x", None, b"\xff"], "d": np.array(["ab"])}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(data, protocol))
    back = files.read_pickle(tmp_path / "a.pkl", "a pickle")
    np.testing.assert_array_equal(back["a"], data["a"])
    assert back["d"].tolist() == ["ab"]
    assert (back["b"], back["c"]) == (2.5, data["c"])


def test_text_with_marks_and_other_line_ends(tmp_path):
    path = tmp_path / "a.txt"
    for content in (b"\xef\xbb\xbfa\xc3\xa9\r\nb", "aé\rb".encode("latin-1")):
        path.write_bytes(content)
        assert files.read_text(path, "text") == "aé\nb"
    path.write_text(json.dumps({"a": 1}))
    assert files.read_json(path, "JSON") == {"a": 1}

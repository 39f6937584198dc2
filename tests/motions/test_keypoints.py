"""The key point and C3D readers on files written here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from motions.formats import c3d, keypoints

# a figure facing +x, z up, in metres: what the points are called and where they are
FIGURE = {
    "pelvis": (0, 0, 0.9),
    "head": (0, 0, 1.5),
    **{f"{s}_{j}": (x, y * sign, z) for s, sign in (("left", 1), ("right", -1)) for j, (x, y, z) in {
        "hip": (0, 0.1, 0.9), "knee": (0, 0.1, 0.5), "ankle": (0, 0.1, 0.1), "shoulder": (0, 0.2, 1.4), "elbow": (0, 0.2, 1.1), "wrist": (0, 0.2, 0.85),
    }.items()},
}  # fmt: skip
NAMES, PLACES = list(FIGURE), np.array(list(FIGURE.values()), dtype=float)


def moving(frames=20, axes=(0, 1, 2), unit=1.0):
    """The figure walking along x, arms and legs swinging stiffly, in permuted axes and another unit, ``[T, K, 3]``."""
    points = np.tile(PLACES, (frames, 1, 1))
    for k, name in enumerate(NAMES):
        top = next((j for j in ("hip", "shoulder") if name.endswith({"hip": ("knee", "ankle"), "shoulder": ("elbow", "wrist")}[j])), None)
        if top:
            pivot = FIGURE[f"{name.split('_')[0]}_{top}"]
            swing = 0.4 * np.sin(np.arange(frames) * 0.7 + (name[0] == "l") * np.pi + (top == "hip"))
            arm = points[:, k] - pivot
            points[:, k] = pivot + np.stack((-arm[:, 2] * np.sin(swing), arm[:, 1], arm[:, 2] * np.cos(swing)), axis=1)
    points[..., 0] += 0.05 * np.arange(frames)[:, None]
    return unit * points[..., axes]


def write(tmp_path, points, names=NAMES, fps=None, beside="take.json"):
    np.save(tmp_path / "take.npy", points)
    if beside:
        (tmp_path / beside).write_text(json.dumps(names if fps is None else {"names": names, "fps": fps}))
    return tmp_path / "take.npy"


def test_points_stay_where_they_are_and_hang_on_each_other_as_limbs_do(tmp_path):
    source = keypoints.load(write(tmp_path, moving()), source="me", license="free")
    assert (source.name, source.fps, source.source, source.license) == ("take", 30.0, "me", "free")
    assert source.local_quat is None
    at = source.names.index
    np.testing.assert_allclose(source.world_pos[:, [at(n) for n in NAMES]], moving())
    above = {name: source.names[parent] for name, parent in zip(source.names, source.parents, strict=True) if parent >= 0}
    assert source.names[0] == "pelvis"
    for side in ("left", "right"):
        assert [above[f"{side}_{j}"] for j in ("knee", "ankle", "elbow", "wrist")] == [f"{side}_{j}" for j in ("hip", "knee", "shoulder", "elbow")]
    np.testing.assert_allclose(source.forward, [1, 0, 0])
    assert {"rate: 30 Hz (assumed)", "key points: no orientations", "up: +z (feet to head over the motion)"} <= set(source.notes)


def test_other_axes_and_units(tmp_path):
    source = keypoints.load(write(tmp_path, moving(axes=(1, 2, 0), unit=1000.0), fps=60, beside="joint_names.json"))  # x left, y up, z forward, mm
    assert source.fps == 60.0
    assert "unit: mm (leg 800 long, 0.80 m)" in source.notes
    assert any(note.startswith("up: +y") for note in source.notes)
    assert any(note.startswith("forward: +z") for note in source.notes)
    at = source.names.index
    step = source.world_pos[0, at("left_hip")] - source.world_pos[0, at("right_hip")]
    assert np.linalg.norm(step) == pytest.approx(0.2)
    np.testing.assert_allclose(np.cross(step / 0.2, [0, 0, 1]), source.forward, atol=1e-12)
    np.testing.assert_allclose(source.world_pos[0, at("head"), 2], 1.5)
    travel = source.root_pos[-1] - source.root_pos[0]
    np.testing.assert_allclose(travel / np.linalg.norm(travel), source.forward, atol=1e-12)


def test_archives(tmp_path):
    np.savez(tmp_path / "a.npz", keypoints=moving(), names=np.array(NAMES), fps=24)
    assert keypoints.load(tmp_path / "a.npz").fps == 24.0
    assert keypoints.load(tmp_path / "a.npz", fps=48.0).notes[0] == "rate: 48 Hz (given)"


MPOS = " ".join(str(v) for v in range(48))


def test_keyframes_of_mujoco_mpc(tmp_path):
    path = tmp_path / "walk.xml"
    path.write_text(f'<mujoco><keyframe><key name="a" mpos="{MPOS}"/><key mpos="{MPOS}"/></keyframe></mujoco>')
    source = keypoints.load(path, up="z", scale=1.0)
    assert source.fps == 30.0
    at = source.names.index
    np.testing.assert_allclose(source.world_pos[0, at("rknee")], [21, 22, 23])
    np.testing.assert_allclose(source.world_pos[0, at("lankle")], [12 - 0.25 * 6, 13 - 0.25 * 6, 14 - 0.25 * 6])  # a quarter of the way from heel (12..) to toe (6..)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<mujoco><key/></mujoco>", "not a keyframe file: got no key with mpos; expected 48 numbers, those of pelvis, head"),
        ("<mujoco><key mpos='1 2 3'/></mujoco>", "not a keyframe file: got 3 values in frame 0; expected 48 numbers"),
        ("<mujoco><key mpos='1 b'/></mujoco>", "not a keyframe file: could not convert string to float: 'b'; expected MJCF with"),
        ("<mujoco>", "not a keyframe file: no element found"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><mujoco/>", "not a keyframe file: got a document type; expected plain MJCF"),
    ],
)
def test_bad_keyframes_are_refused(tmp_path, content, message):
    (tmp_path / "bad.xml").write_text(content)
    with pytest.raises(ValueError, match=f"bad.xml: {message}"):
        keypoints.load(tmp_path / "bad.xml")


def test_bad_arrays_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"take.npy: names of 14 points: not found; expected a list in take.json or joint_names.json beside it"):
        keypoints.load(write(tmp_path, moving(), beside=""))
    with pytest.raises(ValueError, match=r"take.npy: points: got shape \(20, 14\) of float64; expected \[n, n, 3\] of numbers"):
        keypoints.load(write(tmp_path, moving()[..., 0]))
    with pytest.raises(ValueError, match=r"take.npy: points: got shape \(20, 14, 3\) and 13 different names; expected \[T, K, 3\] and K names"):
        keypoints.load(write(tmp_path, moving(), NAMES[:13]))
    with pytest.raises(ValueError, match=r"take.npy: points: frame 3 holds NaN or infinity"):
        keypoints.load(write(tmp_path, np.where(np.arange(20)[:, None, None] == 3, np.nan, moving())))
    with pytest.raises(ValueError, match=r"take.json: got int; expected a list of names, or names and fps"):
        keypoints.load(write(tmp_path, moving(), names=5))
    (tmp_path / "take.json").write_text("[")
    with pytest.raises(ValueError, match=r"take.json: not a list of names: .*; expected JSON"):
        keypoints.load(tmp_path / "take.npy")
    np.savez(tmp_path / "b.npz", frames=moving())
    with pytest.raises(ValueError, match=r"b.npz: not key points: expected one of positions, keypoints, joints, points. Available: frames"):
        keypoints.load(tmp_path / "b.npz")


def write_c3d(tmp_path, labels, points, rate=100.0, units="mm"):
    """``points [T, K, 3]`` in the file's unit."""
    ezc3d = pytest.importorskip("ezc3d")
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [rate]
    file["parameters"]["POINT"]["LABELS"]["value"] = labels
    file["parameters"]["POINT"]["UNITS"]["value"] = [units]
    data = np.ones((4, len(labels), len(points)))
    data[:3] = points.transpose(2, 1, 0)
    file["data"]["points"] = data
    file.write(str(tmp_path / "take.c3d"))
    return tmp_path / "take.c3d"


def test_c3d_labels_that_are_joints_pass_through(tmp_path):
    source = c3d.load(write_c3d(tmp_path, ["Anna:" + n for n in NAMES], moving(unit=1000.0)), source="me", license="free")
    assert (source.name, source.fps, source.source, source.license) == ("take", 100.0, "me", "free")
    at = source.names.index
    np.testing.assert_allclose(source.world_pos[:, [at(n) for n in NAMES]], moving(), atol=1e-4)
    assert {"rate: 100 Hz (POINT:RATE); unit mm", "markers: 14 of 14 used"} <= set(source.notes)


@pytest.mark.parametrize(("units", "in_a_metre"), [("cm", 100.0), ("m", 1.0), ("in", 1 / 0.0254)])
def test_c3d_units_are_those_of_the_file(tmp_path, units, in_a_metre):
    source = c3d.load(write_c3d(tmp_path, NAMES, moving(unit=in_a_metre), units=units))
    np.testing.assert_allclose(source.world_pos[:, [source.names.index(n) for n in NAMES]], moving(), atol=1e-4)


def test_a_c3d_file_is_read_where_processor_time_is_limited_already(tmp_path):
    """As in batch queues: a process may lower such a limit but never raise it."""
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_CPU, (15, 15)); from motions.formats import c3d; print(c3d.load(sys.argv[1]).fps)"
    path = write_c3d(tmp_path, NAMES, moving(unit=1000.0))
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("100.0\n", 0), done.stderr


def test_c3d_gaps_are_filled_and_lost_markers_left_out(tmp_path):
    points = moving(unit=1000.0)
    points[5:8, 3] = np.nan
    points[:15, 4] = np.nan
    source = c3d.load(write_c3d(tmp_path, NAMES, points))
    assert NAMES[4] not in source.names
    at = source.names.index(NAMES[3])
    whole = moving()[:, 3]
    np.testing.assert_allclose(source.world_pos[6, at], (whole[4] + whole[8]) / 2, atol=1e-4)
    assert {f"markers: 13 of 14 used; lost or unnamed: {NAMES[4]}", "gaps: 3 marker frames filled in linearly"} <= set(source.notes)


GAIT = {
    **{f"{s}{m}": (x, sign * y, z) for s, sign in (("L", 1), ("R", -1)) for m, (x, y, z) in {
        "ASI": (0.1, 0.12, 1.0), "PSI": (-0.1, 0.05, 1.0), "KNE": (0, 0.17, 0.5), "ANK": (0, 0.15, 0.1), "TOE": (0.15, 0.12, 0.03), "SHO": (0, 0.2, 1.4),
        "ELB": (0, 0.27, 1.1), "WRA": (0.03, 0.25, 0.9), "WRB": (-0.03, 0.25, 0.9), "FHD": (0.1, 0.08, 1.6), "BHD": (-0.1, 0.08, 1.6),
    }.items()},
    "C7": (-0.1, 0, 1.45), "CLAV": (0.1, 0, 1.4), "T10": (-0.1, 0, 1.2), "STRN": (0.1, 0, 1.2),
}  # fmt: skip


def test_joint_centres_of_plug_in_gait_by_hand(tmp_path):
    points = np.tile(np.array(list(GAIT.values())), (5, 1, 1)) + np.linspace(0, 0.1, 5)[:, None, None] * [1.0, 0, 0]
    source = c3d.load(write_c3d(tmp_path, list(GAIT), 1000 * points))
    place = dict(zip(source.names, source.world_pos[0], strict=True))
    # the front markers are 0.24 m apart: 14 % inward, 22 % back, 30 % down from each
    np.testing.assert_allclose(place["left_hip_centre"], [0.1 - 0.22 * 0.24, 0.12 - 0.14 * 0.24, 1 - 0.3 * 0.24], atol=1e-5)
    np.testing.assert_allclose(place["right_hip_centre"], [0.1 - 0.22 * 0.24, -0.12 + 0.14 * 0.24, 1 - 0.3 * 0.24], atol=1e-5)
    np.testing.assert_allclose(place["pelvis"], [0.1 - 0.22 * 0.24, 0, 1 - 0.3 * 0.24], atol=1e-5)
    np.testing.assert_allclose(place["left_knee_centre"], [0, 0.12, 0.5], atol=1e-5)
    np.testing.assert_allclose(place["right_ankle_centre"], [0, -0.115, 0.1], atol=1e-5)
    np.testing.assert_allclose(place["left_elbow_centre"], [0, 0.23, 1.1], atol=1e-5)
    np.testing.assert_allclose(place["right_wrist_centre"], [0, -0.25, 0.9], atol=1e-5)
    np.testing.assert_allclose(place["head"], [0, 0, 1.6], atol=1e-5)
    np.testing.assert_allclose(place["thorax"], [0, 0, 1.3125], atol=1e-5)
    assert "joint centres: estimated from Plug-in Gait markers" in source.notes
    np.testing.assert_allclose(source.forward, [1, 0, 0], atol=1e-6)


def test_without_back_markers_the_pelvis_is_as_deep_as_its_width_has_it():
    """Shoulders right above the front markers: up is z, so hips lie as far behind these as with markers on the back."""
    at = {label: np.array([place], dtype=float) for label, place in GAIT.items() if "PSI" not in label}
    at |= {label: np.array([[0.1, y, 1.4]]) for label, y in (("LSHO", 0.2), ("RSHO", -0.2))}
    np.testing.assert_allclose(c3d.joint_centres(at)["left_hip_centre"], [[0.1 - 0.22 * 0.24, 0.12 - 0.14 * 0.24, 1 - 0.3 * 0.24]], atol=1e-12)


def test_bad_c3d_files_are_refused(tmp_path):
    path = tmp_path / "bad.c3d"
    for content in (b"", b"\x02\x51" + bytes(1000), b"\x02\x50" + bytes(1000)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad.c3d: not a C3D file: "):
            c3d.load(path)
    with pytest.raises(ValueError, match=r"take.c3d: POINT:UNITS: got 'furlong'; expected a known unit, or scale given. Available: mm, cm, m, in"):
        c3d.load(write_c3d(tmp_path, NAMES, moving(), units="furlong"))
    np.testing.assert_allclose(c3d.load(write_c3d(tmp_path, NAMES, moving(), units="furlong"), scale=2.0).root_pos[0], 2 * moving()[0, 0], atol=1e-5)
    with pytest.raises(ValueError, match=r"take.c3d: markers: got 1 named ones seen in more than half the frames; expected at least 2. Available: a, \*7"):
        c3d.load(write_c3d(tmp_path, ["a", "*7"], moving()[:, :2]))

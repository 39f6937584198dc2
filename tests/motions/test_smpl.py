"""The SMPL reader on files written here."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from motions.formats import smpl
from motions.rotations import quat_log
from motions.source_motion import world_poses

NAMES = tuple(smpl.JOINTS)
UPRIGHT = (math.pi / 2, 0.0, 0.0)  # turns the body's y up into AMASS's z up


def write(tmp_path, frames=3, width=156, root=UPRIGHT, turns=None, **fields):
    """A file with the root turned by rotation vector ``root`` and joints by ``turns``; a field of None is left out."""
    poses = np.zeros((frames, width))
    poses[:, :3] = root
    for joint, turn in (turns or {}).items():
        poses[:, 3 * NAMES.index(joint) : 3 * NAMES.index(joint) + 3] = turn
    data = {"poses": poses, "trans": np.tile([0.3, -0.2, 0.9], (frames, 1)), "betas": np.zeros(16), "gender": "neutral", "mocap_framerate": np.float64(120.0)} | fields
    np.savez(tmp_path / "walk.npz", **{k: v for k, v in data.items() if v is not None})
    return tmp_path / "walk.npz"


def test_upright_in_a_z_up_world(tmp_path):
    source = smpl.load(write(tmp_path), source="me", license="free")
    assert (source.name, source.fps, source.names, source.source, source.license) == ("walk", 120.0, NAMES, "me", "free")
    place = dict(zip(NAMES, source.world_pos[0] - source.root_pos[0], strict=True))
    assert place["head"][2] == pytest.approx(0.6)
    assert place["left_ankle"][2] == pytest.approx(-0.865)
    side = place["left_wrist"] - place["right_wrist"]
    toes = place["left_foot"] - place["left_ankle"]
    assert np.linalg.norm(side) == pytest.approx(2 * 0.695)
    assert np.cross(toes, side)[2] > 0  # forward crossed with left is up
    np.testing.assert_allclose(source.offsets[NAMES.index("left_foot")], [0.125, 0.04, -0.055], atol=1e-12)
    np.testing.assert_allclose(source.local_quat[0, 1:], np.tile([1.0, 0, 0, 0], (21, 1)), atol=1e-12)
    assert "up: +z (the format's)" in source.notes
    assert "skeleton: SMPL-H; joint places of a typical adult, the file's shape coefficients are not used" in source.notes
    assert "rate: 120 Hz (mocap_framerate)" in source.notes


def test_the_left_of_the_table_is_the_mirror_image_of_its_right():
    for name, (parent, (x, y, z)) in smpl.JOINTS.items():
        if name.startswith("left_"):
            assert smpl.JOINTS[name.replace("left", "right")] == (parent.replace("left", "right"), (-x, y, z))
        elif not name.startswith("right_"):
            assert x == 0.0


def test_the_root_turns_as_the_body_does(tmp_path):
    """Stood up about x, the body faces the world's -y: a quarter turn to the right for one that faces x at rest. Its rotations lead to its places."""
    source = smpl.load(write(tmp_path, turns={"left_knee": (0.5, 0.2, 0.1)}))
    np.testing.assert_allclose(quat_log(torch.from_numpy(source.local_quat[0, 0])), [0, 0, -math.pi / 2], atol=1e-12)
    np.testing.assert_allclose(world_poses(source.parents, source.offsets, source.root_pos, source.local_quat)[0], source.world_pos, atol=1e-12)


def test_a_y_up_world_is_seen(tmp_path):
    source = smpl.load(write(tmp_path, root=(0, 0, 0), trans=np.array([[1.0, 2.0, 3.0], [1, 2, 4], [1, 2, 5]])))
    np.testing.assert_allclose(source.root_pos[0], [3, 1, 2])
    np.testing.assert_allclose(source.local_quat[0, 0], [1, 0, 0, 0], atol=1e-12)
    assert "up: +y (feet to head over the motion, though the format has +z)" in source.notes


def test_someone_who_crawls_is_not_stood_up(tmp_path):
    # lying on one side: turned about z by -90 degrees, the body's y (to the head) is along the world's x, along which it moves
    trans = np.stack((np.linspace(0, 2, 10), np.zeros(10), np.full(10, 0.2)), axis=1)
    source = smpl.load(write(tmp_path, frames=10, root=(0, 0, -math.pi / 2), trans=trans))
    assert "up: +z (the format's)" in source.notes
    np.testing.assert_allclose(source.root_pos[:, 2], 0.2)


@pytest.mark.parametrize(("axis", "expected"), [((0.4, 0, 0), (0, 0.4, 0)), ((0, 0.4, 0), (0, 0, 0.4)), ((0, 0, 0.4), (0.4, 0, 0))])
def test_joint_turns_are_in_our_axes(tmp_path, axis, expected):
    source = smpl.load(write(tmp_path, turns={"left_knee": axis}))
    turned = quat_log(torch.from_numpy(source.local_quat[0]))
    np.testing.assert_allclose(turned[NAMES.index("left_knee")], expected, atol=1e-12)
    assert int((turned[1:].norm(dim=-1) > 1e-6).sum()) == 1


def test_a_positive_turn_about_the_left_bends_the_knee_backward(tmp_path):
    source = smpl.load(write(tmp_path, root=(0, 0, 0), turns={"left_knee": (0.5, 0, 0)}), up="y")
    shin = source.world_pos[0, NAMES.index("left_ankle")] - source.world_pos[0, NAMES.index("left_knee")]
    straight = smpl.load(write(tmp_path, root=(0, 0, 0)), up="y").world_pos[0]
    np.testing.assert_allclose(shin[2], -0.4 * math.cos(0.5) + 0.04 * math.sin(0.5), atol=1e-12)
    assert shin[0] < (straight[NAMES.index("left_ankle")] - straight[NAMES.index("left_knee")])[0] - 0.1


@pytest.mark.parametrize(("width", "kind"), [(165, "SMPL-X"), (72, "SMPL"), (66, "SMPL body")])
def test_other_widths(tmp_path, width, kind):
    assert smpl.load(write(tmp_path, width=width)).notes[0].startswith(f"skeleton: {kind};")


@pytest.mark.parametrize("rate", ["mocap_frame_rate", "fps"])
def test_split_poses_and_other_names_of_the_rate(tmp_path, rate):
    split = {"poses": None, "root_orient": np.tile(UPRIGHT, (3, 1)), "pose_body": np.full((3, 63), 0.1), "mocap_framerate": None, rate: np.array([60])}
    source = smpl.load(write(tmp_path, **split))
    assert source.fps == 60
    np.testing.assert_allclose(quat_log(torch.from_numpy(source.local_quat[0, 1:])), np.full((21, 3), 0.1), atol=1e-12)
    assert smpl.load(write(tmp_path, mocap_framerate=None), fps=30.0).notes[1] == "rate: 30 Hz (given)"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"trans": None}, r"not an SMPL motion: expected fields poses \(or root_orient and pose_body\) and trans. Available: poses, betas"),
        ({"width": 63}, "poses: got 63 values a frame; expected at least 66"),
        ({"mocap_framerate": None}, "rate: not in the file; expected one of mocap_framerate, mocap_frame_rate, fps, frame_rate, or fps given. Available: poses, trans"),
        ({"mocap_framerate": "fast"}, r"mocap_framerate: got shape \(\) of <U4; expected one number"),
        ({"trans": np.zeros((2, 3))}, r"trans: got shape \(2, 3\) of float64; expected \[3, 3\] of numbers"),
        ({"poses": np.zeros((3, 52, 3))}, r"poses: got shape \(3, 52, 3\) of float64; expected \[n, n\] of numbers"),
        ({"root": (math.nan, 0, 0)}, "poses: frame 0 holds NaN or infinity"),
    ],
)
def test_bad_files_are_refused(tmp_path, fields, message):
    with pytest.raises(ValueError, match=f"walk.npz: {message}"):
        smpl.load(write(tmp_path, **fields))

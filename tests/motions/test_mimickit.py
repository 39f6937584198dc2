"""The MimicKit reader on files written here, against directions known by hand."""

from __future__ import annotations

import math
import os
import pickle

import numpy as np
import pytest
import torch

from motions.formats import mimickit
from motions.rotations import quat_exp, quat_log, quat_rotate

START = {"abdomen": 6, "neck": 9, "right_shoulder": 12, "right_elbow": 15, "left_shoulder": 16, "left_elbow": 19, "right_hip": 20, "right_knee": 23, "right_ankle": 24}
START |= {"left_hip": 27, "left_knee": 30, "left_ankle": 31}


def write(tmp_path, values=None, frames=None, protocol=4, **fields):
    """Two equal frames with ``values`` by joint."""
    row = np.zeros(34)
    row[2] = 0.9
    for joint, value in (values or {}).items():
        row[START[joint] : START[joint] + np.size(value)] = value
    data = {"loop_mode": 0, "fps": 30, "frames": np.stack((row, row)) if frames is None else frames} | fields
    path = tmp_path / "humanoid_test.pkl"
    path.write_bytes(pickle.dumps({k: v for k, v in data.items() if v is not None}, protocol))
    return path


def place(clip, skeleton, body, parent):
    pos, _ = skeleton.forward_kinematics(*clip.poses_on(skeleton))
    at = skeleton.body_names.index
    step = (pos[0, at(body)] - pos[0, at(parent)]).numpy()
    return step / np.linalg.norm(step)


@pytest.mark.parametrize(("side", "y"), [("right", -1.0), ("left", 1.0)])
def test_arms_rest_in_a_t_and_bend_forward(tmp_path, skeleton, side, y):
    clip = mimickit.load(write(tmp_path))
    np.testing.assert_allclose(place(clip, skeleton, f"{side}_lower_arm", f"{side}_upper_arm"), [0, y, 0], atol=1e-6)
    # the elbow turns about the model's z: positive on the right takes -y to +x, negative on the left +y to +x
    clip = mimickit.load(write(tmp_path, {f"{side}_elbow": -y * 1.0}))
    np.testing.assert_allclose(place(clip, skeleton, f"{side}_hand", f"{side}_lower_arm"), [math.sin(1.0), y * math.cos(1.0), 0], atol=1e-6)
    # a shoulder turned about z takes the whole arm along
    clip = mimickit.load(write(tmp_path, {f"{side}_shoulder": [0, 0, -y * 0.5]}))
    np.testing.assert_allclose(place(clip, skeleton, f"{side}_lower_arm", f"{side}_upper_arm"), [math.sin(0.5), y * math.cos(0.5), 0], atol=1e-6)
    turned = {f"{side}_shoulder": [0.3, -0.2, 0.4], f"{side}_elbow": -y * 0.7}
    hand = quat_rotate(quat_exp(torch.tensor([0.3, -0.2, 0.4])), torch.tensor([math.sin(0.7), y * math.cos(0.7), 0.0]))
    np.testing.assert_allclose(place(mimickit.load(write(tmp_path, turned)), skeleton, f"{side}_hand", f"{side}_lower_arm"), hand, atol=1e-6)


@pytest.mark.parametrize("side", ["right", "left"])
def test_knees_bend_backward(tmp_path, skeleton, side):
    clip = mimickit.load(write(tmp_path, {f"{side}_knee": 0.5}))
    np.testing.assert_allclose(place(clip, skeleton, f"{side}_foot", f"{side}_shin"), [-math.sin(0.5), 0, -math.cos(0.5)], atol=1e-6)


@pytest.mark.parametrize("joint", [j for j, width in mimickit.JOINTS.items() if width == 3 and "shoulder" not in j])
def test_balls_are_rotation_vectors(tmp_path, joint):
    clip = mimickit.load(write(tmp_path, {joint: [0.1, -0.2, 0.3]}))
    turned = quat_log(torch.from_numpy(clip.joint_quat[0]))
    np.testing.assert_allclose(turned[clip.joint_names.index(joint)], [0.1, -0.2, 0.3], atol=1e-12)
    others = [k for k, j in enumerate(clip.joint_names) if j != joint and "shoulder" not in j]
    assert turned[others].abs().max() < 1e-9


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_root_rate_loop_and_lists(tmp_path, protocol):
    rows = np.zeros((3, 34))
    rows[:, :6] = [1, 2, 3, 0.1, 0.2, 0.3]
    clip = mimickit.load(write(tmp_path, frames=rows, loop_mode=1, fps=24.0, protocol=protocol))
    assert (clip.name, clip.fps, clip.loop, clip.num_frames) == ("test", 24.0, "wrap", 3)
    np.testing.assert_allclose(clip.root_pos[0], [1, 2, 3])
    np.testing.assert_allclose(quat_log(torch.from_numpy(clip.root_quat[0])), [0.1, 0.2, 0.3], atol=1e-12)
    assert mimickit.load(write(tmp_path, frames=rows.tolist())).num_frames == 3


class Attack:
    def __reduce__(self):
        return os.system, ("touch trapped",)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"frames": Attack()}, rf"not a MimicKit motion: pickled class {os.name}.system: not allowed; expected arrays and plain containers"),
        ({"fps": None}, "field fps is missing. Available: loop_mode, frames"),
        ({"frames": np.zeros((2, 36))}, "frames: got 36 values a frame; expected 34, those of MimicKit's humanoid"),
        ({"frames": [[1, 2], [3]]}, r"frames: got shape \(0,\) of object; expected \[n, n\] of numbers"),
        ({"loop_mode": 7}, r"loop_mode: got 7; expected 0 \(stop\) or 1 \(wrap\)"),
        ({"loop_mode": "wrap"}, "loop_mode: got 'wrap'; expected 0"),
    ],
)
def test_bad_files_are_refused(tmp_path, monkeypatch, fields, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"test.pkl: {message}"):
        mimickit.load(write(tmp_path, **fields))
    assert not (tmp_path / "trapped").exists()


def test_other_contents_are_refused(tmp_path):
    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match=r"bad.pkl: content: got list; expected a dictionary with frames, fps and loop_mode"):
        mimickit.load(path)
    path.write_bytes(b"\x80\x04nothing")
    with pytest.raises(ValueError, match=r"bad.pkl: not a MimicKit motion: "):
        mimickit.load(path)

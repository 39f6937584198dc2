"""The DeepMimic importer on rows built by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from motions.formats import deepmimic
from motions.rotations import quat_log, quat_rotate

IDENTITY = [1.0, 0.0, 0.0, 0.0]
ORDER = ("chest", "neck", "right_hip", "right_knee", "right_ankle", "right_shoulder", "right_elbow", "left_hip", "left_knee", "left_ankle", "left_shoulder", "left_elbow")
OURS = {"chest": "abdomen"}


def row(duration=0.1, pos=(0.0, 0.9, 0.0), root=IDENTITY, **joints) -> list[float]:
    """One frame; joints by the format's names: a quaternion, or an angle for knees and elbows."""
    values = [duration, *pos, *root]
    for name in ORDER:
        rest = [0.0] if name.endswith(("knee", "elbow")) else IDENTITY
        values += joints.get(name, rest)
    return values


def write(tmp_path, *rows, loop="none", name="humanoid3d_test.txt"):
    path = tmp_path / name
    path.write_text(json.dumps({"Loop": loop, "Frames": list(rows)}))
    return path


def about(axis: str, angle: float) -> list[float]:
    """Quaternion ``wxyz`` about an axis of the file's frame (y up, x forward, z right)."""
    s = math.sin(angle / 2)
    return [math.cos(angle / 2), *(s if a == axis else 0.0 for a in "xyz")]


def test_axes_turn_from_y_up_to_z_up(tmp_path):
    clip = deepmimic.load(write(tmp_path, row(pos=(1.0, 2.0, 3.0)), row()))
    np.testing.assert_allclose(clip.root_pos[0], [1.0, -3.0, 2.0])  # right becomes minus left


@pytest.mark.parametrize(("axis", "expected"), [("x", [0.3, 0, 0]), ("y", [0, 0, 0.3]), ("z", [0, -0.3, 0])])
def test_rotations_turn_with_the_axes(tmp_path, axis, expected):
    balls = [name for name in ORDER if not name.endswith(("knee", "elbow"))]
    for name in balls:
        clip = deepmimic.load(write(tmp_path, row(root=about(axis, 0.3), **{name: about(axis, 0.3)}), row()))
        vectors = quat_log(torch.from_numpy(clip.joint_quat[0]))
        np.testing.assert_allclose(quat_log(torch.from_numpy(clip.root_quat[0])), expected, atol=1e-12)
        turned = clip.joint_names.index(OURS.get(name, name))
        np.testing.assert_allclose(vectors[turned], expected, atol=1e-12)
        assert int((vectors.norm(dim=-1) > 1e-6).sum()) == 1


@pytest.mark.parametrize(("name", "angle"), [("right_knee", -0.5), ("left_knee", -0.5), ("right_elbow", 0.5), ("left_elbow", 0.5)])
def test_knees_bend_backward_and_elbows_forward(tmp_path, name, angle):
    clip = deepmimic.load(write(tmp_path, row(**{name: [angle]}), row()))
    shank = quat_rotate(torch.from_numpy(clip.joint_quat[0, clip.joint_names.index(name)]), torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64))
    np.testing.assert_allclose(shank, [math.sin(0.5) * math.copysign(1, angle), 0.0, -math.cos(0.5)], atol=1e-12)


def test_the_end_of_the_right_leg_is_on_the_right(tmp_path, skeleton):
    clip = deepmimic.load(write(tmp_path, row(right_hip=about("z", 0.5)), row()))  # about the axis to the right: leg swings forward
    pos, _ = skeleton.forward_kinematics(*clip.poses_on(skeleton))
    foot = pos[0, skeleton.body_names.index("right_foot")]
    assert foot[0] > 0.3
    assert foot[1] < -0.05


def test_rate_name_loop_and_labels(tmp_path):
    clip = deepmimic.load(write(tmp_path, row(0.05), row(0.05), row(0.0), loop="wrap"), source="me", license="free")
    assert (clip.name, clip.loop, clip.source, clip.license, clip.num_frames) == ("test", "wrap", "me", "free", 3)
    assert clip.fps == pytest.approx(20.0)
    assert deepmimic.load(write(tmp_path, row(), row()), name="other").name == "other"


def test_uneven_durations_are_resampled_to_a_constant_rate_with_both_ends(tmp_path):
    # x and the root's yaw grow by 1 a second; frames at 0, 0.1, 0.2, 0.4, 0.5 s.
    times = [0.0, 0.1, 0.2, 0.4, 0.5]
    rows = [row(d, (t, 0.9, 0.0), about("y", t)) for t, d in zip(times, [0.1, 0.1, 0.2, 0.1, 0.0], strict=True)]
    clip = deepmimic.load(write(tmp_path, *rows))
    assert clip.num_frames == 6
    assert clip.fps == pytest.approx(10.0)
    np.testing.assert_allclose(clip.root_pos[:, 0], [0, 0.1, 0.2, 0.3, 0.4, 0.5], atol=1e-12)
    np.testing.assert_allclose(quat_log(torch.from_numpy(clip.root_quat))[:, 2], [0, 0.1, 0.2, 0.3, 0.4, 0.5], atol=1e-12)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "not a DeepMimic motion file: Expecting value: line 1 column 1 .* expected JSON"),
        ("[]", "not a DeepMimic motion file: TypeError"),
        ('{"Loop": "wrap"}', "not a DeepMimic motion file: KeyError 'Frames'"),
        ('{"Frames": 3}', "Frames: got int; expected a list of at least 2 frames"),
        (json.dumps({"Frames": [row()]}), "Frames: got 1; expected a list of at least 2 frames"),
        (json.dumps({"Frames": [row(), row()[:-1]]}), "frame 1: got 43 values; expected 44 numbers"),
        (json.dumps({"Frames": [row(), [10**400, *row()[1:]]]}), "frame 1: got 44 values; expected 44 numbers"),
        (json.dumps({"Frames": [row(), 5]}), "frame 1: got int values; expected 44 numbers"),
        (json.dumps({"Frames": [row(), row(0.0), row()]}), "frame 1: duration: got 0; expected seconds > 0"),
        (json.dumps({"Frames": [row(), row(float("inf")), row()]}), "frame 1: duration: got inf; expected seconds > 0"),
        (json.dumps({"Frames": [row(), row(root=[float("nan"), 0, 0, 0])]}), "root_quat: frame 1 holds NaN"),
    ],
)
def test_bad_files_are_refused(tmp_path, content, message):
    path = tmp_path / "bad.txt"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"bad.txt: {message}"):
        deepmimic.load(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"none.txt: not a DeepMimic motion file: .*No such file"):
        deepmimic.load(tmp_path / "none.txt")

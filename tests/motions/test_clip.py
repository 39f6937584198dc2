"""The clip file: round trip, every refusal, and the mirror image."""

from __future__ import annotations

import os
import pickle
import re

import numpy as np
import pytest
import torch

from motions.clip import Clip, make_clip, mirror
from motions.rotations import quat_exp, quat_normalize

FIELDS = {
    "name": "wave",
    "fps": 30.0,
    "loop": "none",
    "root_pos": np.arange(9.0).reshape(3, 3),
    "root_quat": np.tile([1.0, 0.0, 0.0, 0.0], (3, 1)),
    "joint_names": ("left_hip", "right_hip"),
    "joint_quat": np.tile([0.6, 0.8, 0.0, 0.0], (3, 2, 1)),
    "source": "made here",
    "license": "none",
}


def with_value(field: str, index, value) -> dict:
    array = FIELDS[field].copy()
    array[index] = value
    return {field: array}


def test_round_trip(tmp_path):
    clip = make_clip(**FIELDS)
    clip.save(tmp_path / "wave.npz")
    got = Clip.load(tmp_path / "wave.npz")
    assert (got.name, got.fps, got.loop, got.joint_names, got.source, got.license) == ("wave", 30.0, "none", ("left_hip", "right_hip"), "made here", "none")
    for field in ("root_pos", "root_quat", "joint_quat"):
        np.testing.assert_allclose(getattr(got, field), FIELDS[field], atol=1e-7)
    assert os.listdir(tmp_path) == ["wave.npz"]  # nothing temporary stays


def test_duration_counts_steps_not_frames():
    assert make_clip(**FIELDS).duration_s == pytest.approx(2 / 30)


def test_quaternions_are_normalised_and_made_continuous():
    quats = np.array([[1.0, 0, 0, 0], [-1.3, 0, 0, 0], [0.8, 0, 0, 0]])
    np.testing.assert_allclose(make_clip(**(FIELDS | {"root_quat": quats})).root_quat, np.tile([1.0, 0, 0, 0], (3, 1)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": 2.0}, "fps: got 2; expected 5 to 1000"),
        ({"fps": float("nan")}, "fps: got nan; expected 5 to 1000"),
        ({"loop": "again"}, "loop: got 'again'; expected one of none, wrap"),
        ({"joint_names": ("left_hip", "left_hip")}, "joint_names: got left_hip, left_hip; expected at least one, each once"),
        ({"joint_names": ()}, "joint_names: got none; expected at least one, each once"),
        ({"root_pos": np.zeros((3, 2))}, "root_pos: got shape (3, 2) of float64; expected [T, 3] of numbers"),
        ({"joint_quat": np.zeros((3, 1, 4))}, "joint_quat: got shape (3, 1, 4) of float64; expected [T, 2, 4] of numbers"),
        ({"root_pos": np.array([["a", "b", "c"]] * 3)}, "root_pos: got shape (3, 3) of <U1; expected [T, 3] of numbers"),
        (with_value("root_pos", (1, 2), np.nan), "root_pos: frame 1 holds NaN or infinity; expected finite numbers"),
        (with_value("joint_quat", (2, 0, 0), np.inf), "joint_quat: frame 2 holds NaN or infinity; expected finite numbers"),
        ({"root_pos": np.zeros((4, 3))}, "frames: got {'root_pos': 4, 'root_quat': 3, 'joint_quat': 3}; expected the same number everywhere, at least 2"),
        (with_value("root_pos", (0, 0), 2e4), "root_pos: got 20000 m; expected metres within 10 km of the origin"),
        (with_value("root_quat", 1, 0.0), "root_quat: frame 1 has norm off by 1.00; expected unit quaternions (wxyz)"),
    ],
)
def test_what_is_no_motion_is_refused(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make_clip(**(FIELDS | change), where="file.npz")


def test_a_single_frame_is_refused():
    short = {field: FIELDS[field][:1] for field in ("root_pos", "root_quat", "joint_quat")}
    with pytest.raises(ValueError, match=r"at least 2"):
        make_clip(**(FIELDS | short))


def saved(tmp_path, **change):
    values = {key: value for key, value in (FIELDS | change).items() if value is not None}
    np.savez(tmp_path / "wave.npz", **values)
    return tmp_path / "wave.npz"


def test_messages_of_a_file_name_it(tmp_path):
    path = saved(tmp_path, **with_value("root_pos", (1, 0), np.nan))
    with pytest.raises(ValueError, match=re.escape(f"{path}: root_pos: frame 1")):
        Clip.load(path)


@pytest.mark.parametrize("field", ["fps", "loop", "root_pos", "root_quat", "joint_names", "joint_quat"])
def test_a_missing_field_is_named(tmp_path, field):
    with pytest.raises(ValueError, match=f"wave.npz: field {field} is missing; expected fps, loop, root_pos"):
        Clip.load(saved(tmp_path, **{field: None}))


@pytest.mark.parametrize("fps", ["fast", [30.0, 60.0]])
def test_a_rate_that_is_no_number_is_refused(tmp_path, fps):
    with pytest.raises(ValueError, match=r"fps: got .*; expected one number"):
        Clip.load(saved(tmp_path, fps=fps))


def test_a_missing_file_lists_its_neighbours(tmp_path):
    make_clip(**FIELDS).save(tmp_path / "wave.npz")
    with pytest.raises(ValueError, match=r"walk.npz: not found. Available in its folder: wave"):
        Clip.load(tmp_path / "walk.npz")


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"wave.npz: not a readable plain .npz"):
        Clip.load(path)


def test_a_plain_array_is_refused(tmp_path):
    with (tmp_path / "wave.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"wave.npz: not a readable plain .npz"):
        Clip.load(tmp_path / "wave.npz")


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_inside_is_never_run(tmp_path):
    path = saved(tmp_path, name=np.array(Trap(tmp_path / "trapped"), dtype=object))
    with pytest.raises(ValueError, match=r"not a readable plain .npz"):
        Clip.load(path)
    with pytest.raises(ValueError, match=r"wave.npz: not a readable plain .npz: name is pickled; expected arrays"):
        Clip.load(saved(tmp_path, name=np.array(["a", 1], dtype=object)[:1].reshape(())))
    path.write_bytes(pickle.dumps(Trap(tmp_path / "trapped")))
    with pytest.raises(ValueError, match=r"not a readable plain .npz"):
        Clip.load(path)
    assert not (tmp_path / "trapped").exists()


@pytest.fixture
def wild(skeleton) -> Clip:
    """Random poses; hinges turned about their axes."""
    torch.manual_seed(0)
    joint_quat = skeleton.project_hinges(quat_normalize(torch.randn(5, len(skeleton.joints), 4, dtype=torch.float64)))
    root_quat = quat_exp(torch.randn(5, 3, dtype=torch.float64))
    names = skeleton.joint_names
    return make_clip(name="wild", fps=30, loop="wrap", root_pos=torch.randn(5, 3).numpy(), root_quat=root_quat.numpy(), joint_names=names, joint_quat=joint_quat.numpy())


def test_mirror_twice_is_the_same_clip(wild):
    again = mirror(mirror(wild))
    assert mirror(wild).name == "wild_mirror"
    assert again.name == "wild"
    for field in ("root_pos", "root_quat", "joint_quat"):
        np.testing.assert_array_equal(getattr(again, field), getattr(wild, field))


def test_mirrored_kinematics_are_reflected_kinematics(wild, skeleton):
    pos, mat = skeleton.forward_kinematics(*wild.poses_on(skeleton))
    mirrored_pos, mirrored_mat = skeleton.forward_kinematics(*mirror(wild).poses_on(skeleton))
    flip = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    other = [skeleton.body_names.index({"l": "right_", "r": "left_"}[n[0]] + n.split("_", 1)[1] if "_" in n else n) for n in skeleton.body_names]
    torch.testing.assert_close(mirrored_pos, pos[:, other] * flip)
    torch.testing.assert_close(mirrored_mat, flip[:, None] * mat[:, other] * flip)


def test_mirror_needs_both_sides(wild):
    names = tuple(n.replace("left_knee", "knee") for n in wild.joint_names)
    lame = make_clip(**(FIELDS | {"joint_names": names, "joint_quat": wild.joint_quat[:3]}))
    with pytest.raises(ValueError, match=r"clip wave: joint right_knee: got no left_knee; expected both sides. Available: abdomen"):
        mirror(lame)


def test_poses_follow_the_skeletons_joint_order(wild, skeleton):
    order = list(reversed(range(len(wild.joint_names))))
    shuffled = make_clip(**(FIELDS | {"joint_names": [wild.joint_names[k] for k in order], "joint_quat": wild.joint_quat[:3, order]}))
    torch.testing.assert_close(shuffled.poses_on(skeleton)[2].abs(), wild.poses_on(skeleton)[2][:3].abs())


def test_poses_reduce_hinges_to_their_axis_and_keep_signs_continuous(skeleton):
    joint_quat = quat_exp(torch.randn(4, len(skeleton.joints), 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    fields = {"root_pos": np.zeros((4, 3)), "root_quat": np.tile([1.0, 0, 0, 0], (4, 1))}
    clip = make_clip(**(FIELDS | fields | {"joint_names": skeleton.joint_names, "joint_quat": joint_quat.numpy()}))
    _, _, got = clip.poses_on(skeleton)
    knee, hip = skeleton.joint_names.index("right_knee"), skeleton.joint_names.index("right_hip")
    torch.testing.assert_close(got[:, knee, [1, 3]], torch.zeros(4, 2, dtype=torch.float64))
    assert (got[:, knee, 2].abs() > 0.01).all()
    assert ((got[1:] * got[:-1]).sum(-1) >= 0).all()
    torch.testing.assert_close(got[:, hip].abs(), joint_quat[:, hip].abs())


def test_poses_need_every_joint(skeleton):
    with pytest.raises(ValueError, match=r"clip wave: joint abdomen is missing. Available: left_hip, right_hip"):
        make_clip(**FIELDS).poses_on(skeleton)

"""CMU's takes on the character ``cmu``: the joint angles of the file, against dm_control's own model."""

import functools
import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch

from cfg.importing import ImportArgs, _feet, import_file
from envs import cmu_amc
from envs.adopt import cmu_humanoid
from envs.character import load_character
from motions.check import lowest_points
from motions.formats import asfamc
from motions.match import match_skeletons
from motions.transfer import same_skeleton

UNIT = 0.0254 / 0.45
THIGH, SHIN = 7.0, 8.0  # in the file's unit
# parent, dofs, axis in degrees, direction and length: the frames are those of CMU's skeletons, the lengths made up
BONES = {
    "lhipjoint": ("root", "", "0 0 0", "0.6 -0.7 0.3", 2.5),
    "lfemur": ("lhipjoint", "rx ry rz", "0 0 20", "0.34 -0.94 0", THIGH),
    "ltibia": ("lfemur", "rx", "0 0 20", "0.34 -0.94 0", SHIN),
    "lfoot": ("ltibia", "rx rz", "-90 0 20", "0.05 -0.1 1", 2.0),
    "ltoes": ("lfoot", "rx", "-90 0 20", "0 0 1", 1.0),
    "rhipjoint": ("root", "", "0 0 0", "-0.6 -0.7 0.3", 2.5),
    "rfemur": ("rhipjoint", "rx ry rz", "0 0 -20", "-0.34 -0.94 0", THIGH),
    "rtibia": ("rfemur", "rx", "0 0 -20", "-0.34 -0.94 0", SHIN),
    "rfoot": ("rtibia", "rx rz", "-90 0 -20", "-0.05 -0.1 1", 2.0),
    "rtoes": ("rfoot", "rx", "-90 0 -20", "0 0 1", 1.0),
    "lowerback": ("root", "rx ry rz", "0 0 0", "0 1 0", 2.0),
    "upperback": ("lowerback", "rx ry rz", "0 0 0", "0 1 0", 2.0),
    "thorax": ("upperback", "rx ry rz", "0 0 0", "0 1 0", 2.0),
    "lowerneck": ("thorax", "rx ry rz", "0 0 0", "0 1 0", 1.5),
    "upperneck": ("lowerneck", "rx ry rz", "0 0 0", "0 1 0", 1.5),
    "head": ("upperneck", "rx ry rz", "0 0 0", "0 1 0", 1.5),
    "lclavicle": ("thorax", "ry rz", "0 0 0", "0.9 0.4 0", 3.0),
    "lhumerus": ("lclavicle", "rx ry rz", "180 -30 -90", "1 0 0", 5.0),
    "lradius": ("lhumerus", "rx", "180 -30 -90", "1 0 0", 3.0),
    "lwrist": ("lradius", "ry", "0 90 90", "1 0 0", 1.5),
    "lhand": ("lwrist", "rx rz", "0 90 90", "1 0 0", 0.6),
    "lfingers": ("lhand", "rx", "0 90 90", "1 0 0", 0.5),
    "lthumb": ("lwrist", "rx rz", "-90 45 0", "0.7 0 0.7", 0.7),
    "rclavicle": ("thorax", "ry rz", "0 0 0", "-0.9 0.4 0", 3.0),
    "rhumerus": ("rclavicle", "rx ry rz", "180 30 90", "-1 0 0", 5.0),
    "rradius": ("rhumerus", "rx", "180 30 90", "-1 0 0", 3.0),
    "rwrist": ("rradius", "ry", "0 -90 -90", "-1 0 0", 1.5),
    "rhand": ("rwrist", "rx rz", "0 -90 -90", "-1 0 0", 0.6),
    "rfingers": ("rhand", "rx", "0 -90 -90", "-1 0 0", 0.5),
    "rthumb": ("rwrist", "rx rz", "-90 -45 0", "-0.7 0 0.7", 0.7),
}
REST = {
    "ltibia": (5,),
    "rtibia": (5,),
    "lhumerus": (0, 0, 40),
    "rhumerus": (0, 0, -40),
    "lwrist": (10,),
    "rwrist": (-10,),
    "lfingers": (5,),
    "rfingers": (5,),
}  # within the joints' limits
POSE = REST | {
    "root": (1, 17, 3, 20, 30, -10),
    "lfemur": (-30, 10, 15),
    "ltibia": (50,),
    "lfoot": (20, -10),
    "rfemur": (-25, -20, -5),
    "lowerback": (10, 5, -8),
    "thorax": (-4, 12, 6),
    "head": (5, -15, 10),
    "lclavicle": (-8, 5),
    "lhumerus": (20, -30, 40),
    "lradius": (60,),
    "lhand": (15, -10),
    "lfingers": (30,),
    "lthumb": (10, 20),
    "rhumerus": (-10, 25, -35),
    "rwrist": (-45,),
}
STANDING = (0, 17, 0, 0, 0, 0)


def skeleton_file(**changes):
    """The text of an ASF file; ``changes`` are bones that differ."""
    bones = BONES | changes
    data = "".join(
        f"begin\n name {name}\n direction {way}\n length {length}\n axis {axis} XYZ\n{f' dof {dofs}' if dofs else ''}\nend\n"
        for name, (_, dofs, axis, way, length) in bones.items()
    )
    tree = "".join(f"{parent} {name}\n" for name, (parent, *_) in bones.items())
    root = ":root\n order TX TY TZ RX RY RZ\n axis XYZ\n position 0 0 0\n orientation 0 0 0\n"
    return f":units\n length 0.45\n angle deg\n{root}:bonedata\n{data}:hierarchy\nbegin\n{tree}end\n"


def lines(pose):
    """The lines of a frame, one a bone."""
    zeros = {"root": STANDING} | {name: (0,) * len(dofs.split()) for name, (_, dofs, *_) in BONES.items() if dofs}
    return [f"{name} {' '.join(map(str, pose.get(name, still)))}" for name, still in zeros.items()]


def write(folder, *poses, asf=None, first=1, order=list):
    """A take of poses beside its skeleton; frames count from ``first``, and ``order`` sorts each one's lines."""
    (folder / "07.asf").write_text(asf or skeleton_file())
    path = folder / "07_01.amc"
    path.write_text(":FULLY-SPECIFIED\n:DEGREES\n" + "".join(f"{k}\n" + "\n".join(order(lines(pose))) + "\n" for k, pose in enumerate(poses, start=first)))
    return path


@pytest.fixture(scope="module")
def character():
    return load_character("cmu")


def bring(path, character, **options):
    """The clip of a take on the character, poses of its bodies ``[T, P, 3]`` and ``[T, P, 3, 3]``, and the report."""
    clip, report = import_file(path, ImportArgs(files=(path,), character="cmu", **options), character)
    pos, mat = character.skeleton.forward_kinematics(*clip.poses_on(character.skeleton))
    return clip, pos.numpy(), mat.numpy(), report


def turn(axis, degrees):
    """Rotation matrix about an axis of the file, ``[3, 3]``."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return {"x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]), "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]), "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])}[axis]


TO_OURS = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])  # forward, left and up are z, x and y of the file


@functools.cache
def dm_control_model():
    return mujoco.MjModel.from_xml_string(cmu_humanoid())


def oracle(pose, scale):
    """Joint places ``[P, 3]`` and turns from the rest pose ``[P, 3, 3]`` in our world of dm_control's model, whose hinges are set by name."""
    model = dm_control_model()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    rest = data.xmat.reshape(-1, 3, 3).copy()
    for bone, (_, dofs, *_) in BONES.items():
        for dof, value in zip(dofs.split(), pose.get(bone, (0, 0, 0)), strict=False):
            data.joint(bone + dof).qpos[:] = math.radians(value)
    mujoco.mj_kinematics(model, data)
    x, y, z, *angles = pose.get("root", STANDING)
    root = turn("z", angles[2]) @ turn("y", angles[1]) @ turn("x", angles[0])
    mats = [TO_OURS @ root @ m @ r.T @ TO_OURS.T for m, r in zip(data.xmat.reshape(-1, 3, 3)[1:], rest[1:], strict=True)]
    places = [data.xanchor[model.body_jntadr[b]] if model.body_jntnum[b] else data.xpos[b] for b in range(1, model.nbody)]
    return np.array([TO_OURS @ (root @ p + scale * UNIT * np.array([x, y, z])) for p in places]), np.array(mats)


def leg_ratio(character):
    """The character's thigh and shin beside those of the test's skeleton file."""
    pos = character.skeleton.offsets.norm(dim=-1)
    at = character.skeleton.body_names.index
    return float(pos[at("left_shin")] + pos[at("left_foot")]) / ((THIGH * math.hypot(0.34, 0.94) + SHIN * math.hypot(0.34, 0.94)) * UNIT)


def test_bodies_are_turned_and_placed_as_dm_controls_model_has_them(character, tmp_path):
    poses = REST, POSE, POSE | {"root": (2, 17.5, 4, -40, 100, 35)}
    _, pos, mat, report = bring(write(tmp_path, *poses), character, ground=False)
    scale = leg_ratio(character)
    assert f"3 frames at 120 Hz by rotations copied (same skeleton), scale {scale:.3f}" in report
    assert "limits hold joints in 0.0% of frames" in report
    assert "joint angles: read by dm_control's parser and copied" in report
    for k, pose in enumerate(poses):
        places, mats = oracle(pose, scale)
        np.testing.assert_allclose(mat[k], mats, atol=1e-5)
        np.testing.assert_allclose(pos[k], places, atol=1e-4)


def test_every_joint_of_dm_controls_model_counts(character, tmp_path):
    """Each bone alone turns as in the model, and with the sign of the file."""
    for start in range(0, len(BONES), 10):
        named = [(bone, len(dofs.split())) for bone, (_, dofs, *_) in list(BONES.items())[start : start + 10] if dofs]
        poses = [REST | {bone: tuple(0.2 * (k + 1) + v for k, v in enumerate(REST.get(bone, (4,) * n)))} for bone, n in named]
        _, local = cmu_amc.to_character(cmu_amc.read_qpos(asfamc.channels(write(tmp_path, *poses))), character.skeleton)
        for k, pose in enumerate(poses):
            clip_mat = character.skeleton.forward_kinematics(torch.zeros(3).double(), local[k, 0], local[k, [j.body for j in character.skeleton.joints]])[1]
            np.testing.assert_allclose(clip_mat.numpy(), oracle(pose, 1.0)[1], atol=1e-5)


def test_a_bent_knee_takes_the_foot_back_by_its_angle(character, tmp_path):
    straight = REST | {"ltibia": (10,)}
    clip, pos, mat, _ = bring(write(tmp_path, straight, straight | {"ltibia": (50,)}), character)
    thigh, shin, foot = (character.skeleton.body_names.index(f"left_{part}") for part in ("thigh", "shin", "foot"))
    below = pos[:, foot] - pos[:, shin]
    assert below[1, 0] < below[0, 0] - 0.2
    assert below[1, 2] > below[0, 2] + 0.05
    between = np.einsum("tji,tjk->tik", mat[:, thigh], mat[:, shin])
    np.testing.assert_allclose(np.degrees(np.arccos((np.trace(between, axis1=1, axis2=2) - 1) / 2)), [10, 50], atol=1e-3)
    knee = clip.joint_quat[:, clip.joint_names.index("left_shin")]
    np.testing.assert_allclose(2 * np.degrees(np.arccos(np.abs(knee[:, 0]))), [10, 50], atol=1e-3)


def test_the_roots_way_is_scaled_like_the_legs_and_z_is_up(character, tmp_path):
    path = write(tmp_path, REST, REST | {"root": (3, 18, 5, 0, 0, 0)}, REST | {"root": (0, 17, 0, 0, 90, 0)})
    clip, _, mat, _ = bring(path, character)
    np.testing.assert_allclose((clip.root_pos[1] - clip.root_pos[0]) / (leg_ratio(character) * UNIT), [5, 3, 1], atol=1e-4)
    np.testing.assert_allclose(clip.root_pos[0, :2], [0, 0], atol=1e-6)
    np.testing.assert_allclose(mat[0, 0], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(mat[2, 0] @ [1, 0, 0], [0, 1, 0], atol=1e-6)  # a turn about up, to the left


def test_feet_come_to_the_floor_unless_it_is_told_to_stay(character, tmp_path):
    path = write(tmp_path, *[REST | {"root": (0, 25, k, 0, 0, 0)} for k in range(3)])
    clip = bring(path, character)[0]
    np.testing.assert_allclose(lowest_points(clip, character.skeleton).numpy(), 0.0, atol=1e-4)
    left = bring(path, character, ground=False)[0]
    assert float(lowest_points(left, character.skeleton).min()) > 0.2


def test_the_tilt_of_the_recordings_floor_is_taken_out_of_the_way_and_not_of_orientations(character, tmp_path):
    stands = [REST | {"root": (0, 20 + 0.02 * ahead, ahead, 0, 0, 0)} for ahead in (-18, -6, 6, 18) for _ in range(40)]  # 1.15 degrees uphill
    path = write(tmp_path, *stands)
    clip, _, mat, report = bring(path, character)
    low = lowest_points(clip, character.skeleton).numpy()
    np.testing.assert_allclose(low, 0.0, atol=4e-3)
    tilt = float(report.split("tilt of ")[1].split(" deg")[0])
    assert tilt == pytest.approx(math.degrees(math.atan(0.02)), abs=0.1)
    assert "key bodies: 0.00 cm off on average, 0.00 cm at most" in report
    assert "0.0% of frames sink" in report
    left, _, as_it_was, report = bring(path, character, ground=False)
    np.testing.assert_allclose(mat, as_it_was, atol=1e-6)
    np.testing.assert_allclose(left.root_pos[-1, 2] - left.root_pos[0, 2], 0.02 * 36 * UNIT * leg_ratio(character), atol=1e-4)
    np.testing.assert_allclose(left.root_pos[:, :2], clip.root_pos[:, :2], atol=1e-6)
    assert "tilt of 0.0 deg" in report


def test_a_take_is_resampled_where_another_rate_is_asked_for(character, tmp_path):
    path = write(tmp_path, *[REST | {"ltibia": (10 + 5 * k,), "root": (0, 17, k, 0, 0, 0)} for k in range(5)])
    clip, _, mat, _ = bring(path, character, rate=60.0)
    assert (clip.num_frames, clip.fps) == (3, 60.0)
    full = bring(path, character)[2]
    np.testing.assert_allclose(mat, full[::2], atol=1e-5)


def test_joints_beyond_their_limits_are_held_there_and_counted(character, tmp_path):
    path = write(tmp_path, REST, REST | {"rtibia": (-15,)})
    clip, _, _, report = bring(path, character)
    knee = clip.joint_quat[1, clip.joint_names.index("right_shin")]
    axis = np.array(character.skeleton.joints[clip.joint_names.index("right_shin")].axis)
    assert math.degrees(2 * math.atan2(float(knee[1:] @ axis), float(knee[0]))) == pytest.approx(math.degrees(character.model.joint("right_shin").range[0]), abs=0.01)
    assert "limits hold joints in 50.0% of frames" in report


def test_frames_may_count_from_anywhere_and_bones_come_in_any_order(character, tmp_path):
    straight = bring(write(tmp_path, REST, POSE), character)[2]
    other = bring(write(tmp_path, REST, POSE, first=7, order=lambda rows: ["", *reversed(rows)]), character)[2]
    np.testing.assert_allclose(other, straight, atol=1e-6)


def test_channels_are_in_degrees_whatever_the_skeleton_file_says(tmp_path):
    path = write(tmp_path, REST, POSE, asf=skeleton_file().replace("angle deg", "angle rad"))
    found = asfamc.channels(path)
    assert found["lfemurry"][1] == pytest.approx(math.degrees(10))
    assert found["roottx"].tolist() == [0, 1]  # a length
    assert asfamc.channels(write(tmp_path, REST, POSE))["lfemurrz"].tolist() == [0, 15]


@pytest.mark.parametrize(
    ("asf", "flags"),
    [
        (skeleton_file(lfemur=("lhipjoint", "rx ry rz", "0 0 0", "0.34 -0.94 0", THIGH)), {}),  # a frame that is turned otherwise
        (skeleton_file(rtail=("root", "", "0 0 0", "0 0 -1", 1.0), lwrist=("lradius", "rx", "0 90 90", "1 0 0", 1.5)), {}),  # another hinge
        (skeleton_file(), {"up": "z"}),
        (skeleton_file(), {"forward": "x"}),
        (skeleton_file(), {"scale": 0.5}),
    ],
    ids=["axis", "hinge", "up", "forward", "scale"],
)
def test_a_take_that_dm_control_would_read_otherwise_is_not_copied(character, tmp_path, asf, flags):
    path = write(tmp_path, POSE, POSE, asf=asf)
    assert cmu_amc.on_character(asfamc.load(path, **flags), asfamc.channels(path), character.skeleton) is None


def test_the_same_take_is_fitted_where_that_is_asked_for_or_its_skeleton_is_another(character, tmp_path):
    path = write(tmp_path, REST, REST)
    for flags in ({"method": "ik"}, {"map": "cmu"}):
        report = bring(path, character, **flags)[3]
        assert "by inverse kinematics" in report
        assert "skeleton map cmu, 15 bodies" in report
    own = load_character()
    assert "by inverse kinematics" in import_file(path, ImportArgs(files=(path,)), own)[1]
    path = write(tmp_path, POSE, POSE, asf=skeleton_file(lfemur=("lhipjoint", "rx ry rz", "0 0 0", "0.34 -0.94 0", THIGH)))
    assert "by inverse kinematics" in bring(path, character)[3]


def test_skeletons_are_the_same_though_a_joint_lies_where_the_one_above_it_does_but_not_if_only_the_sources_does(character, tmp_path):
    path, skeleton = write(tmp_path, POSE, POSE), character.skeleton
    source = cmu_amc.on_character(asfamc.load(path), asfamc.channels(path), skeleton)
    names = [skeleton.body_names[k] for k in (0, *(joint.body for joint in skeleton.joints))]
    feet = _feet(character, dict.fromkeys(names, ""))
    assert feet == ["left_foot", "right_foot"]  # toes hang on them
    assert not skeleton.offsets[skeleton.body_names.index("lowerback")].any()
    assert same_skeleton(source, match_skeletons(source, {name: name for name in names}, skeleton, feet), skeleton)
    shrunk = source.offsets.copy()
    shrunk[skeleton.body_names.index("upperback")] = 0.0
    other = replace(source, offsets=shrunk)
    assert not same_skeleton(other, match_skeletons(other, {name: name for name in names}, skeleton, feet), skeleton)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ltibia 50", "ltibia fifty", r"07_01.amc: bone ltibia: could not convert string to float: 'fifty'; expected numbers"),
        ("ltibia 50", "ltibia nan", r"07_01: local_quat: frame 1 holds NaN or infinity; expected finite numbers"),
        ("ltibia 50", "ltibia 50 3", r"07_01.amc: frame 1: bone ltibia: got 2 values; expected 1"),
        ("ltibia 50\n", "", r"07_01.amc: frame 1: bone ltibia: got 0 values; expected 1"),
        ("ltibia 50", "ltail 50", r"07_01.amc: frame 1: bone ltibia: got 0 values; expected 1"),
        ("ltibia 50", "ltibia 50\nltail 3", r"07_01.amc: bone ltail: not in 07.asf. Available: root, lhipjoint"),
        (":FULLY-SPECIFIED\n", ":FULLY-SPECIFIED\nltibia 3\n", r"07_01.amc: frame 0: got 'ltibia 3'; expected a frame number, then each bone once with its values"),
    ],
    ids=["word", "nan", "values", "missing", "renamed", "unknown", "head"],
)
def test_a_damaged_take_ends_in_the_readers_line(character, tmp_path, old, new, message):
    path = write(tmp_path, REST, POSE)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message) as error:
        bring(path, character)
    assert "\n" not in str(error.value)

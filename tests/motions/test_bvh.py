"""The BVH reader on files written by hand, and the way out and back in."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from motions.formats import bvh
from motions.rotations import quat_conj, quat_exp, quat_log, quat_mul
from motions.synthetic import constant_spin, sine_gait

ARM = """HIERARCHY
ROOT base
{{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition {first}
  JOINT arm
  {{
    OFFSET 0 {length} 0
    CHANNELS 3 {second}
    End Site
    {{
      OFFSET 0 0 {length}
    }}
  }}
}}
MOTION
Frames: {frames}
Frame Time: {step}
{rows}
"""
XYZ, ZYX = "Xrotation Yrotation Zrotation", "Zrotation Yrotation Xrotation"
LEGS = """HIERARCHY
ROOT {space}Hips
{{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
{left}{right}{head}
}}
MOTION
Frames: {frames}
Frame Time: 0.0333333
{rows}
"""


def two_joints(tmp_path, *rows, first=XYZ, second=XYZ, frames=None, step=0.1, length=1.0):
    path = tmp_path / "two.bvh"
    path.write_text(ARM.format(first=first, second=second, frames=len(rows) if frames is None else frames, step=step, length=length, rows="\n".join(rows)))
    return path


def person(tmp_path, up="y", unit=1.0, space="", rows=None, newline="\n", name="person.bvh"):
    """A figure with legs of 0.8 m, facing +z where y is up, +x where z is up; ``unit`` is how many of the file's units a metre has."""

    def vec(left, rise, ahead):
        return " ".join(f"{unit * v:g}" for v in ((left, rise, ahead) if up == "y" else (ahead, left, rise)))

    def joint(label, at, inner):
        return f"JOINT {space}{label}\n{{\nOFFSET {at}\nCHANNELS 3 Zrotation Yrotation Xrotation\n{inner}}}\n"

    def end(at):
        return f"End Site\n{{\nOFFSET {at}\n}}\n"

    leg = {s: joint(f"{s}UpLeg", vec(sign * 0.1, 0, 0), joint(f"{s}Leg", vec(0, -0.4, 0), joint(f"{s}Foot", vec(0, -0.4, 0), end(vec(0, -0.05, 0.15)))))
           for s, sign in (("Left", 1), ("Right", -1))}  # fmt: skip
    standing = f"{vec(1, 0.85, 2)} " + " ".join(["0"] * 24)
    rows = rows or [standing, standing]
    text = LEGS.format(space=space, left=leg["Left"], right=leg["Right"], head=joint("Head", vec(0, 0.6, 0), end(vec(0, 0.2, 0))), frames=len(rows), rows="\n".join(rows))
    path = tmp_path / name
    path.write_bytes(text.replace("\n", newline).encode())
    return path


@pytest.mark.parametrize(
    ("order", "tip"),
    # 90 degrees about each of x, y, z; the tip is 1 along y, then 1 along z of the turned base. Rx Ry Rz: y -> -x by Rz, -x -> z by Ry, z -> -y by Rx.
    # z stays by Rz, becomes x by Ry, stays by Rx: tip (1, -1, 0). Rz Ry Rx: y -> z by Rx, z -> x by Ry, x -> y by Rz; z -> -y, -y, x: tip (1, 1, 0).
    [(XYZ, (1.0, -1.0, 0.0)), (ZYX, (1.0, 1.0, 0.0))],
)
def test_world_positions_by_hand_for_two_channel_orders(tmp_path, order, tip):
    source = bvh.load(two_joints(tmp_path, "0 0 0 90 90 90 0 0 0", "0 0 0 90 90 90 0 0 0", first=order), up="y", forward="z", scale=1.0)
    assert source.names == ("base", "arm", "arm_end")
    assert source.parents == (-1, 0, 1)
    x, y, z = tip
    np.testing.assert_allclose(source.world_pos[0, 2], [z, x, y], atol=1e-12)  # ours: x is the file's z (forward), y its x (left), z its y (up)


def test_an_angle_turns_by_the_right_hand_and_the_arm_about_the_base(tmp_path):
    source = bvh.load(two_joints(tmp_path, "1 2 3 30 0 0 0 20 0", "1 2 3 30 0 0 0 20 0"), up="y", forward="z", scale=0.5)
    c, s = math.cos(math.radians(30)), math.sin(math.radians(30))
    np.testing.assert_allclose(source.root_pos[0], [1.5, 0.5, 1.0])
    np.testing.assert_allclose(source.world_pos[0, 1], [1.5 + 0.5 * s, 0.5, 1.0 + 0.5 * c], atol=1e-12)  # +y turned about +x towards +z
    a, b = math.cos(math.radians(20)), math.sin(math.radians(20))  # the tip in the arm: (b, 0, a); about x by 30: (b, -a s, a c)
    np.testing.assert_allclose(source.world_pos[0, 2], [1.5 + 0.5 * (s + a * c), 0.5 + 0.5 * b, 1.0 + 0.5 * (c - a * s)], atol=1e-12)
    turned = quat_log(torch.from_numpy(source.local_quat[0]))
    np.testing.assert_allclose(turned[0], [0, math.radians(30), 0], atol=1e-12)  # about the file's x, our y
    np.testing.assert_allclose(turned[1], [0, 0, math.radians(20)], atol=1e-12)
    np.testing.assert_allclose(source.offsets, [[0, 0, 0], [0, 0, 0.5], [0.5, 0, 0]], atol=1e-12)


@pytest.mark.parametrize(("up", "forward"), [("y", "+z"), ("z", "+x")])
@pytest.mark.parametrize(("unit", "name"), [(1.0, "m"), (100.0, "cm"), (1000.0, "mm"), (1 / 0.0254, "inch"), (0.45 / 0.0254, "CMU unit")])
def test_axes_and_unit_are_found_and_said(tmp_path, up, forward, unit, name):
    source = bvh.load(person(tmp_path, up, unit))
    np.testing.assert_allclose(source.root_pos[0], [2, 1, 0.85], rtol=1e-4)
    np.testing.assert_allclose(source.world_pos[0, source.names.index("LeftFoot")], [2, 1.1, 0.05], atol=1e-4)
    np.testing.assert_allclose(source.offsets[source.names.index("RightUpLeg")], [0, -0.1, 0], atol=1e-4)
    np.testing.assert_allclose(source.forward, [1, 0, 0])
    notes = "\n".join(source.notes)
    assert f"up: +{up} (feet to head of the rest pose)" in notes
    assert f"forward: {forward} (right to left hip" in notes
    assert f"unit: {name} (" in notes or f"unit: {name} (1/0.45 inch)" in notes


def test_overrides_are_obeyed_and_said(tmp_path):
    source = bvh.load(person(tmp_path), up="-y", forward="-z", scale=2.0)
    np.testing.assert_allclose(source.root_pos[0], [-4, 2, -1.7])  # x is -z, z is -y, so y = z cross x is +x
    assert {"up: -y (given)", "forward: -z (given)", "unit: 2 m (given)"} <= set(source.notes)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"up": "w"}, "up: got 'w'; expected a signed axis. Available: x, y, z, -x, -y, -z"),
        ({"forward": "up"}, "forward: got 'up'; expected a signed axis"),
        ({"forward": "-y"}, r"forward: got '-y'; expected an axis across up \(\+y\)"),
        ({"scale": -1.0}, "scale: got -1; expected metres in a unit of the file, > 0"),
    ],
)
def test_bad_overrides_are_refused(tmp_path, flags, message):
    with pytest.raises(ValueError, match=f"person: {message}"):
        bvh.load(person(tmp_path), **flags)


def test_a_motion_that_stands_along_another_axis_than_its_rest_pose_is_turned_up(tmp_path):
    # The rest pose stands along y; the root is turned about x by 90 degrees, so that the body stands along the world's z, and walks along -y: an export with z up.
    rows = [f"0 {-0.1 * k} 0.85 0 0 90 " + " ".join(["0"] * 21) for k in range(10)]
    source = bvh.load(person(tmp_path, rows=rows))
    assert "up: +z (feet to head over the motion, though the rest pose stands along +y)" in source.notes
    at = source.names.index
    np.testing.assert_allclose(source.world_pos[0, at("Head")] - source.world_pos[0, 0], [0, 0, 0.6], atol=1e-9)
    toes = source.world_pos[0, at("LeftFoot_end")] - source.world_pos[0, at("LeftFoot")]
    travel = source.root_pos[-1] - source.root_pos[0]
    assert toes[:2] @ travel[:2] == pytest.approx(0.15 * 0.9)  # still walks where the toes point


def test_a_rest_pose_before_the_take_is_left_out(tmp_path):
    def row(k, angle):
        return f"0 0.85 0 0 0 0 {angle} 0 0 " + " ".join(["0"] * 18)

    source = bvh.load(person(tmp_path, rows=[row(0, 0), *(row(k, 40 + k) for k in range(5))]))
    assert len(source.root_pos) == 5
    turned = quat_log(torch.from_numpy(source.local_quat[:, source.names.index("LeftUpLeg")])).norm(dim=-1)
    np.testing.assert_allclose(torch.rad2deg(turned), [40, 41, 42, 43, 44])
    assert "frame 0: a rest pose before the take, left out" in source.notes
    assert len(bvh.load(person(tmp_path, rows=[row(k, 8 * k) for k in range(5)])).root_pos) == 5  # a steady swing from rest stays whole


def test_namespaces_line_ends_marks_and_names_with_spaces(tmp_path):
    path = person(tmp_path, space="mixamorig:", newline="\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    source = bvh.load(path, name="walk", source="me", license="free")
    assert (source.name, source.source, source.license, source.fps) == ("walk", "me", "free", 30.0)
    assert source.names[:2] == ("mixamorig:Hips", "mixamorig:LeftUpLeg")
    assert "forward: +z (right to left hip" in "\n".join(source.notes)
    assert "Bip01 LeftLeg" in bvh.load(person(tmp_path, space="Bip01 ")).names


def test_a_wrong_frame_count_and_a_cut_last_row_are_reported_and_what_is_there_is_used(tmp_path):
    row = "0 0 0 0 0 0 0 0 0"
    source = bvh.load(two_joints(tmp_path, row, row, row, frames=7))
    assert len(source.root_pos) == 3
    assert "frames: the file says 7, 3 are there and used" in source.notes
    source = bvh.load(two_joints(tmp_path, row, row, "0 0 0 0"))
    assert len(source.root_pos) == 2
    assert "last row: cut after 4 of 9 values, left out" in source.notes


def test_position_channels_of_joints_replace_their_offset_or_add_where_near_zero(tmp_path):
    both = "Xposition Yposition Zposition " + XYZ

    def file(*rows):
        path = two_joints(tmp_path, *rows, second=both)
        path.write_text(path.read_text().replace(f"CHANNELS 3 {both}", f"CHANNELS 6 {both}"))
        return bvh.load(path, up="y", forward="z", scale=1.0)

    moved = file("0 0 0 0 0 0 0 2 0 0 0 0", "0 0 0 0 0 0 0 3 0 0 0 0")
    np.testing.assert_allclose(moved.world_pos[:, 1, 2], [2, 3])
    np.testing.assert_allclose(moved.offsets[1], [0, 0, 2.5])
    assert "position channels of 1 joints besides the root: used as their places" in moved.notes
    added = file("0 0 0 0 0 0 0 0.02 0 0 0 0", "0 0 0 0 0 0 0 0 0 0 0 0")
    np.testing.assert_allclose(added.world_pos[:, 1, 2], [1.02, 1])
    assert "position channels of 1 joints: near zero, added to their offsets" in added.notes


@pytest.mark.parametrize(
    "clip_of", [lambda s: sine_gait(s, duration_s=1.0), lambda s: constant_spin(s, {"root": (2.0, 1.0, 3.0), "right_shoulder": (0.5, 2.0, 1.0)}, duration_s=1.0)]
)
def test_a_clip_goes_out_and_comes_back(tmp_path, skeleton, clip_of):
    clip = clip_of(skeleton)
    source = bvh.load(bvh.save(clip, skeleton, tmp_path / "clip.bvh"))
    assert source.fps == pytest.approx(clip.fps)
    np.testing.assert_allclose(source.root_pos, clip.root_pos, atol=1e-7)
    pos, _ = skeleton.forward_kinematics(*clip.poses_on(skeleton))
    np.testing.assert_allclose(source.world_pos[:, [source.names.index(b) for b in skeleton.body_names]], pos, atol=1e-6)
    ours = torch.cat((torch.from_numpy(clip.root_quat)[:, None], clip.poses_on(skeleton)[2]), dim=1)
    back = torch.from_numpy(source.local_quat[:, [0, *(source.names.index(skeleton.body_names[j.body]) for j in skeleton.joints)]])
    assert torch.rad2deg(quat_log(quat_mul(quat_conj(ours), back)).norm(dim=-1)).max() < 1e-4
    assert [p.name for p in tmp_path.iterdir()] == ["clip.bvh"]


@pytest.mark.parametrize("roll", [0.0, 0.7])
@pytest.mark.parametrize("pitch", [math.pi / 2, -math.pi / 2])
def test_a_pitch_of_ninety_degrees_survives_the_way_out(tmp_path, skeleton, pitch, roll):
    """The head points along x, either way, where z and y turn about the same axis."""
    turn = quat_mul(*(quat_exp(torch.tensor(v, dtype=torch.float64)) for v in ([roll, 0, 0], [0, pitch, 0])))
    clip = constant_spin(skeleton, {}, duration_s=0.1, starts={"root": tuple(quat_log(turn).tolist()), "neck": (0.3, -0.2, 0.5)})
    back = bvh.load(bvh.save(clip, skeleton, tmp_path / "clip.bvh"))
    turn = quat_log(quat_mul(quat_conj(torch.from_numpy(clip.root_quat)), torch.from_numpy(back.local_quat[:, 0])))
    assert torch.rad2deg(turn.norm(dim=-1)).max() < 1e-3


ROW = "0 0 0 0 0 0 0 0 0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("HIERARCHY", "hello"), "not a BVH file: got 'hello'; expected HIERARCHY, joints, then MOTION"),
        (("MOTION", ""), "not a BVH file: got 'HIERARCHY'; expected HIERARCHY"),
        (("JOINT arm", "ROOT arm"), "hierarchy: got 'ROOT arm' after 1 joints; expected one ROOT and up to 2000 joints within it"),
        (("JOINT arm", "JOINT base"), "joint base: got it 2 times; expected each name once"),
        (("OFFSET 0 1.0 0", "OFFSET 0 one 0"), "hierarchy: got 'OFFSET 0 one 0'; expected 3 numbers"),
        (("OFFSET 0 1.0 0", "OFFSET 0 nan 0"), "hierarchy: got 'OFFSET 0 nan 0'; expected 3 numbers"),
        (("CHANNELS 3", "CHANNELS 4"), "hierarchy: got 'CHANNELS 4 Xrotation.*'; expected their number, then each of Xposition"),
        (("CHANNELS 3 X", "CHANNELS 3 W"), "hierarchy: got 'CHANNELS 3 Wrotation"),
        (("OFFSET 0 1.0 0", "PLACE 0 1 0"), "hierarchy: got 'PLACE 0 1 0'; expected ROOT, JOINT, End Site, OFFSET, CHANNELS or a matching brace"),
        (("}\nMOTION", "MOTION"), "hierarchy: got 1 open braces, 3 joints, 9 channels; expected closed braces, a ROOT and channels"),
        (("Frame Time", "Time"), r"motion: got \['Frames: 2', 'Time: 0.1'\]; expected 'Frames: n' and 'Frame Time: seconds'"),
        (("Time: 0.1", "Time: 0"), "Frame Time: got 0; expected seconds > 0"),
        (("Time: 0.1", "Time: nan"), "Frame Time: got nan; expected seconds > 0"),
        ((f"{ROW}\n{ROW}", f"{ROW} 5\n{ROW}"), "frame 0: got 10 values, '0 0 0 0 0 0 0 0 0 5'; expected 9 numbers"),
        ((f"{ROW}\n{ROW}", f"{ROW}\n{ROW[:-1]}x"), "frame 1: got 9 values, '0 0 0 0 0 0 0 0 x'; expected 9 numbers"),
        ((f"{ROW}\n{ROW}", ""), "motion: got no rows; expected one a frame"),
    ],
)
def test_bad_files_are_refused(tmp_path, change, message):
    path = two_joints(tmp_path, ROW, ROW)
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change, 1))
    with pytest.raises(ValueError, match=f"two.bvh: {message}"):
        bvh.load(path)


@pytest.mark.parametrize(
    ("rows", "step", "message"),
    [
        ([ROW], 0.1, "two: frames: got 1; expected at least 2"),
        ([ROW, ROW], 0.5, "two: fps: got 2; expected 5 to 1000"),
        ([ROW, ROW.replace("0", "inf", 1)], 0.1, "two: root_pos: frame 1 holds NaN or infinity"),
        ([ROW, ROW[:-1] + "nan"], 0.1, "two: local_quat: frame 1 holds NaN or infinity"),
    ],
)
def test_what_is_no_motion_is_refused(tmp_path, rows, step, message):
    with pytest.raises(ValueError, match=message):
        bvh.load(two_joints(tmp_path, *rows, step=step))


def test_missing_and_binary_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"none.bvh: not a BVH file: .*No such file"):
        bvh.load(tmp_path / "none.bvh")
    (tmp_path / "bin.bvh").write_bytes(b"HIERARCHY\0")
    with pytest.raises(ValueError, match=r"bin.bvh: not a BVH file: got zero bytes; expected text"):
        bvh.load(tmp_path / "bin.bvh")

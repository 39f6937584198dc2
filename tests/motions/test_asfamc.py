"""The ASF/AMC reader on a leg written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from motions.formats import asfamc

ASF = """# comment
:version 1.10
:units
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
     name lfemur
     direction 0 -1 0
     length 8
     axis 0 0 90 XYZ
     dof rx ry rz
  end
  begin
     name ltibia
     direction 0 -1 0
     length 7
     axis 0 0 0 XYZ
     dof rx
  end
  begin
     name lfoot
     direction 0 0 1
     length 2
     axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root lfemur
    lfemur ltibia
    ltibia lfoot
  end
"""
FRAME = "{k}\nroot {root}\nlfemur {femur}\nltibia {tibia}\n"
UNIT = 0.0254 / 0.45


def write(tmp_path, *frames, asf=ASF, head=":FULLY-SPECIFIED\n:DEGREES\n"):
    """Frames: root, femur and tibia values as text."""
    (tmp_path / "02.asf").write_text(asf)
    path = tmp_path / "02_01.amc"
    path.write_text(head + "".join(FRAME.format(k=k + 1, root=r, femur=f, tibia=t) for k, (r, f, t) in enumerate(frames)))
    return path


STILL = ("0 0 0 0 0 0", "0 0 0", "0")


def joints(path, frame=0, **flags):
    source = asfamc.load(path, up="y", forward="z", **flags)
    return source, {name: source.world_pos[frame, k] for k, name in enumerate(source.names)}


def test_rest_pose_unit_and_rate(tmp_path):
    source, at = joints(write(tmp_path, ("1 16 3 0 0 0", "0 0 0", "0"), STILL))
    assert source.names == ("root", "lfemur", "ltibia", "lfoot", "lfoot_end")
    assert source.parents == (-1, 0, 1, 2, 3)
    assert source.fps == 120.0
    np.testing.assert_allclose(source.root_pos[0], np.array([3, 1, 16]) * UNIT)
    np.testing.assert_allclose(at["ltibia"], np.array([3, 1, 8]) * UNIT, atol=1e-12)
    np.testing.assert_allclose(at["lfoot"], np.array([3, 1, 1]) * UNIT, atol=1e-12)
    np.testing.assert_allclose(at["lfoot_end"], np.array([5, 1, 1]) * UNIT, atol=1e-12)
    assert source.notes[0] == "skeleton: 02.asf"
    assert source.notes[1] == "rate: 120 Hz (assumed: the format leaves it out)"
    assert "unit: 0.0564444 m (the file says so)" in source.notes[4]


def test_a_bone_turns_in_the_frame_of_its_axis(tmp_path):
    # The thigh's axis is 90 degrees about z, so its x is the world's y and its y is minus the world's x: ry = 30 turns it about -x, its lower end (-y) towards +z... by hand:
    # about +x by -30: (0, -8, 0) -> (0, -8 cos 30, +8 sin 30). Then the shin turns about the turned thigh's x by 90: -y -> -z of the thigh's frame.
    _, at = joints(write(tmp_path, ("0 0 0 0 0 0", "0 30 0", "90"), STILL))
    c, s = math.cos(math.radians(30)), math.sin(math.radians(30))
    np.testing.assert_allclose(at["ltibia"], np.array([8 * s, 0, -8 * c]) * UNIT, atol=1e-12)
    # -z of the thigh's frame, turned about x by -30: (0, 0, -1) -> (0, -sin 30, -cos 30)
    np.testing.assert_allclose(at["lfoot"] - at["ltibia"], 7 * np.array([-c, 0, -s]) * UNIT, atol=1e-12)
    # rx of the thigh turns about the world's y: the leg along y stays, the foot (forward, z) turns towards x, our left
    _, at = joints(write(tmp_path, ("0 0 0 0 0 0", "30 0 0", "0"), STILL))
    np.testing.assert_allclose(at["lfoot_end"] - at["lfoot"], 2 * np.array([c, s, 0]) * UNIT, atol=1e-12)


def test_turns_are_about_fixed_axes_x_first(tmp_path):
    # The root by x 90, then z 90: the leg -y -> -z by x, stays by z; the foot +z -> -y by x, then +x by z.
    _, at = joints(write(tmp_path, ("0 0 0 90 0 90", "0 0 0", "0"), STILL))
    np.testing.assert_allclose(at["lfoot"], np.array([-15, 0, 0]) * UNIT, atol=1e-12)
    np.testing.assert_allclose(at["lfoot_end"] - at["lfoot"], np.array([0, 2, 0]) * UNIT, atol=1e-12)
    order = ASF.replace("order TX TY TZ RX RY RZ", "order TX TY TZ RZ RY RX")  # values z, y, x; z first: the leg -y -> +x, stays by x
    _, at = joints(write(tmp_path, ("0 0 0 90 0 90", "0 0 0", "0"), STILL, asf=order))
    np.testing.assert_allclose(at["lfoot"], np.array([0, 15, 0]) * UNIT, atol=1e-12)


def test_the_order_of_a_bones_dofs_is_that_of_its_values_only(tmp_path):
    # x by 90 takes the thigh's end -y to -z, where z by 90 leaves it, though the values come z first
    asf = ASF.replace("axis 0 0 90 XYZ", "axis 0 0 0 XYZ").replace("dof rx ry rz", "dof rz ry rx")
    _, at = joints(write(tmp_path, ("0 0 0 0 0 0", "90 0 90", "0"), STILL, asf=asf))
    np.testing.assert_allclose(at["ltibia"], np.array([-8, 0, 0]) * UNIT, atol=1e-12)


def test_the_order_of_an_axis_says_what_its_angles_turn_about(tmp_path):
    frames = ("0 0 0 0 0 0", "20 30 -40", "50"), STILL
    plain = asfamc.load(write(tmp_path, *frames), up="y", forward="z").world_pos
    other = asfamc.load(write(tmp_path, *frames, asf=ASF.replace("axis 0 0 90 XYZ", "axis 90 0 0 ZYX")), up="y", forward="z").world_pos
    np.testing.assert_allclose(other, plain, atol=1e-12)


def test_radians_length_and_rate_may_differ(tmp_path):
    asf = ASF.replace("angle deg", "angle rad").replace("length 0.45", "length 1.0")
    source, at = joints(write(tmp_path, ("0 0 0 0 0 0", f"0 {math.radians(30)} 0", "0"), STILL, asf=asf), fps=60.0)
    np.testing.assert_allclose(at["ltibia"], np.array([4, 0, -8 * math.cos(math.radians(30))]) * 0.0254, atol=1e-12)
    assert source.fps == 60.0
    assert source.notes[1] == "rate: 60 Hz (given)"
    assert joints(write(tmp_path, ("0 1 0 0 0 0", "0 0 0", "0"), STILL), scale=0.5)[0].root_pos[0, 2] == 0.5


def test_the_skeleton_is_found_beside_the_motion_or_given(tmp_path):
    path = write(tmp_path, STILL, STILL)
    (tmp_path / "03.asf").write_text("other")
    assert asfamc.load(path).notes[0] == "skeleton: 02.asf"
    path.rename(tmp_path / "walk.amc")
    with pytest.raises(ValueError, match=r"walk.amc: skeleton: got 2 .asf files beside it; expected walk.asf, or one. Available: 02.asf, 03.asf"):
        asfamc.load(tmp_path / "walk.amc")
    assert len(asfamc.load(tmp_path / "walk.amc", asf=tmp_path / "02.asf").root_pos) == 2
    (tmp_path / "03.asf").unlink()
    assert asfamc.load(tmp_path / "walk.amc").notes[0] == "skeleton: 02.asf"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((":bonedata", ":bones"), "not an ASF file: section :bonedata is missing. Available: version, units, root, bones, hierarchy"),
        (("direction 0 0 1", "direction 0 0 up"), "not an ASF file: could not convert string to float: 'up'; expected bones with name, direction, length and axis"),
        (("name lfoot", "label lfoot"), "not an ASF file: bone 3 has no name"),
        (("length 0.45", "length 0"), "got length 0 and 4 bones; expected length > 0"),
        (("dof rx\n", "dof qx\n"), "bone ltibia: got dof qx, axis XYZ; expected dof of tx ty tz rx ry rz l"),
        (("axis 0 0 90 XYZ", "axis 0 0 90 XYY"), "bone lfemur: got dof rx ry rz, axis XYY; expected"),
        (("order TX TY TZ RX RY RZ", "order TX TY TZ"), "bone root: got dof tx ty tz, axis XYZ; expected"),
        (("root lfemur", "root lhip"), "hierarchy: bone lhip: not in :bonedata. Available: root, lfemur, ltibia, lfoot"),
        (("lfemur ltibia", "lfemur lfemur"), "hierarchy: bone lfemur: twice"),
        (("ltibia lfoot", "lhand lfoot"), "hierarchy: bone lfoot: not below root; expected every bone of :bonedata"),
    ],
)
def test_bad_skeletons_are_refused(tmp_path, change, message):
    assert change[0] in ASF
    path = write(tmp_path, STILL, STILL, asf=ASF.replace(*change))
    with pytest.raises(ValueError, match=f"02.asf: {message}"):
        asfamc.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("1\nroot", "root"), "frame 0: got 'root 0 0 0 0 0 0'; expected a frame number, then each bone once with its values"),
        (("lfemur 0 0 0", "root 0 0 0"), "frame 1: got 'root 0 0 0'; expected a frame number"),
        (("lfemur 0 0 0", "lfemur 0 0"), "frame 0: bone lfemur: got 2 values; expected 3"),
        (("2\nroot 0 0 0 0 0 0", "2"), "frame 1: bone root: got 0 values; expected 6"),
        (("lfemur 0 0 0", "lfemur 0 0 x"), "bone lfemur: could not convert string to float: .*; expected numbers"),
        (("lfemur 0 0 0", "lthigh 0 0 0"), "frame 0: bone lfemur: got 0 values; expected 3"),
        (("ltibia 0\n", "ltibia 0\nlthumb 0\n"), "bone lthumb: not in 02.asf. Available: root, lfemur, ltibia, lfoot"),
    ],
)
def test_bad_motions_are_refused(tmp_path, change, message):
    path = write(tmp_path, STILL, STILL)
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change, 1))
    with pytest.raises(ValueError, match=f"02_01.amc: {message}"):
        asfamc.load(path)


def test_an_empty_motion_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"02_01.amc: not an AMC file: got no frame number; expected one a frame"):
        asfamc.load(write(tmp_path))

"""Retargeting: our own motion comes back through copies and through inverse kinematics, whatever the source's names, size, axes and rest pose."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from motions import ik
from motions.retarget import RetargetOptions, retarget
from motions.rotations import quat_conj, quat_exp, quat_log, quat_mul
from motions.source_motion import from_clip
from motions.synthetic import constant_velocity
from tests.motions.rigs import FEET, gait, own, reframed, resized, source_of, t_pose

AS_IS = RetargetOptions(ground=False, foot_lock=False)


@pytest.fixture
def target(character):
    return character.model, character.skeleton


def angles_deg(a: np.ndarray, b: np.ndarray) -> float:
    """Largest angle between rotations ``[..., 4]``."""
    return math.degrees(float(quat_log(quat_mul(quat_conj(torch.from_numpy(a)), torch.from_numpy(b))).norm(dim=-1).max()))


def assert_same(clip, wanted, skeleton, degrees: float = 0.1, metres: float = 1e-3) -> None:
    assert angles_deg(clip.joint_quat, wanted.joint_quat) <= degrees
    assert angles_deg(clip.root_quat, wanted.root_quat) <= degrees
    np.testing.assert_allclose(clip.root_pos, wanted.root_pos, atol=metres)


def body_error_m(clip, wanted, skeleton) -> torch.Tensor:
    return (skeleton.forward_kinematics(*clip.poses_on(skeleton))[0] - skeleton.forward_kinematics(*wanted.poses_on(skeleton))[0]).norm(dim=-1)


def test_our_own_motion_is_copied(target, skeleton):
    clip, report = retarget(source_of(skeleton), own(skeleton), *target, options=AS_IS)
    assert_same(clip, gait(skeleton), skeleton)
    assert (clip.name, clip.source, clip.license, clip.loop, report.method) == ("gait", "formula", "free", "none", "copy")
    assert report.scale == pytest.approx(1.0, abs=1e-6)
    assert report.max_error_cm < 0.1


@pytest.mark.parametrize("factor", [1.7, 0.4])
def test_size_and_names_do_not_matter(target, skeleton, factor):
    source = resized(source_of(skeleton), factor, "rig:")
    clip, report = retarget(source, {body: f"rig:{body}" for body in skeleton.body_names}, *target, options=AS_IS)
    assert_same(clip, gait(skeleton), skeleton)
    assert (report.method, report.scale) == ("copy", pytest.approx(1 / factor))


@pytest.mark.parametrize("turn", [(0.0, 0.0, math.pi / 2), (0.0, 0.0, 2.5), (math.pi / 2, 0.0, 0.0), (1.0, -2.0, 0.5)])
def test_axes_of_the_rest_pose_do_not_matter(target, skeleton, turn):
    source = reframed(source_of(skeleton), dict.fromkeys(skeleton.body_names, turn))
    clip, report = retarget(source, own(skeleton), *target, options=AS_IS)
    assert_same(clip, gait(skeleton), skeleton)
    assert report.method == "copy"


def test_joints_between_may_be_left_out_of_the_map(target, skeleton):
    """An extra joint that turns, between pelvis and torso of the source, belongs to the torso."""
    source = source_of(skeleton)
    at, turn = source.names.index("torso"), quat_exp(torch.tensor([0.2, -0.3, 0.4], dtype=torch.float64))
    local = np.insert(source.local_quat, at, turn.numpy(), axis=1)
    local[:, at + 1] = quat_mul(quat_conj(turn).expand(len(local), 4), torch.from_numpy(local[:, at + 1])).numpy()
    parents = [p + (p >= at) for p in source.parents]
    parents[at] = at
    more = replace(
        source,
        names=(*source.names[:at], "spine", *source.names[at:]),
        parents=(*parents[:at], 0, *parents[at:]),
        offsets=np.insert(source.offsets, at + 1, 0.0, axis=0),
        local_quat=local,
        world_pos=np.insert(source.world_pos, at, source.world_pos[:, at], axis=1),
    )
    clip, report = retarget(more, own(skeleton), *target, options=AS_IS)
    assert report.method == "copy"
    assert_same(clip, gait(skeleton), skeleton)


def test_inverse_kinematics_find_the_same_motion(target, skeleton):
    wanted = gait(skeleton)
    clip, report = retarget(source_of(skeleton), own(skeleton), *target, options=replace(AS_IS, method="ik"))
    assert report.method == "ik"
    assert body_error_m(clip, wanted, skeleton).max() < 0.008
    assert report.max_error_cm < 0.4
    assert angles_deg(clip.root_quat, wanted.root_quat) < 1.0


@pytest.mark.parametrize("factor", [1.0, 1.7])
def test_another_rest_pose_and_size(target, skeleton, factor):
    source = resized(t_pose(source_of(skeleton)), factor, "")
    clip, report = retarget(source, own(skeleton), *target, options=AS_IS)
    assert (report.method, report.scale) == ("ik", pytest.approx(1 / factor))
    assert body_error_m(clip, gait(skeleton), skeleton).max() < 0.01
    assert report.mean_error_cm < 0.2


def test_key_points_alone_are_enough(target, skeleton):
    source = replace(source_of(skeleton), local_quat=None)
    clip, report = retarget(source, own(skeleton), *target, options=AS_IS)
    assert report.method == "ik"
    assert report.mean_error_cm < 1.5
    assert body_error_m(clip, gait(skeleton), skeleton).mean() < 0.03
    assert angles_deg(clip.root_quat, gait(skeleton).root_quat) < 15  # the hips' line and the chest tell it but roughly


def test_a_map_without_hands_and_torso_works(target, skeleton):
    part = {body: body for body in skeleton.body_names if body not in ("torso", "right_hand", "left_hand")}
    clip, report = retarget(source_of(skeleton), part, *target, options=AS_IS)
    assert report.method == "ik"
    legs = [skeleton.body_names.index(b) for b in ("pelvis", "right_foot", "left_foot", "right_shin", "left_shin")]
    assert body_error_m(clip, gait(skeleton), skeleton)[:, legs].max() < 0.02


@pytest.mark.parametrize("method", ["copy", "ik"])
def test_joint_limits_hold(target, skeleton, method):
    """Knees bent backwards and an ankle beyond its cone of 55 degrees."""
    bad = gait(skeleton)
    for joint, turn in (("right_knee", (0.0, -0.8, 0.0)), ("left_ankle", (1.2, 0.5, 0.0))):
        bad.joint_quat[10:20, skeleton.joint_names.index(joint)] = quat_exp(torch.tensor(turn, dtype=torch.float64)).numpy()
    source = from_clip(bad, skeleton)
    clip, report = retarget(source, own(skeleton), *target, options=replace(AS_IS, method=method))
    qpos = ik.pack(target[0], skeleton, *(part.numpy() for part in clip.poses_on(skeleton)))
    assert ik.limits_of(target[0]).room(qpos).min() > 0.5 * ik.LIMIT_MARGIN_RAD
    assert 0.2 < report.limited_share < 0.5


@pytest.mark.parametrize("rest", [None, t_pose])
@pytest.mark.parametrize("height", [0.7, 1.2])
def test_the_floor_is_found_and_the_shift_reported(target, skeleton, rest, height):
    source = source_of(skeleton, height_m=height)
    clip, report = retarget(rest(source) if rest else source, own(skeleton), *target)
    low = skeleton.lowest_point(*skeleton.forward_kinematics(*clip.poses_on(skeleton)))
    assert abs(float(low.quantile(0.05))) < 0.012
    assert report.ground_shift_cm == pytest.approx(100 * float((clip.root_pos[:, 2] - height).mean()), abs=2.0)
    assert report.penetration_share <= 0.05
    assert report.max_penetration_cm == pytest.approx(max(0.0, -100 * float(low.min())), abs=1e-6)


@pytest.mark.parametrize("slope", [0.0, 0.03, -0.03])
def test_the_tilt_of_the_floor_is_taken_out_and_reported_in_degrees(target, skeleton, slope):
    """Someone who stands at four places of a slope of 3 cm a metre, 1.7 degrees, and moves on between them."""
    x = np.concatenate([k + np.concatenate((np.zeros(20), np.arange(1, 10) / 10)) for k in range(4)])
    source = t_pose(from_clip(constant_velocity(skeleton, (0.0, 0.0, 0.0), duration_s=(len(x) - 1) / 30), skeleton))
    step = np.stack((x, 0 * x, slope * x), axis=1)
    clip, report = retarget(replace(source, world_pos=source.world_pos + step[:, None], root_pos=source.root_pos + step), own(skeleton), *target)
    assert report.floor_tilt_deg == pytest.approx(math.degrees(math.atan(abs(slope))), abs=0.15)
    assert np.ptp(clip.root_pos[:, 2]) < 0.006  # of 9 cm; which of a level foot's equally low points counts depends on rounding


def test_another_rate(target, skeleton):
    clip, report = retarget(source_of(skeleton, fps=60.0), own(skeleton), *target, options=replace(AS_IS, fps=20.0))
    assert (clip.fps, clip.num_frames, report.fps) == (20.0, 21, 20.0)
    assert_same(clip, gait(skeleton, fps=20.0), skeleton, degrees=0.2)


def test_a_given_scale_is_used(target, skeleton):
    clip, report = retarget(source_of(skeleton), own(skeleton), *target, options=replace(AS_IS, scale=0.5))
    assert report.scale == 0.5
    np.testing.assert_allclose(clip.root_pos[-1, :2], 0.5 * gait(skeleton).root_pos[-1, :2], atol=0.01)


def test_the_report_reads_well(target, skeleton):
    source = replace(t_pose(source_of(skeleton)), notes=("up: z",))
    _, report = retarget(source, own(skeleton), *target)
    lines = str(report).splitlines()
    assert lines[0] == "gait: 31 frames at 30 Hz by inverse kinematics, scale 1.000"
    assert lines[1] == "  up: z"
    assert re.fullmatch(r"  floor: moved by [+-][\d.]+ cm, tilt of [\d.]+ deg taken out; [\d.]+% of frames sink more than 1 cm \(deepest [\d.]+ cm\)", lines[2])
    assert re.fullmatch(r"  key bodies: [\d.]+ cm off on average, [\d.]+ cm at most; limits hold joints in [\d.]+% of frames", lines[3])
    assert re.fullmatch(r"  feet rest in \d+% of frames and slide at [\d.]+ m/s there \(before: [\d.]+\)", lines[4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (RetargetOptions(method="magic"), "source gait: method: got 'magic'; expected one of auto, copy, ik"),
        (RetargetOptions(fps=2.0), "source gait: fps: got 2; expected 5 to 1000"),
        (RetargetOptions(scale=-1.0), "source gait: scale: got -1; expected 0.01 to 100"),
        (RetargetOptions(scale=0.0), "source gait: scale: got 0; expected 0.01 to 100"),
    ],
)
def test_options_are_checked(target, skeleton, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        retarget(source_of(skeleton), own(skeleton), *target, options=options)


def test_copies_of_other_skeletons_are_refused(target, skeleton):
    with pytest.raises(ValueError, match=r"source gait: method: got 'copy' for another skeleton or rest pose; expected the character's own. Available: auto, ik"):
        retarget(t_pose(source_of(skeleton)), own(skeleton), *target, options=RetargetOptions(method="copy"))


def test_sources_are_checked(target, skeleton):
    source = source_of(skeleton)
    short = replace(source, root_pos=source.root_pos[:1], world_pos=source.world_pos[:1], local_quat=source.local_quat[:1])
    with pytest.raises(ValueError, match="source gait: frames: got 1; expected at least 2"):
        retarget(short, own(skeleton), *target)
    world = source.world_pos.copy()
    world[7, 3, 1] = np.nan
    with pytest.raises(ValueError, match="source gait: frame 7 holds NaN or infinity; expected finite places"):
        retarget(replace(source, world_pos=world), own(skeleton), *target)


@pytest.mark.parametrize(
    ("joint_map", "message"),
    [
        ({"tail": "pelvis"}, "joint map of gait: body tail: not in the character. Available: pelvis, torso, head"),
        ({"head": "Kopf"}, "joint map of gait: body head: got joint Kopf; expected one of the source. Available: pelvis, torso"),
        ({"left_foot": None}, "joint map of gait: body left_foot: got no joint; expected the root and both feet. Available: pelvis"),
        ({"left_shin": None, "left_thigh": None}, "joint map of gait: got no joint between left_foot and the root; expected hip and ankle at least. Available: pelvis"),
    ],
)
def test_maps_are_checked(target, skeleton, joint_map, message):
    full = {body: joint for body, joint in (own(skeleton) | joint_map).items() if joint is not None}
    with pytest.raises(ValueError, match=re.escape(message)):
        retarget(source_of(skeleton), full, *target)


def test_feet_and_legs_are_checked(target, skeleton):
    with pytest.raises(ValueError, match=r"foot body paw: not in the character. Available: pelvis"):
        retarget(source_of(skeleton), own(skeleton), *target, foot_bodies=("paw", FEET[1]))
    source = source_of(skeleton)
    with pytest.raises(ValueError, match="source gait: leg length: got 0 m; expected hip, knee and ankle apart from each other"):
        retarget(replace(source, world_pos=0 * source.world_pos), own(skeleton), *target)

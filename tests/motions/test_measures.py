"""Measures, marks and the page, with expected numbers worked out by hand."""

from __future__ import annotations

import base64
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from motions import synthetic
from motions.assess import RULES, Measures, assess, assess_clips, measure
from motions.check import copied_share, lowest_points, seam_jump, shift_to_floor, spike_ratios
from motions.clip import mirror
from motions.measures import clip_distance, fallen, foot_skate, joint_excess, self_penetration
from motions.page import html_report
from motions.rotations import quat_exp, quat_log, quat_mul

FEET = ("right_foot", "left_foot")
FINE = Measures(2.0, 30.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def pose(skeleton, turns: dict[str, tuple[float, float, float]], height_m: float = 0.9):
    """One frame, as positions and orientations of bodies."""
    vectors = torch.zeros(1, len(skeleton.joints), 3, dtype=torch.float64)
    for joint, turn in turns.items():
        vectors[0, skeleton.joint_names.index(joint)] = torch.tensor(turn, dtype=torch.float64)
    root = torch.tensor([[0.0, 0.0, height_m]], dtype=torch.float64)
    return skeleton.forward_kinematics(root, torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64), quat_exp(vectors))


def test_excess_over_cones_and_ranges(skeleton):
    vectors = torch.zeros(4, len(skeleton.joints), 3, dtype=torch.float64)
    knee, hip = skeleton.joint_names.index("left_knee"), skeleton.joint_names.index("left_hip")
    vectors[0, knee, 1], vectors[1, knee, 1], vectors[2, knee, 1] = -0.3, 1.4, 0.5
    vectors[3, hip] = torch.tensor([0.6, 0.0, -0.8]) * 1.3
    excess = joint_excess(quat_exp(vectors), skeleton, {"left_knee": (0.0, 1.0), "left_hip": (0.0, 1.25)})
    torch.testing.assert_close(excess[:, knee], torch.tensor([0.3, 0.4, 0.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(excess[:, hip], torch.tensor([0.0, 0.0, 0.0, 0.05], dtype=torch.float64))
    assert float(excess.sum()) == pytest.approx(0.75)


def test_skate_is_the_sliding_of_feet_on_the_floor(skeleton):
    clip = shift_to_floor(synthetic.constant_velocity(skeleton, (0.12, -0.16, 0.0)), skeleton)
    feet = [skeleton.body_names.index(f) for f in FEET]
    poses = skeleton.forward_kinematics(*clip.poses_on(skeleton))
    assert foot_skate(skeleton, feet, *poses, clip.fps) == pytest.approx(0.2)
    assert foot_skate(skeleton, feet, poses[0] + torch.tensor([0.0, 0.0, 0.1]), poses[1], clip.fps) == 0.0


def test_the_step_with_which_a_foot_leaves_the_floor_is_no_skating(skeleton):
    """Up by 14 mm a frame, 0.42 m/s; it goes aside only from 28 to 42 mm, which is no contact any more."""
    clip = shift_to_floor(synthetic.constant_velocity(skeleton, (0.0, 0.0, 0.0)), skeleton)
    pos, mat = skeleton.forward_kinematics(*clip.poses_on(skeleton))
    pos[20:, :, 2] += 0.014 * torch.arange(1, len(pos) - 19)[:, None]
    pos[22:, :, 1] += 0.005
    assert foot_skate(skeleton, [skeleton.body_names.index(f) for f in FEET], pos, mat, clip.fps) == pytest.approx(0.0, abs=1e-9)


def test_the_rest_pose_does_not_overlap_and_a_hand_in_the_trunk_does(skeleton):
    """The elbow bent by 2 rad and the arm turned inwards bring the hand to the chest: at least as deep as its sphere and the torso's."""
    assert float(self_penetration(skeleton, *pose(skeleton, {}))) == 0.0
    pos, mat = pose(skeleton, {"right_shoulder": (0.0, -0.2, 1.5), "right_elbow": (0.0, -2.0, 0.0)})
    hand, torso = pos[0, skeleton.body_names.index("right_hand")], pos[0, skeleton.body_names.index("torso")]
    depth = 0.04 + 0.11 - float((hand - torso - torch.tensor([0.0, 0.0, 0.12])).norm())
    assert depth > 0.01
    assert float(self_penetration(skeleton, pos, mat)) >= depth - 1e-6


def test_depth_of_crossed_legs(skeleton):
    """Both hips turned inwards about x: the thighs' lower ends, 0.36 m along legs 0.085 m from the middle, nearly meet; radius 0.055 m each. Outwards nothing meets."""
    inward = pose(skeleton, {"right_hip": (0.25, 0.0, 0.0), "left_hip": (-0.25, 0.0, 0.0)})
    assert float(self_penetration(skeleton, *inward)) == pytest.approx(2 * 0.055 - 2 * abs(0.084887 - 0.36 * math.sin(0.25)), abs=1e-6)
    assert float(self_penetration(skeleton, *pose(skeleton, {"right_hip": (-0.1, 0.0, 0.0), "left_hip": (0.1, 0.0, 0.0)}))) == 0.0


def test_fallen_frames(skeleton):
    clip = synthetic.constant_velocity(skeleton, (0.0, 0.0, -1.0), height_m=0.9, duration_s=1.0, fps=10.0)
    pos, _ = skeleton.forward_kinematics(*clip.poses_on(skeleton))
    frames = fallen(skeleton, pos, {"pelvis": 0.35, "left_foot": -5.0})
    assert frames.tolist() == [False] * 6 + [True] * 5  # 0.9 to 0.4, then 0.3 and below


def test_distance_between_clips(skeleton):
    """Half a radian at one of 13 rotations, all the time: 0.5 / sqrt(13); a piece of a clip is that clip; place and heading do not count, tilt does."""
    clip = synthetic.sine_gait(skeleton, duration_s=2.0)
    other = replace(clip, joint_quat=clip.joint_quat.copy())
    other.joint_quat[:, 1] = quat_mul(torch.from_numpy(clip.joint_quat[:, 1]), quat_exp(torch.tensor([[0.0, 0.5, 0.0]], dtype=torch.float64))).numpy()
    assert clip_distance(clip, other, skeleton) == pytest.approx(0.5 / math.sqrt(13), abs=1e-6)
    piece = replace(clip, **{f: getattr(clip, f)[15:40] for f in ("root_pos", "root_quat", "joint_quat")})
    assert clip_distance(piece, clip, skeleton) == clip_distance(clip, piece, skeleton) == pytest.approx(0.0, abs=1e-5)

    def turned(v):
        return replace(
            clip, root_pos=clip.root_pos + np.array([3.0, 4.0, 0.0]), root_quat=quat_mul(quat_exp(torch.tensor([v], dtype=torch.float64)), torch.from_numpy(clip.root_quat)).numpy()
        )

    assert clip_distance(clip, turned([0.0, 0.0, 2.0]), skeleton) == pytest.approx(0.0, abs=1e-5)
    assert clip_distance(clip, turned([0.3, 0.0, 0.0]), skeleton) == pytest.approx(0.3 / math.sqrt(13), abs=1e-6)


def test_two_who_lean_alike_and_head_elsewhere_are_the_same(skeleton):
    lean, yaw = (quat_exp(torch.tensor(v, dtype=torch.float64)) for v in ([0.4, 0.0, 0.0], [0.0, 0.0, 2.0]))
    a, b = (synthetic.constant_spin(skeleton, {}, {"root": tuple(quat_log(turn).tolist())}) for turn in (lean, quat_mul(yaw, lean)))
    assert clip_distance(a, b, skeleton) == pytest.approx(0.0, abs=1e-5)


def test_what_check_counts(skeleton):
    clip = synthetic.sine_gait(skeleton)
    still = replace(clip, **{f: np.insert(getattr(clip, f), [5, 9, 9], getattr(clip, f)[[4, 8, 8]], axis=0) for f in ("root_pos", "root_quat", "joint_quat")})
    assert copied_share(still) == pytest.approx(3 / 64)
    jump = synthetic.constant_spin(skeleton, {"neck": (0.0, 0.0, 0.5)}, loop="wrap")
    assert seam_jump(jump, skeleton) == pytest.approx(0.5)
    assert seam_jump(replace(jump, loop="none"), skeleton) == 0.0
    far = synthetic.constant_velocity(skeleton, (0.3, 0.0, 0.0))
    far.root_pos[20:, 1] += 0.4
    steps, ratio = spike_ratios(far, skeleton)
    assert (int(ratio.argmax()) // ratio.shape[1], int(ratio.argmax()) % ratio.shape[1]) == (19, 0)
    assert float(steps[19, 0]) == pytest.approx(math.hypot(0.01, 0.4) / 0.1)
    assert float(ratio[19, 0]) == pytest.approx(math.hypot(0.01, 0.4) / 0.01)


def test_measures_of_a_clip_with_known_faults(skeleton):
    clip = synthetic.constant_velocity(skeleton, (0.2, 0.0, 0.0), duration_s=2.0)
    clip = replace(clip, root_pos=clip.root_pos - [0.0, 0.0, float(lowest_points(clip, skeleton)[0])])
    sunk = replace(clip, root_pos=clip.root_pos - [0.0, 0.0, 0.02])
    sunk.joint_quat[:6, skeleton.joint_names.index("left_knee")] = quat_exp(torch.tensor([0.0, -math.radians(20), 0.0], dtype=torch.float64)).numpy()
    got = measure(sunk, skeleton, limits={"left_knee": (0.0, 2.0)}, fall_heights={"head": 5.0})
    assert (got.duration_s, got.fps) == (2.0, 30.0)
    assert (got.limit_deg, got.limit_share) == (pytest.approx(20.0, abs=1e-4), pytest.approx(6 / 61))
    assert (got.penetration_cm, got.floating_cm) == (pytest.approx(2.0, abs=1e-3), 0.0)
    assert got.skate_mps == pytest.approx(0.2, abs=0.03)
    assert (got.duplicate_share, got.seam_deg, got.fallen_share) == (0.0, pytest.approx(20.0, abs=1e-4), 1.0)
    high = measure(replace(clip, root_pos=clip.root_pos + np.array([0.0, 0.0, 0.05])), skeleton)
    assert (high.penetration_cm, high.floating_cm, high.skate_mps, high.fallen_share) == (0.0, pytest.approx(5.0, abs=1e-3), 0.0, 0.0)


def test_spikes_are_counted_a_second(skeleton):
    clip = synthetic.constant_velocity(skeleton, (0.3, 0.0, 0.0), duration_s=2.0)
    for frame in (10, 40):
        clip.root_pos[frame:, 1] += 0.4
    assert measure(clip, skeleton).spikes_per_s == pytest.approx(1.0)


def test_bodies_are_checked(skeleton):
    clip = synthetic.constant_velocity(skeleton)
    with pytest.raises(ValueError, match=r"clip constant_velocity: body paw: not in the character. Available: pelvis, torso"):
        measure(clip, skeleton, foot_bodies=("paw",))
    with pytest.raises(ValueError, match=r"clip constant_velocity: body tail: not in the character. Available: pelvis, torso"):
        measure(clip, skeleton, fall_heights={"tail": 0.1})


@pytest.mark.parametrize(
    ("field", "value", "score"),
    [
        ("duration_s", 0.3, 90.0),
        ("duration_s", 0.05, 80.0),
        ("limit_deg", 15.5, 92.5),
        ("penetration_cm", 1.0, 100.0),
        ("penetration_cm", 5.5, 90.0),
        ("penetration_cm", 50.0, 80.0),
        ("floating_cm", 5.5, 90.0),
        ("skate_mps", 0.35, 92.5),
        ("spikes_per_s", 1.0, 90.0),
        ("self_penetration_cm", 6.0, 95.0),
        ("duplicate_share", 0.26, 92.5),
        ("seam_deg", 51.0, 95.0),
        ("fallen_share", 1.0, 100.0),
    ],
)
def test_marks_by_hand(field, value, score):
    got = assess("x", replace(FINE, **{field: value}))
    assert got.score == pytest.approx(score)
    assert bool(got.advice) == (score < 100 or field == "fallen_share")


def test_verdicts_and_advice_in_order_of_loss():
    assert assess("x", FINE).verdict == "good"
    usable = assess("x", replace(FINE, penetration_cm=10.0, skate_mps=0.35))
    assert (usable.verdict, usable.score) == ("usable", 72.5)
    assert [line.split(":")[0] for line in usable.advice] == ["sinks into the floor", "feet slide"]
    bad = assess("x", replace(FINE, penetration_cm=10.0, skate_mps=1.0, spikes_per_s=9.0))
    assert (bad.verdict, bad.score) == ("poor", 45.0)
    down = assess("x", replace(FINE, fallen_share=0.4), [("y", 0.05)])
    assert down.advice[0].startswith("on the ground in 40% of frames")
    assert down.advice[1] == "nearly the same as y (0.05 rad apart): let them share one weight"
    assert str(usable).splitlines()[0] == "x: usable (72 of 100); 2.00 s at 30 Hz"
    assert "  - feet slide: import it again with --foot-lock" in str(usable)


def test_every_rule_is_a_measure():
    for rule in RULES:
        assert hasattr(FINE, rule.measure)
        assert rule.penalty(rule.good) == 0.0
        assert rule.penalty(rule.bad) == rule.weight


def test_near_duplicates_are_named_both_ways(skeleton):
    a = replace(synthetic.sine_gait(skeleton), name="a")
    clips = [a, replace(a, name="b"), replace(synthetic.constant_spin(skeleton, {"left_hip": (0.0, -1.5, 0.0)}), name="c")]
    marks = {m.name: m for m in assess_clips(clips, skeleton)}
    assert [near[0] for near in marks["a"].near] == ["b"]
    assert [near[0] for near in marks["b"].near] == ["a"]
    assert marks["c"].near == ()
    assert clip_distance(a, mirror(a), skeleton) > 0.1


def test_the_page_holds_everything(tmp_path):
    png = b"\x89PNG\r\n\x1a\n" + b"picture"
    marks = [assess("good <b>", FINE), assess("bad", replace(FINE, penetration_cm=30.0, seam_deg=80.0))]
    path = html_report(tmp_path / "r.html", marks, lambda name: png + name.encode())
    text = path.read_text()
    assert text.count("<tr>") == 3
    assert text.index("<h2>bad ") < text.index("<h2>good &lt;b&gt; ")
    assert "<b>" not in text
    assert f"data:image/png;base64,{base64.b64encode(png + b'bad').decode()}" in text
    assert "2 clips, 4.0 s: 1 good, 1 usable, 0 poor" in text
    assert '<td class="bad">30.0</td>' in text
    assert "<li>nothing to do</li>" in text
    assert "http" not in text
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    assert "<img" not in html_report(tmp_path / "r.html", marks).read_text()


def test_the_page_refuses(tmp_path):
    with pytest.raises(ValueError, match=r"report .*r.html: got no clips; expected at least one"):
        html_report(tmp_path / "r.html", [])
    with pytest.raises(ValueError, match=r"clip x: picture: got b'GIF89a'; expected PNG bytes"):
        html_report(tmp_path / "r.html", [assess("x", FINE)], lambda name: b"GIF89a")
    assert not list(tmp_path.iterdir())

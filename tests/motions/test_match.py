"""How sources are laid on the character: frames, limbs, poles and targets on skeletons whose answers are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from motions.match import frame_quat, mat_quat, match_skeletons, swing
from motions.poles import angles, find_limbs, place_poles
from motions.rotations import quat_conj, quat_exp, quat_log, quat_mul, quat_rotate, quat_to_mat
from motions.source_motion import from_clip, world_poses
from motions.synthetic import constant_velocity
from motions.targets import Costs, make_targets, world_quats
from motions.transfer import copy_rotations, resample, same_skeleton
from tests.motions.rigs import FEET, gait, own, reframed, resized, source_of, t_pose


def laid(source, skeleton):
    return match_skeletons(source, own(skeleton), skeleton, FEET)


def test_quaternions_of_matrices():
    torch.manual_seed(0)
    q = quat_exp(3 * torch.randn(200, 3, dtype=torch.float64))
    q = torch.cat((q, torch.eye(4, dtype=torch.float64)))
    q = torch.where(q[:, :1] < 0, -q, q)
    torch.testing.assert_close(mat_quat(quat_to_mat(q)), q)


def test_frames_keep_x_and_come_near_left():
    x, left = torch.tensor([0.0, 2.0, 0.0]), torch.tensor([-3.0, 1.0, 0.0])
    mat = quat_to_mat(frame_quat(x, left))
    torch.testing.assert_close(mat, torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), atol=1e-6, rtol=0)


def test_a_swing_turns_one_direction_into_the_other():
    a, b = torch.tensor([0.0, 0.0, -2.0], dtype=torch.float64), torch.tensor([0.0, -3.0, 0.0], dtype=torch.float64)
    q = swing(a, b)
    torch.testing.assert_close(quat_rotate(q, a), torch.tensor([0.0, -2.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(quat_log(q), torch.tensor([-math.pi / 2, 0.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(quat_log(swing(a, a)), torch.zeros(3, dtype=torch.float64))


def test_the_tree_of_nodes(skeleton):
    match = laid(source_of(skeleton), skeleton)
    name = skeleton.body_names
    assert [name[b] for b in match.leaves] == ["head", "right_hand", "left_hand", "right_foot", "left_foot"]
    assert {name[b] for b in match.parents if match.is_limb(b)} == {f"{s}_{p}" for s in ("left", "right") for p in ("upper_arm", "lower_arm", "thigh", "shin")}
    assert [[name[b] for b in leg] for leg in match.legs] == [[f"{s}_{p}" for p in ("foot", "shin", "thigh")] for s in ("right", "left")]
    left, right = match.sides(0)
    assert ([name[b] for b in left], [name[b] for b in right]) == (["left_thigh"], ["right_thigh"])
    assert match.leg_m == match.source_leg_m == pytest.approx(0.421546 + 0.40987)
    roles = {"pelvis": Costs().root, "torso": Costs().parting, "left_foot": Costs().foot, "head": Costs().end, "left_hand": Costs().end, "left_shin": Costs().limb}
    assert {body: Costs().of(name.index(body), match) for body in roles} == roles


def test_a_chest_without_a_joint_is_a_node(skeleton):
    part = {body: joint for body, joint in own(skeleton).items() if body not in ("torso", "right_shin")}
    match = match_skeletons(source_of(skeleton), part, skeleton, FEET)
    torso, foot = skeleton.body_names.index("torso"), skeleton.body_names.index("right_foot")
    assert torso in match.parents
    assert match.parents[foot] == skeleton.body_names.index("right_thigh")


def test_rest_poses_tell_how_frames_lie(skeleton):
    """In a T-pose arms are swung sideways; seen from the character, its frames are where they were."""
    source = reframed(t_pose(source_of(skeleton)), dict.fromkeys(skeleton.body_names, (0.3, 1.0, -0.5)))
    match = laid(source, skeleton)
    world, plain = world_quats(source), world_quats(source_of(skeleton))
    for body, turn in match.turns.items():
        got = quat_mul(world[:, match.joints[body]], turn.expand(len(world), 4))
        if not skeleton.body_names[body].endswith("hand"):
            assert quat_log(quat_mul(quat_conj(plain[:, body]), got)).norm(dim=-1).max() < 1e-6, skeleton.body_names[body]


def test_a_rest_pose_that_does_not_stand_is_not_trusted(skeleton):
    """Legs folded up in the rest pose: only the root's frame is taken from it, and head and feet are neutral on average."""
    folded = reframed(source_of(skeleton), {f"{s}_{p}": (0.0, 2.0, 0.0) for s in ("left", "right") for p in ("thigh", "shin", "foot")})
    match = laid(folded, skeleton)
    assert list(match.turns) == [0]
    targets = make_targets(folded, match, skeleton, 1.0)
    head = skeleton.body_names.index("head")
    lean = quat_log(quat_mul(quat_conj(targets.quat[:, 0]), targets.quat[:, head]))
    assert lean.mean(0).norm() < 0.01
    assert lean.norm(dim=-1).max() > 0.05  # but it still moves


def test_targets_of_our_own_motion_are_its_places(skeleton):
    source = source_of(skeleton)
    targets = make_targets(source, laid(source, skeleton), skeleton, 1.0)
    torch.testing.assert_close(targets.pos, torch.from_numpy(source.world_pos), atol=1e-6, rtol=0)
    assert [skeleton.body_names[b] for b in targets.key_bodies] == ["pelvis", "head", "right_hand", "left_hand", "right_foot", "left_foot"]
    hands = [skeleton.body_names.index(f"{s}_hand") for s in ("left", "right")]
    assert targets.quat[:, hands].isnan().all()  # welded: they cannot be turned
    big = resized(source, 2.0, "")
    torch.testing.assert_close(make_targets(big, laid(big, skeleton), skeleton, 0.5).pos, targets.pos, atol=1e-6, rtol=0)


def test_hips_below_the_root_are_where_the_sources_are(skeleton):
    hips = [skeleton.body_names.index(f"{s}_thigh") for s in ("left", "right")]
    offsets = skeleton.offsets.clone()
    offsets[hips, 2] -= 0.1
    low = replace(skeleton, offsets=offsets)
    source = source_of(low)
    torch.testing.assert_close(make_targets(source, laid(source, low), low, 1.0).pos, torch.from_numpy(source.world_pos), atol=1e-6, rtol=0)


def test_limbs_go_the_sources_way_at_the_characters_own_length(skeleton):
    """The source's arms are twice as long."""
    source, at = source_of(skeleton), skeleton.body_names.index
    offsets = source.offsets.copy()
    offsets[[at(f"{s}_{p}") for s in ("left", "right") for p in ("lower_arm", "hand")]] *= 2
    long = replace(source, offsets=offsets, world_pos=world_poses(source.parents, offsets, source.root_pos, source.local_quat)[0])
    targets = make_targets(long, laid(long, skeleton), skeleton, 1.0)
    torch.testing.assert_close(targets.pos, torch.from_numpy(source.world_pos), atol=1e-6, rtol=0)


def test_a_foot_of_key_points_is_level_however_low_its_toe_is(skeleton):
    """Toes 15 cm ahead of the ankles and 6 cm below them, in a rest pose that moves along x."""
    source = from_clip(constant_velocity(skeleton), skeleton)
    feet = [skeleton.body_names.index(foot) for foot in FEET]
    toes = source.world_pos[:, feet] + [0.15, 0.0, -0.06]
    points = replace(
        source,
        names=(*source.names, "right_toe", "left_toe"),
        parents=(*source.parents, *feet),
        offsets=np.zeros((len(source.names) + 2, 3)),
        local_quat=None,
        world_pos=np.concatenate((source.world_pos, toes), axis=1),
    )
    targets = make_targets(points, laid(points, skeleton), skeleton, 1.0)
    assert quat_log(targets.quat[:, feet]).norm(dim=-1).max() < 1e-6


def test_poles_and_angles_are_those_of_the_motion(character, skeleton):
    source, clip = source_of(skeleton), gait(skeleton)
    match = laid(source, skeleton)
    limbs = find_limbs(character.model, skeleton, match)
    assert {limb.joint: limb.side.tolist() for limb in limbs} == {
        f"{s}_{j}": pytest.approx([side, 0.0, 0.0]) for s in ("left", "right") for j, side in (("knee", 1.0), ("elbow", -1.0))
    }
    targets = make_targets(source, match, skeleton, 1.0)
    placed = place_poles(limbs, match, replace(targets, pos=targets.pos.clone()))
    torch.testing.assert_close(placed.pos, targets.pos, atol=2e-3, rtol=0)
    for limb in limbs:
        wanted = quat_log(torch.from_numpy(clip.joint_quat[:, skeleton.joint_names.index(limb.joint)]))[:, 1]
        np.testing.assert_allclose(angles(limb, targets.pos), wanted, atol=1e-5)


def test_a_stretched_limb_bends_to_its_side(character, skeleton):
    source = source_of(skeleton)
    match = laid(source, skeleton)
    knee = next(limb for limb in find_limbs(character.model, skeleton, match) if limb.joint == "left_knee")
    targets = make_targets(source, match, skeleton, 1.0)
    targets.quat[:, knee.upper] = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    targets.pos[:, knee.lower] = targets.pos[:, knee.upper] + torch.tensor([0.0, 0.0, -0.6])
    targets.bends[:] = 0.0
    got = place_poles([knee], match, targets).pos[0, knee.middle] - targets.pos[0, knee.upper]
    assert float(got.norm()) == pytest.approx(0.421546, abs=1e-6)
    assert float(got[0]) > 0.2
    assert abs(float(got[1])) < 1e-9


def test_what_is_the_same_skeleton(skeleton):
    source = source_of(skeleton)
    assert same_skeleton(source, laid(source, skeleton), skeleton)
    assert not same_skeleton(t_pose(source), laid(t_pose(source), skeleton), skeleton)
    part = {body: joint for body, joint in own(skeleton).items() if body != "torso"}
    assert not same_skeleton(source, match_skeletons(source, part, skeleton, FEET), skeleton)
    points = replace(source, local_quat=None)
    assert copy_rotations(points, laid(points, skeleton), skeleton) is None
    other = replace(source, parents=tuple(0 if n == "head" else p for n, p in zip(source.names, source.parents, strict=True)))
    assert not same_skeleton(other, laid(other, skeleton), skeleton)


def test_a_knee_that_turns_about_another_axis_is_not_copied(skeleton):
    source = source_of(skeleton)
    local = source.local_quat.copy()
    local[5, skeleton.body_names.index("left_shin")] = quat_exp(torch.tensor([0.1, 0.3, 0.0], dtype=torch.float64)).numpy()
    twisted = replace(source, local_quat=local)
    assert copy_rotations(twisted, laid(twisted, skeleton), skeleton) is None


def test_resampling_hits_the_frames_between(skeleton):
    source = source_of(skeleton, fps=60.0)
    half = resample(source, 30.0)
    np.testing.assert_allclose(half.world_pos, source.world_pos[::2], atol=1e-12)
    np.testing.assert_allclose(np.abs((half.local_quat * source.local_quat[::2]).sum(-1)), 1.0, atol=1e-9)
    finer = resample(source, 120.0)
    assert (len(finer.root_pos), finer.fps) == (121, 120.0)
    np.testing.assert_allclose(finer.root_pos[1], (source.root_pos[0] + source.root_pos[1]) / 2, atol=1e-12)

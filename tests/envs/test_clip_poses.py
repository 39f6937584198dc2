"""Joints that are off a clip by known angles."""

import math

import pytest
import torch

from envs.clip_poses import ClipPoses
from envs.features import FeatureLayout, observe
from motions.library import MotionLibrary
from motions.rotations import axis_angle_quat, quat_mul
from tests.envs.helpers import gait_clip

DT = 1 / 30


@pytest.fixture
def world(character):
    layout = FeatureLayout.of(character)
    library = MotionLibrary([gait_clip(character.skeleton, name, seconds=1.0, seed=k) for k, name in enumerate("ab")], character.skeleton)
    return library, layout, ClipPoses(library, layout, DT)


def turned(library, layout, clip, degrees, joints):
    """Frames of a clip a few control steps apart, ``joints`` of which are turned about an axis of their own, hinges about theirs."""
    times = DT * torch.arange(0, 30, 5)
    ids = torch.full((len(times),), clip)
    state = library.state_at(ids, times)
    quats = state.joint_quat.clone()
    for j in joints:
        joint = library.skeleton.joints[j]
        axis = torch.tensor(joint.axis if joint.kind == "hinge" else (0.6, 0.0, 0.8), dtype=quats.dtype)
        quats[:, j] = quat_mul(quats[:, j], axis_angle_quat(axis, torch.tensor(math.radians(degrees), dtype=quats.dtype)))
    made = library.skeleton.state(state.root_pos, state.root_quat, state.root_lin_vel, state.root_ang_vel, quats, state.joint_vel)
    return observe(made, library.skeleton)[:, layout.style_columns], ids


def test_a_clips_own_poses_are_not_off(world):
    library, layout, poses = world
    assert poses.off_deg(*turned(library, layout, 1, 0.0, [])).max() < 0.05


@pytest.mark.parametrize("degrees", [0.5, 3.0, -3.0])
def test_joints_that_are_all_off_by_an_angle_are_off_by_it(world, degrees):
    library, layout, poses = world
    found = poses.off_deg(*turned(library, layout, 0, degrees, range(len(library.skeleton.joints))))
    assert found.tolist() == pytest.approx([abs(degrees)] * len(found), rel=0.02)


@pytest.mark.parametrize("kind", ["ball", "hinge"])
def test_one_joint_counts_as_one_of_all(world, kind):
    library, layout, poses = world
    joints = library.skeleton.joints
    j = next(k for k, joint in enumerate(joints) if joint.kind == kind)
    assert poses.off_deg(*turned(library, layout, 0, 6.0, [j])).tolist() == pytest.approx([6.0 / len(joints)] * 6, rel=0.02)


def test_poses_of_another_clip_do_not_count_nor_when_they_come(world):
    library, layout, poses = world
    frames, ids = turned(library, layout, 0, 0.0, [])
    assert poses.off_deg(frames, 1 - ids).min() > 5.0
    assert poses.off_deg(frames.flip(0), ids).max() < 0.05

"""Computed clips of a hand that is held somewhere, against the places asked for and the clip they are made from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from motions import ik
from motions.library import MotionLibrary
from motions.reaching import ARM, FAR_M, FEET, HAND, PLACES, PUSH, reaching, with_arm, with_arms
from motions.synthetic import sine_gait, standing


@pytest.fixture(scope="module")
def stand(skeleton):
    return standing(skeleton, 0.421546, 0.409870, 0.89, fps=5)


def states(clip, skeleton):
    frames = torch.arange(clip.num_frames - 1) / clip.fps
    return MotionLibrary([clip], skeleton).state_at(torch.zeros(len(frames), dtype=torch.long), frames)


@pytest.mark.parametrize("name", PLACES)
def test_the_hand_is_there_and_the_feet_and_the_weight_stay(name, character, skeleton, stand):
    far = name.endswith("far")  # it bows and turns a little
    clip = reaching(character.model, skeleton, stand, name, PLACES[name])
    assert (clip.name, clip.loop, clip.num_frames) == (name, "wrap", stand.num_frames)
    now, before = states(clip, skeleton), states(stand, skeleton)
    place = torch.from_numpy(stand.root_pos[0] + np.array(PLACES[name])).float()
    assert (now.body_pos_w[:, skeleton.body_names.index(HAND)] - place).norm(dim=-1).max() < (FAR_M if far else 0.04)
    for foot in FEET:
        k = skeleton.body_names.index(foot)
        assert (now.body_pos_w[:, k] - before.body_pos_w[:, k]).abs().max() < 0.015, "it slides or floats"
        assert (now.body_mat_w[:, k] - before.body_mat_w[:, k]).abs().max() < 0.05, "it tilts"
    mass = torch.from_numpy(character.model.body_mass[ik.body_ids(character.model, skeleton)]).float()
    centre, was = (((mass / mass.sum()) @ state.body_pos_w)[:, :2] for state in (now, before))
    assert (centre - was).abs().max() < 0.08, "it would topple"
    poses = ik.pack(character.model, skeleton, clip.root_pos, clip.root_quat, clip.joint_quat)
    assert ik.limits_of(character.model).room(poses).min() > -1e-6
    elbow = skeleton.joint_names.index("left_elbow")
    assert np.abs(clip.joint_quat[:, elbow] - stand.joint_quat[:, elbow]).max() < (0.16 if far else 0.15), "the other arm is a counterweight, and no more"
    ahead = now.body_mat_w[:, 0, :2, 0]
    assert (ahead[:, 0] / (ahead.norm(dim=-1) if far else 1.0)).min() > 0.95, "the pelvis turns"
    upright = now.body_mat_w[:, skeleton.body_names.index("head"), 2, 2].min()
    assert upright > 0.9


def test_places_are_where_their_names_say():
    assert len(PLACES) == 40
    across, front, side, back = (PLACES[f"reach_{where}_chest"] for where in ("across", "front", "side", "back"))
    assert across[1] > 0.1 > 0 > front[1] > side[1], "to the left, and to the right"
    assert front[0] > 0.5 > side[0] > 0 > back[0]
    heights = ("low", "hip", "chest", "head", "high")
    for far in ("", "_far"):
        up = [PLACES[f"reach_front_{height}{far}"][2] for height in heights]
        assert up == sorted(up)
    for name in (f"reach_{where}_{height}" for where in ("across", "front", "side", "back") for height in heights):
        assert np.hypot(*PLACES[f"{name}_far"][:2]) > np.hypot(*PLACES[name][:2]) + 0.14


def test_a_place_beyond_the_arm_is_refused(character, skeleton, stand):
    with pytest.raises(ValueError, match=r"clip far: place \(2.0, 0.0, 0.0\): out of reach, the hand stays 0.\d\d m away; expected at most 0.05 m"):
        reaching(character.model, skeleton, stand, "far", (2.0, 0.0, 0.0))


def test_another_right_arm_leaves_the_rest(skeleton):
    gait, pose = sine_gait(skeleton), sine_gait(skeleton, amplitude_rad=1.0)
    clip = with_arm(gait, pose, "walk_reach")
    arm = [joint in ARM for joint in skeleton.joint_names]
    assert sum(arm) == 2
    np.testing.assert_array_equal(clip.joint_quat[:, arm], np.broadcast_to(pose.joint_quat[0, arm], clip.joint_quat[:, arm].shape))
    np.testing.assert_array_equal(clip.joint_quat[:, ~np.array(arm)], gait.joint_quat[:, ~np.array(arm)])
    np.testing.assert_array_equal(clip.root_pos, gait.root_pos)
    assert (clip.name, clip.license) == ("walk_reach", gait.license)


def test_both_hands_are_held_ahead(character, skeleton, stand):
    gait, pose = sine_gait(skeleton), reaching(character.model, skeleton, stand, "push", PUSH)
    clip = with_arms(gait, pose, "walk_push")
    arms = [joint.removeprefix("left_").removeprefix("right_") in ("shoulder", "elbow") for joint in skeleton.joint_names]
    assert sum(arms) == 4
    np.testing.assert_array_equal(clip.joint_quat[:, ~np.array(arms)], gait.joint_quat[:, ~np.array(arms)])
    assert (clip.name, clip.license) == ("walk_push", gait.license)
    assert clip.source == f"{gait.source}; arms from motions.reaching"
    upright = with_arms(stand, pose, "stand_push")
    place = states(upright, skeleton).body_pos_w[0] - torch.from_numpy(upright.root_pos[0]).float()
    right, left = (place[skeleton.body_names.index(f"{side}_hand")] for side in ("right", "left"))
    torch.testing.assert_close(left, right * torch.tensor([1.0, -1.0, 1.0]), atol=0.02, rtol=0)
    assert right[0] > 0.45
    assert right[1] < -0.05

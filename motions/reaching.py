"""Computed clips of someone who holds a hand somewhere, standing and walking, or both hands ahead, to push. Hands go where clips take them, and the free clips keep them between
hip and shoulder."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from motions import ik
from motions.clip import Clip, mirror, other_side
from motions.skeleton import Skeleton

HAND, ARM, FEET, UPRIGHT = "right_hand", ("right_shoulder", "right_elbow"), ("right_foot", "left_foot"), ("pelvis", "torso", "head")
SIDES = {"across": 30.0, "front": -15.0, "side": -60.0, "back": -110.0}  # degrees to the left of straight ahead
HEIGHTS = {  # of the hand above the root, and away from above it, m
    "low": (-0.55, 0.4),
    "hip": (-0.15, 0.45),
    "chest": (0.25, 0.6),
    "head": (0.6, 0.6),
    "high": (0.95, 0.35),
    "low_far": (-0.5, 0.7),
    "hip_far": (-0.15, 0.7),
    "chest_far": (0.25, 0.75),
    "head_far": (0.6, 0.75),
    "high_far": (0.8, 0.65),
}
PLACES = {  # of the hand, from the root of who stands at ease: forward, left and up, m
    f"reach_{side}_{height}": (away * math.cos(math.radians(turn)), away * math.sin(math.radians(turn)), up)
    for side, turn in SIDES.items()
    for height, (up, away) in HEIGHTS.items()
}
PUSH = (0.55, -0.12, 0.45)  # of a hand that pushes
PUSHES = {"walk_push": "walk_forward", "turn_push": "turn_right0", "run_push": "run"}  # and whose legs
APART = (("right_upper_arm", "right_lower_arm", "right_hand", "left_upper_arm", "left_lower_arm", "left_hand"), ("pelvis", "waist", "torso", "right_thigh", "left_thigh", "head"))
FAR_M = 0.05  # a hand that stays further away does not reach the place


def reaching(model: ik.Model, skeleton: Skeleton, stand: Clip, name: str, place: tuple[float, float, float]) -> Clip:
    """``stand`` with the right hand at ``place``, m, from where the root is in the first frame, in world axes. Feet stay and the weight shifts as it does in ``stand``; the rest
    follows by inverse kinematics (`motions.ik.reach`).

    Raises:
        ValueError: the place is out of reach.
    """
    start = ik.pack(model, skeleton, stand.root_pos, stand.root_quat, stand.joint_quat)
    poses, miss = ik.reach(model, start, HAND, stand.root_pos[0] + np.array(place), FEET, UPRIGHT, APART)
    if miss > FAR_M:
        raise ValueError(f"clip {name}: place {place}: out of reach, the hand stays {miss:.2f} m away; expected at most {FAR_M:g} m")
    root_pos, root_quat, joint_quat = ik.unpack(model, skeleton, poses)
    return replace(stand, name=name, root_pos=root_pos, root_quat=root_quat, joint_quat=joint_quat, source="motions.reaching")


def with_arm(clip: Clip, pose: Clip, name: str) -> Clip:
    """``clip`` with the right arm as it is in the first frame of ``pose``."""
    return replace(_held(clip, pose, ARM), name=name, source=f"{clip.source}; right arm from motions.reaching")


def with_arms(clip: Clip, pose: Clip, name: str) -> Clip:
    """``clip`` with the right arm as it is in the first frame of ``pose``, and the left arm as its mirror image."""
    both = _held(_held(clip, pose, ARM), mirror(pose), tuple(other_side(joint) for joint in ARM))
    return replace(both, name=name, source=f"{clip.source}; arms from motions.reaching")


def _held(clip: Clip, pose: Clip, arm: tuple[str, ...]) -> Clip:
    joints = [clip.joint_names.index(joint) for joint in arm]
    joint_quat = clip.joint_quat.copy()
    joint_quat[:, joints] = pose.joint_quat[0, joints]
    return replace(clip, joint_quat=joint_quat)

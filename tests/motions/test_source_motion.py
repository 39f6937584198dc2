"""Clips as sources and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from motions.source_motion import from_clip, to_clip
from motions.synthetic import sine_gait


def test_a_clip_as_a_source_is_where_the_skeleton_says(skeleton):
    clip = replace(sine_gait(skeleton, duration_s=0.5), source="me", license="free")
    source = from_clip(clip, skeleton)
    assert (source.name, source.fps, source.names, source.source, source.license) == (clip.name, 30.0, skeleton.body_names, "me", "free")
    np.testing.assert_allclose(source.world_pos, skeleton.forward_kinematics(*clip.poses_on(skeleton))[0], atol=1e-6)
    np.testing.assert_allclose(source.offsets[1:], skeleton.offsets[1:])


def test_and_back_by_name_in_any_order_with_joints_between_the_ends(skeleton):
    clip = sine_gait(skeleton, duration_s=0.5)
    source = from_clip(clip, skeleton)
    order = [0, *reversed(range(1, len(source.names)))]
    order.sort(key=lambda k: sum(1 for _ in _above(source.parents, k)))  # parents first, else turned about
    new = {old: k for k, old in enumerate(order)}
    shuffled = replace(
        source,
        names=(*(source.names[k] for k in order), "head_end"),
        parents=(*(new.get(source.parents[k], -1) for k in order), new[source.names.index("head")]),
        offsets=np.concatenate((source.offsets[order], [[0, 0, 0.2]])),
        local_quat=np.concatenate((source.local_quat[:, order], np.tile([1.0, 0, 0, 0], (clip.num_frames, 1, 1))), axis=1),
    )
    back = to_clip(shuffled, skeleton)
    assert back is not None
    np.testing.assert_allclose(back.root_pos, clip.root_pos)
    np.testing.assert_allclose(back.root_quat, clip.root_quat, atol=1e-12)
    np.testing.assert_allclose(back.joint_quat, clip.joint_quat, atol=1e-12)


def _above(parents, k):
    while k >= 0:
        yield k
        k = parents[k]


def test_other_skeletons_are_told_apart(skeleton):
    source = from_clip(sine_gait(skeleton, duration_s=0.5), skeleton)
    longer = source.offsets.copy()
    longer[3, 2] += 0.002
    parents = list(source.parents)
    parents[source.names.index("head")] = 0
    assert to_clip(source, skeleton) is not None
    for other in (
        replace(source, local_quat=None),
        replace(source, offsets=longer),
        replace(source, parents=tuple(parents)),
        replace(source, names=tuple(n.replace("left_hand", "paw") for n in source.names)),
    ):
        assert to_clip(other, skeleton) is None

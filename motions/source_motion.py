"""`SourceMotion`: a motion on the skeleton it was recorded on, before it becomes a `Clip` of one of our characters.

Shapes: ``T`` frames, ``J`` joints of the source skeleton.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from motions.clip import Clip, make_clip
from motions.rotations import quat_mul, quat_rotate
from motions.skeleton import Skeleton

SAME_M = 1e-3  # how far apart joints of one skeleton may lie


@dataclass(frozen=True, eq=False)
class SourceMotion:
    """World frame z up, metres, seconds, quaternions ``wxyz``: readers convert, and say in ``notes`` what they found out on the way.

    Attributes:
        name: what messages call it.
        names, parents: joints ``J`` in an order in which parents come first, and the index of each one's parent (-1: the root).
        offsets: ``[J, 3]`` place of each joint in its parent's frame; the root's is zero.
        fps: frames a second.
        root_pos: ``[T, 3]`` world.
        local_quat: ``[T, J, 4]`` child to parent frame, the root's to the world; None where only places were recorded (keypoints).
        world_pos: ``[T, J, 3]`` where each joint is.
        forward: unit vector ``[3]`` that the skeleton's rest pose faces, in the root's frame; readers turn the rest pose so that it stands along z and this is +x.
            For key points: what the first frame faces, in the world.
        notes: one line for each thing that was detected or assumed (unit, up axis, forward, frames cut).
        source, license: where it comes from and under which terms.
    """

    name: str
    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    fps: float
    root_pos: np.ndarray
    local_quat: np.ndarray | None
    world_pos: np.ndarray
    forward: np.ndarray
    notes: tuple[str, ...] = ()
    source: str = ""
    license: str = ""


def world_poses(parents: Sequence[int], offsets: np.ndarray, root_pos: np.ndarray, local_quat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Forward kinematics: places ``[T, J, 3]`` and orientations ``[T, J, 4]`` in the world, from offsets ``[J, 3]`` or ``[T, J, 3]`` and the fields above."""
    turns, moves = torch.from_numpy(local_quat), torch.from_numpy(np.broadcast_to(offsets, (*local_quat.shape[:2], 3)).copy())
    pos, quat = [torch.from_numpy(root_pos)], [turns[:, 0]]
    for k in range(1, len(parents)):
        above = parents[k]
        pos.append(pos[above] + quat_rotate(quat[above], moves[:, k]))
        quat.append(quat_mul(quat[above], turns[:, k]))
    return torch.stack(pos, 1).numpy(), torch.stack(quat, 1).numpy()


def to_clip(source: SourceMotion, skeleton: Skeleton) -> Clip | None:
    """The source as a clip where its skeleton is the character's own: the same bodies by name, under the same parents, at the same places (1 mm); else None."""
    if source.local_quat is None or not set(skeleton.body_names) <= set(source.names):
        return None
    at = [source.names.index(body) for body in skeleton.body_names]
    parents = [source.names[source.parents[k]] if source.parents[k] >= 0 else "" for k in at]
    ours = [skeleton.body_names[p] if p >= 0 else "" for p in skeleton.parents]
    if parents != ours or np.abs(source.offsets[at[1:]] - skeleton.offsets[1:].numpy()).max() > SAME_M:
        return None
    return make_clip(
        name=source.name,
        fps=source.fps,
        loop="none",
        root_pos=source.root_pos,
        root_quat=source.local_quat[:, at[0]],
        joint_names=skeleton.joint_names,
        joint_quat=source.local_quat[:, [at[joint.body] for joint in skeleton.joints]],
        source=source.source,
        license=source.license,
    )


def from_clip(clip: Clip, skeleton: Skeleton) -> SourceMotion:
    """A clip on a character's skeleton as a source, with the bodies as joints: to carry it over to another character, or to draw it.

    Raises:
        ValueError: the clip lacks one of the skeleton's joints.
    """
    root_pos, root_quat, joint_quat = clip.poses_on(skeleton)
    local = torch.zeros(clip.num_frames, len(skeleton.body_names), 4, dtype=torch.float64)
    local[..., 0] = 1.0
    local[:, 0] = root_quat
    local[:, [joint.body for joint in skeleton.joints]] = joint_quat
    offsets = skeleton.offsets.double().numpy().copy()
    offsets[0] = 0.0
    world = world_poses(skeleton.parents, offsets, root_pos.numpy(), local.numpy())[0]
    return SourceMotion(
        name=clip.name,
        names=skeleton.body_names,
        parents=skeleton.parents,
        offsets=offsets,
        fps=clip.fps,
        root_pos=root_pos.numpy(),
        local_quat=local.numpy(),
        world_pos=world,
        forward=np.array([1.0, 0.0, 0.0]),
        notes=("skeleton: the suite's own",),
        source=clip.source,
        license=clip.license,
    )

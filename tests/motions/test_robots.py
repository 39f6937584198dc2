"""The readers of robot motions on trajectories of our own skeleton, whose kinematics are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from motions.formats import beyondmimic, loco_mujoco
from motions.formats.robot import body_tree
from motions.rotations import quat_exp, quat_mul
from motions.source_motion import world_poses


@pytest.fixture
def poses(skeleton):
    """World positions and orientations ``[T, P, .]`` of every body, all joints turning, and local orientations."""
    gen = torch.Generator().manual_seed(1)
    local = quat_exp(torch.randn(12, len(skeleton.body_names), 3, generator=gen, dtype=torch.float64) * 0.4)
    local[:, 0] = quat_exp(torch.randn(12, 3, generator=gen, dtype=torch.float64) * 0.1)
    root = torch.tensor([1.0, 2.0, 0.9], dtype=torch.float64).repeat(12, 1)
    return *world_poses(skeleton.parents, skeleton.offsets.double().numpy(), root.numpy(), local.numpy()), local.numpy()


def test_world_poses_agree_with_the_skeletons_kinematics(skeleton):
    quats = quat_exp(torch.randn(4, len(skeleton.joints), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))
    root_pos, root = torch.randn(4, 3, dtype=torch.float64), quat_exp(torch.tensor([[0.3, 0.2, 0.1]], dtype=torch.float64)).repeat(4, 1)
    local = torch.zeros(4, len(skeleton.body_names), 4, dtype=torch.float64)
    local[..., 0] = 1
    local[:, 0] = root
    local[:, [j.body for j in skeleton.joints]] = quats
    pos, quat = world_poses(skeleton.parents, skeleton.offsets.double().numpy(), root_pos.numpy(), local.numpy())
    np.testing.assert_allclose(pos, skeleton.forward_kinematics(root_pos, root, quats)[0], atol=1e-6)
    torso = skeleton.body_names.index("torso")
    head = skeleton.body_names.index("head")
    np.testing.assert_allclose(quat[:, head], quat_mul(torch.from_numpy(quat[:, torso]), quats[:, [j.name for j in skeleton.joints].index("neck")]), atol=1e-12)


def test_the_tree_is_found_from_the_motion(skeleton, poses):
    order, parents = body_tree(poses[0], poses[1])
    assert sorted(order) == list(range(len(order)))
    assert [order[p] if p >= 0 else -1 for p in parents] == [skeleton.parents[k] for k in order]


def write(tmp_path, **fields):
    np.savez(tmp_path / "run.npz", **{k: v for k, v in fields.items() if v is not None})
    return tmp_path / "run.npz"


def mimic(skeleton, poses, **change):
    return {"fps": np.array([50]), "joint_pos": np.zeros((12, 28)), "body_pos_w": poses[0], "body_quat_w": poses[1], "body_names": np.array(skeleton.body_names)} | change


def loco(skeleton, poses, **change):
    world = np.zeros((12, 1, 3)), np.tile([1.0, 0, 0, 0], (12, 1, 1))
    data = {"qpos": np.zeros((12, 7)), "split_points": np.array([0, 12]), "frequency": np.float64(100), "body_names": np.array(["world", *skeleton.body_names])}
    return data | {"xpos": np.concatenate((world[0], poses[0]), 1), "xquat": np.concatenate((world[1], poses[1]), 1)} | change


@pytest.mark.parametrize(("module", "fields", "fps"), [(beyondmimic, mimic, 50.0), (loco_mujoco, loco, 100.0)])
def test_poses_come_through(tmp_path, skeleton, poses, module, fields, fps):
    source = module.load(write(tmp_path, **fields(skeleton, poses)), source="me", license="free")
    assert (source.name, source.fps, source.source, source.license) == ("run", fps, "me", "free")
    at = [source.names.index(b) for b in skeleton.body_names]
    np.testing.assert_allclose(source.world_pos[:, at], poses[0], atol=1e-12)
    np.testing.assert_allclose(source.offsets[at][1:], skeleton.offsets[1:], atol=1e-6)
    np.testing.assert_allclose(source.offsets[0], 0.0)
    np.testing.assert_allclose(np.abs((source.local_quat[:, at] * poses[2]).sum(-1)), 1.0, atol=1e-9)
    notes = "\n".join(source.notes)
    assert f"rate: {fps:g} Hz" in notes
    assert "up: +z" in notes
    assert "forward: +x" in notes
    assert "unit: 1 m (the file says so)" in notes


def test_object_arrays_in_a_trajectory_are_read_safely(tmp_path, skeleton, poses):
    box = np.empty((), dtype=object)
    box[()] = ["world", *skeleton.body_names]
    source = loco_mujoco.load(write(tmp_path, **loco(skeleton, poses, body_names=box)))
    assert source.names[0] == "pelvis"


def test_one_of_several_takes(tmp_path, skeleton, poses):
    path = write(tmp_path, **loco(skeleton, poses, split_points=np.array([0, 5, 12])))
    first, second = loco_mujoco.load(path), loco_mujoco.load(path, take="1")
    assert (len(first.root_pos), len(second.root_pos)) == (5, 7)
    assert "takes: 2 in the file; take 1 is read" in second.notes
    np.testing.assert_allclose(second.world_pos[0, 0], poses[0][5, 0])
    with pytest.raises(ValueError, match=r"run.npz: take: got '2'; expected its name, or a number from 0 to 1. Available: 0, 1"):
        loco_mujoco.load(path, take="2")


def test_names_that_a_file_leaves_out(tmp_path, skeleton, poses):
    path = write(tmp_path, **mimic(skeleton, poses, body_names=None))
    assert beyondmimic.load(path, names=skeleton.body_names).names[0] == "pelvis"
    assert set(beyondmimic.load(path).names) == {f"body_{k}" for k in range(15)}
    twice = {"body_pos_w": np.concatenate(poses[:1] * 2, 1), "body_quat_w": np.concatenate(poses[1:2] * 2, 1), "body_names": None}
    source = beyondmimic.load(write(tmp_path, **mimic(skeleton, poses, **twice)))
    assert "bodies: 30, names not in the file; taken as a Unitree G1's in the order of its MJCF, check the pictures" in source.notes
    assert "left_knee_link" in source.names


def test_bodies_of_a_g1_are_numbered_as_in_its_mjcf():
    numbers = {0: "pelvis", 1: "left_hip_pitch", 4: "left_knee", 10: "right_knee", 12: "right_ankle_roll", 15: "torso", 19: "left_elbow", 26: "right_elbow", 29: "right_wrist_yaw"}
    assert {k: beyondmimic.G1[k].removesuffix("_link") for k in numbers} == numbers


@pytest.mark.parametrize(
    ("module", "fields", "change", "message"),
    [
        (beyondmimic, mimic, {"body_quat_w": None}, "not a BeyondMimic motion: expected fields body_pos_w and body_quat_w. Available: fps, joint_pos, body_pos_w, body_names"),
        (beyondmimic, mimic, {"fps": None}, "field fps is missing. Available: joint_pos"),
        (beyondmimic, mimic, {"body_names": np.arange(15)}, "body_names: got ndarray; expected a list of names. Available: fps"),
        (beyondmimic, mimic, {"body_names": np.array(["a", "b"])}, r"bodies: got 2 names, positions \(12, 15, 3\), quaternions \(12, 15, 4\); expected \[T, B, 3\]"),
        (beyondmimic, mimic, {"body_quat_w": np.zeros((12, 15, 4))}, "bodies: frame 0 holds NaN, infinity or no unit quaternion; expected poses"),
        (loco_mujoco, loco, {"split_points": None}, "not a loco-mujoco trajectory: expected fields qpos and split_points. Available: qpos, frequency"),
        (
            loco_mujoco,
            loco,
            {"xpos": np.zeros(0)},
            "xpos: empty or missing; expected world poses of the bodies: let loco-mujoco extend the trajectory",
        ),
        (loco_mujoco, loco, {"split_points": np.array([0, 99])}, r"split_points: got \[0.0, 99.0\] of 12 frames; expected at least two rising ones"),
    ],
)
def test_bad_files_are_refused(tmp_path, skeleton, poses, module, fields, change, message):
    with pytest.raises(ValueError, match=f"run.npz: {message}"):
        module.load(write(tmp_path, **fields(skeleton, poses, **change)))

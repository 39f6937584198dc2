"""The poselib importer on files built by hand, and what its unpickler refuses."""

from __future__ import annotations

import logging
import os
import re
from collections import OrderedDict

import numpy as np
import pytest
import torch

from motions.formats import poselib
from motions.rotations import quat_mul, quat_normalize, quat_rotate

BODIES = (
    *("pelvis", "torso", "head", "right_upper_arm", "right_lower_arm", "right_hand", "left_upper_arm", "left_lower_arm", "left_hand"),
    *("right_thigh", "right_shin", "right_foot", "left_thigh", "left_shin", "left_foot"),
)


@pytest.fixture
def motion(skeleton) -> dict:
    """Ten frames of random joint rotations; hinges turn about y, hands do not turn."""
    torch.manual_seed(0)
    quats = quat_normalize(torch.randn(10, len(BODIES), 4, dtype=torch.float64))
    hinges = [k for k, b in enumerate(BODIES) if b.endswith(("lower_arm", "shin"))]
    quats[:, hinges] = quat_normalize(quats[:, hinges] * torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64))
    quats[:, [BODIES.index("right_hand"), BODIES.index("left_hand")]] = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    tree = OrderedDict(node_names=list(BODIES), parent_indices={"arr": np.array(skeleton.parents)}, local_translation={"arr": skeleton.offsets.numpy()})
    return OrderedDict(
        rotation={"arr": quats.numpy()[..., [1, 2, 3, 0]], "context": {"dtype": "float64"}},
        root_translation={"arr": np.random.default_rng(0).normal(size=(10, 3))},
        skeleton_tree=tree,
        is_local=True,
        fps=np.array(60, dtype=np.int32),
        __name__="SkeletonMotion",
    )


def write(tmp_path, content) -> str:
    np.save(tmp_path / "amp_humanoid_test.npy", content)
    return str(tmp_path / "amp_humanoid_test.npy")


def forward(motion: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """The file's own kinematics: positions ``[T, P, 3]`` and orientations ``[T, P, 4]``, body after body."""
    tree, quats = motion["skeleton_tree"], torch.from_numpy(motion["rotation"]["arr"])[..., [3, 0, 1, 2]]
    pos, quat = [torch.from_numpy(motion["root_translation"]["arr"])], [quats[:, 0]]
    for body in range(1, len(BODIES)):
        parent = int(tree["parent_indices"]["arr"][body])
        offset = torch.from_numpy(tree["local_translation"]["arr"][body]).double().expand(len(quats), 3)
        pos.append(pos[parent] + quat_rotate(quat[parent], offset))
        quat.append(quat_mul(quat[parent], quats[:, body]))
    return torch.stack(pos, 1), torch.stack(quat, 1)


def test_kinematics_are_the_files_own(tmp_path, motion, skeleton):
    clip = poselib.load(write(tmp_path, motion), source="me", license="free")
    assert (clip.name, clip.fps, clip.loop, clip.source, clip.license) == ("test", 60.0, "none", "me", "free")
    pos, _ = skeleton.forward_kinematics(*clip.poses_on(skeleton))
    torch.testing.assert_close(pos, forward(motion)[0][:, [BODIES.index(b) for b in skeleton.body_names]])


def test_a_hand_that_turns_becomes_a_wrist(tmp_path, motion):
    """As in clips of the armed character, which hold a sword and a shield, too."""
    hand = BODIES.index("right_hand")
    turned = quat_normalize(torch.randn(10, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    motion["rotation"]["arr"][:, hand] = turned.numpy()[:, [1, 2, 3, 0]]
    motion["skeleton_tree"]["node_names"] += ["sword", "shield"]
    motion["rotation"]["arr"] = np.concatenate((motion["rotation"]["arr"], np.tile([0.0, 0.0, 0.0, 1.0], (10, 2, 1))), axis=1)
    clip = poselib.load(write(tmp_path, motion))
    assert "left_wrist" not in clip.joint_names
    found = torch.from_numpy(clip.joint_quat[:, clip.joint_names.index("right_wrist")]).double()
    assert ((found * turned).sum(-1).abs() > 1 - 1e-6).all()


def test_doubled_frames_are_dropped_and_reported(tmp_path, motion, caplog):
    for part in ("rotation", "root_translation"):
        motion[part]["arr"] = motion[part]["arr"].repeat(2, axis=0)
    with caplog.at_level(logging.WARNING):
        clip = poselib.load(write(tmp_path, motion))
    assert (clip.num_frames, clip.fps) == (10, 30.0)
    assert clip.source == "amp_humanoid_test.npy (copied frames dropped, 60 -> 30 Hz)"
    assert "clip test: every second frame repeats the one before" in caplog.text
    np.testing.assert_allclose(clip.root_pos, motion["root_translation"]["arr"][::2])


class Attack:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch trapped",), f"{os.name}.system"),
        (eval, ("open('trapped', 'w')",), "builtins.eval"),
        (getattr, ("text", "upper"), "builtins.getattr"),
        (np.save, ("trapped", 0), "numpy.save"),
    ],
)
@pytest.mark.parametrize("nested", [True, False])
def test_a_malicious_pickle_is_refused_before_anything_runs(tmp_path, motion, monkeypatch, function, arguments, name, nested):
    monkeypatch.chdir(tmp_path)
    attack = Attack(function, *arguments)
    path = write(tmp_path, motion | {"extra": _boxed(attack)} if nested else attack)
    with pytest.raises(ValueError, match=re.escape(f"{path}: not a poselib motion: pickled class {name}: not allowed; expected arrays and plain containers. Available: coll")):
        poselib.load(path)
    assert list(tmp_path.iterdir()) == [tmp_path / "amp_humanoid_test.npy"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"__name__": "SkeletonState"}, "content: got SkeletonState, a single pose; expected a SkeletonMotion"),
        ({"fps": None}, "fps: got None; expected one number"),
        ({"is_local": False}, "is_local: got False; expected rotations relative to the parent body"),
        ({"rotation": {"arr": np.zeros((10, 14, 4))}}, r"rotation: got shape \(10, 14, 4\) of float64; expected \[T, 15, 4\] of floats"),
        ({"rotation": {}}, "field 'arr' is missing; expected rotation.arr, root_translation.arr"),
        ({"skeleton_tree": {"node_names": ["pelvis", "chest"]}}, "body torso is missing; expected the AMP humanoid's. Available: pelvis, chest"),
        ({"root_translation": {"arr": np.full((10, 3), np.nan)}}, "root_pos: frame 0 holds NaN"),
    ],
)
def test_bad_contents_are_refused(tmp_path, motion, change, message):
    with pytest.raises(ValueError, match=f"test.npy: {message}"):
        poselib.load(write(tmp_path, motion | change))


def test_other_content_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"content: got list; expected a SkeletonMotion"):
        poselib.load(write(tmp_path, _boxed([1, 2])))
    with pytest.raises(ValueError, match=r"not a poselib motion: got an array \(3,\) of float64; expected one pickled object"):
        poselib.load(write(tmp_path, np.zeros(3)))


def _boxed(value) -> np.ndarray:
    box = np.empty((), dtype=object)
    box[()] = value
    return box


def test_broken_and_missing_files_are_refused(tmp_path, motion):
    path = write(tmp_path, motion)
    with open(path, "rb") as file:
        whole = file.read()
    for content in (b"", b"\x93NUMPY", whole[:300], whole[:-200]):
        with open(path, "wb") as file:
            file.write(content)
        with pytest.raises(ValueError, match=r"test.npy: not a poselib motion: "):
            poselib.load(path)
    with pytest.raises(ValueError, match=r"none.npy: not a poselib motion: .*No such file"):
        poselib.load(tmp_path / "none.npy")

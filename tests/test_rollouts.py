"""What policies did, as clips and BVH, and back."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import run
from cfg.importing import ImportArgs, import_file
from cfg.previews import clip_qpos
from cfg.rollouts import rollout_clip, write_rollouts
from motions.clip import Clip
from motions.formats import bvh
from motions.rotations import quat_conj, quat_log, quat_mul
from motions.synthetic import sine_gait
from tests.commands import error_line


def assert_same(clip: Clip, back: Clip, skeleton) -> None:
    """No joint of any frame is turned by 0.1 degrees or moved by 1 mm."""
    assert (clip.num_frames, clip.joint_names) == (back.num_frames, back.joint_names)
    assert back.fps == pytest.approx(clip.fps, rel=1e-6)
    for ours, theirs in zip(clip.poses_on(skeleton)[1:], back.poses_on(skeleton)[1:], strict=True):
        assert torch.rad2deg(quat_log(quat_mul(quat_conj(ours), theirs)).norm(dim=-1)).max() < 0.1
    ours, theirs = (skeleton.forward_kinematics(*c.poses_on(skeleton))[0] for c in (clip, back))
    assert (ours - theirs).norm(dim=-1).max() < 1e-3


def imported(path: Path, character) -> Clip:
    return import_file(path, ImportArgs(files=(path,)), character)[0]


def test_the_motion_of_every_latent_is_written_and_comes_back(trained, tmp_path, character, capsys):
    folder = tmp_path / "a" / "rollouts"
    assert run.main(["render", str(trained), "--motions", str(folder), "--latents", "2", "--seconds", "0.5", "--clip", "walk"]) == 0
    assert f"wrote latent 0, latent 1 to {folder}, each as .npz and .bvh: 15 frames at 30 Hz\n" in capsys.readouterr().out
    assert sorted(p.name for p in folder.iterdir()) == ["latent_0.bvh", "latent_0.npz", "latent_1.bvh", "latent_1.npz"]
    clip = Clip.load(folder / "latent_0.npz")
    assert (clip.num_frames, clip.fps, clip.loop, clip.source) == (15, 30.0, "none", f"simulated: latent 0 of {trained}")
    assert np.ptp(clip.joint_quat, axis=0).max() > 0.01
    for path in folder.glob("*.bvh"):
        assert_same(Clip.load(path.with_suffix(".npz")), imported(path, character), character.skeleton)


def test_a_clip_of_positions_is_the_clip_they_came_from(character, skeleton):
    clip = sine_gait(skeleton, duration_s=0.5)
    back = rollout_clip(clip_qpos(clip, character), clip.fps, character, "back")
    assert_same(clip, back, skeleton)


def lying(skeleton) -> Clip:
    """One who lies still on the back for a second, head along x, breathing."""
    clip = sine_gait(skeleton, speed_mps=0.0, amplitude_rad=0.05, bob_m=0.0)
    quat = np.tile([math.cos(math.pi / 4), 0.0, -math.sin(math.pi / 4), 0.0], (clip.num_frames, 1))
    place = clip.root_pos * [1.0, 1.0, 0.0] + [0.0, 0.0, 0.1] + 0.01 * np.sin(np.arange(clip.num_frames))[:, None] * [0.0, 0.0, 1.0]
    return replace(clip, root_quat=quat, root_pos=place)


def test_one_who_lies_still_comes_back_lying(tmp_path, character, skeleton):
    clip = lying(skeleton)
    assert_same(clip, imported(bvh.save(clip, skeleton, tmp_path / "lying.bvh"), character), skeleton)


def test_one_who_starts_at_rest_and_is_thrown_keeps_the_first_frame(tmp_path, character, skeleton):
    clip = sine_gait(skeleton, amplitude_rad=0.01)
    turned = clip.joint_quat.copy()
    turned[1:, 0] = [math.cos(0.5), math.sin(0.5), 0.0, 0.0]
    clip = replace(clip, joint_quat=turned)
    assert_same(clip, imported(bvh.save(clip, skeleton, tmp_path / "thrown.bvh"), character), skeleton)


def test_names_become_file_names_and_bad_folders_are_refused(tmp_path, character, skeleton, capsys, trained):
    qpos = clip_qpos(sine_gait(skeleton, duration_s=0.2), character)[:, None]
    assert [p.name for p in write_rollouts(tmp_path, qpos, 30.0, character, ["a/b: c"], f"of {trained}")] == ["a_b_c.npz", "a_b_c.bvh"]
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=f"folder {tmp_path}/file: cannot be written: File exists"):
        write_rollouts(tmp_path / "file", qpos, 30.0, character, ["x"], f"of {trained}")
    assert f"got folder {trained}; expected a clip. What a run's characters do: run.py render {trained} --motions FOLDER" in error_line(
        capsys, "motions", "export", str(trained), "--out", str(tmp_path / "x.bvh")
    )

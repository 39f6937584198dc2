"""``run.py motions import``, ``export`` and ``render`` on files written here."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import run
from cfg.importing import ImportArgs, import_file, import_files
from cfg.previews import beside_source, clip_qpos, stick_figure
from envs.character import Character
from envs.film import PAPER
from envs.render import Camera
from motions.clip import Clip
from motions.formats import bvh
from motions.rotations import quat_conj, quat_log, quat_mul
from motions.source_motion import from_clip
from motions.synthetic import constant_spin, constant_velocity, sine_gait
from tests.motions.test_bvh import person
from tests.motions.test_deepmimic import row, write


def line_of(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    """What a command that fails prints on standard error."""
    assert run.main(["motions", *map(str, argv)]) == 2
    return capsys.readouterr().err


@pytest.fixture
def gait(tmp_path: Path, skeleton) -> Path:
    """A clip as BVH, 0.5 s."""
    return bvh.save(sine_gait(skeleton, duration_s=0.5), skeleton, tmp_path / "gait.bvh")


def test_a_clip_comes_back_from_bvh_as_it_was(tmp_path, skeleton, capsys):
    clip = sine_gait(skeleton, duration_s=0.5)
    clip.save(tmp_path / "gait.npz")
    assert run.main(["motions", "export", "gait", "--clips-dir", str(tmp_path), "--to", "bvh", "--out", str(tmp_path / "a" / "gait.bvh")]) == 0
    assert run.main(["motions", "import", str(tmp_path / "a" / "gait.bvh"), "--out", str(tmp_path / "b"), "--license", "free"]) == 0
    said = capsys.readouterr().out
    assert f"wrote {tmp_path}/a/gait.bvh: 16 frames, y up, facing +z, centimetres" in said
    assert "gait: 16 frames at 30 Hz, the character's own skeleton: taken as it is" in said
    assert "  up: +y (feet to head of the rest pose)" in said
    assert f"  wrote {tmp_path}/b/gait.npz\n1 of 1 motions imported to {tmp_path}/b\n" in said
    back = Clip.load(tmp_path / "b" / "gait.npz")
    assert (back.fps, back.source, back.license) == (30.0, "gait.bvh", "free")
    for ours, theirs in zip(clip.poses_on(skeleton)[1:], back.poses_on(skeleton)[1:], strict=True):
        assert torch.rad2deg(quat_log(quat_mul(quat_conj(ours.double()), theirs.double())).norm(dim=-1)).max() < 0.1
    pos, again = (skeleton.forward_kinematics(*c.poses_on(skeleton))[0] for c in (clip, back))
    assert (pos - again).norm(dim=-1).max() < 1e-3


def test_a_folder_goes_on_over_bad_files_and_passes_over_others(tmp_path, gait, capsys):
    folder = tmp_path / "takes"
    folder.mkdir()
    gait.rename(folder / "gait.bvh")
    write(folder, row(), row(), name="humanoid3d_walk.txt")
    (folder / "bad.bvh").write_text("HIERARCHY\nMOTION\n")
    (folder / "LICENSE.txt").write_text("do what you like")
    (folder / "02.asf").write_text(":version")
    error = line_of(capsys, "import", folder, "--out", tmp_path / "out")
    assert error == "error: run.py motions import: 1 of 3 files failed: bad.bvh\n"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["gait.npz", "walk.npz"]
    assert Clip.load(tmp_path / "out" / "walk.npz").license == "see LICENSE.txt beside humanoid3d_walk.txt"
    lines: list[str] = []
    with pytest.raises(ValueError, match="1 of 3 files failed"):
        import_files(ImportArgs(files=(folder,), out=tmp_path / "out"), lines.append)
    assert lines[0].startswith(f"failed: {folder}/bad.bvh: hierarchy: got 0 open braces, 0 joints")
    assert lines[1].endswith(f"  replaced {tmp_path}/out/gait.npz")
    assert lines[-1] == f"2 of 3 motions imported to {tmp_path}/out; 2 files of other kinds passed over"


def test_a_clips_name_stays_in_the_folder(tmp_path, skeleton):
    """A name from a file that nobody vouches for."""
    clip = sine_gait(skeleton, duration_s=0.2)
    written = []
    for name in ("../../evil", "/tmp/evil\\x", "...", "a\nb" + "c" * 300):
        replace(clip, name=name).save(tmp_path / "take.npz")
        written += import_files(ImportArgs(files=(tmp_path / "take.npz",), out=tmp_path / "out"), lambda line: None)
    assert [p.name for p in written] == ["_.._evil.npz", "_tmp_evil_x.npz", "clip.npz", "a_b" + "c" * 77 + ".npz"]
    assert {p.parent for p in written} == {tmp_path / "out"}


def test_two_takes_of_one_name_keep_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, row(), row(), name="walk.txt")
    written = import_files(ImportArgs(files=(tmp_path / "a", tmp_path / "b"), out=tmp_path / "out"), lambda line: None)
    assert [p.name for p in written] == ["walk.npz", "b_walk.npz"]


def test_another_skeleton_is_carried_over_and_reported(tmp_path, character):
    path = arms(tmp_path)
    clip, text = import_file(path, ImportArgs(files=(path,), loop="wrap", name="stand"), character)
    assert (clip.name, clip.loop) == ("stand", "wrap")
    lines = text.splitlines()
    assert lines[0].startswith("stand: 12 frames at 30 Hz by inverse kinematics, scale ")
    assert lines[1] == f"  BVH, {path}; skeleton map mixamo, 12 bodies of 17 joints"
    assert "  unit: cm (leg 80 long, 0.80 m)" in lines
    pos, _ = character.skeleton.forward_kinematics(*clip.poses_on(character.skeleton))
    at = character.skeleton.body_names.index
    assert float(pos[:, at("left_foot"), 1].mean()) > 0.05 + float(pos[:, at("pelvis"), 1].mean())
    assert float(pos[0, at("head"), 2]) > 1.0


def arms(tmp_path: Path) -> Path:
    """A figure in centimetres with hanging arms."""
    path = person(tmp_path, unit=100.0, rows=["0 85 0 0 0 0 " + " ".join(["0"] * 33) for _ in range(12)])
    joints = []
    for side, sign in (("Left", 1), ("Right", -1)):
        fore = f"JOINT {side}ForeArm\n{{\nOFFSET 0 -27 0\nCHANNELS 3 Zrotation Yrotation Xrotation\nEnd Site\n{{\nOFFSET 0 -25 0\n}}\n}}\n"
        joints.append(f"JOINT {side}Arm\n{{\nOFFSET {18 * sign} 48 0\nCHANNELS 3 Zrotation Yrotation Xrotation\n{fore}}}\n")
    text = path.read_text()
    path.write_text(text.replace("\n}\nMOTION", f"\n{''.join(joints)}}}\nMOTION"))
    return path


def test_an_unknown_skeleton_gets_the_table_and_a_map_of_ones_own_helps(tmp_path, capsys, character):
    path = arms(tmp_path)
    path.write_text(path.read_text().replace("LeftLeg", "Unterschenkel"))
    error = line_of(capsys, "import", path, "--out", tmp_path / "out")
    assert error.startswith("error: skeleton of 17 joints: no map fits; expected the joints of one of these. Available: biovision, biped, cmu,")
    assert "      Unterschenkel" in error
    assert "left_shin: ?" in error
    (tmp_path / "mine.yaml").write_text(error[error.index("  bodies:\n") :].replace("?", "Unterschenkel").replace("\n  ", "\n").lstrip())
    _, text = import_file(path, ImportArgs(files=(path,), map=str(tmp_path / "mine.yaml")), character)
    assert "skeleton map mine" in text
    with pytest.raises(ValueError, match=r"person: skeleton map smpl: body pelvis: got none of pelvis. Available: Hips, LeftUpLeg"):
        import_file(path, ImportArgs(files=(path,), map="smpl"), character)


def test_bad_requests_are_refused(tmp_path, gait, capsys):
    (tmp_path / "empty").mkdir()
    assert f"got {tmp_path}/empty without files; expected motion files or folders with some" in line_of(capsys, "import", tmp_path / "empty")
    assert "none.bvh: not found; expected a motion file" in line_of(capsys, "import", tmp_path / "none.bvh")
    assert "--name: got x for 2 files; expected one file" in line_of(capsys, "import", gait, tmp_path / "other.bvh", "--name", "x")
    assert "up: got 'w'; expected a signed axis" in line_of(capsys, "import", gait, "--up", "w", "--out", tmp_path / "out")
    assert "--to: got 'fbx'; expected one of: bvh" in line_of(capsys, "export", "x", "--to", "fbx", "--out", tmp_path / "x.fbx")
    assert "clip x: not in" in line_of(capsys, "export", "x", "--out", tmp_path / "x.bvh", "--clips-dir", tmp_path)
    assert "got neither --out nor --strip; expected at least one" in line_of(capsys, "render", "x")
    assert "--source: got 1 files for 2 clips; expected one a clip" in line_of(capsys, "render", "x", "y", "--strip", "a.png", "--source", gait)
    assert "command improt: unknown." in line_of(capsys, "improt")
    assert not (tmp_path / "out").exists()


def test_an_axis_with_a_minus_may_be_given(tmp_path, gait, capsys):
    assert run.main(["motions", "import", str(gait), "--up=-y", "--forward=-z", "--out", str(tmp_path / "out")]) == 0
    assert "  up: -y (given)\n  forward: -z (given)\n" in capsys.readouterr().out


def test_render_shows_the_clip_beside_its_source(tmp_path, skeleton, gait, monkeypatch):
    monkeypatch.setenv("CHARACTER_RENDERER", "stick")
    sine_gait(skeleton, duration_s=0.5).save(tmp_path / "gait.npz")
    args = ["motions", "render", str(tmp_path / "gait.npz"), "--source", str(gait), "--size", "64"]
    assert run.main([*args, "--strip", str(tmp_path / "a.png"), "--out", str(tmp_path / "a.mp4")]) == 0
    width, height = Image.open(tmp_path / "a.png").size
    assert width > 8 * 2 * 64
    assert height >= 64
    assert (tmp_path / "a.mp4").stat().st_size > 1000


def test_poses_are_the_clips(character: Character, skeleton):
    clip = sine_gait(skeleton, duration_s=0.5)
    qpos = clip_qpos(clip, character)
    assert qpos.shape == (16, character.model.nq)
    np.testing.assert_allclose(qpos[:, :3], clip.root_pos, atol=1e-6)
    np.testing.assert_allclose(qpos[:, 3:7], clip.root_quat, atol=1e-6)


def test_the_stick_figure_is_where_the_camera_sees_it(skeleton):
    source = from_clip(sine_gait(skeleton, speed_mps=0.0, amplitude_rad=0.0, bob_m=0.0, duration_s=0.1), skeleton)
    camera = Camera(np.array([0.0, 0.0, 0.9]), 4.0, 180.0, 0.0)  # looks along -x, at its face: its left is on the right of the picture
    picture = np.asarray(stick_figure(source, 0, camera, 200, 200)).astype(int)
    red, blue = (picture[..., 0] - picture[..., 2] > 60), (picture[..., 2] - picture[..., 0] > 60)
    assert np.nonzero(red)[1].mean() > 105
    assert np.nonzero(blue)[1].mean() < 95
    head = source.world_pos[0, source.names.index("head"), 2]
    row = 100 - 100 / math.tan(math.radians(14)) * (head - 0.9) / 4
    dark = (picture.sum(-1) < 300) & ~red & ~blue
    assert abs(np.nonzero(dark.any(1))[0].min() - row) < 5
    assert tuple(picture[0, 0]) == PAPER


def test_source_and_clip_keep_time(character, skeleton, monkeypatch):
    seen: list[int] = []

    class Flat:
        def __init__(self):
            self.character, self.width, self.height = character, 32, 32

        def frame(self, qpos, camera, tints=()):
            return np.zeros((32, 32, 3), np.uint8)

    monkeypatch.setattr("cfg.previews.stick_figure", lambda source, frame, *rest: seen.append(frame) or np.zeros((32, 32, 3), np.uint8))
    clip, source = sine_gait(skeleton, duration_s=0.2, fps=30.0), from_clip(sine_gait(skeleton, duration_s=0.15, fps=120.0), skeleton)
    assert [p.shape for p in beside_source(Flat(), clip, source)] == [(32, 64, 3)] * 7
    assert seen == [0, 4, 8, 12, 16, 18, 18]


QUICK = ["--samcon.trials", "32", "--samcon.survivors", "4", "--samcon.max-passes", "2"]


def test_clips_are_followed_filmed_and_saved_as_simulated(tmp_path, character, capsys):
    rest = constant_velocity(character.skeleton, (0.0, 0.0, 0.0), character.default_height_m, duration_s=0.6, loop="none")
    (tmp_path / "clips").mkdir()
    replace(rest, name="rest", license="free").save(tmp_path / "clips" / "rest.npz")
    files = ["--strip", tmp_path / "a.png", "--out", tmp_path / "a.mp4", "--save", tmp_path / "saved", "--size", "64"]
    assert run.main(["motions", "track", "rest", "--clips-dir", str(tmp_path / "clips"), *map(str, files), *QUICK]) == 0
    said = capsys.readouterr().out
    assert "rest                     followed for 0.6 of 0.6 s in " in said
    saved = Clip.load(tmp_path / "saved" / "rest.npz")
    assert (saved.num_frames, saved.fps, saved.license) == (18, 30.0, "free")
    assert saved.source == "simulated: rest after motions.synthetic"
    assert abs(saved.root_pos[0, 2] - character.default_height_m) < 1e-3
    assert (tmp_path / "a.mp4").stat().st_size > 1000
    assert Image.open(tmp_path / "a.png").width > 8 * 64


def test_what_was_found_can_be_refined(tmp_path, character, monkeypatch, capsys):
    monkeypatch.setattr("cfg.commands.motions.REFINERS", 16)
    rest = constant_velocity(character.skeleton, (0.0, 0.0, 0.0), character.default_height_m, duration_s=0.4, loop="none")
    replace(rest, name="rest").save(tmp_path / "rest.npz")
    args = ["motions", "track", "rest", "--clips-dir", str(tmp_path), *QUICK]
    assert run.main([*args, "--save", str(tmp_path / "found")]) == 0
    assert "refined" not in capsys.readouterr().out
    assert run.main([*args, "--save", str(tmp_path / "refined"), "--refine", "2"]) == 0
    words = capsys.readouterr().out.split("rest refined: mean cost ")[1].split()
    assert float(words[2]) < float(words[0])
    found, refined = (Clip.load(tmp_path / name / "rest.npz") for name in ("found", "refined"))
    assert found.num_frames == refined.num_frames
    assert not np.allclose(found.joint_quat, refined.joint_quat)
    assert line_of(capsys, "track", "--clips-dir", tmp_path, "--refine", "-1") == "error: run.py motions track: --refine: got -1; expected at least 0\n"


def test_there_is_nothing_to_draw_of_clips_that_nobody_can_follow(tmp_path, character, capsys):
    spun = constant_spin(character.skeleton, {"root": (0.0, 0.0, 60.0)}, height_m=0.89, duration_s=0.5)
    replace(spun, name="spun").save(tmp_path / "spun.npz")
    said = line_of(capsys, "track", "--clips-dir", tmp_path, "--strip", tmp_path / "a.png", *QUICK)
    assert said == "error: run.py motions track: no clip could be followed; nothing to draw\n"

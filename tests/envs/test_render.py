"""Pictures of characters, their cameras, and the files made of them."""

import math

import imageio_ffmpeg
import mujoco
import numpy as np
import pytest
from PIL import Image

import envs.render as render
from envs.film import beside, film, follow, grid, motion_strip, strip, trail, write_image, write_video
from envs.render import FOVY_DEG, Camera, gl_backend, make_renderer
from envs.state import StateCodec

SIZE = 160


@pytest.fixture(scope="module")
def gl(character):
    if not gl_backend():
        pytest.skip("no OpenGL works here (apt-get install libegl1 libgl1-mesa-dri)")
    renderer = make_renderer(character, SIZE, SIZE)
    yield renderer
    renderer.close()


@pytest.fixture(scope="module")
def stick(character):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARACTER_RENDERER", "stick")
        return make_renderer(character, SIZE, SIZE)


@pytest.fixture(params=["gl", "stick"])
def renderer(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def gait(character, library):
    """One second of a motion in which everything moves, ``[30, nq]``."""
    times = np.arange(30) / 30
    ids = library.weights.new_zeros(30).long()
    return StateCodec(character.skeleton).encode(library.state_at(ids, library.weights.new_tensor(times)))[0].double().numpy()


@pytest.fixture(scope="module")
def walking(character):
    """The rest pose carried along +x at 2 m/s, 60 frames at 30 Hz."""
    motion = np.tile(character.model.qpos0, (60, 1))
    motion[:, 0] = 2.0 * np.arange(60) / 30
    return motion


def figure(renderer, qpos, camera, tints=()):
    """Where a picture differs from the same one without its characters, ``[h, w]``."""
    away = np.array(qpos, dtype=float)
    away[..., :3] += [0.0, 0.0, -50.0]  # below the floor
    return np.abs(renderer.frame(qpos, camera, tints).astype(int) - renderer.frame(away, camera)).sum(-1) > 60


def test_a_standing_character_fills_two_thirds_of_the_picture(renderer, walking):
    picture = renderer.frame(walking[0], follow(renderer.character, walking)[0])
    assert picture.shape == (SIZE, SIZE, 3)
    assert picture.dtype == np.uint8
    rows, columns = np.nonzero(figure(renderer, walking[0], follow(renderer.character, walking)[0]))
    assert 0.6 < np.ptp(rows) / SIZE < 0.72
    assert rows.min() > 0.08 * SIZE
    assert rows.max() < 0.92 * SIZE
    assert abs(np.median(columns) - SIZE / 2) < 0.1 * SIZE


def test_pixels_are_where_the_camera_says(renderer, walking):
    """The head is the orange ball; its centre must project where `Camera.view` puts it."""
    camera = Camera(np.array([0.3, -0.2, 1.0]), 5.0, 70.0, -20.0)
    x, y, depth = camera.view(walking[0, :3] + [0.0, 0.0, 0.236151 + 0.223894 + 0.175])
    focal = SIZE / 2 / math.tan(math.radians(FOVY_DEG / 2))
    row, column = SIZE / 2 - focal * y / depth, SIZE / 2 + focal * x / depth
    red, green, blue = renderer.frame(walking[0], camera).astype(int)[: SIZE // 2].transpose(2, 0, 1)
    rows, columns = np.nonzero((red > green + 30) & (green > blue + 10))
    radius = focal * 0.095 / depth
    assert np.hypot(rows.mean() - row, columns.mean() - column) < 0.35 * radius
    assert np.ptp(columns) / 2 == pytest.approx(radius, rel=0.25)


def test_the_figure_moves_when_the_character_moves(renderer, walking):
    camera = follow(renderer.character, walking)[0]
    still, moved = (np.nonzero(figure(renderer, pose, camera))[1].mean() for pose in (walking[0], walking[6]))
    assert moved > still + 0.1 * SIZE  # 0.4 m towards the right of the picture, where it heads


def test_pictures_do_not_depend_on_earlier_ones(renderer, gait):
    cameras = follow(renderer.character, gait)
    first = renderer.frame(gait[0], cameras[0]).astype(int)
    renderer.frame(gait[[3, 9]], cameras[20], [render.GHOST])
    assert np.abs(renderer.frame(gait[0], cameras[0]) - first).max() <= 1


def test_a_second_character_stands_beside_the_first_in_its_tint(renderer, walking):
    pair = beside(walking, walking)
    camera = follow(renderer.character, pair)[0]
    shown = figure(renderer, pair[0], camera, (None, render.GHOST)).nonzero()[1]
    alone = figure(renderer, pair[0, 0], camera).nonzero()[1]
    assert shown.min() < alone.min() - 0.1 * SIZE
    assert shown.max() <= alone.max() + 2
    plain, tinted = renderer.frame(pair[0], camera), renderer.frame(pair[0], camera, (None, (0.0, 1.0, 0.0)))
    changed = (np.abs(plain.astype(int) - tinted).sum(-1) > 60).nonzero()[1]
    assert changed.max() < alone.max() - 0.1 * SIZE
    assert tinted.astype(int)[..., 1].sum() > plain.astype(int)[..., 1].sum()


def test_shadows_and_light_follow_the_camera(gl, walking):
    """The picture is the same far from the origin, and the character in it whatever way it heads."""
    camera = follow(gl.character, walking[:1])[0]
    here, shown = gl.frame(walking[0], camera).astype(int), figure(gl, walking[0], camera)
    far, turned = walking[:1].copy(), walking[:1].copy()
    far[0, :2] = [40.0, -26.0]  # whole tiles of the floor
    assert np.abs(here - gl.frame(far[0], follow(gl.character, far)[0])).mean() < 1.0
    turned[0, 3:7] = [math.cos(0.4), 0.0, 0.0, math.sin(0.4)]
    assert np.median(np.abs(here - gl.frame(turned[0], follow(gl.character, turned)[0]))[shown]) < 3.0


def test_a_fine_picture_is_the_same_with_softer_edges(gl, walking):
    camera = follow(gl.character, walking)[0]
    fine = make_renderer(gl.character, SIZE, SIZE, fine=True)
    difference = np.abs(fine.frame(walking[0], camera).astype(int) - gl.frame(walking[0], camera)).mean()
    fine.close()
    assert 0.0 < difference < 4.0


def test_cameras_follow_without_lag_and_smoothly(character, walking):
    cameras = follow(character, walking)
    path = np.array([c.lookat for c in cameras])
    assert np.allclose(path[:, :2], walking[:, :2], atol=1e-6)
    assert np.ptp([c.distance_m for c in cameras]) == 0.0
    shaken = walking.copy()
    shaken[:, 1] += 0.1 * (-1.0) ** np.arange(60)
    assert np.abs(np.array([c.lookat for c in follow(character, shaken)])[15:-15, 1]).max() < 0.01
    turned = walking.copy()
    turned[:, 3:7] = [math.cos(0.5), 0.0, 0.0, math.sin(0.5)]
    assert follow(character, turned)[0].azimuth_deg - cameras[0].azimuth_deg == pytest.approx(math.degrees(1.0), abs=1e-3)


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
def test_every_pose_is_in_the_picture(character, gait, aspect):
    leaping = gait.copy()
    leaping[:, 2] += 0.8 * np.sin(np.linspace(0, math.pi, 30))
    data, slope = mujoco.MjData(character.model), math.tan(math.radians(FOVY_DEG / 2))
    for pose, camera in zip(leaping, follow(character, leaping, aspect=aspect), strict=True):
        data.qpos = pose
        mujoco.mj_kinematics(character.model, data)
        x, y, depth = camera.view(data.xpos[1:]).T
        assert (np.abs(y) / depth / slope).max() < 0.95
        assert (np.abs(x) / depth / slope).max() < 0.95 * aspect


def test_strips_trails_and_grids(stick, gait):
    assert motion_strip(stick, gait, count=4, title="gait").shape == (SIZE + 28, 4 * SIZE + 12, 3)
    assert trail(stick, gait, count=3).shape == (SIZE, SIZE, 3)
    panels = [np.full((SIZE, SIZE, 3), 40 * k, np.uint8) for k in range(5)]
    sheet = grid(panels, 3, ["", "one", "a caption far too long for so small a panel, which is shrunk to fit", "", ""])
    assert sheet.shape == (2 * SIZE + 4, 3 * SIZE + 8, 3)
    assert (sheet[:SIZE, :SIZE] == 0).all()
    assert sheet[SIZE - 20 : SIZE, SIZE + 4 : 2 * SIZE + 4].max() > 200  # white letters
    assert (sheet[SIZE - 20 : SIZE, 2 * SIZE + 8 : 2 * SIZE + 12] < 200).all()  # none at the panel's edge
    assert strip(panels).shape == (SIZE, 5 * SIZE + 16, 3)
    for wrong in (lambda: grid([], 3), lambda: grid(panels, 0), lambda: grid([*panels, sheet], 3), lambda: grid(panels, 3, ["one"])):
        with pytest.raises(ValueError, match=r"picture grid: .*expected"):
            wrong()


def test_a_video_decodes_to_what_was_written(gl, gait, tmp_path):
    path = write_video(film(gl, gait[:12]), tmp_path / "new" / "gait.mp4", fps=24)
    assert imageio_ffmpeg.count_frames_and_secs(str(path)) == (12, pytest.approx(0.5, abs=0.05))
    reader = imageio_ffmpeg.read_frames(str(path))
    meta, first = next(reader), next(reader)
    reader.close()
    assert meta["size"] == (SIZE, SIZE)
    assert meta["codec"] == "h264"
    assert "yuv420p" in meta["pix_fmt"]
    decoded = np.frombuffer(first, np.uint8).reshape(SIZE, SIZE, 3).astype(int)
    assert np.abs(decoded - next(film(gl, gait[:12]))).mean() < 6.0
    odd = write_video(iter([np.zeros((65, 67, 3), np.uint8)] * 3), tmp_path / "odd.mp4")
    assert next(imageio_ffmpeg.read_frames(str(odd)))["size"] == (66, 64)  # cut to even ones


def test_files_that_cannot_be_written_are_one_clear_line(tmp_path):
    black = np.zeros((32, 32, 3), np.uint8)
    blocked = tmp_path / "file"
    blocked.write_text("")
    (tmp_path / "taken.mp4").mkdir()
    cases = {
        r"video .*film.mp4: got .*; expected a writable path": lambda: write_video([black], blocked / "film.mp4"),
        r"video .*taken.mp4: got .*; expected a writable path": lambda: write_video([black], tmp_path / "taken.mp4"),
        r"video .*none.mp4: got no frames; expected at least one": lambda: write_video([], tmp_path / "none.mp4"),
        r"video .*: frame: got shape \(16, 32, 3\); expected \(32, 32, 3\)": lambda: write_video([black, black[:16]], tmp_path / "mixed.mp4"),
        r"video .*film.xyz: got .*xyz; expected .*mp4": lambda: write_video([black], tmp_path / "film.xyz"),
        r"picture .*a.png: got .*; expected": lambda: write_image(black, blocked / "a.png"),
        r"picture .*a.nope: got .*; expected": lambda: write_image(black, tmp_path / "a.nope"),
    }
    for message, write in cases.items():
        with pytest.raises(ValueError, match=rf"^{message}[^\n]*$"):
            write()
    assert not (tmp_path / "none.mp4").exists()
    assert np.array_equal(np.asarray(Image.open(write_image(black, tmp_path / "sub" / "a.png"))), black)


def test_no_ffmpeg_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: (_ for _ in ()).throw(RuntimeError("No ffmpeg exe could be found.")))
    with pytest.raises(ValueError, match=r"video .*: got No ffmpeg exe could be found.; expected .*pip install imageio-ffmpeg"):
        write_video([np.zeros((32, 32, 3), np.uint8)], tmp_path / "a.mp4")


def test_without_opengl_flat_figures_are_drawn_and_one_line_says_what_to_install(character, monkeypatch, caplog):
    monkeypatch.setattr(render, "gl_backend", lambda: "")
    assert type(make_renderer(character, 32, 32)).__name__ == "StickRenderer"
    (record,) = caplog.records
    assert "no OpenGL" in record.getMessage()
    assert "libegl1 libgl1-mesa-dri" in record.getMessage()
    assert "libosmesa6" in record.getMessage()


def test_flat_figures_on_request(character, monkeypatch, caplog):
    monkeypatch.setattr(render, "gl_backend", lambda: pytest.fail("looked for OpenGL"))
    monkeypatch.setenv("CHARACTER_RENDERER", "stick")
    assert type(make_renderer(character, 32, 32)).__name__ == "StickRenderer"
    assert len(caplog.records) == 1
    monkeypatch.setenv("CHARACTER_RENDERER", "pretty")
    with pytest.raises(ValueError, match="CHARACTER_RENDERER: got pretty; expected stick"):
        make_renderer(character)
    monkeypatch.setenv("MUJOCO_GL", "off")
    assert gl_backend.__wrapped__() == ""


def test_poses_and_motions_that_make_no_sense(stick, gait):
    camera = follow(stick.character, gait)[0]
    broken = gait.copy()
    broken[7, 9] = np.nan
    cases = {
        r"picture of humanoid: qpos: got shape \[5\]; expected \[43\]": lambda: stick.frame(np.zeros(5), camera),
        r"picture of humanoid: qpos: got a value that is not finite": lambda: stick.frame(broken[7], camera),
        r"motion of humanoid: qpos: got a value that is not finite in frame 7": lambda: follow(stick.character, broken),
        r"motion of humanoid: qpos: got shape \[43\]; expected \[T, 43\]": lambda: follow(stick.character, gait[0]),
        r"motions side by side: got shapes": lambda: beside(gait, gait[:5]),
        r"picture size: got 8 x 480; expected 16 to 4096": lambda: make_renderer(stick.character, 8, 480),
    }
    for message, call in cases.items():
        with pytest.raises(ValueError, match=message):
            call()

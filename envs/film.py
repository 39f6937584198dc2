"""Motions as pictures: cameras that follow them, strips, grids with captions, and video files.

Shapes: ``T`` frames, ``k`` characters in one picture, ``h``, ``w`` pixels. Images are ``uint8 [h, w, 3]``; ``qpos`` holds world positions in metres, z up.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from envs.character import Character
from envs.marker import Marker
from envs.render import FOVY_DEG, GHOST, Camera, Picture, Renderer, Tint
from envs.state import StateCodec
from motions.rotations import heading

FILL = 0.66  # a standing character's share of the picture's height
MARGIN = 0.94  # no pose leaves this share of the picture's width and height
ELEVATION_DEG = -10.0
GAP_PX = 4
VIDEO_ENDINGS = (".mp4", ".mov", ".mkv")
Markers = Sequence[Sequence[Marker]]  # of each frame
PAPER, INK = (250, 250, 250), (28, 34, 42)


def follow(character: Character, qpos: ArrayLike, fps: float = 30.0, aspect: float = 1.0, view_deg: float = 120.0, smooth_s: float = 0.25) -> list[Camera]:
    """One camera a frame: they travel with the motion, in a fixed direction and at a fixed distance that keeps every pose in the picture.

    The path is a Gaussian low-pass of the root's, without lag; where there are several characters, of the middle between them.

    Args:
        qpos: ``[T, nq]`` or ``[T, k, nq]``.
        aspect: the picture's width over its height.
        view_deg: the camera's direction relative to the first character's first heading: 120 looks from its right and ahead of it, 90 from its right.
        smooth_s: standard deviation of the low-pass in seconds.
    """
    motion = motion_of(character, qpos)
    roots, poses = motion[..., :3], torch.from_numpy(motion).float()
    path = _smooth((roots.min(1) + roots.max(1)) / 2, smooth_s * fps)
    stature = _bounds(character, torch.as_tensor(character.model.qpos0, dtype=torch.float32))[:, 2].max()
    path[:, 2] = stature / 2 + np.maximum(0.5 * (path[:, 2] - character.default_height_m), -0.2 * stature)
    azimuth = math.degrees(float(heading(poses[0, 0, 3:7]))) + view_deg
    points = _bounds(character, poses)
    slope = math.tan(math.radians(FOVY_DEG / 2))
    distance = stature / FILL / 2 / slope
    for k, spot in enumerate(path):
        x, y, depth = Camera(spot, 0.0, azimuth, ELEVATION_DEG).view(points[k]).T
        distance = max(distance, *(np.maximum(np.abs(x) / aspect, np.abs(y)) / (MARGIN * slope) - depth))
    return [Camera(spot, distance, azimuth, ELEVATION_DEG) for spot in path]


def motion_of(character: Character, qpos: ArrayLike) -> NDArray[np.float64]:
    """``qpos [T, nq]`` or ``[T, k, nq]`` as ``[T, k, nq]``; raises ValueError for another shape or a value that is not finite."""
    motion = np.asarray(qpos, dtype=np.float64)
    motion = motion[:, None] if motion.ndim == 2 else motion
    if motion.ndim != 3 or motion.shape[2] != character.model.nq or not motion.size:
        raise ValueError(f"motion of {character.name}: qpos: got shape {list(np.shape(qpos))}; expected [T, {character.model.nq}] or [T, k, {character.model.nq}]")
    if not np.isfinite(motion).all():
        raise ValueError(f"motion of {character.name}: qpos: got a value that is not finite in frame {np.isfinite(motion).all((1, 2)).argmin()}; expected finite numbers")
    return motion


def _smooth(path: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """``path [T, 3]`` under a Gaussian of ``sigma`` frames, continued at its ends with the speed it has there."""
    reach = max(1, math.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-3)) ** 2)
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    return np.stack([np.convolve(column, kernel / kernel.sum(), mode="valid") for column in padded.T], axis=1)


def _bounds(character: Character, qpos: torch.Tensor) -> NDArray[np.float64]:
    """World points that bound the characters' geometry, ``[T, n, 3]`` of ``qpos [T, k, nq]`` (``[n, 3]`` of ``[nq]``)."""
    skeleton = character.skeleton
    flat = qpos.reshape(-1, qpos.shape[-1])
    state = StateCodec(skeleton).decode(flat, flat.new_zeros(len(flat), character.model.nv))
    bodies = skeleton.point_bodies
    centres = state.body_pos_w[:, bodies] + (state.body_mat_w[:, bodies] @ skeleton.point_offsets.unsqueeze(-1)).squeeze(-1)
    corners = torch.cat([centres + sign * skeleton.point_radii[:, None] * axis for sign in (-1, 1) for axis in torch.eye(3)], dim=1)
    return corners.reshape(*qpos.shape[:-2], -1, 3).double().numpy()


def beside(qpos: ArrayLike, other: ArrayLike, gap_m: float = 1.0, view_deg: float = 120.0) -> NDArray[np.float64]:
    """Two motions ``[T, nq]`` as one ``[T, 2, nq]``, the other (say the reference clip) moved to start ``gap_m`` to the left in the view of `follow`."""
    first, second = np.array(qpos, dtype=np.float64), np.array(other, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"motions side by side: got shapes {list(first.shape)} and {list(second.shape)}; expected the same")
    azimuth = float(heading(torch.as_tensor(first[0, 3:7]))) + math.radians(view_deg)
    second[:, :2] += first[0, :2] - second[0, :2] - gap_m * np.array([math.sin(azimuth), -math.cos(azimuth)])
    return np.stack((first, second), axis=1)


def film(renderer: Renderer, qpos: ArrayLike, fps: float = 30.0, tints: Sequence[Tint] = (None, GHOST), view_deg: float = 120.0, markers: Markers = ()) -> Iterator[Picture]:
    """The pictures of a motion ``[T, nq]`` or ``[T, k, nq]``, with each frame's markers, one at a time. Several motions may be filmed with one renderer at once."""
    poses = motion_of(renderer.character, qpos)
    for k, camera in enumerate(follow(renderer.character, poses, fps, renderer.width / renderer.height, view_deg)):
        yield renderer.frame(poses[k], camera, tints, markers[k] if markers else ())


def motion_strip(renderer: Renderer, qpos: ArrayLike, count: int = 6, fps: float = 30.0, title: str | None = None, view_deg: float = 120.0, markers: Markers = ()) -> Picture:
    """``count`` pictures at equal times from the first frame of a motion ``[T, nq]`` or ``[T, k, nq]`` to its last, with each frame's markers, side by side with their times."""
    poses = motion_of(renderer.character, qpos)
    cameras = follow(renderer.character, poses, fps, renderer.width / renderer.height, view_deg)
    chosen = np.linspace(0, len(poses) - 1, count).round().astype(int)
    pictures = [renderer.frame(poses[k], cameras[k], (None, GHOST), markers[k] if markers else ()) for k in chosen]
    return strip(pictures, [f"{k / fps:.2f} s" for k in chosen], title)


def trail(renderer: Renderer, qpos: ArrayLike, count: int = 6, view_deg: float = 90.0) -> Picture:
    """One wide picture of a motion ``[T, nq]``: the character ``count`` times along its path at equal times, the last in its own colours, earlier ones paler."""
    poses = motion_of(renderer.character, qpos)[:, 0]
    poses = poses[np.linspace(0, len(poses) - 1, count).round().astype(int)]
    camera = follow(renderer.character, poses[None], aspect=renderer.width / renderer.height, view_deg=view_deg)[0]
    return renderer.frame(poses, camera, [GHOST] * (count - 1))


@functools.lru_cache(maxsize=256)
def _label(text: str, width: int, height: int, background: tuple[int, ...], ink: tuple[int, ...]) -> Image.Image:
    """A strip of ``width`` x ``height`` pixels with centred text, shrunk where it would not fit."""
    label = Image.new("RGBA", (width, height), background)
    size = 0.62 * height
    size *= min(1.0, 0.94 * width / max(ImageFont.load_default(size).getlength(text), 1.0))
    ImageDraw.Draw(label).text((width / 2, height / 2), text, ink, ImageFont.load_default(size), anchor="mm")
    return label


def grid(frames: Sequence[Picture], columns: int, captions: Sequence[str] | None = None) -> Picture:
    """Pictures of one size ``[h, w, 3]`` in rows of ``columns``, each with its caption on a translucent strip along its lower edge."""
    if not frames or columns < 1 or any(f.shape != frames[0].shape for f in frames):
        raise ValueError(f"picture grid: got {len(frames)} pictures of shapes {sorted({f.shape for f in frames})} in {columns} columns; expected one size and at least one each")
    if captions is not None and len(captions) != len(frames):
        raise ValueError(f"picture grid: captions: got {len(captions)}; expected {len(frames)}, one a picture")
    h, w = frames[0].shape[:2]
    columns = min(columns, len(frames))
    rows = math.ceil(len(frames) / columns)
    sheet = Image.new("RGB", (columns * (w + GAP_PX) - GAP_PX, rows * (h + GAP_PX) - GAP_PX), PAPER)
    for k, frame in enumerate(frames):
        x, y = k % columns * (w + GAP_PX), k // columns * (h + GAP_PX)
        sheet.paste(Image.fromarray(frame), (x, y))
        if captions is not None and captions[k]:
            label = _label(captions[k], w, max(20, h // 13), (*INK, 150), (255, 255, 255))
            sheet.paste(label, (x, y + h - label.height), label)
    return np.asarray(sheet)


def strip(frames: Sequence[Picture], captions: Sequence[str] | None = None, title: str | None = None) -> Picture:
    """Pictures of one size side by side, below a title."""
    body = grid(frames, len(frames), captions)
    if not title:
        return body
    head = _label(title, body.shape[1], max(28, body.shape[0] // 10), (*PAPER, 255), INK)
    return np.concatenate((np.asarray(head.convert("RGB")), body))


def write_image(image: Picture, path: str | Path) -> Path:
    """Writes a picture; the name's ending says the format. Makes the folder."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"picture {path}: got {error}; expected a writable path with an image format's ending") from None
    return path


def write_video(frames: Iterable[Picture], path: str | Path, fps: float = 30.0, crf: int = 20) -> Path:
    """Writes pictures of one size as H.264 (yuv420p, plays anywhere); an odd last row or column is cut off. Makes the folder.

    Raises:
        ValueError: nothing to write, no ffmpeg, or a path that cannot be written.
    """
    path, source = Path(path), iter(frames)
    if path.suffix.lower() not in VIDEO_ENDINGS:
        raise ValueError(f"video {path}: got ending {path.suffix or 'none'}; expected {' or '.join(VIDEO_ENDINGS)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("wb").close()
        imageio_ffmpeg.get_ffmpeg_exe()
    except (OSError, RuntimeError) as error:
        raise ValueError(f"video {path}: got {error}; expected a writable path and an ffmpeg (pip install imageio-ffmpeg)") from None
    first = next(source, None)
    if first is None:
        path.unlink()
        raise ValueError(f"video {path}: got no frames; expected at least one")
    h, w = first.shape[0] // 2 * 2, first.shape[1] // 2 * 2
    writer = imageio_ffmpeg.write_frames(
        str(path), (w, h), fps=fps, codec="libx264", pix_fmt_out="yuv420p", macro_block_size=2, output_params=["-crf", str(crf), "-movflags", "+faststart"]
    )
    writer.send(None)
    try:
        for frame in chain((first,), source):
            if frame.shape != first.shape:
                raise ValueError(f"video {path}: frame: got shape {frame.shape}; expected {first.shape} like the first")
            writer.send(np.ascontiguousarray(frame[:h, :w]))
    except OSError as error:
        raise ValueError(f"video {path}: got {str(error).strip().splitlines()[-1]}; expected ffmpeg to take every frame") from None
    finally:
        writer.close()
    return path

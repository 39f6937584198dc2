"""Clips as pictures beside the motions they came from: the source as a stick figure, in the camera that films the character.

Shapes: ``T`` frames, ``J`` joints of the source, ``h``, ``w`` pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from envs.character import Character
from envs.film import INK, PAPER, follow
from envs.render import FOVY_DEG, Camera, Picture, Renderer
from envs.state import StateCodec
from motions.clip import Clip
from motions.source_motion import SourceMotion

LEFT, RIGHT, GRID = (200, 80, 40), (40, 100, 190), (214, 218, 224)
REACH_M = 4


def clip_qpos(clip: Clip, character: Character) -> NDArray[np.float64]:
    """A clip as MuJoCo's positions, ``[T, nq]``.

    Raises:
        ValueError: the clip lacks one of the character's joints.
    """
    root_pos, root_quat, joint_quat = clip.poses_on(character.skeleton)
    still, rates = torch.zeros_like(root_pos), torch.zeros(len(root_pos), character.skeleton.num_dofs, dtype=root_pos.dtype)
    return StateCodec(character.skeleton).encode(character.skeleton.state(root_pos, root_quat, still, still, joint_quat, rates))[0].numpy()


def beside_source(renderer: Renderer, clip: Clip, source: SourceMotion | None = None, view_deg: float = 120.0) -> Iterator[Picture]:
    """The pictures of a clip, with the source's stick figure at the same time on their right where there is one."""
    qpos = clip_qpos(clip, renderer.character)
    for k, (pose, camera) in enumerate(zip(qpos, follow(renderer.character, qpos, clip.fps, renderer.width / renderer.height, view_deg), strict=True)):
        picture = renderer.frame(pose, camera)
        if source is not None:
            frame = min(round(k / clip.fps * source.fps), len(source.root_pos) - 1)
            spot = np.array([*source.world_pos[frame, 0, :2], camera.lookat[2]])
            picture = np.concatenate((picture, stick_figure(source, frame, replace(camera, lookat=spot), renderer.width, renderer.height)), axis=1)
        yield picture


def stick_figure(source: SourceMotion, frame: int, camera: Camera, width: int, height: int) -> Picture:
    """A source's bones over a floor with lines 1 m apart: left side red, right side blue, the rest dark."""
    image = Image.new("RGB", (2 * width, 2 * height), PAPER)
    draw = ImageDraw.Draw(image)
    marks = np.arange(-REACH_M, REACH_M + 1.0)
    corner = np.array([*np.floor(camera.lookat[:2]), 0.0])
    for mark in marks:
        for ends in ([[mark, -REACH_M, 0], [mark, REACH_M, 0]], [[-REACH_M, mark, 0], [REACH_M, mark, 0]]):
            _line(draw, _pixels(np.linspace(ends[0], ends[1], 2 * REACH_M + 1) + corner, camera, width, height), GRID, 2)
    points = _pixels(source.world_pos[frame], camera, width, height)
    sides = _sides(source)
    for k, parent in enumerate(source.parents):
        if parent >= 0:
            _line(draw, points[[parent, k]], (INK, LEFT, RIGHT)[sides[k]], max(4, width // 50))
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def _sides(source: SourceMotion) -> list[int]:
    """For each joint 1 (left), 2 (right) or 0, by its name."""
    kinds = []
    for name in source.names:
        short = name.split(":")[-1].lower()
        left = short.startswith(("left", "l_")) or (short[:1] == "l" and short[1:] in _limbs(source, "r"))
        right = short.startswith(("right", "r_")) or (short[:1] == "r" and short[1:] in _limbs(source, "l"))
        kinds.append(1 if left else 2 if right else 0)
    return kinds


def _limbs(source: SourceMotion, side: str) -> set[str]:
    """What the names that begin with a letter go on with."""
    return {short[1:] for name in source.names if (short := name.split(":")[-1].lower()).startswith(side)}


def _pixels(points: NDArray[np.float64], camera: Camera, width: int, height: int) -> NDArray[np.float64]:
    """World points ``[n, 3]`` in a picture of twice the size, ``[n, 2]``; NaN behind the camera."""
    x, y, depth = camera.view(points).T
    focal = height / math.tan(math.radians(FOVY_DEG / 2))
    safe = np.where(depth > 0.1, depth, np.nan)
    return np.stack((width + focal * x / safe, height - focal * y / safe), axis=1)


def _line(draw: ImageDraw.ImageDraw, points: NDArray[np.float64], colour: tuple[int, int, int], width: int) -> None:
    for a, b in pairwise(points):
        if np.isfinite((a, b)).all() and np.abs((a, b)).max() < 1e5:
            draw.line([tuple(a), tuple(b)], fill=colour, width=width)

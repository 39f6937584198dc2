"""Flat figures drawn with Pillow, for machines without OpenGL."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from envs.character import Character
from envs.marker import Marker
from envs.render import FOVY_DEG, Camera, Picture, Tint, poses_of, tinted

SKY, HAZE, FLOOR, LINE, SHADE = (np.array(rgb) for rgb in ((0.55, 0.69, 0.86), (0.80, 0.86, 0.92), (0.66, 0.71, 0.76), (0.60, 0.65, 0.70), (0.44, 0.49, 0.55)))
REACH_M = 14  # of the floor's lines around the character
NEAR_M = 0.3  # what is nearer to the camera is left out


class StickRenderer:
    """Every geom is a stroke with round ends, far ones first, over a floor with lines 1 m apart; drawn at twice the size and reduced."""

    def __init__(self, character: Character, width: int, height: int):
        self.character, self.width, self.height = character, width, height
        model = character.model
        self._data = mujoco.MjData(model)
        self._geoms = np.flatnonzero(model.geom_bodyid > 0)
        bones = [_bone(mujoco.mjtGeom(int(model.geom_type[geom])), model.geom_size[geom]) for geom in self._geoms]
        self._halves, self._radii = np.array([half for half, _ in bones]), np.array([radius for _, radius in bones])
        materials = model.geom_matid[self._geoms]
        self._colours = np.where(materials[:, None] >= 0, model.mat_rgba[materials], model.geom_rgba[self._geoms])[:, :3]
        marks = np.arange(-REACH_M, REACH_M + 1.0)
        along, across = (grid.ravel() for grid in np.meshgrid(marks[:-1], marks))  # in pieces of 1 m, so that only what lies behind the camera is lost
        pieces = np.stack((np.stack((along, across), -1), np.stack((along + 1, across), -1)), axis=1)
        self._floor = np.pad(np.concatenate((pieces, pieces[..., ::-1])), ((0, 0), (0, 0), (0, 1)))  # [n, 2, 3]

    def frame(self, qpos: ArrayLike, camera: Camera, tints: Sequence[Tint] = (), markers: Sequence[Marker] = ()) -> Picture:
        """See `envs.render.Renderer.frame`."""
        poses = poses_of(self.character, qpos)
        ends = np.concatenate([self._bones(pose) for pose in poses])  # [k * geoms, 2, 3]
        radii = np.tile(self._radii, len(poses))
        colours = np.concatenate([tinted(self._colours, tints[k] if k < len(tints) else None) for k in range(len(poses))])
        image = _backdrop(2 * self.width, 2 * self.height, camera)
        floor = self._floor + np.round(camera.lookat * [1.0, 1.0, 0.0])
        _strokes(image, camera, floor, np.zeros(len(floor)), np.tile(LINE, (len(floor), 1)))
        _strokes(image, camera, ends * [1.0, 1.0, 0.0], radii, np.tile(SHADE, (len(ends), 1)))
        for m in markers:
            _strokes(image, camera, np.array([[m.pos, m.pos if m.kind == "ball" else m.to]]), np.array([m.radius_m]), np.array([m.rgb]))
        order = np.argsort(-camera.view(ends)[..., 2].mean(1))
        outlined = np.repeat(order, 2)  # each geom first as its own dark outline
        width, light = np.tile([1.0, 0.86], len(order)), np.tile([0.7, 1.0], len(order))
        _strokes(image, camera, ends[outlined], width * radii[outlined], light[:, None] * colours[outlined])
        return np.asarray(image.resize((self.width, self.height), Image.Resampling.BOX))

    def _bones(self, pose: NDArray[np.float64]) -> NDArray[np.float64]:
        """World ends of every geom's axis, ``[geoms, 2, 3]``."""
        self._data.qpos = pose
        mujoco.mj_kinematics(self.character.model, self._data)
        middle = self._data.geom_xpos[self._geoms]
        half = np.einsum("gij,gj->gi", self._data.geom_xmat[self._geoms].reshape(-1, 3, 3), self._halves)
        return np.stack((middle - half, middle + half), axis=1)

    def close(self) -> None:
        """See `envs.render.Renderer.close`."""


def _bone(kind: mujoco.mjtGeom, size: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Half the axis ``[3]`` of a geom in its own frame and the radius around it, metres; a box lies along its longest side."""
    if kind in (mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_CYLINDER):
        return np.array([0.0, 0.0, size[1]]), float(size[0])
    radius = float(np.sort(size)[:2].mean())
    return np.eye(3)[size.argmax()] * (size.max() - radius), radius


def _backdrop(w: int, h: int, camera: Camera) -> Image.Image:
    """Sky and floor without lines, ``w`` x ``h`` pixels."""
    focal = h / 2 / math.tan(math.radians(FOVY_DEG / 2))
    below = (np.arange(h)[:, None] - h / 2 - focal * math.tan(math.radians(camera.elevation_deg))) / h  # the horizon, in heights of the picture
    rgb = np.where(below < 0, HAZE + (SKY - HAZE) * np.clip(-2 * below, 0, 1), HAZE + (FLOOR - HAZE) * np.clip(3 * below, 0, 1) ** 0.5)
    return Image.fromarray(np.broadcast_to(255 * rgb[:, None], (h, w, 3)).astype(np.uint8))


def _strokes(image: Image.Image, camera: Camera, ends: NDArray, radii: NDArray, colours: NDArray) -> None:
    """Draws lines between world points ``ends [n, 2, 3]`` with round ends of ``radii [n]`` metres (0: a hair line) in ``colours [n, 3]`` from 0 to 1, in order."""
    draw, (w, h) = ImageDraw.Draw(image), image.size
    focal = h / 2 / math.tan(math.radians(FOVY_DEG / 2))
    x, y, depth = np.moveaxis(camera.view(ends), -1, 0)  # [n, 2] each
    seen = depth.min(1) > NEAR_M
    scale = focal / np.maximum(depth, NEAR_M)
    column, row, radius = w / 2 + x * scale, h / 2 - y * scale, radii[:, None] * scale
    rgb = (255 * np.clip(colours, 0, 1)).astype(int)
    for n in np.flatnonzero(seen):
        colour = tuple(rgb[n].tolist())
        draw.line([column[n, 0], row[n, 0], column[n, 1], row[n, 1]], colour, max(2, round(2 * radius[n].mean())))
        if radii[n]:
            for px, py, r in zip(column[n], row[n], radius[n], strict=True):
                draw.ellipse((px - r, py - r, px + r, py + r), colour)

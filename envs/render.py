"""Offscreen pictures of characters: MuJoCo's OpenGL renderer, or flat figures where no OpenGL works. `envs.film` makes motions, strips and videos of them.

Shapes: ``k`` characters in one picture, ``h``, ``w`` pixels. The world frame is z up, metres. Images are ``uint8 [h, w, 3]``.
"""

from __future__ import annotations

import atexit
import copy
import functools
import importlib
import logging
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from envs.character import Character
from envs.marker import Marker

log = logging.getLogger(__name__)
Picture = NDArray[np.uint8]
Tint = tuple[float, float, float] | None  # RGB in 0..1 that a character's own colours are pulled towards
GHOST: Tint = (0.62, 0.66, 0.70)
FOVY_DEG = 28.0
SUN_M = 6.0  # from a directional light to what it lights
SHADOW_SHARE = 1.6  # half the side of the square that holds shadows, over half the larger side of what is seen at the distance looked at
PENUMBRA = 0.03  # half the sun's apparent size in a fine picture, radians
GL_LIGHTS = 8  # that OpenGL has
LIGHT_FIELDS = ("id", "type", "texid", "attenuation", "cutoff", "exponent", "ambient", "diffuse", "specular", "headlight", "castshadow")
HUB_RGBA = np.array([0.22, 0.25, 0.29, 1.0], np.float32)
_PROBE = "import importlib, mujoco\ngl = importlib.import_module('mujoco.{0}').GLContext(64, 64)\ngl.make_current()\n" + (
    "context = mujoco.MjrContext(mujoco.MjModel.from_xml_string('<mujoco/>'), 100)\ncontext.free()\ngl.free()\nprint('drawn')"
)


@dataclass(frozen=True)
class Camera:
    """A perspective camera (vertical field of view `FOVY_DEG`) that looks at ``lookat [3]``; angles as in MuJoCo: an elevation below 0 looks down."""

    lookat: NDArray[np.float64]
    distance_m: float
    azimuth_deg: float
    elevation_deg: float

    def view(self, points: NDArray) -> NDArray:
        """World points ``[..., 3]`` in the camera's frame: right, up and depth along its axis, metres."""
        a, e = math.radians(self.azimuth_deg), math.radians(self.elevation_deg)
        right, forward = np.array([math.sin(a), -math.cos(a), 0.0]), np.array([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])
        return (points - self.lookat) @ np.stack((right, np.cross(right, forward), forward), axis=1) + [0.0, 0.0, self.distance_m]


class Renderer(Protocol):
    """What `make_renderer` returns. Pictures are independent of each other, so any number of motions may share one renderer."""

    character: Character
    width: int
    height: int

    def frame(self, qpos: ArrayLike, camera: Camera, tints: Sequence[Tint] = (), markers: Sequence[Marker] = ()) -> Picture:
        """One picture of the poses ``qpos [nq]`` or ``[k, nq]`` and of ``markers``; ``tints`` colours the first characters and leaves the others as they are."""

    def close(self) -> None:
        """Frees what the renderer holds."""


def make_renderer(character: Character, width: int = 480, height: int = 480, fine: bool = False) -> Renderer:
    """The best renderer that works here, for pictures of ``width`` x ``height`` pixels; ``close`` it after use.

    ``fine`` is for stills: softer shadows and smoother edges at about eight times the cost. The environment variable ``CHARACTER_RENDERER=stick`` asks for flat
    figures, ``MUJOCO_GL`` for one OpenGL backend.
    """
    wanted = os.environ.get("CHARACTER_RENDERER", "")
    if wanted not in ("", "stick"):
        raise ValueError(f"environment variable CHARACTER_RENDERER: got {wanted}; expected stick, or nothing for the best that works")
    if min(width, height) < 16 or max(width, height) > 4096:
        raise ValueError(f"picture size: got {width} x {height}; expected 16 to 4096 pixels each")
    backend = "" if wanted else gl_backend()
    if backend:
        return SceneRenderer(character, width, height, backend, fine)
    log.warning("drawing flat figures%s; for lit pictures: apt-get install libegl1 libgl1-mesa-dri, or libosmesa6", " as asked" if wanted else ": no OpenGL works here")
    from envs.stick import StickRenderer  # needs this module

    return StickRenderer(character, width, height)


@functools.cache
def gl_backend() -> str:
    """MuJoCo's OpenGL backend that works here, or an empty string. Each is tried in a process of its own: one that failed spoils the next in the same process."""
    known, wanted = ("egl", "osmesa", "cgl", "glfw"), os.environ.get("MUJOCO_GL", "").lower()
    usual = {"linux": known[:2], "darwin": ("cgl",)}.get(sys.platform, ("glfw",))
    for name in (wanted,) if wanted in known else () if wanted in ("disable", "disabled", "off", "false", "0") else usual:
        try:
            probe = subprocess.run([sys.executable, "-c", _PROBE.format(name)], env={**os.environ, "MUJOCO_GL": name}, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            continue
        if "drawn" in probe.stdout:
            return name
    return ""


def poses_of(character: Character, qpos: ArrayLike) -> NDArray[np.float64]:
    """``qpos [nq]`` or ``[k, nq]`` as ``[k, nq]``."""
    poses = np.atleast_2d(np.asarray(qpos, dtype=np.float64))
    if poses.ndim != 2 or poses.shape[1] != character.model.nq:
        raise ValueError(f"picture of {character.name}: qpos: got shape {list(np.shape(qpos))}; expected [{character.model.nq}] or [k, {character.model.nq}]")
    if not np.isfinite(poses).all():
        raise ValueError(f"picture of {character.name}: qpos: got a value that is not finite; expected finite numbers")
    return poses


def tinted(rgb: NDArray, tint: Tint) -> NDArray:
    """Colours ``[..., 3]`` pulled three quarters of the way to a tint."""
    return rgb if tint is None else 0.25 * rgb + 0.75 * np.asarray(tint)


def _hubs(model: mujoco.MjModel) -> list[tuple[int, float]]:
    """A ball at every joint that closes the gap between two limbs: joint id, radius in metres a little below the thinner limb's."""
    hubs = []
    for joint in np.flatnonzero(model.jnt_type != mujoco.mjtJoint.mjJNT_FREE):
        body = model.jnt_bodyid[joint]
        sizes = model.geom_size[np.isin(model.geom_bodyid, (body, model.body_parentid[body]))]
        if len(sizes):
            hubs.append((int(joint), 0.93 * float(np.where(sizes[:, 2:] > 0, sizes, sizes[:, :1]).min())))
    return hubs


def _draw(scene: mujoco.MjvScene, marker: Marker) -> None:
    """Adds a marker to the scene."""
    geom, rgba = scene.geoms[scene.ngeom], np.array([*marker.rgb, 1.0], np.float32)
    kinds = {"arrow": mujoco.mjtGeom.mjGEOM_ARROW, "ball": mujoco.mjtGeom.mjGEOM_SPHERE, "post": mujoco.mjtGeom.mjGEOM_CYLINDER}
    mujoco.mjv_initGeom(geom, kinds[marker.kind], np.full(3, marker.radius_m), np.array(marker.pos), np.eye(3).ravel(), rgba)
    if marker.kind != "ball":
        mujoco.mjv_connector(geom, kinds[marker.kind], marker.radius_m, np.array(marker.pos), np.array(marker.to))
    geom.category, geom.specular, geom.emission = mujoco.mjtCatBit.mjCAT_DYNAMIC, 0.1, 0.3
    scene.ngeom += 1


class SceneRenderer:
    """MuJoCo's renderer with the model's own materials, fog and lights; the lights' directions hold for a camera that looks along +y and turn with it.

    A picture is drawn at one and a half times its size and reduced. A ``fine`` one at three times, its shadows softened by spreading each shadow light over all that OpenGL has.
    """

    def __init__(self, character: Character, width: int, height: int, backend: str, fine: bool = False):
        self.character, self.width, self.height, self._fine = character, width, height, fine
        self._model = model = copy.deepcopy(character.model)
        w, h = (round(size * (3 if fine else 1.5)) for size in (width, height))
        model.vis.global_.offwidth, model.vis.global_.offheight, model.vis.global_.fovy, model.vis.quality.offsamples = w, h, FOVY_DEG, 0
        model.vis.quality.shadowsize *= 2 if fine else 1
        self._data, self._scene = mujoco.MjData(model), mujoco.MjvScene(model, maxgeom=10_000)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_FOG] = True
        self._hubs = _hubs(model)
        self._option, self._nudge, self._area = mujoco.MjvOption(), mujoco.MjvPerturb(), mujoco.MjrRect(0, 0, w, h)
        self._gl = importlib.import_module(f"mujoco.{backend}").GLContext(w, h)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        atexit.register(self.close)  # before the backend ends its own connection

    def frame(self, qpos: ArrayLike, camera: Camera, tints: Sequence[Tint] = (), markers: Sequence[Marker] = ()) -> Picture:
        """See `Renderer.frame`."""
        view, scene = mujoco.MjvCamera(), self._scene
        view.lookat, view.distance, view.azimuth, view.elevation = camera.lookat, camera.distance_m, camera.azimuth_deg, camera.elevation_deg
        for k, pose in enumerate(poses_of(self.character, qpos)):
            first = self._add(pose, None if k else view)
            for geom in scene.geoms[first : scene.ngeom] if k < len(tints) and tints[k] is not None else ():
                if geom.category == mujoco.mjtCatBit.mjCAT_DYNAMIC:
                    geom.rgba[:3] = tinted(geom.rgba[:3], tints[k])
        for marker in markers:
            _draw(scene, marker)
        for geom in scene.geoms[: scene.ngeom]:
            if geom.type == mujoco.mjtGeom.mjGEOM_PLANE:
                geom.category = mujoco.mjtCatBit.mjCAT_DECOR  # which casts no shadow: the floor's would fall on itself as noise
        self._light(camera)
        self._context.shadowClip = SHADOW_SHARE * camera.distance_m * math.tan(math.radians(FOVY_DEG / 2)) * max(1.0, self.width / self.height)
        image = np.empty((self._area.height, self._area.width, 3), np.uint8)
        self._gl.make_current()
        mujoco.mjr_render(self._area, scene, self._context)
        mujoco.mjr_readPixels(image, None, self._area, self._context)
        return np.asarray(Image.fromarray(image[::-1]).resize((self.width, self.height), Image.Resampling.BOX))

    def _add(self, pose: NDArray[np.float64], view: mujoco.MjvCamera | None) -> int:
        """Adds a character to the scene, with the rest of the model if there is a ``view``; returns the index of its first geom."""
        model, data, scene = self._model, self._data, self._scene
        data.qpos = pose
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_camlight(model, data)
        first = scene.ngeom if view is None else 0
        if view is not None:
            mujoco.mjv_updateScene(model, data, self._option, None, view, mujoco.mjtCatBit.mjCAT_ALL, scene)
        else:
            mujoco.mjv_addGeoms(model, data, self._option, self._nudge, mujoco.mjtCatBit.mjCAT_DYNAMIC, scene)
        for joint, radius in self._hubs:
            hub = scene.geoms[scene.ngeom]
            mujoco.mjv_initGeom(hub, mujoco.mjtGeom.mjGEOM_SPHERE, np.full(3, radius), data.xanchor[joint], np.eye(3).ravel(), HUB_RGBA)
            hub.category, hub.specular, hub.shininess = mujoco.mjtCatBit.mjCAT_DYNAMIC, 0.2, 0.3
            scene.ngeom += 1
        return first

    def _light(self, camera: Camera) -> None:
        """Turns the directional lights with the camera and centres their shadows, which reach only so far, on what it looks at."""
        scene, turn = self._scene, math.radians(camera.azimuth_deg - 90.0)
        rotation = np.array([[math.cos(turn), -math.sin(turn), 0.0], [math.sin(turn), math.cos(turn), 0.0], [0.0, 0.0, 1.0]])
        lights = [light for light in scene.lights[: scene.nlight] if light.type == mujoco.mjtLightType.mjLIGHT_DIRECTIONAL and not light.headlight]
        for light in lights:
            light.dir = rotation @ light.dir
            light.pos = camera.lookat - SUN_M * light.dir
        suns = [light for light in lights if light.castshadow] if self._fine else []
        copies = max(0, GL_LIGHTS - scene.nlight) // max(len(suns), 1)
        for sun in suns:
            sun.diffuse, sun.specular = sun.diffuse / (copies + 1), sun.specular / (copies + 1)
            side = rotation[:, 0] - (rotation[:, 0] @ sun.dir) * sun.dir
            for angle in np.arange(copies) * 2 * math.pi / copies:
                twin = scene.lights[scene.nlight]
                for name in LIGHT_FIELDS:
                    setattr(twin, name, getattr(sun, name))
                twin.dir = sun.dir + PENUMBRA * (math.cos(angle) * side + math.sin(angle) * np.cross(sun.dir, side))
                twin.pos = camera.lookat - SUN_M * twin.dir
                scene.nlight += 1

    def close(self) -> None:
        """See `Renderer.close`."""
        atexit.unregister(self.close)
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._gl = None

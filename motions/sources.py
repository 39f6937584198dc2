"""Free clips: fetched from a published package, converted, and written with their licences.

The ``pybullet`` package carries 20 motions of a human on the skeleton that the suite's humanoid shares, under the zlib licence; 15 of them come from
DeepMimic (MIT). Only 1.4 MB of the 103 MB package are read and none of its code is run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from motions.clip import MIRROR, mirror
from motions.formats import deepmimic

PACKAGE = "pybullet==3.2.7"
WHEEL = "pybullet-3.2.7-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
WHEEL_SHA256 = "5d858abf7c12a21ef3ed351cf81dac1b5e486ec25c9ab59bfc84beb89034edff"
MOTIONS = "pybullet_data/data/motions"
BY_HAND = f"download {WHEEL} and run: python run.py motions fetch --wheel FILE"
_DEEPMIMIC = (
    *("walk", "run", "jump", "kick", "punch", "spin", "spinkick", "roll", "crawl", "cartwheel", "backflip", "dance_a", "dance_b"),
    *("getup_facedown", "getup_faceup"),
)
CLIPS = {
    **{name: f"humanoid3d_{name}.txt" for name in _DEEPMIMIC},
    "walk_forward": "walker/0walk_forward.txt",
    **{name: f"walker/{name}.txt" for name in ("turn_left0", "turn_left1", "turn_right0", "turn_right1")},
}
LICENSE = "zlib (pybullet)"
LICENSE_DEEPMIMIC = "zlib (pybullet); MIT (c) 2018 Xue Bin Peng"
NOTICE_FILE = "LICENSES.txt"


def fetch(out_dir: str | Path = "clips", report: Callable[[str], None] = print, wheel: str | Path | None = None, sha256: str = WHEEL_SHA256) -> list[Path]:
    """Writes the free clips, each also mirrored, and their licences; does nothing if all are there.

    The motions are read from ``wheel`` if given, else from an installed ``pybullet_data``, else from a wheel that pip downloads.

    Args:
        out_dir: where ``<name>.npz``, ``<name>_mirror.npz`` and ``LICENSES.txt`` go.
        report: receives one line about each stage.
        sha256: what the wheel must hash to.

    Returns:
        The clip files.

    Raises:
        ValueError: no wheel at that path, a wrong checksum, a failed download, or a package without the motions; says how to supply the wheel by hand.
    """
    out_dir = Path(out_dir)
    paths = [out_dir / f"{name}{end}.npz" for name in CLIPS for end in ("", MIRROR)]
    if all(path.is_file() for path in (*paths, out_dir / NOTICE_FILE)):
        report(f"{len(paths)} clips are already in {out_dir}")
        return paths
    with tempfile.TemporaryDirectory() as scratch:
        folder = _installed_motions() if wheel is None else None
        if folder is not None:
            report(f"reading the installed package's {folder}")
        else:
            wheel = _download(Path(scratch), report) if wheel is None else Path(wheel)
            _verify(wheel, sha256)
            report(f"reading {MOTIONS} from {wheel.name}")
            folder = _unpack(wheel, Path(scratch))
        _convert(folder, out_dir)
    report(f"wrote {len(paths)} clips and {NOTICE_FILE} to {out_dir}")
    return paths


def _installed_motions() -> Path | None:
    """The motions folder of an installed ``pybullet_data``, found without importing it."""
    spec = importlib.util.find_spec("pybullet_data")
    folders = [Path(place).parent / MOTIONS for place in (spec.submodule_search_locations or ())] if spec else []
    return next((folder for folder in folders if folder.is_dir()), None)


def _download(folder: Path, report: Callable[[str], None]) -> Path:
    """The wheel, downloaded by pip (which shows its progress on stdout)."""
    report(f"downloading {PACKAGE} (103 MB; 1.4 MB of it are used)")
    platform = ("--only-binary=:all:", "--python-version", "3.11", "--platform", "manylinux2014_x86_64")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--retries", "2", *platform, "-d", str(folder), PACKAGE]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise ValueError(f"pip download {PACKAGE}: got exit status {done.returncode} ({said[-1] if said else 'no message'}); expected a wheel. Without a network, {BY_HAND}")
    return wheels[0]


def _verify(wheel: Path, sha256: str) -> None:
    if not wheel.is_file():
        raise ValueError(f"wheel {wheel}: not found; {BY_HAND}")
    with wheel.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != sha256:
        raise ValueError(f"wheel {wheel}: sha256: got {got}; expected {sha256}; {BY_HAND}")


def _unpack(wheel: Path, folder: Path) -> Path:
    """The wheel's motions, unpacked below ``folder``."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for file in CLIPS.values():
                archive.extract(f"{MOTIONS}/{file}", folder)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"wheel {wheel}: {error}; expected a zip file with {MOTIONS}; {BY_HAND}") from None
    return folder / MOTIONS


def _convert(folder: Path, out_dir: Path) -> None:
    """Writes every clip, its mirror image and the licences; the notice last, so that it marks a complete set."""
    clips = []
    for name, file in CLIPS.items():
        if not (folder / file).is_file():
            raise ValueError(f"motion {file}: not in {folder}; expected the motions of {PACKAGE}; {BY_HAND}")
        clips.append(deepmimic.load(folder / file, name, f"{PACKAGE} {MOTIONS}/{file}", LICENSE_DEEPMIMIC if name in _DEEPMIMIC else LICENSE))
    out_dir.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        for version in (clip, mirror(clip)):
            version.save(out_dir / f"{version.name}.npz")
    (out_dir / NOTICE_FILE).write_text(NOTICE.format(deepmimic=", ".join(_DEEPMIMIC)))


NOTICE = """\
The clips in this folder were converted from the motion files of the Python package pybullet 3.2.7 (pybullet_data/data/motions): axes turned to z-up, quaternions
normalised, uneven frame times resampled; files that end in _mirror are mirror images. They are altered versions of the originals. Not so stand.npz
and reach_*.npz, which are computed by formulas of this suite (Apache-2.0); walk_reach.npz is walk_forward.npz with another right arm, and walk_push.npz,
turn_push.npz and run_push.npz are walk_forward.npz, turn_right0.npz and run.npz with other arms.

All clips: zlib licence, from the package's LICENSE.txt:

  The files in this repository are licensed under the zlib license, except for the files under 'Extras' and examples/ThirdPartyLibs.

  Bullet Continuous Collision Detection and Physics Library
  http://bulletphysics.org

  This software is provided 'as-is', without any express or implied warranty.
  In no event will the authors be held liable for any damages arising from the use of this software.
  Permission is granted to anyone to use this software for any purpose,
  including commercial applications, and to alter it and redistribute it freely,
  subject to the following restrictions:

  1. The origin of this software must not be misrepresented; you must not claim that you wrote the original software. If you use this software in a product, an
     acknowledgment in the product documentation would be appreciated but is not required.
  2. Altered source versions must be plainly marked as such, and must not be misrepresented as being the original software.
  3. This notice may not be removed or altered from any source distribution.

These clips are also published by DeepMimic under the MIT licence: {deepmimic}.

  MIT License

  Copyright (c) 2018 Xue Bin Peng

  Permission is hereby granted, free of charge, to any person obtaining a copy
  of this software and associated documentation files (the "Software"), to deal
  in the Software without restriction, including without limitation the rights
  to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
  copies of the Software, and to permit persons to whom the Software is
  furnished to do so, subject to the following conditions:

  The above copyright notice and this permission notice shall be included in all
  copies or substantial portions of the Software.

  THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
  IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
  FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
  AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
  LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
  OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
  SOFTWARE.
"""

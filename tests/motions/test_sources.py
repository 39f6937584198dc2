"""Fetching clips from hand-made packages; nothing here uses the network."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from motions import sources
from motions.clip import Clip, mirror

ROW = [0.1, *(0.0, 0.9, 0.0), *[1.0, 0, 0, 0] * 4, 0.0, *[1.0, 0, 0, 0] * 2, 0.0, *[1.0, 0, 0, 0], 0.0, *[1.0, 0, 0, 0] * 2, 0.0]


def motion(number: int) -> str:
    """A small motion in the packaged format that walks to the right: its number is the distance in metres."""
    assert len(ROW) == 44
    return json.dumps({"Loop": "wrap", "Frames": [ROW, [*ROW[:3], float(number), *ROW[4:]]]})


def fill(folder: Path) -> Path:
    """Every motion file of the package below ``folder``."""
    for number, file in enumerate((*sources.CLIPS.values(), "laikago_walk.txt")):
        path = folder / sources.MOTIONS / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(motion(number))
    return folder


def pack(folder: Path, wheel: Path) -> str:
    """Zips ``folder`` as a wheel; its checksum."""
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in sorted(folder.rglob("*.txt")):
            archive.write(path, path.relative_to(folder))
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


@pytest.fixture
def wheel(tmp_path) -> tuple[Path, str]:
    path = tmp_path / "package.whl"
    return path, pack(fill(tmp_path / "content"), path)


@pytest.fixture
def no_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def check_clips(folder: Path, paths: list[Path]) -> None:
    """20 clips and their images lie in ``folder``, each converted from its own file, with both licences."""
    names = {name + end for name in sources.CLIPS for end in ("", "_mirror")}
    assert len(names) == 40
    assert {p.stem for p in folder.glob("*.npz")} == {p.stem for p in paths} == names
    assert {p.name for p in folder.iterdir()} == {f"{n}.npz" for n in names} | {"LICENSES.txt"}
    for number, name in enumerate(sources.CLIPS):
        clip = Clip.load(folder / f"{name}.npz")
        assert (clip.name, clip.loop) == (name, "wrap")
        np.testing.assert_allclose(clip.root_pos[1], [0.0, -number, 0.9], atol=1e-6)
        image = Clip.load(folder / f"{name}_mirror.npz")
        np.testing.assert_allclose(image.root_pos, mirror(clip).root_pos)
        assert ("MIT" in clip.license) == (number < 15)
        assert clip.source.endswith(sources.CLIPS[name])
    notice = (folder / "LICENSES.txt").read_text()
    for part in ("zlib license", "Altered source versions must be plainly marked", "Copyright (c) 2018 Xue Bin Peng", "THE SOFTWARE IS PROVIDED", "walk, run, jump"):
        assert part in notice


def test_from_a_wheel_given_by_hand(tmp_path, wheel):
    said: list[str] = []
    paths = sources.fetch(tmp_path / "clips", said.append, wheel[0], wheel[1])
    check_clips(tmp_path / "clips", paths)
    assert said == [f"reading {sources.MOTIONS} from package.whl", f"wrote 40 clips and LICENSES.txt to {tmp_path / 'clips'}"]


def test_a_second_fetch_does_nothing(tmp_path, wheel):
    sources.fetch(tmp_path / "clips", lambda line: None, *wheel)
    said: list[str] = []
    assert len(sources.fetch(tmp_path / "clips", said.append, tmp_path / "nowhere.whl")) == 40
    assert said == [f"40 clips are already in {tmp_path / 'clips'}"]
    (tmp_path / "clips" / "walk.npz").unlink()
    sources.fetch(tmp_path / "clips", said.append, *wheel)
    assert (tmp_path / "clips" / "walk.npz").is_file()


def test_from_an_installed_package_that_is_never_imported(tmp_path, monkeypatch):
    package = fill(tmp_path) / "pybullet_data"
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("downloads"))
    said: list[str] = []
    check_clips(tmp_path / "clips", sources.fetch(tmp_path / "clips", said.append))
    assert said[0] == f"reading the installed package's {package / 'data' / 'motions'}"


def test_from_a_download(tmp_path, monkeypatch, wheel, no_package):
    commands = []

    def run(command, **options):
        commands.append(command)
        Path(command[command.index("-d") + 1], "package.whl").write_bytes(wheel[0].read_bytes())
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    check_clips(tmp_path / "clips", sources.fetch(tmp_path / "clips", lambda line: None, sha256=wheel[1]))
    (command,) = commands
    assert command[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "pybullet==3.2.7", "manylinux2014_x86_64"} <= set(command)


@pytest.mark.parametrize(("status", "stderr", "quoted"), [(1, "WARNING: retrying\nERROR: No matching distribution\n\n", "ERROR: No matching distribution"), (0, "", "no message")])
def test_a_failed_download_says_how_to_go_on(tmp_path, monkeypatch, no_package, status, stderr, quoted):
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: SimpleNamespace(returncode=status, stderr=stderr))
    text = f"pip download pybullet==3.2.7: got exit status {status} ({quoted}); expected a wheel. Without a network, download {sources.WHEEL} and run: "
    with pytest.raises(ValueError, match=re.escape(f"{text}python run.py motions fetch --wheel FILE")):
        sources.fetch(tmp_path / "clips", lambda line: None)
    assert not (tmp_path / "clips").exists()


def test_a_wrong_checksum_is_refused(tmp_path, wheel):
    with pytest.raises(ValueError, match=f"package.whl: sha256: got {wheel[1]}; expected {sources.WHEEL_SHA256}; download .* --wheel FILE"):
        sources.fetch(tmp_path / "clips", lambda line: None, wheel[0])
    assert not (tmp_path / "clips").exists()


def test_a_missing_wheel_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"wheel .*none.whl: not found; download .* --wheel FILE"):
        sources.fetch(tmp_path / "clips", lambda line: None, tmp_path / "none.whl")


def test_a_wheel_without_the_motions_is_refused(tmp_path):
    (tmp_path / "content").mkdir()
    empty = tmp_path / "empty.whl"
    with pytest.raises(ValueError, match=r"empty.whl: .*walk.txt.*; expected a zip file with pybullet_data/data/motions; download"):
        sources.fetch(tmp_path / "clips", lambda line: None, empty, pack(tmp_path / "content", empty))
    empty.write_text("no zip")
    with pytest.raises(ValueError, match=r"empty.whl: File is not a zip file; expected a zip file"):
        sources.fetch(tmp_path / "clips", lambda line: None, empty, hashlib.sha256(b"no zip").hexdigest())


def test_an_installed_package_without_a_motion_is_refused(tmp_path, monkeypatch):
    (fill(tmp_path) / sources.MOTIONS / "humanoid3d_run.txt").unlink()
    (tmp_path / "pybullet_data" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"motion humanoid3d_run.txt: not in .*; expected the motions of pybullet==3.2.7; download"):
        sources.fetch(tmp_path / "clips", lambda line: None)
    assert not (tmp_path / "clips").exists()

"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import run
from envs.character import Character, load_character
from motions.skeleton import Skeleton
from motions.synthetic import sine_gait


@pytest.fixture(scope="session")
def character() -> Character:
    """The humanoid, compiled once."""
    return load_character()


@pytest.fixture(scope="session")
def skeleton(character: Character) -> Skeleton:
    return character.skeleton


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def clips_dir(tmp_path_factory: pytest.TempPathFactory, skeleton: Skeleton) -> Path:
    """A folder with one analytic clip, `walk`."""
    folder = tmp_path_factory.mktemp("clips")
    replace(sine_gait(skeleton), name="walk").save(folder / "walk.npz")
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, clips_dir: Path) -> Path:
    """A finished run of preset `tiny`; not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    assert run.main(["pretrain", "tiny", "--out", str(out), "--clips-dir", str(clips_dir)]) == 0
    return out

"""Fixtures of the environment tests."""

import pytest

from motions.library import MotionLibrary
from tests.envs.helpers import gait_clip


@pytest.fixture(scope="session")
def library(character):
    skeleton = character.skeleton
    return MotionLibrary([gait_clip(skeleton, "gait"), gait_clip(skeleton, "other", seconds=1.5, height_m=1.0, loop="wrap", seed=1)], skeleton)


@pytest.fixture(autouse=True)
def _away_from_the_project(tmp_path, monkeypatch):
    """MuJoCo logs a diverged simulation to a file in the working directory."""
    monkeypatch.chdir(tmp_path)

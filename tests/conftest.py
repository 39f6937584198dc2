"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import pytest
import torch

from envs.character import Character, load_character
from motions.skeleton import Skeleton


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

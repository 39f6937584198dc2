"""Rules about the code itself."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINES = {"mujoco", "mjbatch", "mujoco_warp", "dm_control", "mink", "daqp"}
FORBIDDEN = {
    "ase": {"envs", "motions", "cfg", "run", "tests", "gymnasium"} | ENGINES,
    "motions": {"envs", "ase", "cfg", "run", "tests", "gymnasium"} | ENGINES,
    "envs": {"ase", "cfg", "run", "tests"},
    "cfg": {"run", "tests"} | ENGINES,
}
EXCEPTIONS = {"motions/ik.py": {"mujoco", "mink"}}  # inverse kinematics: a model's tree and joint limits, no simulation


def imported(source: str, package: str = "") -> set[str]:
    """Top-level names of every import in ``source``, wherever it stands; a relative one counts for ``package``."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0] if node.module and not node.level else package)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in ("import_module", "__import__"):
            names |= {str(arg.value).split(".")[0] for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    return names


def test_the_scan_sees_every_form_of_import():
    source = """
import os, mujoco.viewer as v
from envs import humanoid
def late():
    from motions.clip import Clip
    importlib.import_module("cfg.load")
if TYPE_CHECKING:
    import run
from . import sibling
"""
    assert imported(source, "ase") == {"os", "mujoco", "envs", "motions", "cfg", "run", "ase"}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_dependencies_point_one_way(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files, f"no sources in {package}/"
    broken = {
        str(path.relative_to(ROOT)): sorted(found)
        for path in files
        if (found := imported(path.read_text(encoding="utf-8"), package) & FORBIDDEN[package] - EXCEPTIONS.get(str(path.relative_to(ROOT)), set()))
    }
    assert not broken, f"{package}/ may not import these"


def test_every_exception_is_used():
    for file, names in EXCEPTIONS.items():
        assert names <= imported((ROOT / file).read_text(encoding="utf-8")), file

"""Two thousand spoilt files: each is read or refused with one line, soon, in little memory; nothing in it is run and nothing half done is left."""

from __future__ import annotations

import os
import resource
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from cfg.importing import ImportArgs, import_files
from motions.clip import Clip
from motions.formats.detect import FORMATS, read
from motions.skeleton_map import unknown_skeleton
from tests.motions.fuzz import DAMAGES, SENTINEL, bomb, spoil
from tests.motions.samples import WRITERS, write_samples

FULL, QUICK = 2000, 240
C3D_SHARE = 0.25  # of another format's files: each takes a process of its own
LIMIT_S, LIMIT_BYTES, GUARD_BYTES = 2.0, 2**30, 2**33
TABLE = unknown_skeleton(["a"], None, [])[:12]


class Hang(BaseException):
    """Nobody may catch this."""


def counts(total: int) -> dict[str, int]:
    each = total / (len(WRITERS) - 1 + C3D_SHARE)
    found = {kind: round(each * (C3D_SHARE if kind == "c3d" else 1)) for kind in WRITERS}
    return found | {"bvh": found["bvh"] + total - sum(found.values())}


@pytest.fixture(scope="module")
def samples(tmp_path_factory, skeleton):
    return write_samples(tmp_path_factory.mktemp("samples"), skeleton)


@pytest.fixture
def guarded(monkeypatch, tmp_path):
    """The process at work in a folder of its own, stopped when it takes too much memory or time."""

    def stop(*_):
        raise Hang

    monkeypatch.chdir(tmp_path)
    old, before = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGPROF, stop)
    resource.setrlimit(resource.RLIMIT_AS, (peak("VmSize") + GUARD_BYTES, old[1]))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_AS, old)
    signal.signal(signal.SIGPROF, before)


def peak(field: str = "VmHWM") -> int:
    """Memory of this process in bytes: largest so far, or as ``field`` says."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


def spent() -> float:
    """Processor time of this process and of those it has ended, seconds."""
    return time.process_time() + resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


def attempt(path: Path, out: Path) -> str:
    """Imports a file: empty if it was read, else why not; fails where a rule is broken."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
    memory, start, said = peak("VmRSS"), spent(), ""
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            written = import_files(ImportArgs(files=(path,), out=out), lambda line: None)
    except ValueError as error:
        said, written = str(error), []
        assert said
        assert "\n" not in said or TABLE in said, said
        assert len(said) < 3000 or TABLE in said, said[:300]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
    assert spent() - start < LIMIT_S
    assert peak() - memory < LIMIT_BYTES
    assert sorted(out.rglob("*")) == sorted(written)
    for clip in written:
        assert np.isfinite(Clip.load(clip).joint_quat).all()
        clip.unlink()
    return said


def spoil_and_try(kind: str, numbers: range, samples, folder: Path) -> int:
    """How many of the spoilt files were refused."""
    path, target = samples[kind]
    work, out = folder / "work", folder / "out"
    work.mkdir()
    out.mkdir()
    files = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    refused = 0
    for number in numbers:
        for name, data in files.items():
            (work / name).write_bytes(spoil(kind, data, number) if name == target.name else data)
        try:
            refused += bool(attempt(work / path.name, out))
        except BaseException as error:
            pytest.fail(f"{kind} {number}: {type(error).__name__} {error!s:.500}")
        assert not list(folder.rglob(SENTINEL)), f"{kind} {number}: ran what it was to read"
        assert sorted(os.listdir(work)) == sorted(files), f"{kind} {number}: left a file"
    return refused


@pytest.mark.parametrize("kind", WRITERS)
def test_good_samples_are_read(samples, kind):
    read(samples[kind][0])
    assert set(DAMAGES) == set(WRITERS)
    assert len(WRITERS) >= len(FORMATS)


@pytest.mark.parametrize("kind", WRITERS)
def test_some_spoilt_files(kind, samples, guarded):
    count = counts(QUICK)[kind]
    assert spoil_and_try(kind, range(count), samples, guarded) > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
def test_two_thousand_spoilt_files(kind, samples, guarded):
    assert sum(counts(FULL).values()) == FULL
    count = counts(FULL)[kind]
    refused = spoil_and_try(kind, range(count), samples, guarded)
    assert refused > 0.2 * count


def test_the_guard_sees_hangs_and_memory(guarded):
    signal.setitimer(signal.ITIMER_PROF, 0.1)
    with pytest.raises(Hang):
        str(bomb())
    memory = peak("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    assert np.ones(2**26).sum() == 2**26  # more than what the tests before may have left free within this process
    assert peak() - memory > 2**26

"""One-line bugs, each of which must turn the suite red: ``python -m tests.mutations [--only SUBSTRING] [--jobs N]``.

Each bug is put into a copy of the project, alone, and the tests that should notice are run there. Exit status: 0 if at least 95 % are noticed, 1 if fewer
are, 2 if the list itself is out of date (a text that does not occur exactly once, tests that fail without any bug, or a bug that stops tests from being collected).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.mutation import Mutation
from tests.mutation_list import MUTATIONS

ROOT = Path(__file__).parents[1]
PASS_MARK = 0.95
CPU_LIMIT_S, BASELINE_CPU_LIMIT_S = 120, 1200  # of the tests of one bug, and of all tests without any
OUTPUT = "mutation_output.txt"
FORKS = multiprocessing.get_context("forkserver")


def copy_project(target: Path) -> None:
    """Every file that the project's version control knows or would take."""
    listing = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).is_file() and not name.endswith((".mp4", ".gif", ".png", ".safetensors")):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)


def _pytest(folder: str, tests: str, output: str, cpu_limit_s: int) -> None:
    """What a test process does: pytest in ``folder`` and nothing of this project from elsewhere."""
    with open(output, "w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_limit_s, cpu_limit_s))
    os.chdir(folder)
    sys.path[:] = [folder, *(p for p in sys.path if p and Path(p).resolve() != ROOT)]
    for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
        del sys.modules[name]
    sys.dont_write_bytecode = True  # a mutation is written faster than a file's time stamp ticks
    import pytest

    sys.exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests.split()])))


def start_tests(folder: Path, tests: str, cpu_limit_s: int = CPU_LIMIT_S) -> ForkServerProcess:
    """Test processes are forked from one that has already loaded the large libraries, which would otherwise take most of the time."""
    process = FORKS.Process(target=_pytest, args=(str(folder), tests, str(folder / OUTPUT), cpu_limit_s))
    process.start()
    return process


def verdict_of(process: ForkServerProcess) -> str:
    """By pytest's exit status, or the signal that ended it: a test that crashes or never ends has noticed something, too."""
    assert process.exitcode is not None, "still running"
    return "killed" if process.exitcode == 1 or process.exitcode < 0 else {0: "SURVIVED"}.get(process.exitcode, "ERROR")


def outdated(mutations: list[Mutation]) -> list[str]:
    """Mutations whose original text does not occur exactly once."""
    found = []
    for mutation in mutations:
        count = (ROOT / mutation.file).read_text(encoding="utf-8").count(mutation.original)
        if count != 1:
            found.append(f"{mutation.file}: {mutation.original}: occurs {count} times; expected once")
    return found


def try_all(mutations: list[Mutation], folders: list[Path]) -> list[str]:
    """Verdicts, in the order in which they fall; one mutation at a time in each of ``folders``."""
    waiting, free, verdicts = list(mutations), list(folders), []
    running: dict[ForkServerProcess, tuple[Mutation, Path, str]] = {}
    while waiting or running:
        while waiting and free:
            mutation, folder = waiting.pop(0), free.pop()
            original = (folder / mutation.file).read_text(encoding="utf-8")
            (folder / mutation.file).write_text(original.replace(mutation.original, mutation.mutated), encoding="utf-8")
            running[start_tests(folder, mutation.tests)] = mutation, folder, original
        wait([process.sentinel for process in running])
        for process in [process for process in running if not process.is_alive()]:
            mutation, folder, original = running.pop(process)
            verdicts.append(verdict_of(process))
            print(f"{verdicts[-1]:8}  {mutation}", flush=True)
            if verdicts[-1] == "ERROR":
                print((folder / OUTPUT).read_text(encoding="utf-8")[-2000:], flush=True)
            (folder / mutation.file).write_text(original, encoding="utf-8")
            free.append(folder)
    return verdicts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="mutations whose file or text contains this")
    parser.add_argument("--jobs", type=int, default=2, help="mutations tried at a time")
    options = parser.parse_args()
    chosen = [m for m in MUTATIONS if options.only in str(m)]
    if not chosen:
        print(f"--only {options.only}: matches no mutation. Available: {', '.join(sorted({m.file for m in MUTATIONS}))}")
        return 2
    if problems := outdated(chosen):
        print("\n".join(problems))
        return 2
    start = time.monotonic()
    os.environ["OMP_NUM_THREADS"] = "1"
    FORKS.set_forkserver_preload(["torch", "safetensors.torch", "mujoco", "mjbatch", "pytest"])
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch, str(k)) for k in range(options.jobs)]
        for folder in folders:
            copy_project(folder)
        baseline = start_tests(folders[0], " ".join(sorted({m.tests for m in chosen})), BASELINE_CPU_LIMIT_S)
        baseline.join()
        if baseline.exitcode:
            print(f"{(folders[0] / OUTPUT).read_text(encoding='utf-8')}\nThe tests fail without any mutation.")
            return 2
        verdicts = try_all(chosen, folders)
    killed = verdicts.count("killed")
    print(f"{killed} of {len(chosen)} killed ({100 * killed / len(chosen):.1f} %) in {time.monotonic() - start:.0f} s")
    if "ERROR" in verdicts:
        return 2
    return 0 if killed >= PASS_MARK * len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())

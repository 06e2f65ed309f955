"""``python -m tests.faults.planted``: faults in a copy of our own code; each must make a family or a test fail."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.faults.report import PLANTED, write_table
from tests.helpers import ROOT

COPIED = ("tracker", "adapters", "migrations", "tests", "pyproject.toml")


@dataclass(frozen=True)
class Plant:
    """A fault: what is replaced in which file, and the command that must fail then."""

    title: str
    file: str
    old: str
    new: str
    command: tuple[str, ...]


def family(name: str, share: float) -> tuple[str, ...]:
    """Return the command that tries a family."""
    return ("-m", "tests.faults", "--only", name, "--share", str(share))


def test(*names: str) -> tuple[str, ...]:
    """Return the command that runs tests."""
    return ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *names)


PLANTS = (
    Plant("a commit is not synced (`synchronous=OFF`)", "tracker/storage/engine.py",
          'connection.execute("PRAGMA synchronous=FULL")', 'connection.execute("PRAGMA synchronous=OFF")',
          family("A6", 0.1)),
    Plant("a commit is synced later (`synchronous=NORMAL`)", "tracker/storage/engine.py",
          'connection.execute("PRAGMA synchronous=FULL")', 'connection.execute("PRAGMA synchronous=NORMAL")',
          family("A6", 0.1)),
    Plant("a checkpoint's file is not synced", "tracker/files.py",
          "with _beside(lambda: os.fsync(descriptor)):", "with _beside(lambda: None):", family("A6", 0.1)),
    Plant("no folder is synced", "tracker/files.py",
          "    try:\n        os.fsync(descriptor)\n", "    try:\n        pass\n", family("A6", 0.1)),
    Plant("a checkpoint's row is available before its file has its name", "tracker/recording/checkpoints.py",
          "self._write(made, pending=True, stored=replaced)", "self._registered(made)",
          test("tests/faults/test_kill.py", "-k", "each_moment")),
    Plant("a transaction begins deferred", "tracker/storage/engine.py",
          '_BEGIN, _COMMIT = Prepared(text("BEGIN IMMEDIATE"))', '_BEGIN, _COMMIT = Prepared(text("BEGIN"))',
          family("E7", 0.1)),
    Plant("a line of the spool is not checked", "tracker/storage/spool.py",
          'if not text or digest != f"{crc32(text):08x}".encode():', "if not text:", family("B9", 0.05)),
    Plant("an epoch's checksum is not looked at", "tracker/storage/checksums.py",
          "return bool(epoch_checksum(epoch._mapping, metrics) == epoch.checksum)", "return True",
          test("tests/storage/test_checksums.py")),
    Plant("foreign keys stay on while a table is rebuilt", "tracker/storage/migrate.py",
          'connection.execute("PRAGMA foreign_keys=OFF")', 'connection.execute("PRAGMA foreign_keys=ON")',
          test("tests/storage/test_migrate.py")),
    Plant("a process is known by its number alone", "tracker/process.py",
          "return actual is not None and abs(actual - started) < _SAME_START", "return actual is not None",
          test("tests/test_process.py")),
    Plant("a missing privilege counts as the record's fault", "tracker/storage/driver_errors.py",
          '"23",  # integrity constraint violation', '"23", "42",',
          test("tests/faults/test_postgres.py", "-k", "privilege")),
    Plant("what waits on the disk is not applied", "tracker/recording/recovery.py",
          "apply(connection, entries)\n", "pass\n", test("tests/faults/test_disk.py", "tests/faults/test_postgres.py")),
    Plant("a call waits for the disk as long as it takes", "tracker/recording/recorder.py",
          "_LOCK_SECONDS, _COMMIT_SECONDS, _SPOOL_SECONDS = 0.8, 1.0, 0.1",
          "_LOCK_SECONDS, _COMMIT_SECONDS, _SPOOL_SECONDS = 60.0, 60.0, 60.0", family("B8", 0.05)),
    Plant("a database that is gone is written into", "tracker/storage/database.py",
          "one that was replaced.\"\"\"\n", "one that was replaced.\"\"\"\n        return\n", family("B7", 0.06)),
    Plant("what waits can be read by others", "tracker/storage/spool.py",
          "os.O_RDWR | os.O_NOFOLLOW, 0o600", "os.O_RDWR | os.O_NOFOLLOW, 0o666", family("S11", 1)),
    Plant("a file is deleted whatever has its name by now", "tracker/removal.py",
          "if _identity(aside, parent) != identity:", "if False:", family("S12", 0.5)),
    Plant("a checkpoint's file is deleted without being read", "tracker/checkpointing/registry.py",
          "    if not is_same(file, recorded):\n        return Inspected(CheckpointState.MODIFIED)\n", "",
          family("C3", 0.1)),
    Plant("a run is resumed that is being recorded", "tracker/recording/recovery.py",
          "        if is_live(connection, attempt):\n            raise RunBusy(",
          "        if False:\n            raise RunBusy(", family("D4", 0.04)),
    Plant("a resume forgets the best and the wait", "adapters/tracker_torch/callback.py",
          "return dict(newer or recorded or backed_up or {}), carried", "return {}, carried", family("D1", 0.02)),
    Plant("what is left of a save that failed is not removed", "tracker/files.py",
          "    finally:\n        discard(temporary)\n", "    finally:\n        pass\n", family("B2", 0.5)),
)  # fmt: skip


def find(plants: Sequence[Plant]) -> list[bool]:
    """Plant each fault in a fresh copy of the code, as many at once as there are processors; was it found?"""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(is_found, plants))


def is_found(plant: Plant) -> bool:
    """Say whether the command fails with the fault; the copy is removed."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        copy = Path(folder)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                shutil.copy(ROOT / name, copy / name)
        path = copy / plant.file
        text = path.read_text()
        if plant.old not in text:
            raise ValueError(f"{plant.file} no longer has {plant.old!r}: plant it elsewhere.")
        path.write_text(text.replace(plant.old, plant.new, 1))
        paths = os.pathsep.join([str(copy), str(copy / "adapters")])
        environment = {**os.environ, "PYTHONPATH": paths}
        done = subprocess.run(
            [sys.executable, *plant.command],
            cwd=copy,
            env=environment,
            capture_output=True,
            check=False,
        )
    found = done.returncode != 0 and passes(plant.command)
    print(f"{'found' if found else 'NOT FOUND'}: {plant.title}", flush=True)
    return found


@cache
def passes(command: tuple[str, ...]) -> bool:
    """Say whether a command succeeds with the code as it is; else its failing shows nothing."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def table(plants: Sequence[Plant], found: Sequence[bool]) -> str:
    """Return what was planted, and whether it was found."""
    rows = "\n".join(
        f"| {plant.title} | `{plant.file}` | {finder(plant)} | {'yes' if seen else 'NO'} |"
        for plant, seen in zip(plants, found, strict=True)
    )
    counted = f"{sum(found)} of {len(plants)} found."
    return f"{counted}\n\n| What was planted | Where | Tried | Found |\n| --- | --- | --- | --- |\n{rows}"


def finder(plant: Plant) -> str:
    """Return which family or which test must find a fault."""
    if "--only" in plant.command:
        return plant.command[plant.command.index("--only") + 1]
    return next(f"`{part}`" for part in plant.command if part.startswith("tests/"))


def main() -> None:
    """Plant all, or those whose title has a text; exit code 1 where one was not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.planted", description=__doc__)
    parser.add_argument("--only", default="", help="those with this text in their title")
    parser.add_argument("--write", action="store_true", help="write it into docs/reliability.md")
    arguments = parser.parse_args()
    chosen = [plant for plant in PLANTS if arguments.only in plant.title]
    found = find(chosen)
    if arguments.write:
        write_table(PLANTED, table(chosen, found))
    sys.exit(not all(found))


if __name__ == "__main__":
    main()

"""Processes that faults hit at a call of their own choosing (`calls.c`), started in milliseconds."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults.works import ACKNOWLEDGED, LOG, SAID, TOOK
from tests.helpers import ROOT

SOURCE = Path(__file__).with_name("calls.c")
KILL, FAIL, DELAY = 1, 2, 3
SYNC, ANY = 2, 31
"""Actions and kinds of calls, numbered as in `calls.c`."""


def compiler() -> str | None:
    """Return a C compiler; None where there is none, or no Linux."""
    return (shutil.which("cc") or shutil.which("gcc")) if sys.platform == "linux" else None


def fault(
    at: int,
    action: int,
    *,
    code: int = errno.EIO,
    forever: bool = False,
    milliseconds: int = 0,
    kinds: int = ANY,
) -> list[int]:
    """Return the fault that hits the ``at``-th call that changes something, and those after it if ``forever``."""
    return [at, action, code, int(forever), milliseconds, kinds]


class Place:
    """A folder for one try: the work's own, and beside it what was acknowledged and logged; a ``with`` removes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir(parents=True)

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self.folder)

    @property
    def acknowledged(self) -> Path:
        """What the work has noted."""
        return self.folder / ACKNOWLEDGED

    @property
    def log(self) -> str:
        """What was logged, and raised."""
        path = self.folder / LOG
        return path.read_text() if path.exists() else ""

    @property
    def said(self) -> str:
        """What works that end as scripts do have printed."""
        path = self.folder / SAID
        return path.read_text() if path.exists() else ""

    def took(self) -> tuple[list[Any], list[float]]:
        """Return how many seconds the calls of the works took that came to their end, and those ends."""
        path = self.folder / TOOK
        lines = (
            [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        )
        return [one for calls, _ in lines for one in calls], [end for _, end in lines]

    def raised(self) -> str | None:
        """Return what came out of the work, if anything did."""
        return next((line for line in self.log.splitlines() if line.startswith("RAISED")), None)


class Forks:
    """Starts works; one at a time, unless nobody waits for them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, place: Place, work: str, **request: Any) -> dict[str, Any]:
        """Do a work in a folder; returns its exit ``code`` and how many ``calls`` it made, -1 where it was killed."""
        return self._ask({"folder": str(place.work), "work": work, **request})

    def launch(self, place: Place, work: str, **request: Any) -> int:
        """Begin a work; returns its process id."""
        return int(
            self._ask({"folder": str(place.work), "work": work, "wait": False, **request})["pid"]
        )

    def warm_up(self, work: str, **given: Any) -> None:
        """Do a work in the process that starts them, so that what it loads and compiles need not be again."""
        self._ask({"here": True, "work": work, "given": given})

    def wait(self, pids: Iterable[int], seconds: float) -> None:
        """Wait until launched works have ended; `TimeoutError` where that takes longer."""
        give_up = time.monotonic() + seconds
        for pid in pids:
            while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                if time.monotonic() > give_up:
                    raise TimeoutError(f"work {pid} is not back after {seconds} s")
                time.sleep(0.01)

    def collect(self, pid: int) -> int:
        """Wait for a launched work; returns its exit code."""
        return int(self._ask({"collect": pid})["code"])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def killed(answer: dict[str, Any]) -> bool:
    """Say whether a work was killed before its end."""
    return bool(answer["code"] == -signal.SIGKILL)


@contextmanager
def forks(folder: Path, *modules: str, code: Path = ROOT, **environment: str) -> Iterator[Forks]:
    """Give what starts works, with the library of faults loaded.

    Args:
        folder: where that library goes.
        modules: what is imported before the first work, such as those of a framework.
        code: the checkout that they run.
        environment: variables.
    """
    library = folder / "calls.so"
    subprocess.run(
        [
            str(compiler()),
            "-shared",
            "-fPIC",
            "-O1",
            "-o",
            str(library),
            str(SOURCE),
            "-ldl",
            "-lpthread",
        ],
        check=True,
    )
    paths = os.pathsep.join([str(code), str(code / "adapters")])
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.works", *modules],
        cwd=code,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, "LD_PRELOAD": str(library), **environment},
    )
    starting = Forks(process)
    try:
        starting.warm_up("use everything")
        yield starting
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()

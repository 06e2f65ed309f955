"""kill -9 at each moment of some work, one after the other: a program counts the moments, and an oracle looks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.helpers import ROOT

_LOOP = """
import os, sys
for line in sys.stdin:
    folder, moment, *words = line.split()
    if (child := os.fork()) == 0:
        os.chdir(folder)
        os.mkdir(".tracker")
        work(int(moment), *words)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def wrong_after_kills(
    program: str,
    folder: Path,
    wrong: Callable[[Path], str | None],
    words: Callable[[Path], str] = lambda at: "",
    *,
    prefix: str = "",
    first: int = 1,
    step: int = 1,
) -> tuple[int, dict[int, str]]:
    """Kill at every ``step``-th moment from ``first`` on; return at how many, and what was wrong: moment → what.

    Args:
        program: defines ``work(moment, *words)``, which kills its own process at that moment.
        folder: each moment has a folder of its own in it, named by its number.
        wrong: says, in that folder, what is not as it should be afterwards.
        words: what else ``work`` is handed.
        prefix: what that name begins with.
        first, step: which moments.
    """
    paths = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    launcher = subprocess.Popen(
        [sys.executable, "-c", program + _LOOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert launcher.stdin is not None and launcher.stdout is not None
    found: dict[int, str] = {}
    moment, kills, before = first, 0, Path.cwd()
    try:
        while True:
            at = folder / f"{prefix}{moment}"
            at.mkdir()
            launcher.stdin.write(f"{at} {moment} {words(at)}\n")
            launcher.stdin.flush()
            code = launcher.stdout.readline().strip()
            os.chdir(at)
            if (why := wrong(at)) is not None:
                found[moment] = why
            if code != "-9":
                assert code == "0", code
                return kills, found
            moment, kills = moment + step, kills + 1
    finally:
        os.chdir(before)
        launcher.stdin.close()
        launcher.wait()
        launcher.stdout.close()

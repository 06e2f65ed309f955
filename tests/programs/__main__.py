"""``python -m tests.programs --count 2000``: random programs, their record compared with the model's."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.helpers import ROOT
from tests.programs.execute import execute, recorded
from tests.programs.model import Model
from tests.programs.program import Programs, source

PER_PROCESS = 20


def run_programs(seeds: range, folder: Path) -> None:
    """Run the program of each seed in a folder of its own, in this process."""
    for seed in seeds:
        place = folder / str(seed)
        place.mkdir()
        os.chdir(place)
        os.environ["TRACKER_DATABASE_URL"] = f"sqlite:///{place}/tracker.db"
        execute(Programs(seed).program())


def differences(seeds: range, folder: Path) -> dict[int, str]:
    """Run the programs of these seeds in another process; say of which the record is not as on paper.

    The process has ended before the record is read: what it left open has its final status.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TRACKER_PROGRAMS": str(folder)}
    command = [sys.executable, "-m", "tests.programs", "--run", str(seeds.start), str(seeds.stop)]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return {seeds.start: f"the process ended with {done.returncode}\n{done.stderr[-3000:]}"}
    found: dict[int, str] = {}
    for seed in seeds:
        program = Programs(seed).program()
        expected = Model().execute(program)
        seen = recorded(folder / str(seed) / "tracker.db")
        if seen != expected:
            missing = [one for one in expected if one not in seen]
            extra = [one for one in seen if one not in expected]
            lines = [f"  on paper: {one}" for one in missing] + [
                f"  recorded: {one}" for one in extra
            ]
            found[seed] = "\n".join([source(program), *lines])
    return found


def main() -> None:
    """Compare as many programs as were asked for, a process for each twenty."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs", description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    parser.add_argument("--run", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run_programs(range(*arguments.run), Path(os.environ["TRACKER_PROGRAMS"]))
        return
    counts: Counter[str] = Counter()
    stop = arguments.seed + arguments.count
    for start in range(arguments.seed, stop, PER_PROCESS):
        seeds = range(start, min(start + PER_PROCESS, stop))
        with tempfile.TemporaryDirectory() as folder:
            found = differences(seeds, Path(folder))
        counts["programs"] += len(seeds)
        counts["differences"] += len(found)
        for seed, text in found.items():
            print(f"-- program {seed}\n{text}", flush=True)
        print(f"{counts['programs']} programs, {counts['differences']} differences", flush=True)
    sys.exit(bool(counts["differences"]))


if __name__ == "__main__":
    main()

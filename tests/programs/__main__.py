"""``python -m tests.programs --count 2000``: random programs, their record compared with the model's."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.programs.compare import differences

PER_PROCESS = 20


def main() -> None:
    """Compare as many programs as were asked for, a process for each twenty."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs", description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    arguments = parser.parse_args()
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

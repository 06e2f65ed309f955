"""Every benchmark, one after the other: ``make bench``. Writes docs/benchmarks.md.

python -m benchmarks                  all; about an hour, most of it the peers of `stream` and `runs`
python -m benchmarks startup replay   only these
"""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    "startup",
    "runs",
    "replay",
    "saving",
    "exports",
    "keras_epoch",
    "torch_loop",
    "listings",
    "watch",
    "web",
    "stream",
)


def main() -> int:
    """Run them, each in a process of its own; returns 1 when one failed."""
    wanted = sys.argv[1:] or list(NAMES)
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        print(
            f"There is no benchmark {unknown[0]!r}: there are {', '.join(NAMES)}.", file=sys.stderr
        )
        return 2
    failed = 0
    for name in wanted:
        print(f"\n== {name}", flush=True)
        failed |= subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], check=False
        ).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

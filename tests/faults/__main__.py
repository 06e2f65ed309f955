"""``python -m tests.faults --share 0.05``: every family of faults, and docs/reliability.md of what was seen."""

from __future__ import annotations

import argparse
import os
import sys

from tests.faults.families import FAMILIES
from tests.faults.report import PAGE, page
from tests.faults.schedule import try_all


def main() -> None:
    """Try what was asked for; exit code 1 where something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the trials of a full run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="families, such as A1,B5")
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        help="processors that may be taken; by default all",
    )
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md")
    arguments = parser.parse_args()
    only = set(filter(None, arguments.only.split(",")))
    if unknown := only - {family.id for family in FAMILIES}:
        known = ", ".join(family.id for family in FAMILIES)
        parser.error(f"no family {', '.join(sorted(unknown))}; there are {known}")
    chosen = [family for family in FAMILIES if not only or family.id in only]
    results = try_all(chosen, share=arguments.share, seed=arguments.seed, jobs=arguments.jobs)
    if arguments.write:
        PAGE.write_text(page(results, seed=arguments.seed), encoding="utf-8")
    sys.exit(any(result.violations for result in results.values()))


if __name__ == "__main__":
    main()

"""``python -m tests.faults --share 0.05``: every family of faults, and docs/reliability.md of what was seen."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.faults import planted
from tests.faults.families import FAMILIES
from tests.faults.family import Family, Result
from tests.faults.report import page
from tests.helpers import ROOT

PAGE = ROOT / "docs/reliability.md"
_MOST_SHOWN = 10


def main() -> None:
    """Try what was asked for; exit code 1 where something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the trials of a full run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="families, such as A1,B5")
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md")
    parser.add_argument(
        "--planted", action="store_true", help="plant faults in a copy of the code as well"
    )
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    only = set(filter(None, arguments.only.split(",")))
    results = {
        family: tried(family, arguments.share, arguments.seed)
        for family in FAMILIES
        if not only or family.id in only
    }
    found = planted.table(planted.find()) if arguments.planted else "Not run this time."
    if arguments.write:
        text = page(results, seed=arguments.seed, share=arguments.share, planted=found)
        PAGE.write_text(text, encoding="utf-8")
    sys.exit(any(result.violations for result in results.values()))


def tried(family: Family, share: float, seed: int) -> Result:
    """Try a family, and say what was seen."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        result = family.run(Path(folder), share, random.Random(seed))
    took = time.monotonic() - begun
    print(
        f"{family.id}  {result.tried} tried, {len(result.violations)} violations, {took:.0f} s  {result.facts}"
    )
    for violation in result.violations[:_MOST_SHOWN]:
        print(f"    {violation}")
    sys.stdout.flush()
    return result


if __name__ == "__main__":
    main()

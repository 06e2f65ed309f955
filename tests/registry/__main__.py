"""``python -m tests.registry --count 10000``: random sequences of what people do with checkpoints, against a model."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import tempfile
from pathlib import Path

from tests.helpers.patience import patient
from tests.registry import kills, upload_kills
from tests.registry.compare import differences

AT_ONCE = 20
GARBAGE = 50_000
"""New objects between two collections: with Python's 700, they take an eighth of the time."""


def main() -> None:
    """Compare as many sequences as were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.registry", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first sequence")
    parser.add_argument("--steps", type=int, default=40, help="of each sequence")
    parser.add_argument("--kills", action="store_true", help="kill at each moment instead")
    parser.add_argument(
        "--upload-kills", action="store_true", help="kill at each moment of an upload instead"
    )
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    gc.freeze()
    gc.set_threshold(GARBAGE)
    if arguments.kills:
        with tempfile.TemporaryDirectory() as folder:
            count, after = kills.wrong_after_kills(Path(folder))
        print(f"{count} kills, {len(after)} with something wrong after: {after}")
        sys.exit(bool(after))
    if arguments.upload_kills:
        for protocol in ("file", "plain"):
            with tempfile.TemporaryDirectory() as folder:
                count, after = upload_kills.wrong_after_kills(Path(folder), protocol)
            print(f"{protocol}: {count} kills, {len(after)} with something wrong after: {after}")
            if after:
                sys.exit(1)
        sys.exit()
    wrong = 0
    stop = arguments.seed + arguments.count
    with patient(), tempfile.TemporaryDirectory() as folder:
        for start in range(arguments.seed, stop, AT_ONCE):
            seeds = range(start, min(start + AT_ONCE, stop))
            found = differences(seeds, Path(folder), arguments.steps)
            wrong += len(found)
            for seed, text in found.items():
                print(f"-- sequence {seed}\n{text}", flush=True)
            print(f"{seeds.stop - arguments.seed} sequences, {wrong} differences", flush=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

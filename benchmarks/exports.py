"""What exporting step metrics costs: CSV beside pandas, Parquet beside pyarrow, and as many points as fit on the disk.

python -m benchmarks.exports           writes its section of docs/benchmarks.md; about a quarter of an hour
python -m benchmarks.exports --quick   a tenth of the points, once; nothing is written

Each export is a process of its own, so that its highest memory is known. Ours begins at the database; pandas and
pyarrow are only timed while they write, from a frame or a table that they have in memory by then.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import tracker
from benchmarks import curves, page
from tracker.cli import program

POINTS, MOST_POINTS, ROUNDS = 10_000_000, 100_000_000, 3
METRICS = 4


class Cost(NamedTuple):
    """Processor seconds of writing, the bytes of the file, and the highest memory of the process, in bytes."""

    seconds: float
    size: int
    memory: int


def record(database: Path, points: int) -> None:
    """Record a run with so many points of four metrics."""
    calls = curves.calls(METRICS)
    with tracker.start_run("exports", database=database, system_metrics=False) as run:
        for step in range(points // METRICS):
            run.log(calls[step % len(calls)], step)


def ours(kind: str, database: Path, target: Path) -> float:
    """Export as the command does; return the processor seconds."""
    words = ["export", "--what", "metrics", "--format", kind, "-o", str(target)]
    started = time.process_time()
    program([*words, "--database", str(database)], standalone_mode=False)
    return time.process_time() - started


def pandas_csv(source: Path, target: Path) -> float:
    """Write the points of a Parquet file as CSV by pandas; return the processor seconds without reading it."""
    import pandas as pd

    frame = pd.read_parquet(source)
    started = time.process_time()
    frame.to_csv(target, index=False)
    return time.process_time() - started


def pyarrow_parquet(source: Path, target: Path) -> float:
    """Write the points of a Parquet file as another one by pyarrow; return the processor seconds without reading it."""
    from pyarrow import parquet

    table = parquet.read_table(source)
    started = time.process_time()
    parquet.write_table(table, target)
    return time.process_time() - started


def cost(write: Callable[[Path], float], target: Path) -> Cost:
    """Return what ``write`` costs in a copy of this process that has loaded the modules, and remove its file."""
    sys.stdout.flush()
    theirs, mine = os.pipe()
    child = os.fork()
    if child == 0:
        failed = 1
        try:
            os.write(mine, repr(write(target)).encode())
            failed = 0
        finally:
            os._exit(failed)
    os.close(mine)
    with os.fdopen(theirs) as answer:
        said = answer.read()
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{target.name}: failed")
    size = target.stat().st_size
    target.unlink()
    return Cost(float(said), size, used.ru_maxrss * 1024)


def compared(folder: Path, points: int, rounds: int) -> list[list[str]]:
    """Return the rows of the table at ``points``: the formats, ours and others', taking turns."""
    database, source, target = folder / "tracker.db", folder / "source.parquet", folder / "points"
    record(database, points)
    ours("parquet", database, source)
    ways: dict[str, Callable[[Path], float]] = {
        "CSV": lambda path: ours("csv", database, path),
        "CSV by pandas": lambda path: pandas_csv(source, path),
        "Parquet": lambda path: ours("parquet", database, path),
        "Parquet by pyarrow": lambda path: pyarrow_parquet(source, path),
        "JSON": lambda path: ours("json", database, path),
    }
    found: dict[str, list[Cost]] = {name: [] for name in ways}
    for round_ in range(rounds):
        for name in ways if round_ % 2 else reversed(ways):
            found[name].append(cost(ways[name], target))
    source.unlink()
    against = {"CSV": "CSV by pandas", "Parquet": "Parquet by pyarrow"}
    return [
        [*_row(points, name, costs), _ratio(costs, found.get(against.get(name, ""), []))]
        for name, costs in found.items()
    ]


def largest(folder: Path, points: int) -> list[list[str]]:
    """Return the rows of the table for one run of very many points."""
    database, target = folder / "large.db", folder / "points"
    record(database, points)
    return [
        [
            *_row(points, name, [cost(lambda path, kind=kind: ours(kind, database, path), target)]),
            "",
        ]
        for name, kind in (("CSV", "csv"), ("Parquet", "parquet"))
    ]


def _row(points: int, name: str, costs: list[Cost]) -> list[str]:
    seconds = statistics.median(each.seconds for each in costs)
    memory = max(each.memory for each in costs)
    return [
        f"{points:,}",
        name,
        f"{seconds:.1f} s",
        f"{costs[0].size / 1e6:,.0f} MB",
        f"{memory / 1e6:,.0f} MB",
    ]


def _ratio(costs: list[Cost], others: list[Cost]) -> str:
    if not others:
        return ""
    pairs = zip(costs, others, strict=True)
    return f"{statistics.median(own.seconds / other.seconds for own, other in pairs):.2f} ×"


def main() -> None:
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a tenth of the points; prints only")
    chosen: Any = parser.parse_args()
    less = 10 if chosen.quick else 1
    import pandas  # noqa: F401 - so that no copy of this process has to load it
    from pyarrow import parquet  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        rows = compared(Path(folder), POINTS // less, 1 if chosen.quick else ROUNDS)
        rows += largest(Path(folder), MOST_POINTS // less)
    text = (
        f"## Exports\n\n{page.machine()}. The step metrics of one run, four in each call. Processor time of "
        f"`tracker export`, from the database to the file, the median of {ROUNDS} rounds; pandas and pyarrow are "
        "timed while they write, from a frame or a table in memory. The highest memory is that of the whole process, "
        "Python and all modules included.\n\n"
        + page.table(
            ["points", "", "processor time", "file", "highest memory", "against the other"], rows
        )
    )
    print(text)
    if not chosen.quick:
        page.write("exports", text)


if __name__ == "__main__":
    main()

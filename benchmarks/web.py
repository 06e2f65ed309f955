"""What the page's server takes: pages of 100 000 runs, and a step metric of 10 million points.

    python -m benchmarks.web           this project, then its peers where they are installed
    python -m benchmarks.web --quick   a hundredth of the runs and points, nothing written

The runs are laid down by statements, as recording so many takes an hour. Processor time is that of the process, the
client's included; it says the same on a busy machine. TensorBoard and trackio get a tenth and a hundredth of the
points, written by themselves: more take them hours.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

import tracker
from benchmarks import page as report
from benchmarks import web_peers
from benchmarks.many_runs import build
from tests.helpers.pages import Page, serving
from tracker.storage.database import locate

RUNS = 100_000
POINTS = 10_000_000
ROUNDS = 5
_AT_ONCE = 250_000


@dataclass(frozen=True)
class Size:
    """How much is asked about."""

    runs: int = RUNS
    points: int = POINTS


@dataclass(frozen=True)
class Took:
    """What one question took, in seconds, and how many bytes its answer has."""

    what: str
    processor: float
    wall: float
    size: int

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """The row of a table."""
        return (
            self.what, f"{self.processor * 1e3:.0f} ms", f"{self.wall * 1e3:.0f} ms", f"{self.size / 1e3:.0f} kB",
        )  # fmt: skip


def values(points: int) -> Iterator[list[float]]:
    """Yield the values of the step metric, in single precision, in parts."""
    draw = np.random.default_rng(0)
    for start in range(0, points, _AT_ONCE):
        size = min(_AT_ONCE, points - start)
        yield draw.normal(size=size).astype(np.float32).tolist()


def record(database: Path, points: int) -> str:
    """Record a run whose step metric is as long; returns its id."""
    step = 0
    with tracker.start_run("long", "long", database=database, system_metrics=False) as run:
        for epoch, some in enumerate(values(points)):
            for value in some:
                run.log({"loss": value}, step=step)
                step += 1
            run.log_epoch(epoch, {"val_loss": 1.0})
    return run.id


def asked(page: Page, what: str, path: str, *, times: int = ROUNDS, **params: Any) -> Took:
    """Return what a question takes: the median of some, after one more; of one, that alone."""
    rounds = []
    for _ in range(times + (times > 1)):
        processor, wall = time.process_time(), time.perf_counter()
        answer = page.client.get(f"/api/v1{path}", params=params, timeout=120)
        rounds.append((time.process_time() - processor, time.perf_counter() - wall))
        assert answer.status_code == httpx.codes.OK, answer.text
    kept = rounds[1:] or rounds
    processors, walls = zip(*kept, strict=True)
    return Took(what, statistics.median(processors), statistics.median(walls), len(answer.content))


def of_runs(folder: Path, runs: int) -> Iterator[Took]:
    """Ask for pages of many runs, each with 20 params, 10 metrics and 2 tags."""
    build(locate(folder / "runs.db"), runs)
    last = {"offset": runs - 100}
    with serving(folder / "runs.db") as page:
        # The first request of a server also imports what queries need.
        asked(page, "", "/runs", times=1, limit=1)
        for what, params in {
            "first page": {},
            "sorted by a metric": {"sort": "val_loss"},
            "sorted by a param": {"sort": "-params.p7"},
            "sorted by a tag": {"sort": "tags.tag1"},
            "filtered by a metric": {"where": "val_loss < 0.1"},
            "filtered by a param": {"where": "params.lr < 0.1"},
            "filtered by a param, sorted by a metric": {"where": "params.lr < 0.1", "sort": "val_loss"},
            "grouped by experiment, best first": {"sort": "experiment:asc,val_loss"},
            "grouped by a param": {"sort": "params.p3:asc"},
            "last page": last,
            "last page, sorted by a metric": {"sort": "val_loss", **last},
            "last page, sorted by a param": {"sort": "params.lr", **last},
            "last page, sorted by a tag": {"sort": "tags.tag1", **last},
        }.items():  # fmt: skip
            yield asked(page, what, "/runs", **params)
        yield asked(page, "runs per experiment", "/groups", by="experiment")
        yield asked(page, "runs per value of a param", "/groups", by="params.p3", limit=100)
        yield asked(page, "names for completion", "/fields")


def of_points(folder: Path, points: int) -> Iterator[Took]:
    """Ask for a step metric, as a chart does."""
    path = f"/runs/{record(folder / 'points.db', points)}/series"
    with serving(folder / "points.db") as page:
        asked(page, "", "/runs", times=1, limit=1)
        yield asked(page, "first draw", path, times=1, name="loss")
        yield asked(page, "drawn again", path, name="loss")
        for share in (10, 1000, 100_000):
            middle, half = points // 2, points // share // 2
            zoom = {"name": "loss", "from": middle - half, "to": middle + half}
            yield asked(page, f"zoomed to 1/{share:,}".replace(",", " "), path, times=1, **zoom)
        yield asked(page, "on a logarithmic axis", path, times=1, name="loss", scale="log")
        yield asked(page, "smoothed, first time", path, times=1, name="loss", ema=0.99)
        yield asked(page, "smoothed, again", path, name="loss", ema=0.99)


def main() -> None:
    """Print the tables and write them into docs/benchmarks.md."""
    quick = "--quick" in sys.argv[1:]
    size = Size(RUNS // 100, POINTS // 100) if quick else Size()
    head = ("processor", "answered after", "answer")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = [took.cells for took in of_runs(folder, size.runs)]
        (folder / "runs.db").unlink()
        points = [took.cells for took in of_points(folder, size.points)]
        peers = web_peers.compared(folder, (size.points // 10, size.points // 100))
    text = (
        f"## The page\n\n{report.machine()}. What `tracker ui` takes to answer, on loopback; medians of {ROUNDS} "
        f"but for first draws and zooms.\n\n"
        f"{report.table((f'{size.runs:,} runs'.replace(',', ' '), *head), runs)}\n\n"
        f"{report.table((f'{size.points:,} points'.replace(',', ' '), *head), points)}"
    )
    text += f"\n\n### Beside others\n\n{web_peers.WHAT}\n\n{report.table(web_peers.HEAD, peers)}"
    print(text)
    if not quick:
        report.write("web", text)


if __name__ == "__main__":
    main()

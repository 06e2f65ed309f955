"""What the page's server takes: the first page of 100 000 runs, and a step metric of 10 million points.

    python -m benchmarks.web

The runs and the points are written as rows, not recorded: recording so many takes an hour.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np

import tracker
from benchmarks import page as report
from tests.helpers.pages import Page, serving

RUNS = 100_000
POINTS = 10_000_000
ROUNDS = 5


def fill_runs(database: Path) -> None:
    """Copy one recorded run 100 000 times."""
    import random
    import sqlite3
    from contextlib import closing

    with tracker.start_run("sweep", params={"lr": 0.1, "width": 32}, database=database) as run:
        for epoch in range(3):
            run.log_epoch(epoch, {"loss": 1.0, "val_loss": 1.0})
    draw = random.Random(0)
    with closing(sqlite3.connect(database)) as connection:
        for table in ("run", "attempt", "param", "summary"):
            cursor = connection.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            marks = ",".join("?" * len(names))
            for start in range(1, RUNS, 10_000):
                copies = []
                for number in range(start, min(start + 10_000, RUNS)):
                    for row in rows:
                        copy = {**row, "id" if table in ("run",) else "run_id": f"{number:012x}"}
                        if table == "attempt":
                            copy["id"] = f"a{number:011x}"
                        if table == "run":
                            copy |= {"name": f"sweep-{number}", "started": row["started"] + number}
                        if table == "param":
                            copy |= {
                                "number": (value := draw.random()),
                                "text": repr(value),
                                "kind": "float",
                            }
                        if table == "summary":
                            copy |= {"min": draw.random(), "max": 1 + draw.random()}
                        copies.append(tuple(copy[name] for name in names))
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", copies)
        connection.commit()


def fill_points(database: Path) -> str:
    """Record a run whose step metric is as long; returns its id."""
    draw = np.random.default_rng(0)
    with tracker.start_run("long", "long", database=database) as run:
        for start in range(0, POINTS, 250_000):
            values = draw.normal(size=250_000).astype(np.float32).tolist()
            for place, value in enumerate(values):
                run.log({"loss": value}, step=start + place)
            run.log_epoch(start // 250_000, {"val_loss": 1.0})
    return run.id


def timed(page: Page, path: str, **params: object) -> tuple[float, httpx.Response]:
    """Return the seconds of one request, and its answer."""
    started = time.perf_counter()
    answer = page.get(path, **params)
    assert answer.status_code == 200, answer.text
    return time.perf_counter() - started, answer


def median(page: Page, path: str, **params: object) -> float:
    """Return the median seconds of a request, after one warm-up."""
    return statistics.median([timed(page, path, **params)[0] for _ in range(ROUNDS + 1)][1:])


def measure(folder: Path) -> list[tuple[str, str, str]]:
    """Return what was asked, how long it took, and how large the answer was."""
    rows = []

    def note(what: str, seconds: float, answer: httpx.Response | None = None) -> None:
        size = "" if answer is None else f"{len(answer.content) / 1e3:.0f} kB"
        rows.append((what, f"{seconds * 1e3:.0f} ms", size))

    database = folder / "runs.db"
    fill_runs(database)
    with serving(database) as page:
        # The first request of a server also imports what queries need.
        timed(page, "/runs", limit=1)
        for what, params in {
            "first page": {},
            "sorted by a metric": {"sort": "val_loss"},
            "filtered by a param": {"where": "params.lr < 0.1"},
            "sorted by a param": {"sort": "params.lr"},
            "last page": {"offset": RUNS - 100},
        }.items():
            note(
                f"100 000 runs, {what}",
                median(page, "/runs", **params),
                timed(page, "/runs", **params)[1],
            )
        note("100 000 runs, grouped", median(page, "/groups", by="experiment"))
    database = folder / "points.db"
    path = f"/runs/{fill_points(database)}/series"
    with serving(database) as page:
        note("10 million points, first draw", *timed(page, path, name="loss"))
        note("10 million points, drawn again", median(page, path, name="loss"))
        for share in (10, 1000):
            middle, half = POINTS // 2, POINTS // share // 2
            zoom = {"name": "loss", "from": middle - half, "to": middle + half}
            note(f"10 million points, zoomed to 1/{share}", *timed(page, path, **zoom))
        note("10 million points, smoothed", *timed(page, path, name="loss", ema=0.99))
    return rows


def main() -> None:
    """Print the table and write it into docs/benchmarks.md."""
    with tempfile.TemporaryDirectory() as name:
        rows = measure(Path(name))
    text = (
        f"## The page\n\n{report.machine()}. What `tracker ui` takes to answer, on loopback; medians but for "
        f"first draws.\n\n{report.table(('Question', 'time', 'answer'), rows)}"
    )
    print(text)
    report.write("web", text)


if __name__ == "__main__":
    main()

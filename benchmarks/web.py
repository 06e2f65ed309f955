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


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as name:
        database = Path(name) / "runs.db"
        fill_runs(database)
        with serving(database) as page:
            print(f"{RUNS} runs, the first request of all: {timed(page, '/runs')[0]:.3f} s")
            for what, params in {
                "the first page": {},
                "sorted by a metric": {"sort": "val_loss"},
                "filtered by a param": {"where": "params.lr < 0.1"},
                "sorted by a param": {"sort": "params.lr"},
                "the last page": {"offset": RUNS - 100},
            }.items():
                print(f"{RUNS} runs, {what}: {median(page, '/runs', **params):.3f} s")
            print(f"{RUNS} runs, grouped: {median(page, '/groups', by='experiment'):.3f} s")
        database = Path(name) / "points.db"
        run = fill_points(database)
        path = f"/runs/{run}/series"
        with serving(database) as page:
            first, answer = timed(page, path, name="loss")
            size = len(answer.content)
            print(f"{POINTS} points, the first draw: {first:.3f} s, {size} bytes")
            print(f"{POINTS} points, drawn again: {median(page, path, name='loss'):.3f} s")
            for share in (10, 1000):
                middle, half = POINTS // 2, POINTS // share // 2
                zoom = {"from": middle - half, "to": middle + half}
                print(
                    f"{POINTS} points, zoomed to 1/{share}: {median(page, path, name='loss', **zoom):.3f} s"
                )
            print(f"{POINTS} points, smoothed: {median(page, path, name='loss', ema=0.99):.3f} s")


if __name__ == "__main__":
    main()

"""What an epoch, a start and a whole run cost: `python -m benchmarks.runs [--quick]`.

An epoch is compared with the same rows written by the standard library's sqlite3, turn and turn about on the same
disk; a start is measured on stores of more and more runs; a tiny run beside other trackers (their environments are
those of `benchmarks.stream`); and one process records thousands of runs, to see whether it grows.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil

import tracker
from benchmarks import page
from benchmarks.many_runs import build
from benchmarks.stream import ask, interpreter
from tracker.storage.database import locate

METRICS = 1, 10, 20
STORES = 0, 1000, 10_000, 100_000
PEERS = "tracker", "trackio", "wandb", "mlflow", "aim"
_WARM_UP = 50
_TINY_RUNS = 20
_PARAMS = {f"param_{number}": number / 3 for number in range(20)}


class Bare:
    """The rows of an epoch by sqlite3: what they cost without us, durable as ours."""

    def __init__(self, model: Path, path: Path) -> None:
        """Make a database with the tables, indexes and the one run of ``model``, which has one epoch."""
        self.connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self.connection.execute(f"PRAGMA {pragma}")
        with closing(sqlite3.connect(model)) as ours:
            made = (
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
            )
            for (sql,) in ours.execute(made):
                self.connection.execute(sql)
            for table in ("run", "summary", "epoch", "metric"):
                for row in ours.execute(f"SELECT * FROM {table}"):
                    marks = ", ".join("?" * len(row))
                    self.connection.execute(f"INSERT INTO {table} VALUES ({marks})", row)
        (self.run,) = self.connection.execute("SELECT id FROM run").fetchone()

    def log_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Write an epoch, its metrics and what is kept of them per run; on the disk when this returns."""
        execute, execute_each = self.connection.execute, self.connection.executemany
        execute("BEGIN IMMEDIATE")
        added = execute(_EPOCH, (self.run, epoch, time.time_ns() // 1000, 0.1, epoch * 12345))
        rows = [
            (added.lastrowid, name, place, v) for place, (name, v) in enumerate(metrics.items())
        ]
        execute_each(_METRIC, rows)
        kept = [(self.run, name, v, epoch, v, epoch, v, epoch) for name, v in metrics.items()]
        execute_each(_SUMMARY, kept)
        execute(
            "UPDATE run SET epochs = epochs + 1, seconds = seconds + 0.1 WHERE id = ?", (self.run,)
        )
        execute("COMMIT")


_EPOCH = """INSERT INTO epoch (run_id, attempt, epoch, started, seconds, superseded, checksum)
VALUES (?, 1, ?, ?, ?, 0, ?)"""
_METRIC = (
    "INSERT INTO metric (epoch_id, name, position, value, value_kind) VALUES (?, ?, ?, ?, 'finite')"
)
_SUMMARY = """INSERT INTO summary (run_id, name, last, last_kind, last_epoch, min, min_epoch, max, max_epoch)
VALUES (?, ?, ?, 'finite', ?, ?, ?, ?, ?) ON CONFLICT (run_id, name) DO UPDATE SET
last = excluded.last, last_epoch = excluded.last_epoch,
min = min(min, excluded.min), min_epoch = CASE WHEN excluded.min < min THEN excluded.min_epoch ELSE min_epoch END,
max = max(max, excluded.max), max_epoch = CASE WHEN excluded.max > max THEN excluded.max_epoch ELSE max_epoch END"""


def epochs(metrics: int, folder: Path, rounds: int) -> tuple[float, float, float]:
    """Return the median seconds of a durable epoch, ours and bare, and the median ratio of the pairs."""
    database = folder / "ours.db"
    names = [f"metric_{number}" for number in range(metrics)]
    with tracker.start_run("epochs", database=database) as run:
        run.log_epoch(0, dict.fromkeys(names, 1.0))
        bare = Bare(database, folder / "bare.db")
        pairs: list[dict[str, float]] = []
        for epoch in range(1, _WARM_UP + rounds):
            values = {name: 1.0 / (epoch + place) for place, name in enumerate(names)}
            turns = [("ours", run.log_epoch), ("bare", bare.log_epoch)]
            pairs.append({})
            for name, log in turns if epoch % 2 else reversed(turns):
                started = time.perf_counter()
                log(epoch, values)
                pairs[-1][name] = time.perf_counter() - started
    bare.connection.close()
    counted = pairs[_WARM_UP:]
    ratio = statistics.median(pair["ours"] / pair["bare"] for pair in counted)
    return (
        statistics.median(pair["ours"] for pair in counted),
        statistics.median(pair["bare"] for pair in counted),
        ratio,
    )


def starts(runs: int, folder: Path, rounds: int) -> tuple[float, float]:
    """Return the median seconds and processor seconds of `tracker.start_run` on a store of so many runs."""
    database = folder / "tracker.db"
    if runs:
        build(locate(database), runs)
    took: list[tuple[float, float]] = []
    for _ in range(rounds + 5):
        begun = time.perf_counter(), _processor_time()
        run = tracker.start_run("starts", params=_PARAMS, database=database)
        took.append((time.perf_counter() - begun[0], _processor_time() - begun[1]))
        run.finish()
    counted = took[5:]
    return statistics.median(wall for wall, _ in counted), statistics.mean(
        cpu for _, cpu in counted
    )


def _processor_time() -> float:
    """Return what this process and its children have used, in seconds."""
    return sum(os.times()[:4])


def growth(runs: int, folder: Path) -> tuple[list[str], list[str]]:
    """Record runs one after the other; return memory, threads and descriptors after a tenth of them, and at the end."""
    process = psutil.Process()
    found = []
    for number in range(1, runs + 1):
        with tracker.start_run("growth", params=_PARAMS, database=folder / "tracker.db") as run:
            run.log_epoch(0, {"val_loss": 1.0 / number})
        if number in (runs // 10, runs):
            memory = process.memory_info().rss / 2**20
            counts = threading.active_count(), process.num_fds()
            found.append([f"{number:,}", f"{memory:.0f} MiB", *map(str, counts)])
    return found[0], found[1]


def _in_folder(measure: Callable[..., tuple[float, ...]], *arguments: int) -> tuple[float, ...]:
    with tempfile.TemporaryDirectory() as folder:
        return measure(arguments[0], Path(folder), *arguments[1:])


def tiny() -> list[tuple[str, str, str]]:
    """Return what a run of five calls with ten metrics costs each tracker, of processor time, in one process."""
    rows = []
    for name in PEERS:
        try:
            found = [ask(interpreter(name), name, "tiny", _TINY_RUNS, 10) for _ in range(3)]
            least = min(each["cpu"] for each in found)
            rows.append((name, str(found[0]["version"]), f"{least * 1e3:.1f} ms"))
        except (RuntimeError, subprocess.SubprocessError) as error:
            rows.append((name, "—", str(error)))
    return rows


def main() -> None:
    """Print the tables and write them into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small stores, no peers; not written")
    quick = parser.parse_args().quick
    stores, rounds, many = (STORES[:2], 200, 100) if quick else (STORES, 1000, 10_000)
    compared = [(count, *_in_folder(epochs, count, rounds)) for count in METRICS]
    begun = [(count, *_in_folder(starts, count, 40)) for count in stores]
    with tempfile.TemporaryDirectory() as folder:
        grown = growth(many, Path(folder))
    parts = [
        f"## Epochs, starts and runs\n\n{page.machine()}. An epoch is on the disk when `log_epoch` returns: it is "
        "compared with the same rows by Python's sqlite3, `synchronous=FULL`, turn and turn about. Starts are made "
        "in a repository, of which git is asked each time.\n",
        page.table(
            ("A durable epoch", "log_epoch", "bare sqlite3", "ratio, median"),
            [
                (
                    f"{count} metric{'s' * (count > 1)}",
                    f"{ours * 1e3:.2f} ms",
                    f"{bare * 1e3:.2f} ms",
                    f"{ratio:.2f} ×",
                )
                for count, ours, bare, ratio in compared
            ],
        ),
        "",
        page.table(
            ("`start_run` on a store of", "until it returns", "processor time"),
            [
                (f"{count:,} runs", f"{wall * 1e3:.1f} ms", f"{cpu * 1e3:.1f} ms")
                for count, wall, cpu in begun
            ],
        ),
        "\nOne process that records runs one after the other:\n",
        page.table(("runs so far", "memory", "threads", "open files"), grown),
    ]
    if not quick:
        parts += [
            "\nA run of five calls with ten metrics, from its start to its end, the least of three processes' means:\n",
            page.table(("", "version", "processor time"), tiny()),
        ]
    text = "\n".join(parts)
    print(text)
    if not quick:
        page.write("runs", text)


if __name__ == "__main__":
    main()

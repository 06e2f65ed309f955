"""Replaying early stopping: 1 000 runs of 200 epochs with patience 1…20, from the database to the outcome."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

from benchmarks import page

RUNS, EPOCHS, PATIENCES = 1000, 200, range(1, 21)


def fill(database: Path, runs: int = RUNS, epochs: int = EPOCHS) -> None:
    """Write runs in bulk, with the rows that recording would leave."""
    from sqlalchemy import insert

    from tracker.models import EPOCH, METRIC, RUN, SUMMARY
    from tracker.storage.database import locate
    from tracker.storage.prepare import writing

    draw = random.Random(7)
    made, passes, metrics, summaries = [], [], [], []
    for number in range(runs):
        run = f"{number:012x}"
        about = {"id": run, "name": f"run-{number}", "experiment": "sweep", "status": "finished"}
        made.append({**about, "started": number, "seconds": float(epochs), "epochs": epochs})
        values = [0.99**epoch + draw.random() * 0.05 for epoch in range(epochs)]
        for epoch, value in enumerate(values):
            key = number * epochs + epoch
            when = {"epoch": epoch, "started": key, "seconds": 1.0, "superseded": False}
            passes.append({"id": key, "run_id": run, "attempt": 1, **when})
            pair = {"value": value, "value_kind": "finite"}
            metrics.append({"epoch_id": key, "name": "val_loss", "position": 0, **pair})
        last = {"last": values[-1], "last_kind": "finite", "last_epoch": epochs - 1}
        low, high = min(values), max(values)
        ends = {
            "min": low,
            "min_epoch": values.index(low),
            "max": high,
            "max_epoch": values.index(high),
        }
        summaries.append({"run_id": run, "name": "val_loss", **last, **ends})
    with writing(locate(database)) as connection:
        for table, rows in ((RUN, made), (EPOCH, passes), (METRIC, metrics), (SUMMARY, summaries)):
            connection.execute(insert(table), rows)


def measure() -> float:
    """Return the seconds of one replay, imports and reading included."""
    import tracker

    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "tracker.db"
        fill(database)
        tracker.replay(patience=1, where="name = 'run-1'", database=database)
        started = time.process_time()
        frame = tracker.replay(patience=PATIENCES, database=database)
        seconds = time.process_time() - started
    assert len(frame) == RUNS * len(PATIENCES)
    return seconds


def main() -> None:
    """Print the figure and write it into docs/benchmarks.md."""
    size = f"{RUNS} runs × {EPOCHS} epochs × {len(PATIENCES)} patiences"
    rows = [(size, f"{measure():.2f} s")]
    head = ("Replaying early stopping, reading included", "processor time")
    text = f"## Replay\n\n{page.machine()}.\n\n{page.table(head, rows)}"
    print(text)
    page.write("replay", text)


if __name__ == "__main__":
    main()

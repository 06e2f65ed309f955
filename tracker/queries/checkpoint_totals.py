"""What the checkpoints of each experiment take."""

from __future__ import annotations

from sqlalchemy import select

from tracker.models import RUN
from tracker.queries.checkpoints import checkpoints
from tracker.queries.result import Column, Listing
from tracker.states import CheckpointState
from tracker.storage.database import Reader

COLUMNS = (
    Column("experiment", "text"), Column("runs", "integer"), Column("files", "integer"),
    Column("bytes", "integer"), Column("kept_files", "integer"), Column("kept_bytes", "integer"),
    Column("frees", "integer"),
)  # fmt: skip


def checkpoint_totals(reader: Reader) -> Listing:
    """Return one row per experiment: runs with available files, files and bytes, those in the store.

    ``frees`` is what pruning would free.
    """
    if reader.empty:
        return Listing(COLUMNS)
    totals: dict[str, dict[str, int]] = {}
    runs: dict[str, set[str]] = {}
    of_run = {
        row.id: row.experiment
        for row in reader.connection.execute(select(RUN.c.id, RUN.c.experiment))
    }
    for experiment in set(of_run.values()):
        ids = [run for run, its in of_run.items() if its == experiment]
        for row in checkpoints(reader, ids, states=[CheckpointState.AVAILABLE]).dicts():
            sums = totals.setdefault(experiment, _zeros())
            runs.setdefault(experiment, set()).add(row["run"])
            sums["files"] += 1
            sums["bytes"] += row["bytes"]
            sums["frees"] += row["frees"] or 0
            if row["kept"] is not None:
                sums["kept_files"] += 1
                sums["kept_bytes"] += row["bytes"]
    rows = (
        {"experiment": experiment, "runs": len(runs[experiment]), **totals[experiment]}
        for experiment in sorted(totals, key=lambda name: (-totals[name]["bytes"], name))
    )
    return Listing.from_dicts(COLUMNS, rows)


def _zeros() -> dict[str, int]:
    return {column.name: 0 for column in COLUMNS[2:]}

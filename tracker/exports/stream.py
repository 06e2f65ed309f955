"""What is exported: columns, and rows in chunks, so that a million epochs need little memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tracker.errors import BadValue, nearest
from tracker.filters.names import metric_names
from tracker.frames import named
from tracker.queries import api as queries
from tracker.queries.epochs import COLUMNS as EPOCH_COLUMNS
from tracker.queries.epochs import has_other_rates
from tracker.queries.pieces import pieces
from tracker.queries.points import Points, runs_with_points
from tracker.queries.resolve import select_runs
from tracker.queries.result import Column, Listing, metric_titles
from tracker.storage.database import Reader

if TYPE_CHECKING:
    from tracker.recording.run import Run

CONTENTS = ("epochs", "metrics", "runs", "checkpoints", "decisions")
"""What can be exported."""


@dataclass(frozen=True)
class RunPoints:
    """The step metrics of one run, read in pieces while they are written; ``run`` is what it is called."""

    run: str
    pieces: Iterator[Points]


Rows = Sequence[Sequence[Any]]
Chunk = Rows | RunPoints
"""Rows, or points as columns: of those there may be more than the memory holds as rows."""

_RUNS_PER_CHUNK = 100
_RUN_COLUMNS = ("id", "experiment", "status")
POINT_COLUMNS = (
    Column("run", "text"),
    Column("name", "text"),
    Column("step", "integer"),
    Column("time", "time"),
    Column("value", "number"),
)


@dataclass(frozen=True)
class Stream:
    """Columns and chunks; ``steps`` is how many chunks there are, for a progress bar."""

    columns: tuple[Column, ...]
    chunks: Iterator[Chunk]
    steps: int

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)


def check_content(what: str) -> None:
    """Refuse what is none of `CONTENTS`."""
    if what not in CONTENTS:
        raise BadValue(f"what is {what!r}: {nearest(what, CONTENTS)}")


def exported_runs(reader: Reader, runs: Sequence[str | Run], where: str | None) -> list[str]:
    """Return the ids of those of these runs that match a filter; of all runs, oldest first, without any."""
    ids = select_runs(reader, [named(run) for run in runs], where)
    if not runs:
        # All runs come newest first.
        ids.reverse()
    return ids


def stream_listing(listing: Listing) -> Stream:
    """Return a listing as a single chunk."""
    return Stream(listing.columns, iter([listing.rows]), 1)


def stream_runs(reader: Reader, what: str, ids: Sequence[str]) -> Stream:
    """Return what is exported of the runs with these ids; ``what`` is one of `CONTENTS`."""
    if what == "epochs":
        return _stream_epochs(reader, ids)
    if what == "metrics":
        return _stream_points(reader, ids)
    if what == "runs":
        return stream_listing(queries.runs(reader, ids=ids))
    if what == "checkpoints":
        return stream_listing(queries.checkpoints(reader, ids))
    return stream_listing(queries.decisions(reader, ids))


def _stream_epochs(reader: Reader, ids: Sequence[str]) -> Stream:
    """Return epochs, which begin with columns of their run: what it is, its tags and its params."""
    called = {} if reader.empty else queries.labels(reader.connection, ids)
    run_columns, run_cells = _of_runs(queries.runs(reader, ids=ids), called)
    epoch_columns = [column for column in EPOCH_COLUMNS if column.name != "run"]
    metrics = metric_names(reader, ids)
    other_rates = "learning_rate" in metrics and has_other_rates(reader, ids)
    if not other_rates:
        metrics = [name for name in metrics if name != "learning_rate"]
    titles = metric_titles(metrics, [column.name for column in (*run_columns, *epoch_columns)])
    # A query of epochs knows no columns of runs: there a metric may have another title.
    query_titles = metric_titles(metrics, [column.name for column in EPOCH_COLUMNS])
    wanted = [*(column.name for column in epoch_columns), *(query_titles[name] for name in metrics)]

    def chunks() -> Iterator[Chunk]:
        for start in range(0, len(ids), _RUNS_PER_CHUNK):
            some = ids[start : start + _RUNS_PER_CHUNK]
            rows = queries.epochs(reader, some, called=called, other_rates=other_rates).dicts()
            yield [(*run_cells[row["run"]], *map(row.get, wanted)) for row in rows]

    columns = (*run_columns, *epoch_columns, *(Column(titles[name], "number") for name in metrics))
    return Stream(columns, chunks(), steps=-(-len(ids) // _RUNS_PER_CHUNK))


def _of_runs(
    runs: Listing, called: Mapping[str, str]
) -> tuple[tuple[Column, ...], dict[str, tuple[Any, ...]]]:
    """Return the columns of runs that their epochs begin with, and the cells by what the run is called."""
    taken = [
        column
        for column in runs.columns
        if column.name in _RUN_COLUMNS or column.name.startswith(("tags.", "params."))
    ]
    cells = {
        called[row["id"]]: (called[row["id"]], *(row[column.name] for column in taken))
        for row in runs.dicts()
    }
    return (Column("run", "text"), *taken), cells


def _stream_points(reader: Reader, ids: Sequence[str]) -> Stream:
    runs = runs_with_points(reader, ids)
    called = {} if reader.empty else queries.labels(reader.connection, ids)

    def of_run(run: str) -> RunPoints:
        label = called[run]
        return RunPoints(label, (replace(piece, runs=[label]) for piece in pieces(reader, [run])))

    return Stream(POINT_COLUMNS, map(of_run, runs), steps=len(runs))

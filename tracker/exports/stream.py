"""What is exported: columns, and rows in chunks, so that a million epochs need little memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tracker import queries
from tracker.filters.names import metric_names
from tracker.queries import Column, Listing
from tracker.queries.epochs import COLUMNS as EPOCH_COLUMNS
from tracker.queries.listing import metric_titles
from tracker.queries.points import runs_with_points
from tracker.storage.database import Reader

WHATS = ("epochs", "metrics", "runs", "checkpoints", "decisions")
_RUNS_AT_ONCE = 100
_FRONT = ("id", "experiment", "status")
_POINT_COLUMNS = (
    Column("run", "text"), Column("name", "text"), Column("step", "integer"), Column("time", "time"),
    Column("value", "number"),
)  # fmt: skip


@dataclass(frozen=True)
class Stream:
    """Columns, and chunks of rows; ``steps`` is how many chunks come, for a progress bar."""

    columns: tuple[Column, ...]
    chunks: Iterator[Sequence[Sequence[Any]]]
    steps: int

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)


def of_listing(listing: Listing) -> Stream:
    """Return a listing as one chunk."""
    return Stream(listing.columns, iter([listing.rows]), 1)


def stream(reader: Reader, what: str, ids: Sequence[str]) -> Stream:
    """Return what is exported of the runs with these ids; ``what`` is one of `WHATS`."""
    if what == "runs":
        return of_listing(queries.runs(reader, ids=ids))
    if what == "checkpoints":
        return of_listing(queries.checkpoints(reader, ids))
    if what == "decisions":
        return of_listing(queries.decisions(reader, ids))
    return _points(reader, ids) if what == "metrics" else _epochs(reader, ids)


def _epochs(reader: Reader, ids: Sequence[str]) -> Stream:
    """Epochs with their run's columns in front: what it is, its tags and its parameters."""
    if reader.empty:
        return of_listing(queries.epochs(reader, ids))
    called = queries.labels(reader.connection, ids)
    front = _front(queries.runs(reader, ids=ids), called)
    rest = [column for column in EPOCH_COLUMNS if column.name != "run"]
    taken = [column.name for column in (*front.columns, *rest)]
    names = [name for name in metric_names(reader, ids) if name != "learning_rate"]
    titles = metric_titles(names, taken)
    epoch_titles = metric_titles(names, [column.name for column in EPOCH_COLUMNS])
    metrics = tuple(Column(titles[name], "number") for name in names)

    def chunks() -> Iterator[Sequence[Sequence[Any]]]:
        for start in range(0, len(ids), _RUNS_AT_ONCE):
            some = ids[start : start + _RUNS_AT_ONCE]
            listing = queries.epochs(reader, some, called=called)
            there = {name: place for place, name in enumerate(listing.names)}
            places = [there.get(epoch_titles[name]) for name in names]
            yield [
                (
                    *front.rows[row[0]],
                    *row[1 : len(EPOCH_COLUMNS)],
                    *(None if place is None else row[place] for place in places),
                )
                for row in listing.rows
            ]

    steps = -(-len(ids) // _RUNS_AT_ONCE)
    return Stream((*front.columns, *rest, *metrics), chunks(), steps)


@dataclass(frozen=True)
class _Front:
    columns: tuple[Column, ...]
    rows: dict[str, tuple[Any, ...]]


def _front(runs: Listing, called: dict[str, str]) -> _Front:
    wanted = [
        place
        for place, name in enumerate(runs.names)
        if name in _FRONT or name.startswith(("tags.", "params."))
    ]
    heads = (Column("run", "text"), *(runs.columns[place] for place in wanted))
    rows = {
        called[row[0]]: (called[row[0]], *(row[place] for place in wanted)) for row in runs.rows
    }
    return _Front(heads, rows)


def _points(reader: Reader, ids: Sequence[str]) -> Stream:
    there = runs_with_points(reader, ids)
    called = {} if reader.empty else queries.labels(reader.connection, ids)

    def chunks() -> Iterator[Sequence[Sequence[Any]]]:
        for run in there:
            found = queries.points(reader, [run])
            columns = found.columns
            yield list(
                zip(
                    [called[run]] * len(columns.step),
                    [found.names[code] for code in columns.name.tolist()],
                    columns.step.tolist(),
                    columns.time.tolist(),
                    columns.value.tolist(),
                    strict=True,
                )
            )

    return Stream(_POINT_COLUMNS, chunks(), len(there))

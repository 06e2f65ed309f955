"""Step metrics: the points of series, read from the blocks that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Select, select

from tracker import values
from tracker.errors import BadValue, StoreError, UnknownMetric, nearest
from tracker.models import BLOCK, CLOCK, OF_STEPS, RUN, SERIES, SPARSE_BLOCK, SUMMARY
from tracker.queries.resolve import labels_of
from tracker.storage.chunks import CHUNK, in_chunks
from tracker.storage.database import Reader
from tracker.storage.effective_blocks import (
    applying,
    cuts_of,
    live_blocks,
    with_blocks,
    with_sparse_points,
)
from tracker.system_names import is_system

if TYPE_CHECKING:
    from tracker.series.assemble import Columns, StoredSparse


class StoredSeries(NamedTuple):
    """A row of ``series``: of thousands, its columns are read more quickly than SQLAlchemy's."""

    id: int
    run_id: str
    name: str


@dataclass(frozen=True)
class Points:
    """Points as columns; their ``run`` and ``name`` are places in ``runs`` (labels) and ``names``.

    The order is that of the runs, then of the names, then of the attempts, then of the calls of ``log``:
    steps may repeat or go back.
    """

    runs: list[str]
    names: list[str]
    columns: Columns


def points(
    reader: Reader,
    ids: Sequence[str] | None = None,
    *,
    names: str | Sequence[str] | None = None,
    start: int | None = None,
    stop: int | None = None,
    superseded: bool = False,
    system: bool = False,
) -> Points:
    """Return step metrics.

    Where a later attempt went back to a step that an earlier one had passed, the earlier one's points from that
    step on are superseded: of each metric, from the lowest step at which a later attempt logged it.

    Args:
        reader: an open database.
        ids: of these runs, in this order; None for all that have step metrics, oldest first.
        names: this metric, or these in this order; None for all that the training logged, as they were first
            logged.
        start: from this step on; blocks of lower steps are not read.
        stop: below this step.
        superseded: also points that a later attempt repeated, marked.
        system: without names, also what was measured of the machine (``system/``).

    Raises:
        UnknownMetric: for a name that none of the runs has.
        BadValue: for names that are not names, and a start or stop that is not a whole number.
        StoreError: for a block that is damaged.
    """
    from tracker.series.assemble import Members, StoredBlock, StoredClock, assemble

    start = None if start is None else values.whole(start, "start")
    stop = None if stop is None else values.whole(stop, "stop")
    names = None if names is None else titles_of(names)
    if reader.empty:
        return Points([], list(names or ()), assemble([], []))
    connection = reader.connection
    series = series_of(reader, ids, names, system)
    runs = list(ids or dict.fromkeys(metric.run_id for metric in series))
    titles = list(names or dict.fromkeys(metric.name for metric in series))
    run_of = {run: place for place, run in enumerate(runs)}
    name_of = {name: place for place, name in enumerate(titles)}
    codes = {metric.id: (run_of[metric.run_id], name_of[metric.name]) for metric in series}
    cuts = cuts_of(connection, series)
    # Few are asked for as they are.
    own = codes.keys() if len(codes) <= CHUNK else with_blocks(connection, run_of) & codes.keys()
    blocks = sorted(
        StoredBlock(
            *codes[block.series_id], block.attempt, block.number, block.points, block.payload,
            applying(cuts, block),
        )
        for block in live_blocks(
            connection, own, cuts,
            between(select(BLOCK), BLOCK, start, stop), superseded,
        )
    )  # fmt: skip
    clocks = in_chunks(
        connection, between(select(CLOCK), CLOCK, start, stop), CLOCK.c.run_id, run_of
    )
    with damage_told(reader):
        columns = assemble(
            blocks,
            [
                StoredClock(run_of[clock.run_id], clock.attempt, clock.number, clock.payload)
                for clock in clocks
            ],
            sparse=sparse_of(connection, run_of, None if names is None else codes, start, stop),
            members=Members({key: name for key, (_, name) in codes.items()}, cuts),
            start=start,
            stop=stop,
            superseded=superseded,
        )
    called = labels_of(connection, runs, ids)
    return Points([called[run] for run in runs], titles, columns)


def sparse_of(
    connection: Connection,
    run_of: Mapping[str, int],
    series: Iterable[int] | None,
    start: int | None,
    stop: int | None,
) -> list[StoredSparse]:
    """Return the sparse blocks of runs, in their order; those of runs without sparse points of the series are not read.

    Args:
        connection: an open database.
        run_of: the caller's numbers for the runs, by id.
        series: ids; None for all.
        start, stop: as for `points`.
    """
    from tracker.series.assemble import StoredSparse

    runs: Iterable[str] = run_of
    if series is not None:
        own = select(SERIES.c.run_id).distinct()
        shared = with_sparse_points(connection, series)
        runs = [row.run_id for row in in_chunks(connection, own, SERIES.c.id, shared)]
    statement = between(select(SPARSE_BLOCK), SPARSE_BLOCK, start, stop)
    return sorted(
        StoredSparse(run_of[row.run_id], row.attempt, row.number, row.members, row.payload)
        for row in in_chunks(connection, statement, SPARSE_BLOCK.c.run_id, dict.fromkeys(runs))
    )


@contextmanager
def damage_told(reader: Reader) -> Iterator[None]:
    """Turn what reading a damaged block raises into a `StoreError` that says what to do next."""
    try:
        yield
    except ValueError as error:
        raise StoreError(
            f"{error} Look at the database with: tracker db doctor --database {reader.location}",
            problem=str(error),
        ) from error


def titles_of(names: str | Sequence[str]) -> list[str]:
    """Return the names as they are stored, each once."""
    try:
        several = [names] if isinstance(names, str) else list(names)
    except TypeError as error:
        raise BadValue(
            f"names is {values.brief(names)}: give the name of a metric, or a list of names."
        ) from error
    return list(dict.fromkeys(map(values.name_text, several)))


def runs_with_points(reader: Reader, ids: Sequence[str] | None) -> list[str]:
    """Return the ids of the runs, of those named, that have step metrics of their training."""
    if reader.empty:
        return []
    with_points = {metric.run_id: None for metric in series_of(reader, ids, None)}
    return list(with_points) if ids is None else [run for run in ids if run in with_points]


def series_of(
    reader: Reader, ids: Sequence[str] | None, names: Sequence[str] | None, system: bool = False
) -> list[StoredSeries]:
    """Return the series of runs, oldest run first; of those names, else of all that the training logged.

    Raises:
        UnknownMetric: for a name that none of the runs has.
    """
    statement = (
        select(SERIES.c.id, SERIES.c.run_id, SERIES.c.name)
        .join_from(SERIES, RUN, SERIES.c.run_id == RUN.c.id)
        .order_by(RUN.c.started, RUN.c.id, SERIES.c.id)
    )
    rows = in_chunks(reader.connection, statement, SERIES.c.run_id, ids)
    series = list(map(StoredSeries._make, rows))
    if names is None:
        return [metric for metric in series if system or not is_system(metric.name)]
    known = dict.fromkeys(metric.name for metric in series)
    for name in names:
        if name not in known:
            raise UnknownMetric(_unknown(reader, ids, name, list(known)))
    wanted = set(names)
    return [metric for metric in series if metric.name in wanted]


def _unknown(reader: Reader, ids: Sequence[str] | None, name: str, known: list[str]) -> str:
    shown = values.brief(name)
    statement = select(SUMMARY.c.name).where(SUMMARY.c.name == name, ~OF_STEPS)
    if any(True for _ in in_chunks(reader.connection, statement, SUMMARY.c.run_id, ids)):
        return (
            f"{shown} is a metric of epochs: read it with tracker.epochs(…) or "
            f"tracker.compare(…, metric={shown}). Of step metrics: {nearest(name, known, most=20)}"
        )
    return f"No run here has a step metric {shown}: {nearest(name, known, most=20)}"


def between(statement: Select[Any], table: Any, start: int | None, stop: int | None) -> Select[Any]:
    """Leave out the blocks, or clocks, that have no step from ``start`` up to, and without, ``stop``."""
    if start is not None:
        statement = statement.where(table.c.last_step >= start)
    if stop is not None:
        statement = statement.where(table.c.first_step < stop)
    return statement

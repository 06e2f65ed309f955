"""Step metrics in pieces: as many points as there are, at the memory of one piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from tracker import values
from tracker.models import BLOCK, CLOCK
from tracker.queries.points import Points, between, damage_told, series_of, titles_of
from tracker.queries.resolve import labels_of
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.storage.effective_blocks import Cuts, applying, cuts_of, live_blocks

SIZE = 262_144
"""Points of a piece, about: 32 blocks of one series."""

_HEADS = (
    BLOCK.c.series_id, BLOCK.c.attempt, BLOCK.c.number, BLOCK.c.points, BLOCK.c.last_step,
)  # fmt: skip


class _Head(NamedTuple):
    """A block without its values; ``name`` is the place of its metric, ``cut`` as in `StoredBlock`."""

    name: int
    attempt: int
    number: int
    points: int
    series: int
    cut: int | None


def pieces(
    reader: Reader,
    ids: Sequence[str] | None = None,
    *,
    names: str | Sequence[str] | None = None,
    start: int | None = None,
    stop: int | None = None,
    superseded: bool = False,
    system: bool = False,
    size: int = SIZE,
) -> Iterator[Points]:
    """Yield what `tracker.queries.points.points` returns, in its order, in pieces of one run each.

    Their ``runs`` and ``names`` are those of all pieces. Only the blocks of one piece are read at a time.

    Args:
        reader: an open database, until the last piece has been taken.
        ids, names, start, stop, superseded, system: as for `points`.
        size: about so many points in a piece, at least a block (8192).

    Raises:
        UnknownMetric, BadValue, StoreError: as `points` does.
    """
    start = None if start is None else values.whole(start, "start")
    stop = None if stop is None else values.whole(stop, "stop")
    size = values.whole(size, "size")
    names = None if names is None else titles_of(names)
    if reader.empty:
        return
    connection = reader.connection
    series = series_of(reader, ids, names, system)
    runs = list(ids or dict.fromkeys(metric.run_id for metric in series))
    titles = list(names or dict.fromkeys(metric.name for metric in series))
    called = labels_of(connection, runs, ids)
    name_of = {name: place for place, name in enumerate(titles)}
    of_run: dict[str, list[Any]] = {run: [] for run in runs}
    for metric in series:
        of_run[metric.run_id].append(metric)
    labels = [called[run] for run in runs]
    for place, (run, metrics) in enumerate(of_run.items()):
        codes = {metric.id: name_of[metric.name] for metric in metrics}
        cuts = cuts_of(connection, metrics)
        heads = live_blocks(
            connection, codes, cuts, between(select(*_HEADS), BLOCK, start, stop), superseded
        )
        for group in _groups(_sorted(heads, codes, cuts), size):
            columns = _assembled(reader, run, place, group, start, stop, superseded)
            if len(columns.step):
                yield Points(labels, titles, columns)


def _sorted(heads: Iterable[Any], codes: dict[int, int], cuts: Cuts) -> list[_Head]:
    return sorted(
        _Head(codes[head.series_id], head.attempt, head.number, head.points, head.series_id, applying(cuts, head))
        for head in heads
    )  # fmt: skip


def _groups(heads: Sequence[_Head], size: int) -> Iterator[list[_Head]]:
    """Yield blocks of about ``size`` points: whole series, or a part of one."""
    group: list[_Head] = []
    points = 0
    for _, blocks in groupby(heads, attrgetter("series")):
        own = list(blocks)
        total = sum(head.points for head in own)
        if group and points + total > size:
            yield group
            group, points = [], 0
        if total <= size:
            group += own
            points += total
            continue
        part: list[_Head] = []
        for head in own:
            if part and sum(one.points for one in part) + head.points > size:
                yield part
                part = []
            part.append(head)
        yield part
    if group:
        yield group


def _assembled(
    reader: Reader,
    run: str,
    place: int,
    group: Sequence[_Head],
    start: int | None,
    stop: int | None,
    superseded: bool,
) -> Any:
    """Read the blocks of a piece, and put them together."""
    from tracker.series.assemble import StoredBlock, StoredClock, assemble

    payloads = _payloads(reader.connection, group)
    keys = {(head.attempt, head.number) for head in group}
    attempts, numbers = zip(*keys, strict=True)
    clocks = select(CLOCK).where(
        CLOCK.c.run_id == run,
        CLOCK.c.attempt.between(min(attempts), max(attempts)),
        CLOCK.c.number.between(min(numbers), max(numbers)),
    )
    with damage_told(reader):
        return assemble(
            [
                StoredBlock(
                    place, head.name, head.attempt, head.number, head.points,
                    payloads[head.series, head.attempt, head.number], head.cut,
                )
                for head in group
            ],
            [
                StoredClock(place, clock.attempt, clock.number, clock.payload)
                for clock in reader.connection.execute(clocks)
                if (clock.attempt, clock.number) in keys
            ],
            start=start, stop=stop, superseded=superseded,
        )  # fmt: skip


def _payloads(connection: Connection, group: Sequence[_Head]) -> dict[tuple[int, int, int], bytes]:
    """Return the values of the blocks: of a part of one series, those between its first and its last."""
    numbers = [head.number for head in group]
    attempts = [head.attempt for head in group]
    statement = select(BLOCK.c.series_id, BLOCK.c.attempt, BLOCK.c.number, BLOCK.c.payload).where(
        BLOCK.c.attempt.between(min(attempts), max(attempts)),
        BLOCK.c.number.between(min(numbers), max(numbers)),
    )
    series = dict.fromkeys(head.series for head in group)
    rows = in_chunks(connection, statement, BLOCK.c.series_id, series)
    return {(row.series_id, row.attempt, row.number): row.payload for row in rows}

"""Step metrics in pieces: as many points as there are, at the memory of one piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, select

from tracker import values
from tracker.models import BLOCK, CLOCK
from tracker.queries.points import Points, between, damage_told, series_of, sparse_of, titles_of
from tracker.queries.resolve import labels_of
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.storage.effective_blocks import (
    Cuts,
    applying,
    cuts_of,
    live_blocks,
    shared_counts,
    with_sparse_points,
)

if TYPE_CHECKING:
    from tracker.series.assemble import StoredSparse

SIZE = 262_144
"""Points of a piece, about: 32 blocks of one series."""
_MOST_PIECES = 32
"""Of the sparse points of a run: each piece reads all of its sparse blocks again."""

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

    Their ``runs`` and ``names`` are those of all pieces. Only the blocks of one piece are read at a time; of a run
    with many sparse points (`tracker.series.sparse`) a piece is at least a thirty-second of them.

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
        wanted = _Wanted(
            reader, run, place, codes, cuts_of(connection, metrics),
            start=start, stop=stop, superseded=superseded,
        )  # fmt: skip
        shared = _shared_points(connection, run, codes)
        most = max(size, sum(shared.values()) // _MOST_PIECES)
        for group in _groups(wanted.heads(), shared, codes, most):
            columns = wanted.read(group)
            if len(columns.step):
                yield Points(labels, titles, columns)


class _Group(NamedTuple):
    """What a piece is read from: blocks, and the series whose sparse points come with them.

    Of a series in parts, those in blocks of calls from ``since`` to before ``until``, by attempt and number.
    """

    heads: list[_Head]
    shared: list[int]
    since: tuple[int, int] | None = None
    until: tuple[int, int] | None = None


@dataclass(frozen=True)
class _Wanted:
    """The points of one run that are asked for.

    Attributes:
        run, place: its id, and its place among the runs.
        codes: the series, by id, with the place of each one's name.
        cuts: where they are superseded.
        start, stop, superseded: as for `pieces`.
    """

    reader: Reader
    run: str
    place: int
    codes: Mapping[int, int]
    cuts: Cuts
    start: int | None
    stop: int | None
    superseded: bool

    def heads(self) -> list[_Head]:
        """Return the blocks, series by series, without their values."""
        statement = between(select(*_HEADS), BLOCK, self.start, self.stop)
        blocks = live_blocks(
            self.reader.connection, self.codes, self.cuts, statement, self.superseded
        )
        return sorted(
            _Head(
                self.codes[block.series_id], block.attempt, block.number, block.points, block.series_id,
                applying(self.cuts, block),
            )
            for block in blocks
        )  # fmt: skip

    def read(self, group: _Group) -> Any:
        """Read the blocks of a piece, and put them together."""
        from tracker.series.assemble import Members, StoredBlock, StoredClock, assemble

        connection, place = self.reader.connection, self.place
        payloads = _payloads(connection, group.heads)
        sparse = self._sparse(group)
        keys = {(block.attempt, block.number) for block in group.heads}
        keys |= {(block.attempt, block.number) for block in sparse}
        members = Members({key: self.codes[key] for key in group.shared}, self.cuts)
        with damage_told(self.reader):
            return assemble(
                [
                    StoredBlock(
                        place, head.name, head.attempt, head.number, head.points,
                        payloads[head.series, head.attempt, head.number], head.cut,
                    )
                    for head in group.heads
                ],
                [
                    StoredClock(place, clock.attempt, clock.number, clock.payload)
                    for clock in _clocks(connection, self.run, keys)
                ],
                sparse=sparse, members=members,
                start=self.start, stop=self.stop, superseded=self.superseded,
            )  # fmt: skip

    def _sparse(self, group: _Group) -> list[StoredSparse]:
        """Read the sparse blocks that a piece has points of."""
        if not group.shared:
            return []
        run_of, since, until = {self.run: self.place}, group.since, group.until
        return [
            block
            for block in sparse_of(self.reader.connection, run_of, None, self.start, self.stop)
            if (since is None or (block.attempt, block.number) >= since)
            and (until is None or (block.attempt, block.number) < until)
        ]


def _shared_points(connection: Connection, run: str, series: Iterable[int]) -> Counter[int]:
    """Return how many points each of the series has in the sparse blocks of the run."""
    wanted = with_sparse_points(connection, series)
    counts = shared_counts(connection, run) if wanted else Counter()
    # A damaged block is told when it is read whole; until then its series have a point each.
    return Counter({key: max(1, counts[key]) for key in wanted})


def _groups(
    heads: Sequence[_Head], shared: Mapping[int, int], codes: Mapping[int, int], size: int
) -> Iterator[_Group]:
    """Yield blocks of about ``size`` points: whole series, or a part of one."""
    own = {series: list(blocks) for series, blocks in groupby(heads, attrgetter("series"))}
    group, points = _Group([], []), 0
    for series in sorted(own.keys() | shared.keys(), key=codes.__getitem__):
        blocks = own.get(series, [])
        total = sum(head.points for head in blocks) + shared.get(series, 0)
        if points and points + total > size:
            yield group
            group, points = _Group([], []), 0
        if total > size and blocks:
            yield from _parts(blocks, series in shared, size)
            continue
        group.heads.extend(blocks)
        if series in shared:
            group.shared.append(series)
        points += total
    if points:
        yield group


def _parts(blocks: Sequence[_Head], has_shared: bool, size: int) -> Iterator[_Group]:
    """Yield one series in parts of about ``size`` points of its own blocks, with what it has in sparse ones between."""
    shared = [blocks[0].series] if has_shared else []
    part: list[_Head] = []
    since: tuple[int, int] | None = None
    for head in blocks:
        if part and sum(one.points for one in part) + head.points > size:
            until = head.attempt, head.number
            yield _Group(part, shared, since, until)
            part, since = [], until
        part.append(head)
    yield _Group(part, shared, since)


def _clocks(connection: Connection, run: str, keys: set[tuple[int, int]]) -> list[Any]:
    if not keys:
        return []
    attempts, numbers = zip(*keys, strict=True)
    statement = select(CLOCK).where(
        CLOCK.c.run_id == run,
        CLOCK.c.attempt.between(min(attempts), max(attempts)),
        CLOCK.c.number.between(min(numbers), max(numbers)),
    )
    return [row for row in connection.execute(statement) if (row.attempt, row.number) in keys]


def _payloads(connection: Connection, group: Sequence[_Head]) -> dict[tuple[int, int, int], bytes]:
    """Return the values of the blocks: of a part of one series, those between its first and its last."""
    if not group:
        return {}
    numbers = [head.number for head in group]
    attempts = [head.attempt for head in group]
    statement = select(BLOCK.c.series_id, BLOCK.c.attempt, BLOCK.c.number, BLOCK.c.payload).where(
        BLOCK.c.attempt.between(min(attempts), max(attempts)),
        BLOCK.c.number.between(min(numbers), max(numbers)),
    )
    series = dict.fromkeys(head.series for head in group)
    rows = in_chunks(connection, statement, BLOCK.c.series_id, series)
    return {(row.series_id, row.attempt, row.number): row.payload for row in rows}

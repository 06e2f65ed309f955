"""Write step metrics into the database: what a transaction brings of an attempt is stored and summarized at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, islice, pairwise, repeat
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, case, select

from tracker.models import BLOCK, CLOCK, SERIES, SPARSE_BLOCK, SPARSE_SPAN
from tracker.series.batch import CodedNames, Codes
from tracker.series.blocks import SeriesSummary, summary_of_block
from tracker.series.codec import decode_clock, decode_steps, encode_members
from tracker.series.sparse import (
    GroupedPoints,
    SeriesPoints,
    grouped,
    joined,
    points_of,
    shared_values,
)
from tracker.storage import step_summaries
from tracker.storage.entries import BlockValues, ClockRow, SeriesEntry, SparseValues
from tracker.storage.statements import upsert, upserting
from tracker.storage.step_summaries import add_piece

Ints = npt.NDArray[np.int64]

_CLOCK_CHANGES = ("calls", "first_step", "last_step", "started", "final", "payload")
_BLOCK_CHANGES: tuple[Literal["points", "first_step", "last_step", "payload"], ...] = (
    "points", "first_step", "last_step", "payload",
)  # fmt: skip
_TOGETHER = 64
"""Blocks that are decoded at once: a spool may hold days of them."""
_SPARSE_CHANGES = ("points", "first_step", "last_step", "members", "payload")


def store(connection: Connection, entries: Iterable[SeriesEntry]) -> None:
    """Upsert blocks of calls: their clocks, and the values of each series."""
    for (run, attempt, of_machine), some in groupby(entries, key=_owner):
        while together := list(islice(some, _TOGETHER)):
            blocks = _Blocks(connection, run, attempt, together)
            if of_machine:
                # No run is judged by samples of the machine, so they have no summary.
                blocks.store()
            else:
                blocks.store_and_summarize()


def _owner(entry: SeriesEntry) -> tuple[str, int, bool]:
    return entry["run"], entry["attempt"], entry["clock"]["number"] < 0


class _Blocks:
    """Blocks of one attempt that a transaction brings."""

    def __init__(
        self, connection: Connection, run: str, attempt: int, entries: Sequence[SeriesEntry]
    ) -> None:
        self._connection = connection
        self._run = run
        self._attempt = attempt
        self._entries = entries
        self._names = _names(entries)
        self._ids = _series_ids(connection, run, self._names)
        self._keys = _Keys(self._ids)

    def store_and_summarize(self) -> None:
        sparse = [_sparse_points(entry, self._keys) for entry in self._entries]
        together = grouped(joined(points for points in sparse if points is not None))
        stale = self._stale(together)
        self.store()
        self._widen(together)
        found = self._own_summaries(sparse, together)
        newest = {
            name: found[key]
            for name in self._names
            if name not in stale and (key := self._ids[name]) in found
        }
        step_summaries.extend(self._connection, self._run, newest)
        done = {self._ids[name] for name in stale} | found.keys()
        shared = together.without(done) if done else together
        name_of = {key: name for name, key in self._ids.items()}
        names = list(map(name_of.__getitem__, shared.series.tolist()))
        step_summaries.extend_each(self._connection, self._run, names, shared.extremes())
        if stale:
            step_summaries.rebuild(self._connection, self._run, stale)

    def store(self) -> None:
        of_run = "run_id", "attempt", "number"
        clocks = [entry["clock"] for entry in self._entries]
        upsert(self._connection, CLOCK, clocks, of_run, _CLOCK_CHANGES)
        rows = [
            {
                **{name: block[name] for name in _BLOCK_CHANGES},
                "series_id": self._ids[block["name"]],
                "attempt": self._attempt,
                "number": entry["clock"]["number"],
            }
            for entry in self._entries
            for block in entry["blocks"]
        ]
        upsert(self._connection, BLOCK, rows, ("series_id", "attempt", "number"), _BLOCK_CHANGES)
        shared = [
            self._sparse_row(entry["clock"], entry["sparse"])
            for entry in self._entries
            if "sparse" in entry
        ]
        upsert(self._connection, SPARSE_BLOCK, shared, of_run, _SPARSE_CHANGES)

    def _sparse_row(self, clock: ClockRow, sparse: SparseValues) -> dict[str, Any]:
        series = self._keys.of(sparse["names"])
        counts = np.asarray(sparse["counts"], np.int64)
        return {
            "run_id": self._run,
            "attempt": self._attempt,
            "number": clock["number"],
            "points": int(counts.sum()),
            "first_step": sparse["first_step"],
            "last_step": sparse["last_step"],
            "members": encode_members(series, counts),
            "payload": sparse["payload"],
        }

    def _stale(self, sparse: GroupedPoints) -> set[str]:
        """Return the names whose summaries must be computed again; call it before the blocks are stored."""
        numbers = [entry["clock"]["number"] for entry in self._entries]
        in_order = all(earlier <= later for earlier, later in pairwise(numbers))
        if not in_order or step_summaries.is_out_of_order(
            self._connection, self._run, self._attempt, numbers[0]
        ):
            return set(self._names)
        if self._attempt == 1:
            return set()
        series, lowest, _ = sparse.spans()
        first_steps = dict(zip(series, lowest, strict=True))
        for entry in self._entries:
            for block in entry["blocks"]:
                key, step = self._ids[block["name"]], block["first_step"]
                first_steps[key] = min(step, first_steps.get(key, step))
        cut = step_summaries.superseding(self._connection, self._run, self._attempt, first_steps)
        return {name for name in self._names if self._ids[name] in cut} if cut else set()

    def _widen(self, sparse: GroupedPoints) -> None:
        """Note from where to where the sparse series of the attempt reach."""
        spans = zip(*sparse.spans(), strict=True)
        rows = [(key, self._attempt, low, high) for key, low, high in spans]
        _WIDEN.run_each(self._connection, rows)

    def _own_summaries(
        self, sparse: Sequence[SeriesPoints | None], together: GroupedPoints
    ) -> dict[int, SeriesSummary]:
        """Return what the blocks say of the series that have any of their own.

        ``sparse`` are the sparse points of each entry, ``together`` those of all.
        """
        found: dict[int, SeriesSummary] = {}
        own = {self._ids[block["name"]] for entry in self._entries for block in entry["blocks"]}
        of_both = own.intersection(together.series.tolist())
        for entry, points in zip(self._entries, sparse, strict=True):
            for block in entry["blocks"]:
                add_piece(found, self._ids[block["name"]], _summary_of(entry["clock"], block))
            if points is not None and of_both:
                of_entry = grouped(points.at(np.isin(points.series, list(of_both))))
                for key, piece in of_entry.summaries().items():
                    add_piece(found, key, piece)
        return found


def _names(entries: Sequence[SeriesEntry]) -> list[str]:
    """Return the names of all entries, each once."""
    own = (block["name"] for entry in entries for block in entry["blocks"])
    shared = _together(entry["sparse"]["names"] for entry in entries if "sparse" in entry)
    return list(dict.fromkeys(chain(own, *shared)))


def _together(some: Iterable[Sequence[str]]) -> Iterator[Sequence[str]]:
    """Yield the names of one table together: many blocks may have them."""
    coded: dict[int, list[CodedNames]] = {}
    for names in some:
        if isinstance(names, CodedNames):
            coded.setdefault(id(names.table), []).append(names)
        else:
            yield names
    for same in coded.values():
        counts = np.bincount(np.concatenate([names.codes for names in same]))
        yield CodedNames(same[0].table, np.flatnonzero(counts))


class _Keys:
    """The ids of names, which are looked up once for a table of them."""

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._ids = ids
        self._of_tables: dict[int, Ints] = {}

    def of(self, names: Sequence[str]) -> Ints:
        """Return the id of each name."""
        if isinstance(names, CodedNames):
            return self._of_table(names.table)[names.codes]
        return np.fromiter(map(self._ids.__getitem__, names), np.int64, len(names))

    def _of_table(self, table: Codes) -> Ints:
        keys = self._of_tables.get(id(table))
        if keys is None:
            # A copy: the training may be logging other names.
            names = table.names.copy()
            places = np.fromiter(names, np.int64, len(names))
            keys = np.zeros(int(places.max()) + 1, np.int64)
            keys[places] = list(map(self._ids.get, names.values(), repeat(0)))
            self._of_tables[id(table)] = keys
        return keys


def _series_ids(connection: Connection, run: str, names: Iterable[str]) -> dict[str, int]:
    ids = _known_ids(connection, run)
    missing = [{"run_id": run, "name": name} for name in names if name not in ids]
    if not missing:
        return ids
    upsert(connection, SERIES, missing, ("run_id", "name"), ())
    return _known_ids(connection, run)


def _known_ids(connection: Connection, run: str) -> dict[str, int]:
    known = select(SERIES.c.name, SERIES.c.id).where(SERIES.c.run_id == run)
    rows: Sequence[Any] = connection.execute(known).all()
    return dict(rows)


def _sparse_points(entry: SeriesEntry, keys: _Keys) -> SeriesPoints | None:
    if "sparse" not in entry:
        return None
    sparse = entry["sparse"]
    series = keys.of(sparse["names"])
    counts = np.asarray(sparse["counts"], np.int64)
    steps = decode_steps(entry["clock"]["payload"])
    return points_of(shared_values(series, counts, sparse["payload"]), steps)


def _wider(new: Mapping[str, Any]) -> dict[str, Any]:
    old = SPARSE_SPAN.c
    first, last = new["first_step"], new["last_step"]
    return {
        "first_step": case((first < old.first_step, first), else_=old.first_step),
        "last_step": case((last > old.last_step, last), else_=old.last_step),
    }


_WIDEN = upserting(
    SPARSE_SPAN,
    ("series_id", "attempt", "first_step", "last_step"),
    ("series_id", "attempt"),
    _wider,
)


def _summary_of(clock: ClockRow, block: BlockValues) -> SeriesSummary | None:
    """Return what a block says of its series; of an entry of an early release, it is computed."""
    if "summary" in block:
        return SeriesSummary(**block["summary"])
    return summary_of_block(block["payload"], decode_clock(clock["payload"])[0])

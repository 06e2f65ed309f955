"""Write step metrics into the database: what a transaction brings of an attempt is stored and summarized at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby, pairwise
from typing import Literal

from sqlalchemy import Connection, select

from tracker.models import BLOCK, CLOCK, SERIES
from tracker.series.blocks import SeriesSummary, summary_of_block
from tracker.series.codec import decode_clock
from tracker.storage import step_summaries
from tracker.storage.entries import BlockValues, ClockRow, SeriesEntry
from tracker.storage.statements import upsert

_CLOCK_CHANGES = ("calls", "first_step", "last_step", "started", "final", "payload")
_BLOCK_CHANGES: tuple[Literal["points", "first_step", "last_step", "payload"], ...] = (
    "points", "first_step", "last_step", "payload",
)  # fmt: skip


def store(connection: Connection, entries: Iterable[SeriesEntry]) -> None:
    """Upsert blocks of calls: their clocks, and the values of each series."""
    for (run, attempt, of_machine), some in groupby(entries, key=_owner):
        if of_machine:
            # No run is judged by samples of the machine, so they have no summary.
            _store_blocks(connection, run, attempt, list(some))
        else:
            _store_and_summarize(connection, run, attempt, list(some))


def _owner(entry: SeriesEntry) -> tuple[str, int, bool]:
    return entry["run"], entry["attempt"], entry["clock"]["number"] < 0


def _store_and_summarize(
    connection: Connection, run: str, attempt: int, entries: Sequence[SeriesEntry]
) -> None:
    ids = _series_ids(connection, run, _names(entries))
    stale = _stale(connection, run, attempt, entries, ids)
    _store_blocks(connection, run, attempt, entries, ids)
    step_summaries.extend(connection, run, _summaries_of(entries, stale))
    if stale:
        step_summaries.rebuild(connection, run, stale)


def _store_blocks(
    connection: Connection,
    run: str,
    attempt: int,
    entries: Sequence[SeriesEntry],
    ids: dict[str, int] | None = None,
) -> None:
    if ids is None:
        ids = _series_ids(connection, run, _names(entries))
    clocks = [entry["clock"] for entry in entries]
    upsert(connection, CLOCK, clocks, ("run_id", "attempt", "number"), _CLOCK_CHANGES)
    rows = [
        {
            **{name: block[name] for name in _BLOCK_CHANGES},
            "series_id": ids[block["name"]],
            "attempt": attempt,
            "number": entry["clock"]["number"],
        }
        for entry in entries
        for block in entry["blocks"]
    ]
    upsert(connection, BLOCK, rows, ("series_id", "attempt", "number"), _BLOCK_CHANGES)


def _names(entries: Iterable[SeriesEntry]) -> list[str]:
    """Return the names of the blocks, each once, in their order."""
    return list(dict.fromkeys(block["name"] for entry in entries for block in entry["blocks"]))


def _series_ids(connection: Connection, run: str, names: Iterable[str]) -> dict[str, int]:
    ids = _known_ids(connection, run)
    missing = [{"run_id": run, "name": name} for name in names if name not in ids]
    if not missing:
        return ids
    upsert(connection, SERIES, missing, ("run_id", "name"), ())
    return _known_ids(connection, run)


def _known_ids(connection: Connection, run: str) -> dict[str, int]:
    known = select(SERIES.c.name, SERIES.c.id).where(SERIES.c.run_id == run)
    return {row.name: row.id for row in connection.execute(known)}


def _stale(
    connection: Connection,
    run: str,
    attempt: int,
    entries: Sequence[SeriesEntry],
    ids: dict[str, int],
) -> set[str]:
    """Return the names whose summaries must be computed again; call it before the blocks are stored."""
    numbers = [entry["clock"]["number"] for entry in entries]
    in_order = all(earlier <= later for earlier, later in pairwise(numbers))
    if not in_order or step_summaries.is_out_of_order(connection, run, attempt, numbers[0]):
        return set(_names(entries))
    first_steps: dict[int, int] = {}
    for entry in entries:
        for block in entry["blocks"]:
            series, step = ids[block["name"]], block["first_step"]
            first_steps[series] = min(step, first_steps.get(series, step))
    cut = step_summaries.superseding(connection, attempt, first_steps)
    return {name for name in _names(entries) if ids[name] in cut} if cut else set()


def _summaries_of(entries: Iterable[SeriesEntry], but: Collection[str]) -> dict[str, SeriesSummary]:
    """Return what blocks say of their series, by name, one after the other."""
    found: dict[str, SeriesSummary] = {}
    for entry in entries:
        for block in entry["blocks"]:
            if block["name"] in but:
                continue
            piece = _summary_of(entry["clock"], block)
            if piece is not None:
                before = found.get(block["name"])
                found[block["name"]] = piece if before is None else before.followed_by(piece)
    return found


def _summary_of(clock: ClockRow, block: BlockValues) -> SeriesSummary | None:
    """Return what a block says of its series; of an entry of release 0.1.0, it is computed."""
    if "summary" in block:
        return SeriesSummary(**block["summary"])
    return summary_of_block(block["payload"], decode_clock(clock["payload"])[0])

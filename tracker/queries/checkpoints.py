"""Checkpoints, one row each."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, select

from tracker.checkpointing.copies import copies_of
from tracker.checkpointing.retention import (
    OLDEST_FIRST,
    Saved,
    best_and_last,
    obtainable,
    protected,
)
from tracker.errors import CheckpointError, UnknownRun
from tracker.filters.fields import CheckpointFields
from tracker.models import CHECKPOINT, POLICY, RUN
from tracker.policies.modes import mode_in
from tracker.queries.missing_files import missing_files, state_now
from tracker.queries.resolve import find_run, labels_of
from tracker.queries.result import Column, Listing, columns
from tracker.queries.selection import Order, Selection, of_run, selected_rows
from tracker.states import CheckpointState
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.storage.directions import Directions
from tracker.values import join

COLUMNS = columns(
    Column("run", "text"), CHECKPOINT.c.id, CHECKPOINT.c.epoch, CHECKPOINT.c.step, Column("alias", "text"),
    CHECKPOINT.c.state, CHECKPOINT.c.pinned, CHECKPOINT.c.monitor, CHECKPOINT.c.value, CHECKPOINT.c.bytes,
    CHECKPOINT.c.sha256, CHECKPOINT.c.path, Column("file", "text"), Column("policy", "text"),
    CHECKPOINT.c.attempt, CHECKPOINT.c.created, Column("kept", "text"), Column("frees", "optional"),
    Column("remote", "text"),
)  # fmt: skip


def checkpoints(
    reader: Reader,
    ids: Sequence[str] | None = None,
    *,
    states: Collection[str] | None = None,
    as_recorded: bool = False,
    where: str | None = None,
    order_by: Order = None,
    limit: int | None = None,
) -> Listing:
    """Return checkpoints with `COLUMNS`, oldest first, run by run; only those in one of ``states``, if given.

    ``alias`` says which one is "best" (by its monitor) and "last" among those of a run that are available;
    ``path`` is the name it was saved under (relative to the project folder when below it), ``file`` where its
    bytes are, absolute; where a later run has taken the name, that is in the store, and ``kept`` the rule
    that keeps it there. ``frees``: how many bytes of disk `prune` would free by deleting it, None where it
    would not. ``remote``: the URL of a copy that was whole when it was last read; one with a copy can be the best or
    the last as well. A file that is gone is missing, whatever was recorded; with ``as_recorded`` nobody looks.
    """
    selection = Selection(ids, where, order_by, limit)
    if reader.empty:
        selection.check()
        return Listing(COLUMNS)
    seen = _Files(reader, ids, as_recorded=as_recorded)
    # Without a state in the question only the files of the rows that are shown need to be looked at.
    state = CHECKPOINT.c.state if as_recorded else state_now(())
    statement = (
        select(CHECKPOINT, POLICY.c.kind.label("policy"), state.label("state_now"))
        .join_from(RUN, CHECKPOINT, of_run(CHECKPOINT, order_by))
        .join(POLICY, CHECKPOINT.c.policy_id == POLICY.c.id, isouter=True)
    )
    if states is not None:
        statement = statement.where(seen.state().in_(states))
    fields = partial(CheckpointFields, state=seen.state, aliases=seen.aliases)
    rows = selected_rows(reader, statement, CHECKPOINT, fields, selection, *OLDEST_FIRST)
    runs = list({row.run_id: None for row in rows})
    missing = seen.missing_of(runs)
    called = labels_of(reader.connection, runs, ids)
    obtainable_of = _obtainable(reader.connection, runs, missing)
    alias, free = _aliases(obtainable_of.anywhere), _deletable(obtainable_of.here)
    remote = _remote(reader.connection, runs)
    location = reader.location
    return Listing.from_dicts(
        COLUMNS,
        (
            {
                **row._mapping,
                "run": called[row.run_id],
                "state": CheckpointState.MISSING.value if row.id in missing else row.state_now,
                "alias": alias.get(row.id),
                "value": join(row.value, row.value_kind),
                "path": row.original_path or row.path,
                "file": str(location.absolute(row.path)),
                "frees": bytes_freed(location.absolute(row.path)) if row.id in free else None,
                "remote": remote.get(row.id),
            }
            for row in rows
        ),
        run="run_id",
    )


class _Files:
    """Which checkpoints are missing now: of all that a listing may show, once it asks for their state."""

    def __init__(self, reader: Reader, ids: Sequence[str] | None, *, as_recorded: bool) -> None:
        self._reader, self._ids, self._as_recorded = reader, ids, as_recorded

    @cached_property
    def _missing(self) -> set[str]:
        return set() if self._as_recorded else missing_files(self._reader, self._ids)

    def missing_of(self, runs: Sequence[str]) -> set[str]:
        """Return the missing checkpoints of these runs; of others as well, where they are known already."""
        if self._as_recorded or "_missing" in self.__dict__:
            return self._missing
        return missing_files(self._reader, runs)

    def state(self) -> ColumnElement[str]:
        """Return a checkpoint's state as an expression."""
        return CHECKPOINT.c.state if self._as_recorded else state_now(self._missing)

    def aliases(self) -> dict[str, str]:
        """Return which checkpoints are the best and the last of their run."""
        return aliases(self._reader.connection, self._ids, self._missing)


def find_checkpoint(
    reader: Reader, text: str, *, alias: str | None = None, epoch: int | None = None
) -> dict[str, Any]:
    """Return one checkpoint, as a dict with `COLUMNS`.

    Args:
        reader: an open database.
        text: its id, a run (as `find_run` takes it), or a prefix of the id that no other has.
        alias: of a run: "best" or "last" of those that are available; None for the best, or the last
            where none was saved with the value of a metric.
        epoch: of a run: the newest one of that epoch, whatever its state.

    Raises:
        CheckpointError: when the run has no such checkpoint.
        UnknownRun, AmbiguousRun: when ``text`` is neither.
    """
    run = _run_or_none(reader, text)
    by_itself = _by_id(reader, text, exactly=run is not None)
    if by_itself is not None:
        return by_itself
    of_run = list(checkpoints(reader, [run or find_run(reader, text)]).dicts())
    if epoch is not None:
        candidates = [row for row in of_run if row["epoch"] == epoch]
        what = f"of epoch {epoch}"
    else:
        last = [row for row in of_run if has_alias(row, "last")]
        best = [row for row in of_run if has_alias(row, "best")]
        candidates = last if alias == "last" else best if alias == "best" or best else last
        what = "that is available"
        if last and not candidates:
            what = "that is best, as none was saved with the value of a metric: take --alias last"
    if not candidates:
        raise CheckpointError(
            f"The run {text} has no checkpoint {what}. See tracker checkpoints list {text}."
        )
    return candidates[-1]


def has_alias(row: Mapping[str, Any], alias: str) -> bool:
    """Say whether a listed checkpoint is the "best" or the "last" of its run; one may be both."""
    return alias in (row["alias"] or "").split(_BOTH)


_BOTH = ", "
"""Between the two aliases of one checkpoint."""


def _run_or_none(reader: Reader, text: str) -> str | None:
    try:
        return find_run(reader, text)
    except UnknownRun:
        return None


def _by_id(reader: Reader, text: str, *, exactly: bool) -> dict[str, Any] | None:
    """Return the checkpoint with that id, or, unless ``exactly``, the only one whose id begins with it."""
    if reader.empty or not text:
        return None
    column = CHECKPOINT.c.id
    test = column == text if exactly else column.startswith(text, autoescape=True)
    statement = select(column, CHECKPOINT.c.run_id).where(test).limit(2)
    ids = list(reader.connection.execute(statement))
    if len(ids) != 1:
        return None
    (row,) = ids
    of_run = checkpoints(reader, [row.run_id]).dicts()
    return next(checkpoint for checkpoint in of_run if checkpoint["id"] == row.id)


def aliases(
    connection: Connection, runs: Sequence[str] | None, missing: Collection[str] = ()
) -> dict[str, str]:
    """Return which checkpoints are the best and the last of their run: id → "best", "last" or both.

    Of all runs where ``runs`` is None. Those in ``missing`` are not available, whatever was recorded, unless
    there is a copy.
    """
    return _aliases(_obtainable(connection, runs, missing).anywhere)


def _remote(connection: Connection, runs: Sequence[str]) -> dict[str, str]:
    """Return the URL of a whole copy, by checkpoint."""
    return {
        id: copy.url
        for id, found in copies_of(connection, runs).items()
        for copy in reversed(found)
        if copy.state == CheckpointState.AVAILABLE
    }


def _aliases(of_run: Mapping[str, list[Saved]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for checkpoints_of_run in of_run.values():
        best, last = best_and_last(checkpoints_of_run)
        found |= dict.fromkeys(best, "best")
        if last is not None:
            found[last] = _BOTH.join(["best", "last"] if last in best else ["last"])
    return found


def _deletable(of_run: Mapping[str, list[Saved]]) -> set[str]:
    """Return the ids of those that nothing protects: not pinned, their run's best or last."""
    return {
        one.id
        for saved in of_run.values()
        for kept in (protected(saved),)
        for one in saved
        if one.id not in kept
    }


class _Obtainable(NamedTuple):
    """The checkpoints of each run, oldest first: those that are available, and with those that only have a copy."""

    here: dict[str, list[Saved]]
    anywhere: dict[str, list[Saved]]


def _obtainable(
    connection: Connection, runs: Sequence[str] | None, missing: Collection[str]
) -> _Obtainable:
    found = _Obtainable({}, {})
    directions = Directions(connection, runs)
    for row in in_chunks(connection, obtainable(), CHECKPOINT.c.run_id, runs):
        is_here = row.state == CheckpointState.AVAILABLE and row.id not in missing
        if not (is_here or row.copied):
            continue
        value = join(row.value, row.value_kind)
        mode = directions.mode(row.monitor, row.run_id, mode_in(row.config))
        saved = Saved(row.id, row.monitor, value, mode, row.pinned)
        found.anywhere.setdefault(row.run_id, []).append(saved)
        if is_here:
            found.here.setdefault(row.run_id, []).append(saved)
    return found


def bytes_freed(path: Path) -> int:
    """Return how many bytes of disk deleting a file frees: none while it has another name."""
    try:
        status = os.lstat(path)
    except OSError:
        return 0
    return status.st_size if status.st_nlink == 1 else 0

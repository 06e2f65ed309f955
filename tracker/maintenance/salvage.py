"""Save what can still be read of a damaged SQLite database into a new one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Table, update

from tracker.errors import NotWritable, StoreError
from tracker.models import ALL, RUN
from tracker.storage import migrate
from tracker.storage.driver_errors import NOT_TEXT
from tracker.storage.location import Location, locate
from tracker.storage.prepare import writing
from tracker.storage.summaries import JUDGED

_AT_ONCE = 1024  # rows; where they cannot be read, halves are tried, down to single rows
_BROKEN = (sqlite3.DatabaseError, NOT_TEXT, OverflowError)


def salvage(location: Location, target: Path) -> dict[str, tuple[int, int]]:
    """Copy every row that can be read into a new database; the damaged one is left as it is.

    Rows whose parents are lost are left out, too.

    Args:
        location: the damaged database, a file.
        target: the new database; must not exist.

    Returns:
        By table: rows saved, and rows that could not be read or had lost their parent.

    Raises:
        NotWritable: when ``target`` exists.
        StoreError: for a server.
    """
    if location.path is None:
        raise StoreError("Only an SQLite file can be salvaged; a server has its own tools.")
    if target.exists():
        raise NotWritable(f"{target} exists already: name a new file.")
    fresh = locate(target)
    migrate.upgrade(fresh)
    counts: dict[str, tuple[int, int]] = {}
    with (
        closing(sqlite3.connect(f"{location.path.as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        copy.execute("PRAGMA foreign_keys=OFF")
        copy.execute("BEGIN IMMEDIATE")
        for table in ALL:
            parents = None
            if table is not RUN and not _has_numbers(copy, table):
                parents = _Parents(copy, table)
            if _has_numbers(source, table):
                rows: _Rows = _ByNumber(source, table)
            elif parents is None:
                rows = _ByKey(table, "id", _run_ids(source))
            else:
                rows = _ByKey(table, parents.column, parents.ids)
            saved, lost = _copy(source, copy, rows, parents)
            orphans = _leave_out_orphans(copy, table.name) if parents is None else 0
            counts[table.name] = saved - orphans, lost + orphans
        copy.execute("COMMIT")
    with writing(fresh) as connection:
        # Copies of summaries: earlier schemas had none, and a summary may be lost.
        connection.execute(update(RUN).values(**JUDGED))
    return counts


def _has_numbers(connection: sqlite3.Connection, table: Table) -> bool:
    """Return whether the rows of a table have numbers in a database; of an earlier schema, all have."""
    made = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
    with suppress(*_BROKEN):
        for (statement,) in connection.execute(made, (table.name,)):
            return "WITHOUT ROWID" not in statement
    return True


class _Parents:
    """The ids, in their order, that the rows of a table without row numbers may belong to: all were saved before."""

    def __init__(self, copy: sqlite3.Connection, table: Table) -> None:
        column = table.primary_key.columns[0]
        (key,) = column.foreign_keys
        self.column = column.name
        self.ids = [
            parent
            for (parent,) in copy.execute(f'SELECT id FROM "{key.column.table.name}" ORDER BY id')
        ]
        self._known = set(self.ids)
        self._place = list(table.c.keys()).index(self.column)

    def have(self, row: Sequence[Any]) -> bool:
        """Return whether a row belongs to one of them."""
        return row[self._place] in self._known


def _run_ids(source: sqlite3.Connection) -> list[str]:
    """Return the ids of runs, in their order, as far as others than the runs' own rows tell them."""
    found: set[str] = set()
    for query in ("SELECT id FROM run INDEXED BY ix_run_started", "SELECT run_id FROM attempt"):
        with suppress(*_BROKEN):
            for (run,) in source.execute(query):
                found.add(str(run))
    return sorted(found) or [""]


class _ByNumber:
    """The rows of a table by their numbers."""

    def __init__(self, source: sqlite3.Connection, table: Table) -> None:
        self.table = table
        self.most = self._highest(source)

    def _highest(self, source: sqlite3.Connection) -> int:
        highest = 0
        for order in ("DESC", "ASC"):
            query = f'SELECT rowid FROM "{self.table.name}" NOT INDEXED ORDER BY rowid {order}'
            with suppress(*_BROKEN):
                for (number,) in source.execute(query):
                    highest = max(highest, number)
                    if order == "DESC":
                        break
        return highest

    def between(self, first: int, last: int) -> tuple[str, list[Any]]:
        """Return the condition for places from 0, both included, and what it is about."""
        return "rowid BETWEEN ? AND ?", [first + 1, last + 1]

    def order(self, direction: str) -> str:
        """Return the order in which the file has the rows."""
        return f"rowid {direction}"


class _ByKey:
    """The rows of a table that has no row numbers, by the first column of their keys: runs, and what belongs to one."""

    def __init__(self, table: Table, column: str, ids: list[str]) -> None:
        self.table = table
        self._column, self._ids = column, ids
        self.most = len(ids)

    def between(self, first: int, last: int) -> tuple[str, list[Any]]:
        """Return the condition for places from 0, both included, and what it is about.

        Rows of ids that are not known are in it, too: below the first one's, and up to the next one's.
        """
        tests, ids = [], []
        if first > 0:
            tests.append(f'"{self._column}" >= ?')
            ids.append(self._ids[first])
        if last + 1 < self.most:
            tests.append(f'"{self._column}" < ?')
            ids.append(self._ids[last + 1])
        return " AND ".join(tests) or "true", ids

    def order(self, direction: str) -> str:
        """Return the order in which the file has the rows; by another, an index would be read instead."""
        return ", ".join(f'"{column.name}" {direction}' for column in self.table.primary_key)


_Rows = _ByNumber | _ByKey


def _copy(
    source: sqlite3.Connection,
    copy: sqlite3.Connection,
    rows: _Rows,
    parents: _Parents | None,
) -> tuple[int, int]:
    names = [column.name for column in rows.table.c]
    quoted = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join("?" * len(names))
    insert = f'INSERT OR IGNORE INTO "{rows.table.name}" ({quoted}) VALUES ({marks})'
    saved = lost = 0
    for found, missed in _readable(source, rows, quoted):
        lost += missed
        for row in found:
            try:
                has_parent = parents is None or parents.have(row)
                done = has_parent and copy.execute(insert, row).rowcount == 1
            except sqlite3.Error:
                done = False
            saved += done
            lost += not done
    return saved, lost


def _readable(
    source: sqlite3.Connection, rows: _Rows, quoted: str
) -> Iterator[tuple[list[Any], int]]:
    """Give the readable rows, in parts, each with how many could not be read before them."""
    starts = range(0, rows.most, _AT_ONCE)
    spans = [(start, min(start + _AT_ONCE, rows.most) - 1) for start in starts][::-1]
    while spans:
        first, last = spans.pop()
        condition, bounds = rows.between(first, last)
        query = f'SELECT {quoted} FROM "{rows.table.name}" NOT INDEXED WHERE {condition} ORDER BY '
        try:
            yield source.execute(query + rows.order("ASC"), bounds).fetchall(), 0
        except _BROKEN:
            if first == last:
                yield _from_both_ends(source, rows, query, bounds), 1
            else:
                middle = (first + last) // 2
                spans += [(middle + 1, last), (first, middle)]


def _from_both_ends(
    source: sqlite3.Connection, rows: _Rows, query: str, bounds: Sequence[Any]
) -> list[Any]:
    """Return what can be read of one place, before and behind the damage."""
    found: dict[Any, None] = {}
    for direction in ("ASC", "DESC"):
        with suppress(*_BROKEN):
            for row in source.execute(query + rows.order(direction), bounds):
                found[row] = None
    return list(found)


def _leave_out_orphans(copy: sqlite3.Connection, table: str) -> int:
    """Remove the rows of a table whose parents are not among those that were saved; return how many."""
    if table == RUN.name:
        # A run without its sweep is still a run.
        copy.execute("UPDATE run SET parent_id = NULL WHERE parent_id NOT IN (SELECT id FROM run)")
        return 0
    # A row may have lost two parents.
    orphans = {row for _, row, *_ in copy.execute(f'PRAGMA foreign_key_check("{table}")')}
    copy.executemany(f'DELETE FROM "{table}" WHERE rowid = ?', [(row,) for row in orphans])
    return len(orphans)

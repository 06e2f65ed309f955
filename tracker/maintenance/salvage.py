"""Save what can still be read of a damaged SQLite database into a new one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tracker.errors import NotWritable, StoreError
from tracker.models import ALL
from tracker.storage import migrate
from tracker.storage.location import Location, locate

_AT_ONCE = 1024  # rows; where they cannot be read, halves are tried, down to single rows
_BROKEN = (sqlite3.DatabaseError, UnicodeDecodeError, OverflowError)


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
            names = [column.name for column in table.c]
            counts[table.name] = _copy(source, copy, table.name, names)
        _leave_out_orphans(copy, counts)
        copy.execute("COMMIT")
    return counts


def _copy(
    source: sqlite3.Connection, copy: sqlite3.Connection, table: str, names: list[str]
) -> tuple[int, int]:
    quoted = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join("?" * len(names))
    insert = f'INSERT OR IGNORE INTO "{table}" ({quoted}) VALUES ({marks})'
    saved = lost = 0
    for rows, missed in _readable(source, table, quoted):
        lost += missed
        for row in rows:
            try:
                done = copy.execute(insert, row).rowcount == 1
            except sqlite3.Error:
                done = False
            saved += done
            lost += not done
    return saved, lost


def _readable(
    source: sqlite3.Connection, table: str, quoted: str
) -> Iterator[tuple[list[Any], int]]:
    """Give the readable rows, in parts, each with how many could not be read before them."""
    spans = _spans(source, table)
    while spans:
        first, last = spans.pop()
        query = f'SELECT {quoted} FROM "{table}" NOT INDEXED WHERE rowid BETWEEN ? AND ?'
        try:
            yield source.execute(query, (first, last)).fetchall(), 0
        except _BROKEN:
            if first == last:
                yield [], 1
            else:
                middle = (first + last) // 2
                spans += [(middle + 1, last), (first, middle)]


def _spans(source: sqlite3.Connection, table: str) -> list[tuple[int, int]]:
    """Return the spans of row numbers, the lowest last."""
    highest = 0
    for order in ("DESC", "ASC"):
        try:
            query = f'SELECT rowid FROM "{table}" NOT INDEXED ORDER BY rowid {order}'
            for (number,) in source.execute(query):
                highest = max(highest, number)
                if order == "DESC":
                    break
        except _BROKEN:
            continue
    return [(start, start + _AT_ONCE - 1) for start in range(1, highest + 1, _AT_ONCE)][::-1]


def _leave_out_orphans(copy: sqlite3.Connection, counts: dict[str, tuple[int, int]]) -> None:
    copy.execute(
        "UPDATE run SET parent_id = NULL WHERE parent_id NOT IN (SELECT id FROM run)"
    )  # a run without its sweep is still a run
    while orphans := copy.execute("PRAGMA foreign_key_check").fetchall():
        for table, row, *_ in orphans:
            gone = copy.execute(f'DELETE FROM "{table}" WHERE rowid = ?', (row,)).rowcount
            saved, lost = counts[table]
            counts[table] = saved - gone, lost + gone

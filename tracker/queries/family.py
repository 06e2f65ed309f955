"""Which runs are meant: those that are named, with those that were started with ``parent=`` one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import select

from tracker.queries.listing import Listing, in_chunks
from tracker.queries.resolve import find_runs
from tracker.queries.runs import chosen_ids
from tracker.storage.database import Reader
from tracker.tables import RUN


def choose(
    reader: Reader, runs: Sequence[str], where: str | None = None, *, children: bool = False
) -> list[str]:
    """Return the ids of the runs that are named and that a filter leaves; of all, newest first, where none is.

    With ``children`` those of the named ones are there, too.
    """
    if not runs:
        return chosen_ids(reader, where)
    ids = find_runs(reader, runs)
    return chosen_ids(reader, where, family(reader, ids) if children else ids)


def family(reader: Reader, ids: Sequence[str]) -> list[str]:
    """Return runs, each followed by its children and theirs, in the order they were started."""
    children: dict[str, list[str]] = {}
    seen, newest = set(ids), list(ids)
    statement = select(RUN.c.id, RUN.c.parent_id).order_by(RUN.c.started, RUN.c.id)
    while newest:
        rows = list(in_chunks(reader.connection, statement, RUN.c.parent_id, newest))
        newest = [row.id for row in rows if row.id not in seen]
        seen.update(newest)
        for row in rows:
            children.setdefault(row.parent_id, []).append(row.id)
    return list(dict.fromkeys(one for run in ids for one, _ in _walk(run, children, 0)))


def as_tree(listing: Listing) -> Listing:
    """Put the rows of children under their parents', names indented by how deep they are."""
    at, by_id = listing.names.index, {row[0]: row for row in listing.rows}
    children: dict[str, list[str]] = {}
    for row in listing.rows:
        children.setdefault(row[at("parent")], []).append(row[0])
    roots = [row[0] for row in listing.rows if row[at("parent")] not in by_id]
    order = [pair for root in roots for pair in _walk(root, children, 0)]
    return Listing(
        listing.columns, [_indented(by_id[run], at("name"), depth) for run, depth in order]
    )


def _walk(run: str, children: dict[str, list[str]], depth: int) -> Iterator[tuple[str, int]]:
    yield run, depth
    for child in children.get(run, []):
        yield from _walk(child, children, depth + 1)


def _indented(row: Sequence[Any], place: int, depth: int) -> list[Any]:
    cells = list(row)
    if depth:
        cells[place] = f"{'  ' * (depth - 1)}└ {cells[place]}"
    return cells

"""Values of runs by the names that filters know: for the columns of a listing, and to group it by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, func, literal, select

from tracker.filters.compile import places
from tracker.filters.fields import Fields
from tracker.filters.parser import parse_order
from tracker.filters.targets import FLAG, NUMBER, TEXT, TIME, LabelPlace, Place, SummaryPlace
from tracker.models import PARAM, RUN, SUMMARY, TAG
from tracker.queries.result import Column, Kind, Listing, common_kind
from tracker.queries.runs import COLUMNS
from tracker.queries.selection import Order
from tracker.queries.status import dead_runs, status_now
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.values import join, param_decode

_KINDS: dict[str, Kind] = {TEXT: "text", NUMBER: "number", TIME: "time", FLAG: "flag"}


@dataclass(frozen=True)
class RunField:
    """One more column of a listing of runs: its title, its kind, and the value of each run that has one.

    ``name`` is the metric, param or tag that it shows, without a function and a scope.
    """

    title: str
    name: str
    kind: Kind
    values: Mapping[str, Any]

    @property
    def column(self) -> Column:
        """The column's title and kind."""
        return Column(self.title, self.kind)


def run_fields(reader: Reader, overview: Listing, keys: Order) -> list[RunField]:
    """Return the values of listed runs for each key, such as ``val_loss``, ``last(loss)`` or ``lr``.

    Args:
        reader: an open database.
        overview: the listed runs, as `tracker.queries.runs.overview` gives them.
        keys: fields as sort keys name them; a direction is ignored.

    Raises:
        WhereError: for a name that nothing has.
    """
    named = parse_order(keys or ())
    if reader.empty:
        return [RunField(key.text, key.field.name, "any", {}) for key in named]
    own = {column.name: column.kind for column in COLUMNS}
    ids = overview.cells("id")
    fields = Fields(reader.connection, status_now(dead_runs(reader.connection)))
    found = []
    for key in named:
        is_bare = key.field.scope is None and key.field.function is None
        if is_bare and key.field.name in own:
            name = key.field.name
            values = dict(zip(ids, overview.cells(name), strict=True))
            found.append(RunField(key.text, name, own[name], values))
            continue
        ((_, place),) = places([key], fields)
        values = _values(reader, ids, place)
        kind = known_kind(values.values()) if isinstance(place, LabelPlace) else _KINDS[place.kind]
        found.append(RunField(key.text, key.field.name, kind, values))
    return found


def known_kind(values: Iterable[Any]) -> Kind:
    """Return the kind of those values that are not None."""
    return common_kind([value for value in values if value is not None])


def _values(reader: Reader, ids: Sequence[str], place: Place) -> dict[str, Any]:
    """Return the value of each run that has one."""
    connection = reader.connection
    if isinstance(place, LabelPlace):
        return _labels(reader, ids, place.table, [place.name]).get(place.name, {})
    if isinstance(place, SummaryPlace):
        columns = SUMMARY.c
        kind = columns.last_kind if place.nan is not None else literal("finite")
        wanted = select(columns.run_id, place.summarized.label("value"), kind.label("kind"))
        rows = in_chunks(connection, wanted.where(columns.name == place.name), columns.run_id, ids)
        return {row.run_id: join(row.value, row.kind) for row in rows}
    statement = select(RUN.c.id, place.column.label("value"))
    return {row.id: row.value for row in in_chunks(connection, statement, RUN.c.id, ids)}


def _labels(
    reader: Reader, ids: Sequence[str], table: Table, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return params, facts or tags: name → run → value."""
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    held = (table.c.value,) if table is TAG else (table.c.kind, table.c.text)
    statement = select(table.c.run_id, table.c.name, *held).where(table.c.name.in_(names))
    for row in in_chunks(reader.connection, statement, table.c.run_id, ids):
        value = row.value if table is TAG else param_decode(row.kind, row.text)
        found[row.name][row.run_id] = value
    return found


def varying(reader: Reader, ids: Sequence[str], most: int | None) -> tuple[list[RunField], int]:
    """Return the params and tags whose values differ among runs, up to ``most``, and how many more there are.

    Of nested params the leaves are shown, not the whole.
    """
    if reader.empty or len(ids) < 2:
        return [], 0
    names = [
        (scope, table, name)
        for scope, table in (("params", PARAM), ("tags", TAG))
        for name in _differing(reader, ids, table)
    ]
    nested = {name for _, _, name in names}
    leaves = [one for one in names if not any(other.startswith(f"{one[2]}.") for other in nested)]
    shown = leaves[:most]
    labels = {
        table: _labels(reader, ids, table, [name for _, at, name in shown if at is table])
        for table in {table for _, table, _ in shown}
    }
    found = []
    for scope, table, name in shown:
        values = labels[table][name]
        kind: Kind = "text" if table is TAG else common_kind([*values.values()])
        found.append(RunField(f"{scope}.{name}", name, kind, values))
    return found, len(leaves) - len(found)


def _differing(reader: Reader, ids: Sequence[str], table: Table) -> list[str]:
    """Return the names that some runs lack, or have with another value; those that most have come first."""
    value = table.c.value if table is TAG else table.c.text
    statement = select(
        table.c.name,
        func.count().label("runs"),
        func.min(value).label("low"),
        func.max(value).label("high"),
    ).group_by(table.c.name)
    runs: dict[str, int] = {}
    seen: dict[str, set[Any]] = {}
    for row in in_chunks(reader.connection, statement, table.c.run_id, ids):
        runs[row.name] = runs.get(row.name, 0) + row.runs
        seen.setdefault(row.name, set()).update((row.low, row.high))
    differing = (name for name in runs if runs[name] < len(ids) or len(seen[name]) > 1)
    return sorted(differing, key=lambda name: (-runs[name], name))

"""Runs by groups: one row per value of a field, or of several: how many they are, how long, and what they came to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from tracker.errors import BadValue
from tracker.filters.compile import places
from tracker.filters.fields import Fields
from tracker.filters.parser import parse_order
from tracker.filters.targets import LabelPlace
from tracker.filters.tree import SortKey
from tracker.queries.judged_groups import JUDGED, judgement, modes_of, of_one_metric
from tracker.queries.monitored import shared_monitor
from tracker.queries.result import Listing
from tracker.queries.run_fields import run_fields
from tracker.queries.runs import COLUMNS, overview
from tracker.queries.selection import Order
from tracker.queries.status import dead_runs, status_now
from tracker.queries.stored_groups import COUNTED, Group, GroupKey, StoredGroups, sameness
from tracker.states import RunStatus
from tracker.storage.database import Reader

_STORED = ("experiment", "status", "name", "epochs", "parent")
"""Columns of a run that are in the database as they are shown."""


def groups(
    reader: Reader,
    by: Order,
    where: str | None = None,
    order_by: Order = None,
    ids: Sequence[str] | None = None,
    limit: int | None = None,
    *,
    judged: bool = True,
) -> Listing:
    """Return one row per group of runs: the keys, then `COUNTED`, then `JUDGED`.

    ``running`` counts those that are being recorded, ``seconds`` is the sum over the group, ``started`` that of its
    newest run. ``metric`` is the one that most runs of the group are judged by; ``mean`` and ``std`` (of a sample,
    n - 1) are of its best values, over the runs that are judged by it.

    Args:
        reader: an open database.
        by: fields, as sort keys name them; a direction is ignored.
        where, ids: which runs, as in `overview`.
        order_by: how runs are sorted; a group stands where its first run does. None: the newest first.
        limit: at most so many groups.
        judged: False to leave `JUDGED` out: most fields are then counted in the database, however many runs there are.

    Raises:
        BadValue: without a field.
        WhereError: for a filter or a field that cannot be read, or is not known.
    """
    keys = parse_order(by or ())
    if not keys:
        raise BadValue("Runs are grouped by a field: name it, such as experiment or params.lr.")
    if order_by is None and ids is None and not reader.empty:
        fields = Fields(reader.connection, status_now(dead_runs(reader.connection)))
        monitor = None
        if all(_is_stored(key, fields) for key in keys) and (
            not judged or (monitor := shared_monitor(reader.connection)) is not None
        ):
            found = zip(keys, places(keys, fields), strict=True)
            stored = StoredGroups(
                [GroupKey(key, place) for key, (_, place) in found], where, fields
            )
            if monitor is not None:
                return of_one_metric(reader, stored, monitor, limit)
            if limit is not None:
                stored.narrow(reader.connection, limit)
            return _counted(reader.connection, stored, limit)
    return _of_listed(reader, overview(reader, where, order_by, None, ids), keys, limit, judged)


def _is_bare(key: SortKey) -> bool:
    return key.field.scope is None and key.field.function is None


def _is_stored(key: SortKey, fields: Fields) -> bool:
    """Return whether the database has what the listing shows."""
    if _is_bare(key) and key.field.name in {column.name for column in COLUMNS}:
        return key.field.name in _STORED
    return isinstance(fields.find(key.field), LabelPlace)


def _counted(connection: Connection, stored: StoredGroups, limit: int | None) -> Listing:
    """Count in the database."""
    found = stored.added(connection, stored.counted_rows(), Group)
    rows = [group.cells for group in found.values()]
    return Listing(stored.heads(), rows[:limit])


def _of_listed(
    reader: Reader, listed: Listing, keys: Sequence[SortKey], limit: int | None, judged: bool
) -> Listing:
    """Group runs that are listed."""
    fields = run_fields(reader, listed, [key.text for key in keys])
    members: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    values: dict[tuple[Any, ...], list[Any]] = {}
    for row in listed.dicts():
        group = [field.values.get(row["id"]) for field in fields]
        same = tuple(map(sameness, group))
        values.setdefault(same, group)
        members.setdefault(same, []).append(row)
    modes = modes_of(reader, listed) if judged else {}
    rows = [
        (*values[same], *_counts(runs), *(judgement(runs, modes) if judged else ()))
        for same, runs in members.items()
    ]
    heads = (*(field.column for field in fields), *COUNTED, *(JUDGED if judged else ()))
    return Listing(heads, rows[:limit])


def _counts(runs: Sequence[Mapping[str, Any]]) -> tuple[Any, ...]:
    running = sum(row["status"] == RunStatus.RUNNING for row in runs)
    return (
        len(runs),
        running,
        math.fsum(row["seconds"] for row in runs),
        max(row["started"] for row in runs),
    )

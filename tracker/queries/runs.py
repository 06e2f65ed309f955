"""Runs, one row each: what they are, how they ended, their best, restored and last epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select

from tracker.errors import BadValue
from tracker.filters.compile import condition, ordering
from tracker.filters.fields import Fields
from tracker.filters.targets import Place, SummaryPlace
from tracker.models import PARAM, RUN, SUMMARY, TAG
from tracker.process import lost_reason
from tracker.queries.listing import Column, Listing, columns, kind_of, settled
from tracker.queries.monitored import Bests, bests, has_value
from tracker.queries.status import dead_runs, status_now
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.values import param_decode

Order = str | Iterable[str] | None

COLUMNS = columns(
    "id. name. experiment. status. started! seconds epochs# monitor. best best_epoch~ "
    "restored_epoch~ last last_epoch~ ended! reason. error. note. parent."
)


@dataclass(frozen=True)
class _Chosen:
    """The rows of ``run`` that a query chose; ``keys`` are their ids, None for all there are."""

    rows: Sequence[Any]
    dead: Mapping[str, Any]
    keys: Sequence[str] | None


def overview(
    reader: Reader,
    where: str | None = None,
    order_by: Order = None,
    limit: int | None = None,
    ids: Sequence[str] | None = None,
) -> Listing:
    """Return runs with `COLUMNS`, newest first when nothing else is asked for.

    Args:
        reader: an open database.
        where: a filter (`tracker.filters`).
        order_by: sort keys; runs without the value come last.
        limit: at most so many.
        ids: only these runs.
    """
    check_limit(limit)
    if reader.empty:
        check_syntax(where, order_by)
        return Listing(COLUMNS)
    chosen = _choose(reader.connection, where, order_by, limit, ids)
    marks = bests(reader.connection, [run.id for run in chosen.rows], chosen.keys)
    return Listing(COLUMNS, [_row(run, chosen.dead, marks) for run in chosen.rows])


def runs(
    reader: Reader,
    where: str | None = None,
    order_by: Order = None,
    limit: int | None = None,
    ids: Sequence[str] | None = None,
) -> Listing:
    """Return `overview` with more columns: ``tags.x``, ``params.x``, and each metric at its best; sorted."""
    listing = overview(reader, where, order_by, limit, ids)
    if reader.empty:
        return listing
    connection = reader.connection
    keys = None if _is_all(where, limit, ids) else [row[0] for row in listing.rows]
    wide = _Widener(listing)
    for run, name, value in in_chunks(connection, select(TAG), TAG.c.run_id, keys):
        wide.put("tags.", run, name, value)
    for run, name, kind, text, _ in in_chunks(connection, select(PARAM), PARAM.c.run_id, keys):
        wide.put("params.", run, name, param_decode(kind, text))
    for summary in in_chunks(connection, select(SUMMARY), SUMMARY.c.run_id, keys):
        wide.put("", summary[0], summary[1], has_value(summary).best)
    return wide.listing()


def count(reader: Reader, where: str | None = None) -> int:
    """Return how many runs a filter leaves."""
    if reader.empty:
        return 0
    dead = dead_runs(reader.connection)
    test = condition(where, Fields(reader.connection, status_now(dead)))
    statement = select(func.count()).select_from(RUN)
    if test is not None:
        statement = statement.where(test)
    return int(reader.connection.execute(statement).scalar_one())


def check_limit(limit: int | None) -> None:
    """Refuse a limit that is no number of rows."""
    if limit is not None and (isinstance(limit, bool) or not 0 <= limit < 2**62):
        raise BadValue(f"limit is {limit!r}: it must be a number of rows, or None for all.")


def check_syntax(where: str | None, order_by: Order) -> None:
    """Refuse what cannot be read, where there is no database to ask for names."""
    from tracker.filters import parse, parse_order

    if where is not None:
        parse(where)
    if order_by is not None:
        parse_order(order_by)


def chosen_ids(reader: Reader, where: str | None, ids: Sequence[str] | None = None) -> list[str]:
    """Return the ids of the runs that a filter leaves: of ``ids`` in their order, else of all, newest first."""
    if reader.empty:
        return []
    return [run.id for run in _choose(reader.connection, where, None, None, ids).rows]


def _is_all(where: str | None, limit: int | None, ids: Sequence[str] | None) -> bool:
    return where is None and limit is None and ids is None


def _choose(
    connection: Connection,
    where: str | None,
    order_by: Order,
    limit: int | None,
    ids: Sequence[str] | None,
) -> _Chosen:
    dead = dead_runs(connection)
    status = status_now(dead)
    fields = Fields(connection, status)
    plain = [column for column in RUN.c if column.name != "status"]
    statement = select(*plain, status.label("status"))
    test = condition(where, fields)
    if test is not None:
        statement = statement.where(test)
    keys = ordering(order_by, fields)
    if ids is not None:
        found = {
            run.id: run for run in in_chunks(connection, _sorted(statement, keys), RUN.c.id, ids)
        }
        rows = list(found.values()) if keys else [found[one] for one in ids if one in found]
        rows = rows[:limit]
    else:
        rows = _limited(connection, statement, keys, limit)
    return _Chosen(rows, dead, None if _is_all(where, limit, ids) else [run.id for run in rows])


def _limited(
    connection: Connection,
    statement: Select[Any],
    keys: list[tuple[Place, bool]],
    limit: int | None,
) -> list[Any]:
    """Take the first rows; for a metric's best from the summaries' index where that gives enough of them."""
    place, descending = keys[0] if keys else (None, False)
    if limit is not None and isinstance(place, SummaryPlace):
        value = SUMMARY.c[place.field]
        quick = (
            statement.join_from(
                RUN, SUMMARY, and_(SUMMARY.c.run_id == RUN.c.id, SUMMARY.c.name == place.name)
            )
            .where(value.is_not(None))
            .order_by(value.desc() if descending else value.asc())
        )
        rows = list(connection.execute(_sorted(quick, keys[1:]).limit(limit)))
        if len(rows) == limit:
            return rows
    return list(connection.execute(_sorted(statement, keys).limit(limit)))


def _sorted(statement: Select[Any], keys: list[tuple[Place, bool]]) -> Select[Any]:
    for place, descending in keys:
        statement = statement.order_by(*place.order(descending))
    return statement.order_by(RUN.c.started.desc(), RUN.c.id)


def _row(run: Any, dead: Mapping[str, Any], marks: Bests) -> tuple[Any, ...]:
    id_, name, experiment, reason, error, started, ended, seconds, epochs, parent, note, status = (
        run
    )
    monitor, best, best_epoch, last, last_epoch, restored_epoch = marks.of(id_)
    if id_ in dead:
        reason, ended = lost_reason(dead[id_]), dead[id_].heartbeat
    return (
        id_, name, experiment, status, started, seconds, epochs, monitor, best, best_epoch,
        restored_epoch, last, last_epoch, ended, reason, error, note, parent,
    )  # fmt: skip


class _Widener:
    """Adds columns that only some rows have."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._scopes: dict[str, dict[str, dict[str, Any]]] = {"tags.": {}, "params.": {}, "": {}}

    def put(self, scope: str, run: str, name: str, value: Any) -> None:
        """Set a cell of the run's row, of column ``scope`` + ``name``."""
        cells = self._scopes[scope].get(name)
        if cells is None:
            cells = self._scopes[scope][name] = {}
        cells[run] = value

    def listing(self) -> Listing:
        """Return the wide listing."""
        tags, params, metrics = self._scopes["tags."], self._scopes["params."], self._scopes[""]
        titles = settled(metrics, self._listing.names)
        heads = [(f"tags.{name}", tags[name], "text") for name in sorted(tags)]
        heads += [(f"params.{name}", params[name], "") for name in sorted(params)]
        heads += [(titles[name], metrics[name], "number") for name in sorted(metrics)]
        ids = [row[0] for row in self._listing.rows]
        cells = [list(map(values.get, ids)) for _, values, _ in heads]
        added = [
            Column(title, kind or kind_of(values))
            for (title, _, kind), values in zip(heads, cells, strict=True)
        ]
        wide = zip(self._listing.rows, zip(*cells, strict=True), strict=True) if cells else ()
        rows = [(*row, *more) for row, more in wide] if cells else self._listing.rows
        return Listing((*self._listing.columns, *added), rows)

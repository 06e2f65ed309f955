"""Runs by what people call them: an id, a unique prefix of one, a name, or name@prefix."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select

from tracker.clock import shown
from tracker.errors import AmbiguousRun, UnknownRun, cut, nearest
from tracker.models import RUN, SUMMARY
from tracker.queries.result import Listing
from tracker.queries.runs import run_ids
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.values import text_of

log = logging.getLogger("tracker")

SHORT = 8
"""How many digits of an id are shown."""

_MOST_COMPLETED = 50
_MOST_NAMES = 1000  # names that are looked through for the nearest one


def find_run(reader: Reader, text: str) -> str:
    """Return the id of the run that ``text`` names.

    Args:
        text: an id; a name, which means the newest run of that name, with a note in the log where there are
            several; ``name@2``, the second run of that name; a prefix of an id that only one run has;
            or a name, @ and such a prefix.

    Raises:
        UnknownRun: with the nearest names; for a text without a letter.
        AmbiguousRun: for a prefix that several ids have, with the candidates.
    """
    text = text_of(text, "The name of a run")
    if not text.strip():
        raise UnknownRun(f"{text!r} names no run: give an id, the beginning of one, or a name.")
    if reader.empty:
        raise UnknownRun(f"There is no run {text!r}: no database at {reader.location} yet.")
    connection = reader.connection
    nth = _nth_of_name(connection, text)
    if nth is not None:
        return nth
    for test in _tests(text):
        found = connection.execute(
            select(RUN.c.id, RUN.c.name, RUN.c.started).where(test).order_by(RUN.c.started.desc())
        ).all()
        if len(found) == 1 or (found and found[0].name == text):
            _report_others(text, found)
            return str(found[0].id)
        if found:
            shown_runs = [f"{run.name}@{run.id[:SHORT]} ({shown(run.started)})" for run in found]
            more = f" and {len(found) - 10} more" if len(found) > 10 else ""
            raise AmbiguousRun(
                f"{text!r} matches {len(found)} runs; name one of them: "
                f"{', '.join(shown_runs[:10])}{more}."
            )
    raise UnknownRun(f"There is no run {text!r}{_meant(connection, text)}")


def _meant(connection: Connection, text: str) -> str:
    """End the sentence about a run that does not exist: with what else has that name, or with the nearest runs."""
    newest = select(RUN.c.name).order_by(RUN.c.started.desc()).limit(_MOST_NAMES)
    if of_experiment := connection.scalars(newest.where(RUN.c.experiment == text).limit(3)).all():
        literal = text.replace("'", "''")
        return (
            f", but an experiment: its runs are those where \"experiment = '{literal}'\", "
            f"such as {', '.join(map(cut, of_experiment))}."
        )
    if connection.execute(select(SUMMARY.c.name).where(SUMMARY.c.name == text).limit(1)).first():
        return f", but a metric: give it as --metric {text}, or metric={text!r}."
    return f": {nearest(text, connection.scalars(newest).all())}"


def _report_others(name: str, runs: Sequence[Any]) -> None:
    """Say which of several runs of a name is meant: the one started last."""
    if len(runs) > 1:
        others = f"{name}@1" if len(runs) == 2 else f"{name}@1 to {name}@{len(runs) - 1}"
        log.warning(
            "local-tracker: %d runs are named %s; the newest is used (%s, %s). %s or an id names another.",
            len(runs), name, runs[0].id[:SHORT], shown(runs[0].started), others,
        )  # fmt: skip


def _nth_of_name(connection: Connection, text: str) -> str | None:
    """Return the id that ``name@2`` means, the second run of that name; None where that is something else."""
    name, at, number = text.rpartition("@")
    if not (at and number.isascii() and number.isdigit()) or len(number) >= SHORT:
        return None
    if connection.execute(select(RUN.c.id).where(RUN.c.name == text)).first() is not None:
        return None
    of_name = select(RUN.c.id).where(RUN.c.name == name).order_by(RUN.c.started, RUN.c.id)
    ids = connection.execute(of_name).scalars().all()
    if not ids:
        return None
    # Never the beginning of an id: that would be another run than the one that is meant.
    if not 1 <= int(number) <= len(ids):
        last = f"{name}@{len(ids)}"
        raise UnknownRun(f"There is no run {text!r}: the newest run named {name} is {last}.")
    return str(ids[int(number) - 1])


def find_runs(reader: Reader, texts: Iterable[str]) -> list[str]:
    """Return the ids of the runs that are named, each once."""
    return list(dict.fromkeys(find_run(reader, text) for text in texts))


def runs_or_all(reader: Reader, texts: Sequence[str]) -> list[str] | None:
    """Return the ids of the runs that are named, each once; None, which queries take for all, where none is."""
    return find_runs(reader, texts) if texts else None


def newest_run(reader: Reader) -> str:
    """Return the id of the run started last."""
    if not reader.empty:
        newest = select(RUN.c.id).order_by(RUN.c.started.desc(), RUN.c.id).limit(1)
        found = reader.connection.execute(newest).scalar()
        if found is not None:
            return str(found)
    raise UnknownRun(f"There are no runs in {reader.location} yet.")


def named_or_newest(reader: Reader, text: str | None) -> str:
    """Return the id of the run that ``text`` names; None stands for the newest."""
    return newest_run(reader) if text is None else find_run(reader, text)


def names_like(reader: Reader, start: str) -> list[str]:
    """Return names, and ids, that begin so; for completion."""
    if reader.empty:
        return []
    begins = RUN.c.name.startswith(start, autoescape=True)
    statement = select(RUN.c.name).where(begins).group_by(RUN.c.name).limit(_MOST_COMPLETED)
    names = list(reader.connection.execute(statement).scalars())
    if names or not start:
        return names
    prefix = RUN.c.id.startswith(start, autoescape=True)
    ids = select(RUN.c.id).where(prefix).limit(_MOST_COMPLETED)
    return list(reader.connection.execute(ids).scalars())


def labels(connection: Connection, ids: Sequence[str] | None) -> dict[str, str]:
    """Return the names of runs in a table: the name, or name@id where several of these have that name."""
    return labels_by_name(_names(connection, ids))


def labels_by_name(names: Mapping[str, str]) -> dict[str, str]:
    """Return the same as `labels` for runs whose names are known."""
    return _distinct(names, Counter(names.values()))


def labels_of(
    connection: Connection, shown: Sequence[str], asked: Sequence[str] | None
) -> dict[str, str]:
    """Return the labels of those runs that a table shows, as any other table of the runs that were asked for has them.

    Args:
        connection: of an open database.
        shown: the runs with rows in this table.
        asked: the runs that were asked for; None for all. One that has no row here may have the name of one that has.
    """
    if asked is not None:
        every = labels(connection, asked)
        return {run: every[run] for run in shown}
    names = _names(connection, shown)
    counted = select(RUN.c.name, func.count().label("runs")).group_by(RUN.c.name)
    found = in_chunks(connection, counted, RUN.c.name, dict.fromkeys(names.values()))
    return _distinct(names, {row.name: row.runs for row in found})


def _names(connection: Connection, ids: Sequence[str] | None) -> dict[str, str]:
    statement = select(RUN.c.id, RUN.c.name)
    return {run.id: run.name for run in in_chunks(connection, statement, RUN.c.id, ids)}


def _distinct(names: Mapping[str, str], counts: Mapping[str, int]) -> dict[str, str]:
    short = {
        run: name if counts[name] == 1 else f"{name}@{run[:SHORT]}" for run, name in names.items()
    }
    # A run may be named as another one is labelled.
    same = Counter(short.values())
    return {
        run: label if same[label] == 1 else f"{names[run]}@{run}" for run, label in short.items()
    }


def _tests(text: str) -> list[ColumnElement[bool]]:
    tests: list[ColumnElement[bool]] = [RUN.c.id == text, RUN.c.name == text]
    name, at, prefix = text.rpartition("@")
    if at and prefix:
        tests.append(and_(RUN.c.name == name, RUN.c.id.startswith(prefix, autoescape=True)))
    tests.append(RUN.c.id.startswith(text, autoescape=True))
    return tests


def select_runs(
    reader: Reader, runs: Sequence[str], where: str | None = None, *, children: bool = False
) -> list[str]:
    """Return the ids of those of the named runs that pass a filter; of all runs, newest first, when none is named.

    With ``children`` the children of the named ones are candidates, too.
    """
    if not runs:
        return run_ids(reader, where)
    ids = find_runs(reader, runs)
    return run_ids(reader, where, family(reader, ids) if children else ids)


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
    return list(dict.fromkeys(member for run in ids for member, _ in _walk(run, children, 0)))


def as_tree(listing: Listing) -> Listing:
    """Put the rows of children under their parents', names indented by how deep they are."""
    by_id = {row["id"]: row for row in listing.dicts()}
    children: dict[str, list[str]] = {}
    for run, row in by_id.items():
        children.setdefault(row["parent"], []).append(run)
    roots = [run for run, row in by_id.items() if row["parent"] not in by_id]
    order = [pair for root in roots for pair in _walk(root, children, 0)]
    rows = ({**by_id[run], "name": _indented(by_id[run]["name"], depth)} for run, depth in order)
    return replace(listing, rows=Listing.from_dicts(listing.columns, rows).rows)


def _walk(run: str, children: dict[str, list[str]], depth: int) -> Iterator[tuple[str, int]]:
    yield run, depth
    for child in children.get(run, []):
        yield from _walk(child, children, depth + 1)


def _indented(name: str, depth: int) -> str:
    return f"{'  ' * (depth - 1)}└ {name}" if depth else name

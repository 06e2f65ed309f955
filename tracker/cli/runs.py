"""``tracker runs``, and ``tracker runs list``; each of its other commands has a module of its own."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import click

from tracker.cli.format import at_epoch, parameter, visible
from tracker.cli.options import children_option, complete_sort, listing_options, runs_argument
from tracker.cli.output import on_terminal, say, shows_unicode
from tracker.cli.program import LazyGroup
from tracker.cli.render import print_data, print_listing, print_table
from tracker.cli.table import Table
from tracker.errors import BadValue, counted
from tracker.filters.names import misspelt
from tracker.filters.parser import parse_order
from tracker.queries.groups import groups
from tracker.queries.resolve import as_tree, family, find_runs
from tracker.queries.result import Column, Listing
from tracker.queries.run_fields import RunField, run_fields, varying
from tracker.queries.runs import overview
from tracker.queries.runs import runs as all_of_runs
from tracker.queries.status import running_runs
from tracker.storage.database import Reader, reading

ROWS_ON_SCREEN = 50
"""Rows that a terminal gets without ``-n``."""

_MOST_VARYING = 6
"""Params and tags that are shown without ``--wide``."""
_LONGEST_VARYING = 40
"""Characters of the longest value of one that is."""

_OVERVIEW = (
    "name", "id", "experiment", "status", "epochs", "monitor", "best", "restored_epoch", "last", "age",
    "started", "seconds",
)  # fmt: skip
_SPARE = (
    "seconds", "experiment", "started", "id", "restored_epoch", "last", "curve", "epochs"
)  # fmt: skip


_PLACES = {
    "list": "tracker.cli.runs:list_",
    "show": "tracker.cli.runs_show:show",
    "compare": "tracker.cli.runs_compare:compare",
    "watch": "tracker.cli.runs_watch:watch",
    "best": "tracker.cli.runs_best:best",
    **{
        name: f"tracker.cli.runs_edit:{name}"
        for name in ("tag", "note", "rename", "delete", "reap")
    },
}


@click.group(cls=LazyGroup, places=_PLACES)
def runs() -> None:
    """List, show, compare and edit runs.

    \b
    Example:
      tracker runs list --sort val_loss -n 10
    """


@click.command("list")
@runs_argument()
@children_option
@click.option(
    "--columns", metavar="FIELD[,FIELD…]", shell_complete=complete_sort,
    help="These columns: a column, a metric at its best, last(METRIC), a param, a tag …",
)  # fmt: skip
@click.option(
    "--group-by", metavar="FIELD[,FIELD…]", shell_complete=complete_sort,
    help="One row per group, such as experiment or lr: how many runs, the best of the monitored metric, its "
    "mean and standard deviation over the runs.",
)  # fmt: skip
@click.option("--running", is_flag=True, help="Only runs that are being recorded now.")
@click.option(
    "--wide", is_flag=True,
    help="All params and tags that differ, and no column left out; lines may be longer than the terminal.",
)  # fmt: skip
@listing_options
def list_(
    names: tuple[str, ...],
    children: bool,
    columns: str | None,
    group_by: str | None,
    running: bool,
    wide: bool,
    where: str | None,
    sort: str | None,
    limit: int | None,
    form: str,
    database: str | None,
) -> None:
    """List runs, newest first, with the best, restored and last epoch of the monitored metric.

    Without RUN, all runs are listed. Params and tags that differ among them have columns, and so has what
    they are sorted by. csv and json also have every tag, every param and every metric at its best.

    \b
    Example:
      tracker runs list --where "val_loss < 0.3 and lr >= 1e-3" --sort val_loss -n 10
      tracker runs list --columns "name,lr,val_loss,last(val_loss)"
      tracker runs list --group-by experiment,lr
      tracker runs list sweep-1 --children
    """
    if columns is not None and group_by is not None:
        raise BadValue("Give --columns or --group-by, not both.")
    whole = form != "table" or group_by is not None or bool(names) or not on_terminal()
    shortened = limit is None and not whole
    most = ROWS_ON_SCREEN if shortened else limit or None
    with reading(database) as reader:
        ids = find_runs(reader, names) if names else None
        if children and ids:
            ids = family(reader, ids)
        if running:
            ids = running_runs(reader, ids)
        if group_by is not None:
            _print_groups(groups(reader, group_by, where, sort, ids, most), form)
            return
        if form != "table":
            _print_data(reader, columns, all_of_runs(reader, where, sort, most, ids), form)
            return
        listing = overview(reader, where, sort, most, ids, with_total=shortened)
        if not listing.rows:
            _explain_no_rows(reader, where, running=running)
        elif columns is not None:
            fields = run_fields(reader, listing, _with_age(columns))
            chosen = _chosen(_tree(listing, children), fields)
            print_table(Table(chosen, keep=chosen.names), wide=wide)
        else:
            _print_overview(reader, _tree(listing, children), sort, wide=wide)
        if listing.total is not None and listing.total > len(listing.rows):
            shown = len(listing.rows)
            say(f"{shown} of {listing.total} runs; -n 0 shows all.", err=True)
        _count_pending_records(reader)


def _tree(listing: Listing, children: bool) -> Listing:
    return as_tree(listing) if children else listing


def _print_overview(reader: Reader, listing: Listing, sort: str | None, *, wide: bool) -> None:
    ids = listing.cells("id")
    fields: list[RunField] = []
    more = 0
    if len(ids) > 1:
        fields, more = varying(reader, ids, None if wide else _MOST_VARYING)
        if not wide:
            brief = [field for field in fields if _is_brief(field)]
            fields, more = brief, more + len(fields) - len(brief)
    wanted = [] if sort is None else _not_shown(listing, sort)
    sorted_by = run_fields(reader, listing, wanted) if wanted else []
    keys = [] if sort is None else [key.text for key in parse_order(sort)]
    table = overview_table(listing, sorted_by, fields, kept=keys, curves=_curves(reader, listing))
    print_table(table, wide=wide, hint="--wide shows all columns.")
    if more:
        say(
            f"{counted(more, 'more param or tag', 'more params and tags')} differ; --wide shows all.",
            err=True,
        )


def _curves(reader: Reader, listing: Listing) -> Mapping[str, str]:
    """Return the curve of each run in a few letters, on a terminal that has them."""
    if not (on_terminal() and shows_unicode()):
        return {}
    from tracker.cli.sparkline import sparklines

    return sparklines(reader, listing)


def _is_brief(field: RunField) -> bool:
    return all(len(parameter(value)) <= _LONGEST_VARYING for value in field.values.values())


def _not_shown(listing: Listing, sort: str) -> list[str]:
    """Return the sort keys, without directions, that have no column yet."""
    monitors = {*listing.cells("monitor")} - {None}
    shown = {*_OVERVIEW, *(monitors if len(monitors) == 1 else ())}
    return [key.text for key in parse_order(sort) if key.text not in shown]


def overview_table(
    listing: Listing,
    sorted_by: Sequence[RunField] = (),
    differing: Sequence[RunField] = (),
    *,
    kept: Collection[str] = (),
    curves: Mapping[str, str] | None = None,
) -> Table:
    """Return runs as a table, with values and epochs together: ``0.0912 @ 7``, or steps: ``0.31 @ step 120``.

    Args:
        listing: an overview.
        sorted_by, differing: further fields, with a column each.
        kept: names of columns that no narrow terminal goes without.
        curves: a picture of each run by its id, for a column of their own.
    """
    ids = listing.cells("id")
    monitors = {*listing.cells("monitor")} - {None}
    # A person compares ages; a program that reads a pipe wants the time.
    unwanted = {"started" if on_terminal() else "age"}
    if len(monitors) <= 1:
        unwanted.add("monitor")
    names = [name for name in _OVERVIEW if name not in unwanted]
    kinds = {column.name: column.kind for column in listing.columns} | {"age": "time"}
    added = list(sorted_by)
    added += [one for one in differing if one.name not in {field.name for field in added}]
    place = names.index("last") + 1
    columns = [Column(name, kinds[name]) for name in names]
    cells = [_overview_cells(listing, name) for name in names]
    heads = [field.column for field in added]
    more = [list(map(field.values.get, ids)) for field in added]
    if curves:
        heads.insert(0, Column("curve", "text"))
        more.insert(0, list(map(curves.get, ids)))
    shown = Listing(
        (*columns[:place], *heads, *columns[place:]),
        list(zip(*cells[:place], *more, *cells[place:], strict=True)),
    )
    headings = {"restored_epoch": "restored"}
    headings |= {field.title: visible(field.name) for field in differing}
    if len(monitors) == 1:
        headings["best"] = f"best {visible(monitors.pop())}"
    spare = (*_SPARE, *(field.title for field in reversed(differing)))
    return Table(
        shown,
        headings=headings,
        keep=("restored_epoch", *kept),
        spare=[name for name in spare if name not in kept],
        spare_at_last=("monitor",),
    )


def _overview_cells(listing: Listing, name: str) -> list[Any]:
    if name == "age":
        return listing.cells("started")
    if name not in {"best", "last"}:
        return listing.cells(name)
    parts = (listing.cells(part) for part in (name, f"{name}_epoch", f"{name}_step"))
    return list(map(at_epoch, *parts))


def _chosen(listing: Listing, fields: Sequence[RunField]) -> Listing:
    """Return the columns that were asked for; the name as a tree shows it."""
    rows = [
        [row["name"] if field.title == "name" else field.values.get(row["id"]) for field in fields]
        for row in listing.dicts()
    ]
    titles = ("age" if field.title == _AGE else field.title for field in fields)
    kinds = (field.kind for field in fields)
    return Listing(tuple(map(Column, titles, kinds)), rows)


_AGE = "run.started"
"""What the column ``age`` is made of."""


def _with_age(columns: str, age: str = _AGE) -> list[str]:
    """Return the fields that the columns are made of; ``age`` is made of another one."""
    keys = parse_order(columns)
    if not keys:
        raise BadValue("--columns names no field: write for instance name,lr,val_loss.")
    return [age if key.text == "age" else key.text for key in keys]


def _print_data(reader: Reader, columns: str | None, listing: Listing, form: str) -> None:
    if columns is not None:
        fields = run_fields(reader, listing, _with_age(columns, "started"))
        listing = _chosen(listing, fields)
    print_data(listing, form)


def _print_groups(found: Listing, form: str) -> None:
    """Print groups; for people with mean and standard deviation in one cell."""
    if form != "table":
        print_data(found, form)
        return
    kinds = {column.name: column for column in found.columns}
    left_out = {"running", "seconds", "std", "started"}
    names = [name for name in found.names if name not in left_out]
    columns = (
        *(Column(name, "any") if name == "mean" else kinds[name] for name in names),
        Column("age", "time"),
    )
    rows = [
        {**row, "mean": _mean(row["mean"], row["std"]), "age": row["started"]}
        for row in found.dicts()
    ]
    shown = Listing.from_dicts(columns, rows)
    grouped_by = names[: names.index("runs")]
    print_listing(
        shown, form, "runs",
        keep=grouped_by, spare=("age", "best_run"), headings={"mean": "mean ± std"},
    )  # fmt: skip


def _mean(mean: float | None, std: float | None) -> str | None:
    if mean is None:
        return None
    return f"{mean:.4g}" if std is None or math.isnan(std) else f"{mean:.4g} ± {std:.2g}"


def _explain_no_rows(reader: Reader, where: str | None, *, running: bool) -> None:
    if running and not reader.empty:
        say(f"No run{' that matches' * (where is not None)} is being recorded now.", err=True)
    elif where is not None and not reader.empty:
        say(f"No run in {reader.location} matches the filter.", err=True)
        for sentence in misspelt(reader, where):
            say(visible(sentence), err=True)
    else:
        say(
            f"No runs in {reader.location} yet. Record one with tracker.start_run(), or choose "
            f"another database with --database.",
            err=True,
        )


def _count_pending_records(reader: Reader) -> None:
    # Reading such a file loads what writes one; there seldom is any.
    if not reader.location.spool_files():
        return
    from tracker.queries.pending import pending_records

    pending = pending_records(reader)
    if lost := [file for file in pending if file.run is None]:
        records = counted(sum(file.records for file in lost), "pending record")
        names = ", ".join(sorted({visible(file.name) for file in lost if file.name is not None}))
        say(
            f"Not shown: {records} of runs that this database has lost{names and f' ({names})'}. "
            f"tracker db doctor --fix restores what it can, and sets the rest aside.",
            err=True,
        )
    if records_here := sum(file.records for file in pending if file.run is not None):
        say(
            f"Not shown: {counted(records_here, 'pending record')}. tracker runs show names the file; "
            f"tracker db doctor --fix imports what dead processes left behind.",
            err=True,
        )

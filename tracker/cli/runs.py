"""``tracker runs``: list, show, compare, watch; the changing ones are in `tracker.cli.runs_edit`."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from tracker import queries
from tracker.cli.format import at_epoch, duration, visible
from tracker.cli.options import (
    children_option,
    database_option,
    format_option,
    listing_options,
    run_argument,
    runs_argument,
)
from tracker.cli.program import Group
from tracker.cli.render import Table, on_terminal, print_table, show
from tracker.cli.runs_edit import delete, note, reap, rename, tag
from tracker.errors import BadValue, UnknownMetric, nearest
from tracker.queries import Column, Listing
from tracker.queries.resolve import as_tree, family, named_or_newest
from tracker.storage.database import Reader, reading
from tracker.values import brief

_DAY = 86400
_ON_SCREEN = 50  # rows that a terminal gets when no -n is given
_SPARE = ("seconds", "experiment", "monitor", "id", "started", "restored_epoch", "last", "epochs")


@click.group(cls=Group)
def runs() -> None:
    """List, show, compare and tidy runs.

    \b
    Example:
      tracker runs list --sort val_loss -n 10
    """


@runs.command("list")
@runs_argument()
@children_option
@listing_options
def list_(
    names: tuple[str, ...],
    children: bool,
    where: str | None,
    sort: str | None,
    limit: int | None,
    form: str,
    database: str | None,
) -> None:
    """List runs, newest first: the best, restored and last epoch of what each monitors.

    RUN is an id, the beginning of one, or a name; without one all runs are listed. csv and json also
    have tags, params and every metric at its best.

    \b
    Example:
      tracker runs list --where "val_loss < 0.3 and params.lr >= 1e-3" --sort val_loss -n 10
      tracker runs list sweep-1 --children
    """
    short = form == "table" and limit is None and on_terminal() and not names
    most = _ON_SCREEN if short else limit or None
    with reading(database) as reader:
        ids = queries.find_runs(reader, names) if names else None
        if children and ids:
            ids = family(reader, ids)
        if form == "table":
            listing = queries.overview(reader, where, sort, most, ids, with_total=short)
        else:
            listing = queries.runs(reader, where, sort, most, ids)
        if children and form == "table":
            listing = as_tree(listing)
        show(listing, form, _overview_table(listing) if form == "table" else None)
        if form == "table":
            _say_what_is_missing(reader, listing, where)
            _say_what_waits(reader)


def _say_what_is_missing(reader: Reader, listing: Listing, where: str | None) -> None:
    if not listing.rows:
        if where is not None and not reader.empty:
            click.echo(f"No run in {reader.location} passes the filter.", err=True)
        else:
            click.echo(
                f"No runs in {reader.location} yet. Record one with tracker.start_run(), or name "
                f"another database with --database.",
                err=True,
            )
    elif listing.total is not None and listing.total > len(listing.rows):
        click.echo(f"{len(listing.rows)} of {listing.total} runs; -n 0 shows all.", err=True)


def _say_what_waits(reader: Reader) -> None:
    from tracker.queries.pending import pending_records

    if records := sum(one.records for one in pending_records(reader)):
        text = "1 record that is" if records == 1 else f"{records} records that are"
        click.echo(
            f"Not shown: {text} waiting for the database. tracker runs show says of which run; "
            f"tracker db doctor --fix imports what a process that is gone left.",
            err=True,
        )


def _overview_table(listing: Listing) -> Table:
    """Lay runs out, with values and epochs together: ``0.0912 @ 7``."""
    rows = list(listing.dicts())
    monitors = {row["monitor"] for row in rows} - {None}
    names = "name id experiment status epochs monitor best restored_epoch last started seconds"
    kinds = {column.name: column for column in listing.columns} | {
        "best": Column("best", "number"),
        "last": Column("last", "number"),
    }
    shown = Listing(
        tuple(kinds[name] for name in names.split() if name != "monitor" or len(monitors) > 1),
        [
            [
                at_epoch(row[name], row[f"{name}_epoch"]) if name in {"best", "last"} else row[name]
                for name in names.split()
                if name != "monitor" or len(monitors) > 1
            ]
            for row in rows
        ],
    )
    headings = {"restored_epoch": "restored"}
    if len(monitors) == 1:
        headings["best"] = f"best {visible(monitors.pop())}"
    return Table(shown, headings=headings, keep=("restored_epoch",), spare=_SPARE)


@runs.command("show")
@run_argument(required=False)
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True,
    help="table for people; json is one object with everything, and exact values.",
)  # fmt: skip
@database_option
def show_(name: str | None, form: str, database: str | None) -> None:
    """Show everything about one run: why it ended, which weights it holds, params, metrics, files.

    Without RUN it is the newest one.

    \b
    Example:
      tracker runs show digits-3
    """
    from tracker.cli.details import print_details, print_json
    from tracker.queries.details import details

    with reading(database) as reader:
        run = named_or_newest(reader, name)
        found = details(reader, run)
    if form == "json":
        print_json(found)
    else:
        print_details(found)


@runs.command()
@runs_argument(required=True)
@click.option("--metric", "metrics", multiple=True, help="Only this metric; may be given again.")
@click.option("--all", "everything", is_flag=True, help="Also the params that are the same.")
@format_option
@database_option
def compare(
    names: tuple[str, ...],
    metrics: tuple[str, ...],
    everything: bool,
    form: str,
    database: str | None,
) -> None:
    """Put runs side by side: params that differ, best, restored and last value of each metric.

    \b
    Example:
      tracker runs compare digits-1 digits-3 --metric val_loss
    """
    from tracker.queries import compare as comparing

    with reading(database) as reader:
        ids = queries.find_runs(reader, names)
        if len(ids) < 2:
            raise BadValue("One run cannot be compared: name two or more.")
        found = comparing.compare(reader, ids)
    for name in metrics:
        if name not in found.metrics:
            hint = nearest(name, found.metrics, most=20)
            raise UnknownMetric(f"None of these runs has a metric {brief(name)}: {hint}")
    wanted = list(metrics) or list(found.metrics)
    if form != "table":
        show(comparing.listing(found, wanted, everything), form)
        return
    print_table(Table(comparing.listing(found, wanted, everything, together=at_epoch)))


@runs.command()
@run_argument(required=False)
@click.option("--every", default=1.0, show_default=True, help="Seconds between two looks.")
@database_option
def watch(name: str | None, every: float, database: str | None) -> None:
    """Print a run's epochs as they are recorded, until it ends.

    Without RUN it is the newest one.

    \b
    Example:
      tracker runs watch digits-3
    """
    from tracker.cli.details import ending
    from tracker.queries.details import details

    if not 0 < every <= _DAY:  # NaN is neither
        raise BadValue(f"--every is {every:g}: it must be more than 0 seconds and at most {_DAY}.")
    seen, run, missed = -1, None, False
    while True:
        with reading(database) as reader:
            run = run or named_or_newest(reader, name)
            fresh = [one for one in queries.history(reader, run) if one["epoch"] > seen]
            status = next(queries.overview(reader, ids=[run]).dicts())["status"]
            # What was read may be older than the end of its process: a lost run is looked at twice.
            missed, waits = (
                status == "lost",
                status == "running" or (status == "lost" and not missed),
            )
            found = None if waits else details(reader, run)
        for epoch in fresh:
            click.echo(_epoch_line(epoch))
            seen = epoch["epoch"]
        if found is not None:
            click.echo(ending(found))
            return
        sys.stdout.flush()
        time.sleep(max(0.05, every))


def _epoch_line(epoch: dict[str, Any]) -> str:
    metrics = [f"{visible(name)} {value:.6g}" for name, value in epoch["metrics"].items()]
    return "  ".join([f"epoch {epoch['epoch']:>4}", f"{duration(epoch['seconds']):>8}", *metrics])


for _command in (tag, note, rename, delete, reap):
    runs.add_command(_command)

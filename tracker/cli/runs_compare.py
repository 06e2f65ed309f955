"""``tracker runs compare``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import click

from tracker import queries
from tracker.cli.format import at_epoch
from tracker.cli.options import complete_metrics, database_option, format_option, runs_argument
from tracker.cli.render import on_terminal, print_data, print_table
from tracker.cli.table import GAP, Table
from tracker.errors import BadValue, UnknownMetric, nearest
from tracker.queries import Column, Listing
from tracker.queries import compare as comparing
from tracker.storage.database import reading
from tracker.values import brief

_WIDEST_NAME = 24


@click.command()
@runs_argument(required=True)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    shell_complete=complete_metrics,
    help="Only this metric; can be repeated.",
)
@click.option("--all", "everything", is_flag=True, help="Also params that do not differ.")
@format_option
@database_option
def compare(
    names: tuple[str, ...],
    metrics: tuple[str, ...],
    everything: bool,
    form: str,
    database: str | None,
) -> None:
    """Compare runs: params, captured facts and git commits that differ; each metric's best, restored and last value.

    Runs that do not fit side by side are shown below each other.

    \b
    Example:
      tracker runs compare digits-1 digits-3 --metric val_loss
    """
    with reading(database) as reader:
        ids = queries.find_runs(reader, names)
        if len(ids) < 2:
            raise BadValue("A single run cannot be compared: name two or more.")
        comparison = comparing.compare(reader, ids)
    for name in metrics:
        if name not in comparison.metrics:
            hint = nearest(name, comparison.metrics, most=20)
            raise UnknownMetric(f"None of these runs has a metric {brief(name)}: {hint}")
    shown = list(metrics) or list(comparison.metrics)
    if form != "table":
        print_data(comparing.listing(comparison, shown, everything), form)
        return
    listing = comparing.listing(comparison, shown, everything, together=at_epoch)
    width = shutil.get_terminal_size().columns
    if not on_terminal() or _width(Table(listing)) <= width:
        print_table(Table(listing))
        return
    for place, part in enumerate(_parts(_transposed(listing), width)):
        if place:
            click.echo()
        print_table(part)


def _width(table: Table) -> int:
    return sum(column.width for column in table.columns) + len(GAP) * (len(table.columns) - 1)


def _transposed(listing: Listing) -> Listing:
    """Return a row per run and a column per field."""
    fields = listing.cells("field")
    columns = (Column("run", "text"), *(Column(name, "any") for name in fields))
    cells = zip(*(row[1:] for row in listing.rows), strict=True)
    rows = [(name, *of_run) for name, of_run in zip(listing.names[1:], cells, strict=True)]
    return Listing(columns, rows)


def _parts(listing: Listing, width: int) -> Iterator[Table]:
    """Split the columns into tables that fit, each with the runs' names in front."""
    whole = Table(listing)
    names, *fields = whole.columns
    room = width - min(names.width, _WIDEST_NAME) - len(GAP)
    part: list[str] = []
    used = 0
    for field in fields:
        needed = field.width + len(GAP)
        if part and used + needed > room + len(GAP):
            yield _only(listing, part)
            part, used = [], 0
        part.append(field.name)
        used += needed
    yield _only(listing, part)


def _only(listing: Listing, fields: list[str]) -> Table:
    kept = tuple(column for column in listing.columns if column.name in {"run", *fields})
    return Table(Listing.from_dicts(kept, listing.dicts()))

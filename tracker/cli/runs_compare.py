"""``tracker runs compare``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from tracker.cli.format import at_epoch, duration, visible
from tracker.cli.options import complete_metrics, database_option, format_option, runs_argument
from tracker.cli.output import on_terminal, say, terminal_width
from tracker.cli.render import print_data, print_table
from tracker.cli.table import GAP, Table
from tracker.errors import BadValue, UnknownMetric, nearest
from tracker.queries import api as queries
from tracker.queries import compare as comparing
from tracker.queries.compare import RunComparison
from tracker.queries.result import Column, Kind, Listing
from tracker.storage.database import reading
from tracker.values import brief

_WIDEST_NAME = 24
_ALIKE = ("experiment", "monitor")
"""Fields that have a column only where the runs differ in them."""


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
    facts = _for_people(comparison, comparing.fact_rows(comparison, everything))
    of_metrics = [
        _for_people(comparison, comparing.metric_rows(comparison, name, at_epoch)) for name in shown
    ]
    side_by_side = Table(
        Listing(facts.columns, [row for part in (facts, *of_metrics) for row in part.rows])
    )
    width = terminal_width()
    if not on_terminal() or _width(side_by_side) <= width:
        print_table(side_by_side)
        return
    below = [*_parts(_transposed(facts, "text"), width, "run", "")]
    for name, listing in zip(shown, of_metrics, strict=True):
        below += _parts(_transposed(listing, "any"), width, visible(name), f"{name} ")
    for place, part in enumerate(below):
        if place:
            say()
        print_table(part)


def _for_people(comparison: RunComparison, rows: Sequence[Sequence[Any]]) -> Listing:
    """Leave out the rows that no run has anything in, and write durations and ids as other tables do."""
    written: dict[str, Callable[[Any], str]] = {"seconds": duration, "id": lambda id: id[:8]}
    kept = [
        [field, *(map(written[field], values) if field in written else values)]
        for field, *values in rows
        if any(value is not None for value in values)
    ]
    return Listing(comparing.columns_of(comparison), kept)


def _width(table: Table) -> int:
    return sum(column.width for column in table.columns) + len(GAP) * (len(table.columns) - 1)


def _transposed(listing: Listing, kind: Kind) -> Listing:
    """Return a row per run and a column per field, without those in which nothing tells the runs apart."""
    kept = [row for row in listing.rows if row[0] not in _ALIKE or len(set(row[1:])) > 1]
    columns = (Column("run", "text"), *(Column(row[0], kind) for row in kept))
    cells = zip(*(row[1:] for row in kept), strict=True)
    rows = [(name, *of_run) for name, of_run in zip(listing.names[1:], cells, strict=True)]
    return Listing(columns, rows)


def _parts(listing: Listing, width: int, first: str, prefix: str) -> Iterator[Table]:
    """Split the columns into tables that fit, each with the runs' names in front.

    Args:
        listing: a row per run.
        width: that of the terminal.
        first: the heading above the names.
        prefix: what headings go without.
    """
    headings = {name: visible(name.removeprefix(prefix)) for name in listing.names}
    headings[listing.names[0]] = first
    names, *fields = Table(listing, headings=headings).columns
    room = width - min(names.width, _WIDEST_NAME)
    part: list[int] = []
    used = 0
    for place, field in enumerate(fields, start=1):
        needed = len(GAP) + field.width
        if part and used + needed > room:
            yield _only(listing, part, headings)
            part, used = [], 0
        part.append(place)
        used += needed
    if part:
        yield _only(listing, part, headings)


def _only(listing: Listing, places: list[int], headings: Mapping[str, str]) -> Table:
    kept = [0, *places]
    columns = tuple(listing.columns[place] for place in kept)
    return Table(
        Listing(columns, [[row[place] for place in kept] for row in listing.rows]),
        headings=headings,
    )

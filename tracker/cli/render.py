"""Listings on the screen: a table for people, CSV and JSON for programs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import click

from tracker.cli.format import brief, visible
from tracker.cli.measure import cells_wide, pad
from tracker.cli.output import data_out, is_coloured, on_terminal, say, terminal_width
from tracker.cli.table import GAP, Table
from tracker.queries.result import Listing

_MOST_NAMED = 6
"""Columns without room that are named."""

_WIDEST_NAME = 24
"""Cells of a name that texts beside it line up with."""


def print_listing(
    listing: Listing,
    form: str,
    what: str,
    *,
    hidden: Collection[str] = (),
    keep: Sequence[str] = (),
    spare: Sequence[str] = ("experiment", "monitor"),
    headings: Mapping[str, str] | None = None,
) -> None:
    """Print a listing as table, csv or json, and on stderr that there are no rows.

    Args:
        listing: what is printed.
        form: "table", "csv" or "json".
        what: what the rows are, in the plural, such as "epochs".
        hidden: columns that a table goes without.
        keep: columns that a table shows even where no row has a value.
        spare: columns that a narrow table goes without, the first one first.
        headings: other headings than the columns' names.
    """
    if form != "table":
        print_data(listing, form)
    elif listing.rows:
        print_table(Table(without(listing, hidden), keep=keep, spare=spare, headings=headings))
    else:
        say(f"No {what}.", err=True)


def print_data(listing: Listing, form: str) -> None:
    """Print a listing as csv or json: every column, exact values."""
    from tracker.exports.stream import stream_listing

    if form == "csv":
        from tracker.exports.csv import write_csv

        write_csv(stream_listing(listing), data_out())
    else:
        from tracker.exports.json import write_json

        write_json(stream_listing(listing), data_out())


def print_table(
    table: Table, *, wide: bool = False, hint: str | None = "--format json shows all columns."
) -> list[str]:
    """Print a table: on a terminal no wider than that, unless ``wide``, and with colours unless NO_COLOR is set.

    Returns the headings of the columns that found no room, and says so on stderr with the ``hint``; not with None.
    """
    if wide or not on_terminal():
        click.echo("\n".join(table.plain_lines()))
        return []
    from tracker.cli.terminal import draw

    lines, left_out = draw(table, terminal_width(), coloured=is_coloured())
    click.echo("\n".join(lines))
    if left_out and hint is not None:
        say_left_out(left_out, hint)
    return left_out


def say_left_out(headings: Iterable[str], hint: str) -> None:
    """Say on stderr which columns found no room, and what shows them."""
    names = list(dict.fromkeys(headings))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    say(f"Not shown in this width: {', '.join(names[:_MOST_NAMED])}{more}. {hint}", err=True)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print names and texts, a line each; what a terminal folds stands below its text, not below the name."""
    shown = [(brief(visible(name)), text) for name, text in facts]
    widest = min(_WIDEST_NAME, max((cells_wide(name) for name, _ in shown), default=0))
    for name, text in shown:
        line = f"{pad(name, widest)}{GAP}{text}".rstrip()
        # One word, such as a path, is copied more easily from one line.
        say(line, indent=widest + len(GAP), whole=" " not in text)


def without(listing: Listing, hidden: Collection[str]) -> Listing:
    """Return a listing without some of its columns."""
    columns = tuple(column for column in listing.columns if column.name not in hidden)
    return Listing.from_dicts(columns, listing.dicts())

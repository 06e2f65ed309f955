"""Listings on the screen: a table for people, CSV and JSON for programs."""

from __future__ import annotations

import io
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import IO, cast

import click

from tracker.cli.format import visible
from tracker.cli.table import Table
from tracker.queries import Listing


def on_terminal() -> bool:
    """Return whether a person reads the output."""
    return sys.stdout.isatty()


def data_out() -> IO[str]:
    """Return stdout for data: UTF-8 in a file or pipe, whatever the locale says; no control of a terminal."""
    if on_terminal():
        return cast(IO[str], _Terminal())
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    return sys.stdout


class _Terminal(io.TextIOBase):
    """Stdout, where it is a terminal: what was stored must not move its cursor, or more."""

    def write(self, text: str) -> int:
        """Write what is visible of each line."""
        lines = text.replace("\r\n", "\n").split("\n")
        sys.stdout.write("\n".join(map(visible, lines)))
        return len(text)


def print_listing(
    listing: Listing,
    form: str,
    what: str,
    *,
    hidden: Collection[str] = (),
    spare: Sequence[str] = ("experiment", "monitor"),
    headings: Mapping[str, str] | None = None,
) -> None:
    """Print a listing as table, csv or json, and on stderr that there are no rows.

    Args:
        listing: what is printed.
        form: "table", "csv" or "json".
        what: what the rows are, in the plural, such as "epochs".
        hidden: columns that a table goes without.
        spare: columns that a narrow table goes without, the first one first.
        headings: other headings than the columns' names.
    """
    if form != "table":
        print_data(listing, form)
    elif listing.rows:
        print_table(Table(without(listing, hidden), spare=spare, headings=headings))
    else:
        click.echo(f"No {what}.", err=True)


def print_data(listing: Listing, form: str) -> None:
    """Print a listing as csv or json: every column, exact values."""
    from tracker.exports.stream import stream_listing

    if form == "csv":
        from tracker.exports.csv import write_csv

        write_csv(stream_listing(listing), data_out())
    else:
        from tracker.exports.json import write_json

        write_json(stream_listing(listing), data_out())


def print_table(table: Table, *, wide: bool = False) -> None:
    """Print a table: on a terminal no wider than that, unless ``wide``, and with colours unless NO_COLOR is set."""
    if wide or not on_terminal():
        click.echo("\n".join(table.plain_lines()))
        return
    from tracker.cli import terminal

    left_out = terminal.print_table(table, terminal.new_console())
    if left_out:
        note = f"Not shown in this width: {', '.join(left_out)}. --format json shows all columns."
        click.echo(note, err=True)


def without(listing: Listing, hidden: Collection[str]) -> Listing:
    """Return a listing without some of its columns."""
    columns = tuple(column for column in listing.columns if column.name not in hidden)
    return Listing.from_dicts(columns, listing.dicts())

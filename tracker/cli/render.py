"""Listings on the screen: a table for people, CSV and JSON for programs."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Collection, Sequence
from typing import IO

import click

from tracker.cli.format import visible
from tracker.cli.table import Table, plainly
from tracker.queries import Listing

_COLOURS = {
    "running": "blue", "finished": "green", "stopped_early": "cyan", "failed": "red",
    "interrupted": "yellow", "lost": "magenta", "available": "green", "missing": "red",
    "modified": "red", "improved": "green", "stopped": "cyan", "restored": "cyan",
}  # fmt: skip

__all__ = ["Table", "data_out", "on_terminal", "print_table", "show", "visible"]


def on_terminal() -> bool:
    """Say whether a person is looking."""
    return sys.stdout.isatty()


def data_out() -> IO[str]:
    """Return stdout for CSV: UTF-8 in a file or pipe, whatever the locale says."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not on_terminal():
        sys.stdout.reconfigure(encoding="utf-8")
    return sys.stdout


def show(listing: Listing, form: str, table: Table | None = None) -> None:
    """Print a listing as table, csv or json; ``table`` is how the table is to look."""
    if form == "csv":
        from tracker.exports.csv import write_csv
        from tracker.exports.stream import of_listing

        write_csv(of_listing(_quiet(listing)), data_out())
    elif form == "json":
        from tracker.exports.json import write_json
        from tracker.exports.stream import of_listing

        write_json(of_listing(listing), sys.stdout)
    elif listing.rows:
        print_table(table or Table(listing))


def print_table(table: Table) -> None:
    """Print a table; on a terminal no wider than that, and with colours unless NO_COLOR is set."""
    if not on_terminal():
        click.echo("\n".join(table.lines()))
        return
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    columns = shutil.get_terminal_size().columns
    lines, hidden = table.screen(columns, plainly if plain else _styled)
    click.echo("\n".join(lines))
    if hidden:
        note = f"Not shown, for want of width: {', '.join(hidden)}. --format json has everything."
        click.echo(note, err=True)


def _styled(text: str, heading: bool) -> str:
    colour = _COLOURS.get(text.strip())
    if heading or colour is not None:
        return click.style(text, fg=None if heading else colour, bold=heading or None)
    return text


def _quiet(listing: Listing) -> Listing:
    """On a terminal, take control characters out; a file or pipe gets what was stored."""
    if not on_terminal():
        return listing
    rows = [[visible(one) if isinstance(one, str) else one for one in row] for row in listing.rows]
    return Listing(listing.columns, list(rows))


def print_listing(
    listing: Listing,
    form: str,
    what: str,
    *,
    hidden: Collection[str] = (),
    spare: Sequence[str] = ("experiment", "monitor"),
) -> None:
    """Print a listing; of a table without the columns in ``hidden``. Says so when there are no rows."""
    show(listing, form, Table(without(listing, hidden), spare=spare))
    if form == "table" and not listing.rows:
        click.echo(f"No {what}.", err=True)


def without(listing: Listing, hidden: Collection[str]) -> Listing:
    """Return a listing without some of its columns."""
    places = [place for place, name in enumerate(listing.names) if name not in hidden]
    return Listing(
        tuple(listing.columns[place] for place in places),
        [[row[place] for place in places] for row in listing.rows],
    )

"""Listings on the screen: a table for people, CSV and JSON for programs."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import IO

import click

from tracker.cli.text import NOTHING, cell, visible, width
from tracker.queries import Column, Listing

_GAP = "  "
_RIGHT = ("integer", "optional", "number")
_COLOURS = {
    "running": "blue", "finished": "green", "stopped_early": "cyan", "failed": "red",
    "interrupted": "yellow", "lost": "magenta", "available": "green", "missing": "red",
    "modified": "red", "improved": "green", "stopped": "cyan", "restored": "cyan",
}  # fmt: skip

__all__ = ["Table", "on_terminal", "show", "visible"]


class Table:
    """Cells as text, with headings.

    Args:
        listing: what is shown; columns without any value are left out, unless ``keep`` names them.
        headings: other headings than the columns' names.
        spare: names of columns that a narrow terminal goes without, the first one first.
    """

    def __init__(
        self,
        listing: Listing,
        *,
        headings: dict[str, str] | None = None,
        keep: Iterable[str] = (),
        spare: Sequence[str] = (),
    ) -> None:
        named = headings or {}
        kept = set(keep)
        self.columns: list[Column] = []
        self.cells: list[list[str]] = []
        for place, column in enumerate(listing.columns):
            cells = [cell(row[place], column) for row in listing.rows]
            if column.name in kept or any(text != NOTHING for text in cells):
                self.columns.append(column)
                self.cells.append([named.get(column.name, visible(column.name)), *cells])
        self.spare = list(spare)

    def lines(self) -> list[str]:
        """Return the table as aligned plain text."""
        padded = []
        for column, cells in zip(self.columns, self.cells, strict=True):
            widths = [width(text) for text in cells]
            widest = max(widths)
            spaces = [" " * (widest - wide) for wide in widths]
            if column.kind in _RIGHT:
                padded.append([pad + text for pad, text in zip(spaces, cells, strict=True)])
            else:
                padded.append([text + pad for pad, text in zip(spaces, cells, strict=True)])
        return [_GAP.join(row).rstrip() for row in zip(*padded, strict=True)]

    def fit(self, space: int) -> list[str]:
        """Leave out spare columns until the table is as narrow as that; returns their headings."""
        hidden = []
        while self.spare and self._width() > space:
            name = self.spare.pop(0)
            for place, column in enumerate(self.columns):
                if column.name == name:
                    del self.columns[place]
                    hidden.append(self.cells.pop(place)[0])
                    break
        return hidden

    def _width(self) -> int:
        widest = [max(map(width, cells)) for cells in self.cells]
        return sum(widest) + len(_GAP) * (len(widest) - 1)


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
    """Print a table; with colours and no wider than the screen on a terminal."""
    if not on_terminal():
        click.echo("\n".join(table.lines()))
        return
    _print_rich(table)


def _print_rich(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    hidden = table.fit(shutil.get_terminal_size().columns - 2)
    rich = RichTable(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column, cells in zip(table.columns, table.cells, strict=True):
        rich.add_column(
            Text(cells[0]),
            justify="right" if column.kind in _RIGHT else "left",
            overflow="fold" if column.name == "reason" else "ellipsis",
            no_wrap=column.name != "reason",
        )
    for row in zip(*(cells[1:] for cells in table.cells), strict=True):
        rich.add_row(*(Text(text, _COLOURS.get(text, "")) for text in row))
    console = Console(highlight=False)
    console.print(rich)
    if hidden:
        note = f"Not shown, for want of width: {', '.join(hidden)}. --format csv has every column."
        click.echo(note, err=True)


def _quiet(listing: Listing) -> Listing:
    """On a terminal, take control characters out; a file or pipe gets what was stored."""
    if not on_terminal():
        return listing
    rows = [[visible(one) if isinstance(one, str) else one for one in row] for row in listing.rows]
    return Listing(listing.columns, list(rows))

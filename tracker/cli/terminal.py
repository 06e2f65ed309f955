"""A table on a terminal: as wide as the screen, with colours. Loads rich, so that only a terminal pays for it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from tracker.cli.format import NOTHING
from tracker.cli.table import GAP, Table, TextColumn

_COLOURS = {
    "status": {
        "running": "blue", "finished": "green", "stopped_early": "cyan", "failed": "red",
        "interrupted": "yellow", "lost": "magenta",
    },
    "state": {"available": "green", "missing": "red", "modified": "red"},
    "verdict": {"improved": "green", "stopped": "cyan", "restored": "cyan"},
}  # fmt: skip
"""The columns whose words have a colour."""

_FOLDED = ("reason", "config", "path")
"""Columns whose text may take several lines; the first of them that a table has does."""

_FOLDED_WISH = 40
"""The width that spare columns make room for in a folded column."""

_FOLDED_LEAST = 24
"""With less than this beside the other columns, a folded column stands under its row."""

_SHORTEST = 12
"""Other text is cut to no less."""

_NEVER_CUT = ("id", "alias", "wait")

_BATCH = 200
"""Rows that are drawn at once: rich takes about a millisecond for each."""


@dataclass(eq=False)
class Slot:
    """A column on the screen: the width it is given, and whether its cells may take several lines."""

    column: TextColumn
    width: int
    folded: bool = False


@dataclass(frozen=True)
class Layout:
    """How a table is laid out in a given width.

    Attributes:
        slots: the columns that are shown.
        below: the column whose cells stand under their rows, if any does.
        left_out: headings of the columns that found no room.
    """

    slots: list[Slot]
    below: TextColumn | None
    left_out: list[str]


def new_console() -> Console:
    """Return the terminal as rich sees it; without colours where NO_COLOR is set."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Console(
        width=shutil.get_terminal_size().columns,
        color_system=None if plain else "auto",
        highlight=False,
    )


def print_table(table: Table, console: Console) -> list[str]:
    """Print a table; returns the headings of the columns that found no room."""
    layout = lay_out(table, console.width)
    count = len(table.columns[0].cells)
    if layout.below is None:
        for start in range(0, max(1, count), _BATCH):
            console.print(_drawn(layout, range(start, min(start + _BATCH, count))))
    else:
        for row, text in enumerate(layout.below.cells):
            console.print(_drawn(layout, range(row, row + 1)))
            if text != NOTHING:
                console.print(Padding(Text(text), (0, 0, 0, 4), expand=False))
    return layout.left_out


def fitted(table: Table, width: int) -> RichTable:
    """Return a table as rich draws it in a given width, without the text that would stand under its rows."""
    return _drawn(lay_out(table, width), range(len(table.columns[0].cells)))


def _drawn(layout: Layout, rows: range) -> RichTable:
    """Return some rows as rich draws them, below the headings where they are the first."""
    drawn = RichTable(box=None, pad_edge=False, padding=0, show_header=rows.start == 0)
    for place, slot in enumerate(layout.slots):
        if place:
            # A column, not padding: before 14.3 rich pads the last column on its right, too.
            drawn.add_column(width=len(GAP))
        drawn.add_column(
            Text(slot.column.heading),
            width=slot.width,
            justify="right" if slot.column.is_number else "left",
            no_wrap=not slot.folded,
            overflow="fold" if slot.folded else "ellipsis",
        )
    for row in rows:
        cells = [cell for slot in layout.slots for cell in ("", _coloured(slot.column, row))]
        drawn.add_row(*cells[1:])
    return drawn


def _coloured(column: TextColumn, row: int) -> Text:
    text = column.cells[row]
    return Text(text, _COLOURS.get(column.name, {}).get(text, ""))


def lay_out(table: Table, width: int) -> Layout:
    """Fit a table into a width.

    Numbers are shown whole or not at all. Spare columns go first. The reason is folded; with less than
    `_FOLDED_LEAST` for it, it stands under its row. Then names are cut, and at last columns go, those on
    the right first.
    """
    slots = [Slot(column, column.width) for column in table.columns]
    left_out = _remove_spare(slots, table.spare, width)
    below = _fold(slots, width)
    _cut_names(slots, width)
    while len(slots) > 1 and _total(slots) > width:
        left_out.append(slots.pop().column.heading)
    return Layout(slots, below, left_out)


def _total(slots: list[Slot]) -> int:
    return sum(slot.width for slot in slots) + len(GAP) * (len(slots) - 1)


def _long(slots: list[Slot]) -> Slot | None:
    """Return the slot of the column that may be folded."""
    return next((slot for name in _FOLDED for slot in slots if slot.column.name == name), None)


def _remove_spare(slots: list[Slot], spare: tuple[str, ...], width: int) -> list[str]:
    """Remove spare columns until the others have room; returns their headings."""
    long = _long(slots)
    if long is not None:
        long.width = min(_FOLDED_WISH, long.width)
    removed = []
    for name in spare:
        slot = next((slot for slot in slots if slot.column.name == name), None)
        if slot is not None and len(slots) > 1 and _total(slots) > width:
            slots.remove(slot)
            removed.append(slot.column.heading)
    return removed


def _fold(slots: list[Slot], width: int) -> TextColumn | None:
    """Give the folded column what the others leave; returns it where that is too little for it."""
    long = _long(slots)
    if long is None:
        return None
    long.width = 0
    room = width - _total(slots)
    if room < min(_FOLDED_LEAST, long.column.width) and len(slots) > 1:
        slots.remove(long)
        return long.column
    long.width, long.folded = max(1, min(room, long.column.width)), True
    return None


def _cut_names(slots: list[Slot], width: int) -> None:
    """Narrow the columns of text, the widest first, as far as `_SHORTEST`."""
    names = [
        slot
        for slot in slots
        if slot.column.kind == "text" and slot.column.name not in _NEVER_CUT and not slot.folded
    ]
    while names and (over := _total(slots) - width) > 0:
        widest = max(names, key=lambda slot: slot.width)
        if widest.width <= _SHORTEST:
            return
        widest.width = max(_SHORTEST, widest.width - over)

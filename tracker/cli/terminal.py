"""A table on a terminal: as wide as the screen, with colours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import click

from tracker.cli.format import NOTHING
from tracker.cli.measure import cut, fold, pad
from tracker.cli.output import showable
from tracker.cli.table import GAP, Table, TextColumn

_COLOURS = {
    "status": {
        "running": "blue", "finished": "green", "stopped_early": "cyan", "failed": "red",
        "interrupted": "yellow", "lost": "magenta",
    },
    "state": {"available": "green", "missing": "red", "modified": "red"},
    "verdict": {"improved": "green", "stopped": "cyan", "restored": "cyan"},
}  # fmt: skip
"""The columns whose words have a colour: one of the terminal's own, which it shows on light and on dark."""

_FOLDED = ("reason", "config", "path")
"""Columns whose text may take several lines; the first of them that a table has does."""

_FOLDED_WISH = 40
"""The width that spare columns make room for in a folded column."""

_FOLDED_LEAST = 24
"""With less than this beside the other columns, a folded column stands under its row."""

_SHORTEST = 12
"""Other text is cut to no less."""

_SHORTEST_NAME = 24
"""The first column says which row it is: others are cut before it is cut below this."""

_NEVER_CUT = ("id", "alias", "wait", "status", "state", "verdict")

_INDENTED = " " * 4


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


def draw(table: Table, width: int, *, coloured: bool) -> tuple[list[str], list[str]]:
    """Return the lines of a table in so many cells, and the headings of the columns that found no room."""
    layout = lay_out(table, width)
    return list(_lines(layout, width, coloured)), layout.left_out


def _lines(layout: Layout, width: int, coloured: bool) -> Iterator[str]:
    ellipsis = showable("…")
    headings = [cut(slot.column.heading, slot.width, ellipsis) for slot in layout.slots]
    head = _line(layout.slots, headings, [None] * len(headings))
    yield click.style(head, bold=True) if coloured else head
    for row in range(len(layout.slots[0].column.cells)):
        parts = [
            fold(slot.column.cells[row], slot.width)
            if slot.folded
            else [cut(slot.column.cells[row], slot.width, ellipsis)]
            for slot in layout.slots
        ]
        colours = [_colour(slot.column, row) if coloured else None for slot in layout.slots]
        for line in range(max(map(len, parts))):
            cells = [part[line] if line < len(part) else "" for part in parts]
            yield _line(layout.slots, cells, colours)
        if layout.below is not None and (text := layout.below.cells[row]) != NOTHING:
            for part in fold(text, max(1, width - len(_INDENTED))):
                yield f"{_INDENTED}{part}"


def _line(slots: list[Slot], cells: list[str], colours: list[str | None]) -> str:
    texts = []
    for slot, cell, colour in zip(slots, cells, colours, strict=True):
        padded = pad(cell, slot.width, right=slot.column.is_number)
        # The text alone: a colour does not end in the space behind it.
        texts.append(padded.replace(cell, click.style(cell, fg=colour)) if colour else padded)
    return GAP.join(texts).rstrip()


def _colour(column: TextColumn, row: int) -> str | None:
    return _COLOURS.get(column.name, {}).get(column.cells[row])


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
        left_out.append(_remove_last(slots, table.spare_at_last).column.heading)
        for slot in slots:
            # What was cut for the removed one gets its room.
            slot.width = slot.width if slot.folded else slot.column.width
        _cut_names(slots, width)
    if len(slots) == 1 and not slots[0].column.is_number:
        slots[0].width = min(slots[0].width, width)
    return Layout(slots, below, left_out)


def _remove_last(slots: list[Slot], spare: tuple[str, ...]) -> Slot:
    """Remove a spare column, else the one on the right."""
    place = next((at for at, slot in enumerate(slots) if at and slot.column.name in spare), -1)
    return slots.pop(place)


def _total(slots: list[Slot]) -> int:
    return sum(slot.width for slot in slots) + len(GAP) * (len(slots) - 1)


def _least(slots: list[Slot], long: Slot | None) -> int:
    """Return the width that is needed when long names, but not the folded text, are cut to what tells them apart."""
    spared = (
        slot.width - _SHORTEST_NAME
        for slot in slots
        if slot is not long and _may_be_cut(slot) and slot.width > _SHORTEST_NAME
    )
    return _total(slots) - sum(spared)


def _long(slots: list[Slot]) -> Slot | None:
    """Return the slot of the column that may be folded."""
    return next((slot for name in _FOLDED for slot in slots if slot.column.name == name), None)


def _remove_spare(slots: list[Slot], spare: tuple[str, ...], width: int) -> list[str]:
    """Remove spare columns until the others have room, names cut to what still tells; returns their headings."""
    long = _long(slots)
    if long is not None:
        long.width = min(_FOLDED_WISH, long.width)
    removed = []
    for name in spare:
        # The first column says which row it is.
        slot = next((slot for slot in slots[1:] if slot.column.name == name), None)
        if slot is not None and _least(slots, long) > width:
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
    """Narrow the columns of text, the widest first, as far as `_SHORTEST`, that of the first one at last."""
    first = slots[0]
    for least in (_SHORTEST_NAME, _SHORTEST):
        names = [slot for slot in slots if _may_be_cut(slot)]
        while _total(slots) > width:
            able = [slot for slot in names if slot.width > (least if slot is first else _SHORTEST)]
            if not able:
                break
            # A cell after the other, so that none gives everything; the first column gives half as much.
            widest = max(able, key=lambda slot: slot.width / (2 if slot is first else 1))
            widest.width -= 1


def _may_be_cut(slot: Slot) -> bool:
    column = slot.column
    return column.kind == "text" and column.name not in _NEVER_CUT and not slot.folded

"""A listing as a table of text: as wide as it likes for a pipe, as wide as the screen for a person."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest

from tracker.cli.format import NOTHING, cell, visible, width
from tracker.queries import Column, Listing

Style = Callable[[str, bool], str]
"""Colours a padded cell; the flag says that it is a heading."""

_GAP = "  "
_RIGHT = ("integer", "optional", "number")
_FOLDED = ("reason", "config", "path")  # the first of them that is there may take several lines
_COMFORT, _LEAST = 40, 24  # characters a line of such a column: asks for, and has beside the others
_SHORTEST = 12  # other text is cut to no less
_WHOLE = ("id", "alias", "wait")  # text that is never cut


def plainly(text: str, heading: bool) -> str:
    """Return text without colours."""
    return text


class Table:
    """Cells as text, with headings.

    Args:
        listing: what is shown; columns without any value are left out, unless ``keep`` names them.
        headings: other headings than the columns' names.
        keep: columns that stay without a value.
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
        """Return the table as aligned plain text, a line a row."""
        padded = [self._padded(place) for place in range(len(self.columns))]
        return [_GAP.join(row).rstrip() for row in zip(*padded, strict=True)]

    def screen(self, space: int, style: Style = plainly) -> tuple[list[str], list[str]]:
        """Return lines no longer than ``space``, and the headings of columns that found no room.

        Numbers are shown whole or not at all. Spare columns go first. The reason is folded; with fewer
        than 24 characters for it, it stands on lines of its own under its row. Then names are cut,
        and at last columns go, those on the right first.
        """
        folded = next((one for one in _FOLDED if self._place(one) is not None), None)
        hidden = self._without_spare(space, folded)
        below, room = self._fold(space, folded)
        self._cut(space, folded)
        while len(self.columns) > 1 and self._over(space, folded, room) > 0:
            hidden.append(self._take(len(self.columns) - 1)[0])
        padded = [
            [self._fill(place, text, room) for text in self.cells[place]]
            if self.columns[place].name == folded
            else self._padded(place)
            for place in range(len(self.columns))
        ]
        return list(self._rows(padded, below, space, style)), hidden

    def _rows(
        self, padded: list[list[str]], below: list[str], space: int, style: Style
    ) -> Iterable[str]:
        for number, row in enumerate(zip(*padded, strict=True)):
            parts = [cell.split("\n") for cell in row]
            blank = [" " * width(part[0]) for part in parts]
            for line in zip_longest(*parts):
                cells = [blank[at] if text is None else text for at, text in enumerate(line)]
                last = len(cells) - 1
                cells[last] = cells[last].rstrip()
                yield _GAP.join(style(text, number == 0) for text in cells).rstrip()
            if below and number > 0 and below[number] != NOTHING:
                yield from textwrap.wrap(
                    below[number],
                    max(_LEAST, space),
                    initial_indent="    ",
                    subsequent_indent="    ",
                )

    def _place(self, name: str) -> int | None:
        return next((at for at, one in enumerate(self.columns) if one.name == name), None)

    def _take(self, place: int) -> list[str]:
        del self.columns[place]
        return self.cells.pop(place)

    def _wide(self, place: int) -> int:
        return max(map(width, self.cells[place]))

    def _over(self, space: int, folded: str | None, most: int) -> int:
        """Say by how many characters the table is too wide when a folded column has at most ``most``."""
        widths = [
            min(most, self._wide(at)) if one.name == folded else self._wide(at)
            for at, one in enumerate(self.columns)
        ]
        return sum(widths) + len(_GAP) * (len(widths) - 1) - space

    def _without_spare(self, space: int, folded: str | None) -> list[str]:
        hidden = []
        for name in self.spare:
            if self._over(space, folded, _COMFORT) <= 0:
                break
            place = self._place(name)
            if place is not None and len(self.columns) > 1:
                hidden.append(self._take(place)[0])
        return hidden

    def _fold(self, space: int, folded: str | None) -> tuple[list[str], int]:
        """Give the folded column the room that is left; returns its cells where they go below, and the room."""
        place = None if folded is None else self._place(folded)
        if place is None:
            return [], 0
        room = max(0, -self._over(space, folded, 0))
        if room >= min(_LEAST, self._wide(place)) or len(self.columns) == 1:
            return [], max(1, room)
        return self._take(place), 0

    def _cut(self, space: int, folded: str | None) -> None:
        """Shorten names, the longest first."""
        while (over := self._over(space, folded, _LEAST)) > 0:
            wide, place = max(
                (
                    (self._wide(at), at)
                    for at, one in enumerate(self.columns)
                    if one.kind == "text" and one.name not in (*_WHOLE, folded)
                ),
                default=(0, 0),
            )
            if wide <= _SHORTEST:
                return
            most = max(_SHORTEST, wide - over)
            self.cells[place] = [_shortened(text, most) for text in self.cells[place]]

    def _padded(self, place: int) -> list[str]:
        cells, widest = self.cells[place], self._wide(place)
        spaces = [" " * (widest - width(text)) for text in cells]
        if self.columns[place].kind in _RIGHT:
            return [pad + text for pad, text in zip(spaces, cells, strict=True)]
        return [text + pad for pad, text in zip(spaces, cells, strict=True)]

    def _fill(self, place: int, text: str, room: int) -> str:
        wide = min(room, self._wide(place))
        return "\n".join(f"{line:<{wide}}" for line in textwrap.wrap(text, wide) or [""])


def _shortened(text: str, most: int) -> str:
    if width(text) <= most:
        return text
    while width(text) >= most:
        text = text[:-1]
    return text + "…"

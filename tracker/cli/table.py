"""A listing as a table of text: its columns, and the plain form that a pipe gets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from tracker.cli.format import NOTHING, cells, visible
from tracker.cli.measure import cells_wide, pad
from tracker.cli.output import showable
from tracker.queries.result import Column, Listing

GAP = "  "
_NUMBERS = ("integer", "optional", "number")


@dataclass(frozen=True)
class TextColumn:
    """A column as text.

    Attributes:
        name: the name in the listing.
        kind: what the values are (`tracker.queries.Column`).
        heading: what stands above it.
        cells: a text per row.
        width: how many cells of a terminal the widest text takes, that of the heading included.
    """

    name: str
    kind: str
    heading: str
    cells: Sequence[str]
    width: int

    @property
    def is_number(self) -> bool:
        """Whether it stands flush right, and is never cut."""
        return self.kind in _NUMBERS


class Table:
    """The columns of a listing as text.

    Args:
        listing: what is shown; columns without any value, and flags that no row has, are left out, unless
            ``keep`` names them.
        headings: other headings than the columns' names.
        keep: columns that stay without a value.
        spare: names of columns that a narrow terminal goes without, the first one first.
        spare_at_last: those that it goes without only where the text of others has been cut.
    """

    def __init__(
        self,
        listing: Listing,
        *,
        headings: Mapping[str, str] | None = None,
        keep: Collection[str] = (),
        spare: Sequence[str] = (),
        spare_at_last: Sequence[str] = (),
    ) -> None:
        self.spare = tuple(spare)
        self.spare_at_last = tuple(spare_at_last)
        self.columns: list[TextColumn] = []
        for place, column in enumerate(listing.columns):
            texts = cells(map(itemgetter(place), listing.rows), column)
            empty = {NOTHING, "no"} if column.kind == "flag" else {NOTHING}
            if column.name in keep or not empty.issuperset(texts):
                heading = (headings or {}).get(column.name, visible(column.name))
                self.columns.append(_text_column(column, heading, texts))

    def plain_lines(self) -> list[str]:
        """Return the table as aligned text without colours, one line per row, as wide as it needs."""
        padded = [_padded(column) for column in self.columns]
        return [GAP.join(line).rstrip() for line in zip(*padded, strict=True)]


def _text_column(column: Column, heading: str, texts: Sequence[str]) -> TextColumn:
    heading, texts = showable(heading), [showable(text) for text in texts]
    width = max(map(cells_wide, (heading, *texts)))
    return TextColumn(column.name, column.kind, heading, texts, width)


def _padded(column: TextColumn) -> list[str]:
    width, right = column.width, column.is_number
    return [pad(text, width, right=right) for text in (column.heading, *column.cells)]

"""What is sent: listings and records as JSON (NaN as in `tracker.exports.cells`)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from fastapi import Response
from pydantic import BaseModel

from tracker.exports.cells import json_cell
from tracker.queries.result import Column, Listing

_ANY = Column("value", "any")


class ColumnHead(BaseModel):
    """A column of a table: kind is text, integer, optional (an integer or null), number, time, flag,
    boolean (true, false or null) or any."""

    name: str
    kind: str


class Rows(BaseModel):
    """A table. Times are ISO 8601, NaN and infinities are "NaN", "Infinity" and "-Infinity".

    `runs` has the id of the run that each row is about, where the row has only its name.
    """

    columns: list[ColumnHead]
    rows: list[list[Any]]
    total: int | None = None
    runs: list[str] | None = None


def answer(data: Any) -> Response:
    """Send data as JSON."""
    text = json.dumps(
        json_cell(data, _ANY), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return Response(text.encode("utf-8", "backslashreplace"), media_type="application/json")


def table(listing: Listing, **more: Any) -> Response:
    """Send a listing as `Rows`, and ``more`` beside them."""
    return answer({**rows_of(listing), **more})


def rows_of(listing: Listing) -> dict[str, Any]:
    """Return a listing as `Rows`."""
    rows = [
        [json_cell(cell, column) for cell, column in zip(row, listing.columns, strict=True)]
        for row in listing.rows
    ]
    heads = [{"name": column.name, "kind": column.kind} for column in listing.columns]
    found = {"columns": heads, "rows": rows, "total": listing.total}
    return found if listing.runs is None else {**found, "runs": list(listing.runs)}


def as_recorded(text: str) -> str:
    """Return text as it is: JSON takes any letter, and the page shows it as text."""
    return text


def local(microseconds: int) -> str:
    """Write a time in the local time zone: ``2026-03-01 12:00``."""
    return datetime.fromtimestamp(microseconds / 1e6).strftime("%Y-%m-%d %H:%M")

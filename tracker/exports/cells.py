"""One cell, as CSV and JSON write it.

JSON has no NaN: there NaN and the infinities are the texts "NaN", "Infinity" and "-Infinity", and a missing
value is null. In CSV they are nan, inf and -inf, and a missing value is an empty cell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tracker.queries.result import Column

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMULA = ("=", "+", "-", "@")
_CONTROLS = ("\t", "\r")


def iso(microseconds: int) -> str:
    """Write a time: ``2026-03-01T12:00:00.000000+00:00``."""
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds")


_TIMES = ("started", "ended", "heartbeat", "created", "decided")


def with_iso_times(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as a dict, with its times as ISO 8601."""
    times = {name: iso(row[name]) for name in _TIMES if row.get(name) is not None}
    return {**row, **times}


def quote_formula(text: str) -> str:
    """Put a quote before text that a spreadsheet would run as a formula: ``= + - @``, also after blanks."""
    return f"'{text}" if text.startswith(_CONTROLS) or text.lstrip().startswith(_FORMULA) else text


def csv_cell(value: Any, column: Column, *, raw: bool = False) -> str:
    """Write a cell; text that a spreadsheet would run as a formula is quoted unless ``raw``, numbers never are."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if column.kind == "time":
        return iso(value)
    if isinstance(value, (int, float)):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if raw else quote_formula(text)


def json_cell(value: Any, column: Column) -> Any:
    """Return a cell as what `json.dumps` takes with ``allow_nan=False``."""
    if column.kind == "time" and value is not None:
        return iso(value)
    return finite(value)


def finite(value: Any) -> Any:
    """Return a value, and what it holds, with text in place of what JSON has no number for."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [finite(item) for item in value]
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return value

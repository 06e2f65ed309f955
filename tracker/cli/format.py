"""Values as text for people."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from tracker.queries.result import Column

NOTHING = "-"
LONGEST = 200
"""Characters of a parameter or a text in a table that people see; what is longer is cut, and its length told."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SPACES = "\n\r\t\x0b\x0c\x85\u2028\u2029"
_NEVER_SHORTENED = ("reason", "path", "file", "error")
_DIGITS = {"id": 8, "sha256": 12}
_MEASURED = {"percent": " %", "watts": " W", "celsius": " °C", "joules": " J"}
_SIZES = ("bytes", "kept_bytes", "frees")
_SHARES = ("share", "saved")
_UNITS = ("B", "kB", "MB", "GB", "TB")


def visible(text: str) -> str:
    """Return text without terminal control; a line break or tab becomes a space."""
    if text.isascii() and text.isprintable():
        return text
    text = _ESCAPES.sub("", text)
    return _CONTROLS.sub(lambda match: " " if match.group() in _SPACES else "", text)


def cells(values: Iterable[Any], column: Column) -> list[str]:
    """Write the cells of a column of a table: short rather than exact.

    What the column's name and kind decide is decided once.
    """
    write_text, write_number = _text_writer(column), _number_writer(column)
    return [
        NOTHING
        if value is None
        else write_text(value)
        if isinstance(value, str)
        else write_number(value)
        for value in values
    ]


def _text_writer(column: Column) -> Callable[[str], str]:
    is_whole = column.name in _NEVER_SHORTENED

    def write(value: str) -> str:
        text = visible(value)
        return shortened(text if is_whole else brief(text), column.name)

    if column.name in _DIGITS or is_whole:
        return write
    # Most texts are short and plain.
    return lambda value: (
        value
        if 0 < len(value) <= LONGEST and value.isascii() and value.isprintable()
        else write(value)
    )


def _number_writer(column: Column) -> Callable[[Any], str]:
    """Return what writes anything but text and None."""
    name, kind = column.name, column.kind
    write: Callable[[Any], str] = _plain
    if kind == "time":
        write = age if name == "age" else local
    elif name in _SIZES:
        write = size
    elif name in _SHARES:
        write = percent
    elif name == "seconds" or name.startswith("seconds_"):
        write = duration
    elif name == "cost" or name.startswith("cost_"):
        write = price
    write_flag = _flag if kind == "flag" else parameter
    return lambda value: write_flag(value) if isinstance(value, bool) else write(value)


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value) if isinstance(value, int) else parameter(value)


def _flag(value: bool) -> str:
    return "yes" if value else "no"


def shortened(text: str, name: str) -> str:
    """Cut ids to 8 and hashes to 12 digits."""
    return text[: _DIGITS.get(name)] or NOTHING


def parameter(value: Any) -> str:
    """Write a parameter: lists and dicts as JSON; exact, unless it is longer than people read."""
    if value is None or isinstance(value, (bool, list, dict)):
        return visible(brief(json.dumps(value, ensure_ascii=False)))
    return visible(brief(str(value)))


def brief(text: str) -> str:
    """Return the text, or its beginning and how long it is."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}… ({len(text)} characters)"


def local(microseconds: int) -> str:
    """Write a time in the local time zone: ``2026-03-01 12:00``."""
    try:
        return datetime.fromtimestamp(microseconds // 1_000_000).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return f"{microseconds / 1e6:.0f} s"


def age(microseconds: int) -> str:
    """Write how long ago a time was, in its largest unit: ``40 s``, ``5 min``, ``3 h``, ``12 d``."""
    seconds = max(0, int(time.time() - microseconds / 1e6))
    for unit, long in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * long or (unit != "d" and seconds >= long):
            return f"{seconds // long} {unit}"
    return f"{seconds} s"


def duration(seconds: float) -> str:
    """Write a duration: ``0.21 s``, ``1 min 05 s``, ``2 h 03 min``, ``3 d 04 h``."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02} h"


def at_epoch(value: float | None, epoch: int | None, step: int | None = None) -> str | None:
    """Write a value with its epoch, or its step: ``0.0912 @ 7``, ``0.31 @ step 120``; None where there is nothing."""
    if value is None and epoch is None and step is None:
        return None
    shown = "-" if value is None else f"{value:.6g}"
    if epoch is None and step is not None:
        return f"{shown} @ step {step}"
    return f"{shown} @ {'-' if epoch is None else epoch}"


def size(count: int) -> str:
    """Write a number of bytes: ``812 B``, ``1.3 MB`` (decimal)."""
    amount, unit = float(count), 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{count} B" if unit == 0 else f"{amount:.3g} {_UNITS[unit]}"


def percent(share: float) -> str:
    """Write a share of one: ``12.5 %``."""
    return f"{100 * share:.3g} %"


def price(amount: float) -> str:
    """Write an amount of money: ``0.04``, ``1,234.50``; less than a hundredth with one digit that is not 0."""
    return f"{amount:,.2f}" if amount == 0 or abs(amount) >= 0.01 else f"{amount:.1g}"


def measure(name: str, value: float) -> str:
    """Write a measurement in the unit that its name ends with: ``12.3 %``, ``1.3 GB``, ``45 kB/s``."""
    if name.endswith("bytes_per_second"):
        return f"{size(round(value))}/s"
    if name.endswith("bytes"):
        return size(round(value))
    unit = next((_MEASURED[end] for end in _MEASURED if name.endswith(f"_{end}")), "")
    return f"{value:.3g}{unit}" if abs(value) < 1000 else f"{value:,.0f}{unit}"

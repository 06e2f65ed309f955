"""What a run records, as rows and entries (`tracker.storage.journal`)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tracker import values
from tracker.clock import now
from tracker.redact import redact
from tracker.series.blocks import CallBlock
from tracker.storage.journal import Entry

LONGEST_TEXT = 20_000
"""Characters of a reason or an exception's text that are kept."""


def param(run_id: str, name: Any, value: Any) -> dict[str, Any]:
    """Return a parameter as its table's columns."""
    kind, text, number = values.param_encode(value)
    return {
        "run_id": run_id,
        "name": values.name_text(name),
        "kind": kind,
        "text": text,
        "number": number,
    }


def params(run_id: str, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return parameters as their table's columns.

    Raises:
        BadValue: for what is no mapping, and for a value that cannot be kept.
    """
    try:
        pairs = given.items()
    except (AttributeError, TypeError) as error:
        raise values.no_mapping(given, "params", "a dict of names and values") from error
    return [param(run_id, name, value) for name, value in pairs]


def tags(run_id: str, given: Mapping[str, Any] | Iterable[str]) -> list[dict[str, Any]]:
    """Return tags as their table's columns.

    Raises:
        BadValue: for what is neither a mapping nor names.
    """
    if isinstance(given, str):
        given = [given]
    try:
        pairs = given.items() if isinstance(given, Mapping) else [(name, "") for name in given]
    except TypeError as error:
        raise values.no_mapping(given, "tags", "names, or a dict of names and values") from error
    return [
        {
            "run_id": run_id,
            "name": values.name_text(name),
            "value": values.clean_text(str(value)),
        }
        for name, value in pairs
    ]


def epoch(
    run_id: str,
    attempt: int,
    number: int,
    started: int,
    seconds: float,
    learning_rate: float | None,
    metrics: list[tuple[str, float | None, str | None]],
) -> Entry:
    """Return the entry of an epoch; metrics as (name, value, kind)."""
    known = learning_rate is not None and math.isfinite(learning_rate)
    return {
        "kind": "epoch",
        "run": run_id,
        "attempt": attempt,
        "epoch": number,
        "started": started,
        "seconds": seconds,
        "learning_rate": learning_rate if known else None,
        "metrics": metrics,
    }


def end(
    run_id: str,
    attempt_id: str,
    attempt: int,
    status: str,
    reason: str | None,
    error: BaseException | str | None,
) -> Entry:
    """Return the entry that ends an attempt, and its run; text is redacted."""
    return {
        "kind": "end",
        "run": run_id,
        "id": attempt_id,
        "attempt": attempt,
        "status": status,
        "reason": None if reason is None else _told(str(reason)),
        "error": None if error is None else _told(_worded(error)),
        "ended": now(),
    }


def _worded(error: BaseException | str) -> str:
    if isinstance(error, str):
        return error
    try:
        text = str(error)
    except Exception:  # an exception whose text raises
        text = ""
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def _told(text: str) -> str:
    """Redact what somebody wrote, and cut what nobody would read."""
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]} … ({len(text)} characters)"
    return values.clean_text(redact(text))


def follow(run_id: str, earlier_id: str, attempt_id: str, number: int) -> Entry:
    """Return the entry that ends an attempt and begins the next one in the same process."""
    return {
        "kind": "follow",
        "run": run_id,
        "earlier": earlier_id,
        "id": attempt_id,
        "number": number,
        "time": now(),
    }


def series(run_id: str, attempt: int, block: CallBlock) -> Entry:
    """Make the entry that stores one block of calls."""
    return {
        "kind": "series",
        "run": run_id,
        "attempt": attempt,
        "clock": {
            "run_id": run_id,
            "attempt": attempt,
            "number": block.number,
            "calls": block.calls,
            "first_step": block.first_step,
            "last_step": block.last_step,
            "started": block.started,
            "final": block.final,
            "payload": block.payload,
        },
        "blocks": [
            {
                "name": series.name,
                "points": series.points,
                "first_step": series.first_step,
                "last_step": series.last_step,
                "payload": series.payload,
            }
            for series in block.series
        ],
    }

"""What a run records, as rows and entries (`tracker.journal`)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tracker import values
from tracker.clock import now
from tracker.journal import Entry
from tracker.redact import redact


def param(run_id: str, name: Any, value: Any) -> dict[str, Any]:
    """Return a parameter as its table's columns."""
    kind, text, number = values.param_encode(value)
    return {
        "run_id": run_id,
        "name": values.clean_text(str(name)),
        "kind": kind,
        "text": text,
        "number": number,
    }


def tags(run_id: str, given: Mapping[str, Any] | Iterable[str]) -> list[dict[str, Any]]:
    """Return tags as their table's columns."""
    if isinstance(given, str):
        given = [given]
    pairs = given.items() if isinstance(given, Mapping) else ((name, "") for name in given)
    return [
        {
            "run_id": run_id,
            "name": values.clean_text(str(name)),
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
    if isinstance(error, BaseException):
        error = f"{type(error).__name__}: {error}".rstrip(": ")
    return {
        "kind": "end",
        "run": run_id,
        "id": attempt_id,
        "attempt": attempt,
        "status": status,
        "reason": None if reason is None else values.clean_text(redact(reason)),
        "error": None if error is None else values.clean_text(redact(error)),
        "ended": now(),
    }


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

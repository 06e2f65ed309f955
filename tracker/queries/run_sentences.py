"""What a run amounts to in sentences: how it ended, and why; which weights it holds; what is pending."""

from __future__ import annotations

from collections.abc import Callable

from tracker.errors import counted
from tracker.queries.details import Details
from tracker.queries.pending import PendingRecords

Text = Callable[[str], str]
"""Makes recorded text fit for where the sentence is shown: a terminal takes no control characters."""
Time = Callable[[int], str]
"""Writes a time that is given in µs since 1970."""


def ending(details: Details, text: Text, time: Time) -> str:
    """Say in one sentence how, and why, the training ended."""
    run, status = details.run, details.run["status"]
    trained = _trained(details)
    reason, error = (text(str(run[name] or "")) for name in ("reason", "error"))
    reason, why = reason.rstrip("."), (error or reason).rstrip(".")
    if status == "running":
        return f"Running: {trained} so far, since {time(run['started'])}."
    if status == "stopped_early":
        return f"Stopped early after {trained}: {_stop_reason(details, reason, text)}."
    if status == "failed":
        return f"Failed after {trained}: {why or 'no exception was recorded'}."
    if status == "interrupted":
        return f"Interrupted after {trained}: {why or 'by the user'}."
    if status == "lost":
        return f"Lost after {trained}: {reason}."
    return f"Finished after {trained}{f': {reason}' if reason else ''}."


def _trained(details: Details) -> str:
    """Say how far the training came, in epochs; without any, in steps."""
    epochs = details.run["epochs"]
    steps = [metric["last_step"] for metric in details.metrics.values()]
    last = max((step for step in steps if step is not None), default=None)
    return counted(epochs, "epoch") if epochs or last is None else f"step {last}"


def _stop_reason(details: Details, reason: str, text: Text) -> str:
    stop = details.stop
    if stop is None:
        return reason or "no reason was recorded"
    return f"{text(stop['reason']).rstrip('.')} ({text(stop['policy'])})"


def weights_held(details: Details, text: Text) -> str | None:
    """Say which epoch's weights the model held at the end; None where that is not known."""
    run, held = details.run, details.held_epoch
    if held is None or run["status"] == "running":
        return None
    restored = run["restored_epoch"] is not None
    what = f"epoch {held}, which were restored" if restored else f"its last epoch, {held}"
    if run["best_epoch"] is None:
        return f"It holds the weights of {what}."
    best = f"{text(run['monitor'])} {run['best']:.6g}"
    if held == run["best_epoch"]:
        return f"It holds the weights of {what}: the best ({best})."
    return f"It holds the weights of {what}; the best was epoch {run['best_epoch']} ({best})."


def pending_in(file: PendingRecords, text: Text) -> str:
    """Say how many records are pending in a file, and who imports them."""
    are, they = ("is", "it") if file.records == 1 else ("are", "they")
    importer = "when a run starts, or by tracker db doctor --fix"
    if file.alive:
        importer = "by the training process, once the database accepts them"
    return (
        f"{counted(file.records, 'record')} {are} pending in {text(str(file.path))}: "
        f"{they} will be imported {importer}."
    )

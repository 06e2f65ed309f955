"""How ``tracker runs show`` looks: one sentence first, then everything that is known."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import click

from tracker.cli.format import at_epoch, duration, local, parameter, visible
from tracker.cli.render import Table, print_table
from tracker.errors import counted
from tracker.exports.cells import iso, json_cell
from tracker.exports.json import takes_unicode
from tracker.queries import Column, Listing
from tracker.queries.details import Details
from tracker.queries.pending import PendingRecords

_METRIC_COLUMNS = (
    Column("metric", "text"), Column("best", "any"), Column("restored", "any"), Column("last", "any"),
    Column("min", "any"), Column("max", "any"),
)  # fmt: skip
_ATTEMPT_COLUMNS = (
    Column("attempt", "integer"), Column("status", "text"), Column("epochs", "text"),
    Column("started", "time"), Column("seconds", "number"), Column("host", "text"),
    Column("pid", "optional"), Column("reason", "text"), Column("spooled", "optional"),
    Column("dropped", "optional"), Column("waited", "optional"),
)  # fmt: skip
_POLICY_COLUMNS = (
    Column("policy", "text"), Column("monitor", "text"), Column("rules", "text"), Column("config", "text"),
)  # fmt: skip
_CHECKPOINT_NAMES = [
    "id",
    "epoch",
    "step",
    "alias",
    "state",
    "pinned",
    "monitor",
    "value",
    "bytes",
    "path",
    "policy",
    "created",
]
_SPARE = (
    "pid", "host", "rules", "max", "min", "policy", "created", "step", "monitor", "pinned", "bytes",
)  # fmt: skip
_TIMES = ("started", "ended", "heartbeat", "created", "decided")
_POINT_COLUMNS = (Column("metric", "text"), Column("points", "integer"), Column("last", "number"))


def print_details(found: Details) -> None:
    """Print a run."""
    run = found.run
    click.echo(f"{visible(run['name'])}  {run['id']}")
    click.echo(ending(found))
    for one in found.waiting:
        click.echo(waits(one))
    if held := holding(found):
        click.echo(held)
    _pairs("run", _about(found))
    _pairs("tags", {name: visible(value) for name, value in found.tags.items()})
    _pairs("params", {name: parameter(value) for name, value in found.params.items()})
    _section("metrics", Listing(_METRIC_COLUMNS, [_metric(*one) for one in found.metrics.items()]))
    _section("attempts", Listing(_ATTEMPT_COLUMNS, _attempts(found)))
    _section("policies", Listing(_POLICY_COLUMNS, [_policy(one) for one in found.policies]))
    _section("checkpoints", _picked(found.checkpoints, _CHECKPOINT_NAMES))
    points = [[name, count, found.last_points.get(name)] for name, count in found.points.items()]
    _section("step metrics", Listing(_POINT_COLUMNS, points))
    captured = found.attempts[-1]["captured"] if found.attempts else {}
    _pairs("captured", dict(_flat(captured)))


def print_json(found: Details) -> None:
    """Print a run as one JSON object; times are as in listings."""
    plain = asdict(found)
    plain["run"] = _timed(found.run)
    plain["attempts"] = [_timed(one) for one in found.attempts]
    plain["checkpoints"] = [_timed(one) for one in found.checkpoints.dicts()]
    plain["stop"] = None if found.stop is None else _timed(found.stop)
    plain["waiting"] = [
        {"path": str(one.path), "records": one.records, "alive": one.alive} for one in found.waiting
    ]
    any_ = Column("", "any")
    escaped = not takes_unicode(sys.stdout)
    click.echo(json.dumps(json_cell(plain, any_), ensure_ascii=escaped, indent=2, allow_nan=False))


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    """Write a row's times as text."""
    written = {name: iso(row[name]) for name in _TIMES if row.get(name) is not None}
    return {**row, **written}


def waits(waiting: PendingRecords) -> str:
    """Say how many records a file has that the database could not take, and who imports them."""
    are, them = ("waits", "it is") if waiting.records == 1 else ("wait", "they are")
    who = "when a run starts, or by tracker db doctor --fix"
    if waiting.alive:
        who = "by the process that trains, once the database takes them"
    return (
        f"{counted(waiting.records, 'record')} {are} in {visible(str(waiting.path))}: "
        f"{them} imported {who}."
    )


def ending(found: Details) -> str:
    """Say in one sentence how, and why, the training ended."""
    run, status = found.run, found.run["status"]
    trained = counted(run["epochs"], "epoch")
    why = visible(str(run["reason"] or ""))
    error = visible(str(run["error"] or ""))
    if status == "running":
        return f"Running: {trained} so far, since {local(run['started'])}."
    if status == "stopped_early":
        return f"Stopped early after {trained}: {_stopped(found, why)}."
    if status == "failed":
        return f"Failed after {trained}: {error or why or 'no exception was recorded'}."
    if status == "interrupted":
        return f"Interrupted after {trained}: {error or why or 'by the user'}."
    if status == "lost":
        return f"Lost after {trained}: {why}."
    return f"Finished after {trained}{f': {why}' if why else ''}."


def _stopped(found: Details, why: str) -> str:
    if found.stop is None:
        return why or "no reason was recorded"
    return f"{visible(found.stop['reason']).rstrip('.')} ({visible(found.stop['policy'])})"


def holding(found: Details) -> str | None:
    """Say which epoch's weights the model held at the end."""
    run, held = found.run, found.held_epoch
    if held is None or run["status"] == "running":
        return None
    restored = run["restored_epoch"] is not None
    what = f"epoch {held}, which were restored" if restored else f"its last epoch, {held}"
    if run["best_epoch"] is None:
        return f"It holds the weights of {what}."
    best = f"{visible(run['monitor'])} {run['best']:.6g}"
    if held == run["best_epoch"]:
        return f"It holds the weights of {what}: the best ({best})."
    return f"It holds the weights of {what}; the best was epoch {run['best_epoch']} ({best})."


def _about(found: Details) -> dict[str, str]:
    run = found.run
    facts = {
        "experiment": visible(run["experiment"]),
        "status": run["status"],
        "started": local(run["started"]),
        "ended": None if run["ended"] is None else local(run["ended"]),
        "seconds": duration(run["seconds"]),
        "epochs": str(run["epochs"]),
        "superseded": _repeated(found.superseded),
        "error": None if run["error"] is None else visible(run["error"]),
        "note": None if run["note"] is None else visible(run["note"]),
        "parent": None if found.parent is None else visible(found.parent),
        "children": ", ".join(map(visible, found.children.values())) or None,
        "spooled": _lost(found, "spooled", "record", "records", "waited outside the database for a while"),
        "dropped": _lost(found, "dropped", "point", "points", "of step metrics could not be kept"),
        "waited": _lost(found, "waited", "second", "seconds", "that calls of log waited for the disk"),
    }  # fmt: skip
    return {name: value for name, value in facts.items() if value is not None}


def _repeated(epochs: int) -> str | None:
    if epochs == 0:
        return None
    were = "was" if epochs == 1 else "were"
    return f"{counted(epochs, 'epoch')} {were} repeated by a later attempt"


def _lost(found: Details, name: str, one: str, many: str, said: str) -> str | None:
    count = round(sum(attempt[name] for attempt in found.attempts), 1)
    shown = int(count) if count == int(count) else count
    return f"{counted(shown, one, many)} {said}" if count else None


def _metric(name: str, one: dict[str, Any]) -> list[Any]:
    restored = None if one["restored"] is None else f"{one['restored']:.6g}"
    return [
        name,
        at_epoch(one["best"], one["best_epoch"]),
        restored,
        at_epoch(one["last"], one["last_epoch"]),
        at_epoch(one["min"], one["min_epoch"]),
        at_epoch(one["max"], one["max_epoch"]),
    ]


def _attempts(found: Details) -> list[list[Any]]:
    rows = []
    for one in found.attempts:
        start = 0 if one["first_epoch"] is None else one["first_epoch"]
        rows.append([
            one["number"], one["status"], f"from {start}", one["started"],
            one["seconds"], one["host"], one["pid"],
            one["error"] or one["reason"], one["spooled"] or None, one["dropped"] or None,
            one["waited"] or None,
        ])  # fmt: skip
    return rows


def _policy(one: dict[str, Any]) -> list[Any]:
    was = {name: f" (was {parameter(value)})" for name, value in one["was"].items()}
    said = (
        f"{name}={parameter(value)}{was.get(name, '')}" for name, value in one["config"].items()
    )
    return [one["policy"], one["monitor"], one["rules"], ", ".join(said)]


def _picked(listing: Listing, names: list[str]) -> Listing:
    places = [listing.names.index(name) for name in names]
    kinds = tuple(listing.columns[place] for place in places)
    return Listing(kinds, [[row[place] for place in places] for row in listing.rows])


def _section(title: str, listing: Listing) -> None:
    if listing.rows:
        click.echo(f"\n{title}")
        print_table(Table(listing, spare=() if title == "policies" else _SPARE))


def _pairs(title: str, facts: dict[str, str]) -> None:
    if facts:
        click.echo(f"\n{title}")
        widest = min(24, max(len(visible(name)) for name in facts))
        for name, value in facts.items():
            click.echo(f"{visible(name):<{widest}}  {value}")


def _flat(captured: Any, start: str = "") -> Iterable[tuple[str, str]]:
    """Write nested facts as ``machine.cores``."""
    for name, value in captured.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{start}{name}.")
        elif value is not None:
            text = " ".join(map(str, value)) if name == "command" else parameter(value)
            yield f"{start}{name}", visible(text)

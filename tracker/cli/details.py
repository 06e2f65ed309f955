"""How ``tracker runs show`` looks: sentences first, then everything that is known, section by section."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from tracker.cli.format import at_epoch, brief, duration, local, measure, parameter, price, visible
from tracker.cli.output import say
from tracker.cli.render import print_facts, print_table, say_left_out
from tracker.cli.table import Table
from tracker.errors import counted
from tracker.exports.cells import json_cell, with_iso_times
from tracker.exports.json import takes_unicode
from tracker.queries.details import Details
from tracker.queries.result import Column, Listing
from tracker.queries.run_sentences import ending, pending_in, weights_held
from tracker.states import OVERWRITTEN, CheckpointState
from tracker.system_names import PREFIX

_METRIC_COLUMNS = (
    Column("metric", "text"),
    *(Column(name, "any") for name in ("best", "restored", "last", "min", "max")),
)
_ATTEMPT_COLUMNS = (
    Column("attempt", "integer"),
    Column("status", "text"),
    Column("epochs", "text"),
    Column("started", "time"),
    Column("seconds", "number"),
    Column("host", "text"),
    Column("pid", "optional"),
    Column("reason", "text"),
    Column("spooled", "optional"),
    Column("dropped", "optional"),
    Column("waited", "optional"),
)
_POLICY_COLUMNS = tuple(Column(name, "text") for name in ("policy", "monitor", "rules", "config"))
_CHECKPOINT_COLUMNS = (
    "id", "epoch", "step", "alias", "state", "pinned", "monitor", "value", "bytes", "path", "policy",
    "created",
)  # fmt: skip
_POINT_COLUMNS = (
    Column("metric", "text"),
    Column("points", "integer"),
    Column("last", "number"),
)
_SYSTEM_COLUMNS = (
    Column("measured", "text"),
    Column("samples", "integer"),
    *(Column(name, "text") for name in ("mean", "max", "last")),
)
_SPARE = (
    "pid", "host", "rules", "max", "min", "policy", "created", "step", "monitor", "pinned", "bytes",
)  # fmt: skip
_WITHOUT_FILE = (OVERWRITTEN, CheckpointState.PRUNED)
_MOST_CHECKPOINTS = 10
"""Files that are shown beside the best, the last and pinned ones."""
_BESIDE_THE_POINT = ("machine.", "packages.", "command", "folder", "checkpoint_folders")
"""Captured facts that are only counted."""
_MOST_FACTS = 200
"""Params, tags or captured facts that are shown."""


def print_details(details: Details, *, curve: Sequence[str] = (), everything: bool = False) -> None:
    """Print a run for people: what matters first; of the rest, unless ``everything``, how much there is.

    ``curve`` has the lines of a chart.
    """
    left_out: list[str] = []
    _print_sentences(details)
    if curve:
        say("\n".join(["", *(line.rstrip() for line in curve)]), whole=True)
    _print_pairs("run", _about(details))
    _print_pairs("tags", {name: brief(visible(value)) for name, value in details.tags.items()})
    _print_pairs("params", _params(details))
    left_out += _print_section("metrics", _metrics(details))
    if everything or len(details.attempts) > 1:
        left_out += _print_section("attempts", _attempts(details))
    left_out += _print_section("policies", _policies(details), spare=())
    left_out += _print_checkpoints(details.checkpoints, everything)
    left_out += _print_section("step metrics", _step_metrics(details))
    left_out += _print_section("system", _system(details))
    _print_captured(_captured(details), everything)
    if left_out:
        say_left_out(left_out, "--format json has everything.")


def _print_checkpoints(listing: Listing, everything: bool) -> list[str]:
    """Print the checkpoints that have, or should have, a file, and count the others by state."""
    rows = list(listing.dicts())
    with_file = [row for row in rows if row["state"] not in _WITHOUT_FILE]
    newest = {row["id"] for row in with_file[-_MOST_CHECKPOINTS:]}
    shown = [row for row in with_file if row["id"] in newest or row["alias"] or row["pinned"]]
    shown = rows if everything else shown
    left_out = _print_section(
        "checkpoints",
        _selected(Listing.from_dicts(listing.columns, shown), _CHECKPOINT_COLUMNS),
    )
    ids = {row["id"] for row in shown}
    states = Counter(row["state"] for row in rows if row["id"] not in ids)
    if states:
        if not shown:
            _print_title("checkpoints")
        counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        say(f"… and {counts}: --all")
    return left_out


def _print_captured(facts: Mapping[str, str], everything: bool) -> None:
    """Print captured facts, and count those of the machine and of the packages."""
    shown = {
        name: value
        for name, value in facts.items()
        if everything or not name.startswith(_BESIDE_THE_POINT)
    }
    _print_pairs("captured", shown)
    if len(shown) < len(facts):
        say(f"… and {len(facts) - len(shown)} of the machine and the packages: --all")


def print_json(details: Details) -> None:
    """Print a run as one JSON object; times are as in listings."""
    plain = asdict(details)
    plain["run"] = with_iso_times(details.run)
    plain["attempts"] = [with_iso_times(attempt) for attempt in details.attempts]
    plain["checkpoints"] = [with_iso_times(row) for row in details.checkpoints.dicts()]
    plain["stop"] = None if details.stop is None else with_iso_times(details.stop)
    plain["waiting"] = [
        {"path": str(file.path), "records": file.records, "alive": file.alive}
        for file in details.waiting
    ]
    plain["refused"] = [
        {"path": str(file.path), "records": file.records} for file in details.refused
    ]
    ready = json_cell(plain, Column("run", "any"))
    escaped = not takes_unicode(sys.stdout)
    click.echo(json.dumps(ready, ensure_ascii=escaped, indent=2, allow_nan=False))


def _print_sentences(details: Details) -> None:
    say(f"{visible(details.run['name'])}  {details.run['id']}", bold=True)
    say(ending(details, visible, local))
    for file in details.waiting:
        say(pending_in(file, visible))
    for refused in details.refused:
        say(
            f"Not counted: {counted(refused.records, 'record')} that the database refused, kept in "
            f"{visible(str(refused.path))}. tracker db doctor --fix tries them again."
        )
    if weights := weights_held(details, visible):
        say(weights)


def _print_pairs(title: str, facts: Mapping[str, str]) -> None:
    if facts:
        _print_title(title)
        print_facts(list(facts.items())[:_MOST_FACTS])
        if len(facts) > _MOST_FACTS:
            say(f"… and {len(facts) - _MOST_FACTS} more: --format json has everything")


def _print_title(title: str) -> None:
    say()
    say(title, bold=True)


def _print_section(title: str, listing: Listing, *, spare: tuple[str, ...] = _SPARE) -> list[str]:
    """Print a table with a title, if it has rows; returns the columns that found no room."""
    if not listing.rows:
        return []
    _print_title(title)
    return print_table(Table(listing, spare=spare), hint=None)


def _params(details: Details) -> dict[str, str]:
    """Return the params; the leaves of nested ones come last: of many, the last are only counted."""
    names = sorted(details.params, key=lambda name: "." in name)
    return {name: parameter(details.params[name]) for name in names}


def _about(details: Details) -> dict[str, str]:
    run = details.run
    facts = {
        "experiment": visible(run["experiment"]),
        "status": run["status"],
        "started": local(run["started"]),
        "ended": None if run["ended"] is None else local(run["ended"]),
        "seconds": duration(run["seconds"]),
        # A run that counts steps alone has none.
        "epochs": str(run["epochs"]) if run["epochs"] or not details.points else None,
        "cost": _cost(details),
        "superseded": _superseded(details.superseded),
        "error": None if run["error"] is None else visible(run["error"]),
        "note": None if run["note"] is None else visible(run["note"]),
        "parent": None if details.parent is None else visible(details.parent),
        "children": ", ".join(map(visible, details.children.values())) or None,
        **_losses(details),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _cost(details: Details) -> str | None:
    if details.cost is None:
        return None
    return f"{price(details.cost)} ({details.price_per_hour:g} per hour, all attempts)"


def _superseded(epochs: int) -> str | None:
    were = "was" if epochs == 1 else "were"
    return f"{counted(epochs, 'epoch')} {were} repeated by a later attempt" if epochs else None


def _losses(details: Details) -> dict[str, str | None]:
    """Say what was recorded late or not at all, and what recording cost the training."""
    facts = {
        "spooled": ("record", "kept outside the database for a while"),
        "dropped": ("point", "of step metrics could not be kept"),
        "waited": ("second", "of waiting for the disk in calls of log"),
    }
    losses: dict[str, str | None] = {}
    for name, (unit, what) in facts.items():
        amount = round(sum(attempt[name] for attempt in details.attempts), 1)
        whole = int(amount) if amount == int(amount) else amount
        losses[name] = f"{counted(whole, unit)} {what}" if amount else None
    return losses


def _metrics(details: Details) -> Listing:
    rows = [
        [
            name,
            _placed(metric, "best"),
            None if metric["restored"] is None else f"{metric['restored']:.6g}",
            _placed(metric, "last"),
            _placed(metric, "min"),
            _placed(metric, "max"),
        ]
        for name, metric in details.metrics.items()
    ]
    return Listing(_METRIC_COLUMNS, rows)


def _placed(metric: Mapping[str, Any], name: str) -> str | None:
    return at_epoch(metric[name], metric[f"{name}_epoch"], metric[f"{name}_step"])


def _attempts(details: Details) -> Listing:
    rows = [
        [
            attempt["number"],
            attempt["status"],
            f"from {attempt['first_epoch'] or 0}",
            attempt["started"],
            attempt["seconds"],
            attempt["host"],
            attempt["pid"],
            attempt["error"] or attempt["reason"],
            *(attempt[name] or None for name in ("spooled", "dropped", "waited")),
        ]
        for attempt in details.attempts
    ]
    return Listing(_ATTEMPT_COLUMNS, rows)


def _policies(details: Details) -> Listing:
    rows = [
        [policy["policy"], policy["monitor"], policy["rules"], _config(policy)]
        for policy in details.policies
    ]
    return Listing(_POLICY_COLUMNS, rows)


def _config(policy: Mapping[str, Any]) -> str:
    """Write arguments: ``patience=5 (was 3), mode=min``."""
    was = {name: f" (was {parameter(value)})" for name, value in policy["was"].items()}
    return ", ".join(
        f"{name}={parameter(value)}{was.get(name, '')}" for name, value in policy["config"].items()
    )


def _step_metrics(details: Details) -> Listing:
    rows = [[name, count, details.last_points.get(name)] for name, count in details.points.items()]
    return Listing(_POINT_COLUMNS, rows)


def _system(details: Details) -> Listing:
    rows = [
        [
            name.removeprefix(PREFIX),
            found.samples,
            *(measure(name, value) for value in (found.mean, found.max, found.last)),
        ]
        for name, found in details.system.items()
    ]
    return Listing(_SYSTEM_COLUMNS, rows)


def _captured(details: Details) -> dict[str, str]:
    return dict(_flat(details.attempts[-1]["captured"])) if details.attempts else {}


def _flat(facts: Mapping[str, Any], scope: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested facts as ``machine.cores`` and a text."""
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{scope}{name}.")
        elif value is not None:
            text = brief(" ".join(map(str, value))) if name == "command" else parameter(value)
            yield f"{scope}{name}", visible(text)


def _selected(listing: Listing, names: tuple[str, ...]) -> Listing:
    by_name = {column.name: column for column in listing.columns}
    return Listing.from_dicts(tuple(by_name[name] for name in names), listing.dicts())

"""What a callback is replayed with: the settings that are given, over the run's own, over the defaults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

from tracker.errors import BadValue
from tracker.policies import KERAS, RULES, TRACKER
from tracker.queries.callbacks import RecordedCallback
from tracker.queries.resolve import labels
from tracker.replays import curves
from tracker.storage.database import Reader

MOST_PATIENCES = 10_000
"""How many patiences one replay tries."""

OF_ONE_METRIC = (
    "mode", "baseline", "stopping_threshold", "divergence_threshold", "initial_value_threshold",
)  # fmt: skip
"""Settings that concern the callback's own metric, and mean nothing for another one."""


@dataclass(frozen=True)
class Setup:
    """A callback of a run, and what to replay it with.

    Attributes:
        run: the id of the run.
        name: what the run is called.
        metrics: the names of its metrics.
        callback: the run's own; None where it had none.
        arguments: of the rule.
        unknown_rules: the rules that were recorded, where a replay has to use others.
    """

    run: str
    name: str
    metrics: set[str]
    callback: RecordedCallback | None
    arguments: dict[str, Any]
    unknown_rules: str | None

    @property
    def monitor(self) -> str:
        """The metric that it is judged by."""
        monitor: str = self.arguments["monitor"]
        return monitor

    @property
    def is_own_metric(self) -> bool:
        """Whether that is the metric of the run's own callback."""
        return self.callback is not None and self.callback.monitor == self.monitor

    def explained(self, reason: str, rules: str) -> str:
        """Return a reason, with a remark where ``rules`` stand in for those that were recorded."""
        if self.unknown_rules is None:
            return reason
        return f"{reason}; by {rules}, as {self.unknown_rules} has no rules of its own here"


def setups(
    reader: Reader,
    runs: Sequence[str],
    callbacks: Mapping[str, Sequence[RecordedCallback]],
    rule: type[Any],
    given: Mapping[str, Any],
) -> Iterator[Setup]:
    """Yield what to replay: of each run, each of its callbacks that watches the monitor.

    Where none does, it is the first one, with that metric; where a run has no callback, the defaults.

    Args:
        reader: an open database.
        runs: ids.
        callbacks: those of each run that count.
        rule: the class of the policy that decides.
        given: settings by name; None for the run's own.

    Raises:
        BadValue: for a run that was decided by rules that are unknown here.
    """
    names = labels(reader.connection, runs)
    metrics = curves.metrics_of(reader, runs)
    for run in runs:
        for callback in _watching_or_first(callbacks.get(run, ()), given.get("monitor")):
            arguments = _arguments(rule, callback, given, metrics[run])
            unknown = _unknown_rules(callback, given)
            yield Setup(run, names[run], metrics[run], callback, arguments, unknown)


def watching(callbacks: Sequence[RecordedCallback], monitor: str | None) -> list[RecordedCallback]:
    """Return the callbacks that watch a metric; all of them for None."""
    return [one for one in callbacks if monitor is None or one.monitor == monitor]


def _watching_or_first(
    callbacks: Sequence[RecordedCallback], monitor: str | None
) -> Sequence[RecordedCallback | None]:
    return watching(callbacks, monitor) or callbacks[:1] or [None]


def _arguments(
    rule: type[Any], callback: RecordedCallback | None, given: Mapping[str, Any], metrics: set[str]
) -> dict[str, Any]:
    known = {field.name for field in fields(rule)}
    own: dict[str, Any]
    if callback is None:
        own = {"monitor": "val_loss" if "val_loss" in metrics or not metrics else "loss"}
    else:
        own = {name: value for name, value in callback.config.items() if name in known}
        own["rules"] = given.get("rules") or _rules_for(callback.rules or TRACKER)
        own["monitor"] = callback.monitor
    asked = {name: value for name, value in given.items() if value is not None and name in known}
    if asked.get("monitor", own["monitor"]) != own["monitor"]:
        own = {name: value for name, value in own.items() if name not in OF_ONE_METRIC}
    return {**own, **asked}


def _rules_for(recorded: str) -> str:
    """Return the rules to replay recorded ones by: `KERAS` for each release of Keras without its own."""
    if recorded in RULES:
        return recorded
    if recorded.startswith("keras-"):
        return KERAS
    raise BadValue(
        f"A run was decided by the rules {recorded!r}, which are unknown here: there are "
        f"{' and '.join(RULES)}. Choose those to replay it by with rules= or --rules."
    )


def _unknown_rules(callback: RecordedCallback | None, given: Mapping[str, Any]) -> str | None:
    recorded = None if callback is None or given.get("rules") else callback.rules
    return None if recorded in (None, *RULES) else recorded


def patiences_of(patience: int | Iterable[int] | None) -> list[int] | None:
    """Return the patiences to try; None for each run's own.

    Raises:
        BadValue: for none at all, or more than `MOST_PATIENCES`.
    """
    if patience is None:
        return None
    several = patience if isinstance(patience, Iterable) else [patience]
    patiences = list(islice(several, MOST_PATIENCES + 1))
    if not patiences:
        raise BadValue("patience is empty: give one, such as 5, or several, such as range(1, 21).")
    if len(patiences) > MOST_PATIENCES:
        raise BadValue(
            f"patience has more than {MOST_PATIENCES} values: give fewer. From a run's number of epochs "
            f"on, each gives the same outcome."
        )
    return patiences

"""What a replay is run with: settings that were asked for, over the run's own, over the defaults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from typing import Any

from tracker.errors import BadValue, UnknownMetric, nearest
from tracker.policies import KERAS, RULES, TRACKER
from tracker.queries.callbacks import RecordedCallback, callbacks
from tracker.queries.resolve import labels
from tracker.replays import curves
from tracker.storage.database import Reader
from tracker.values import brief

POLICIES = ("EarlyStopping", "ReduceLROnPlateau", "ModelCheckpoint")
"""The callbacks that can be replayed."""

MOST_PATIENCES = 10_000
"""How many patiences one replay tries."""

OF_ONE_METRIC = (
    "mode", "baseline", "stopping_threshold", "divergence_threshold", "initial_value_threshold",
)  # fmt: skip
"""Settings that say something about the callback's own metric, and nothing about another one."""


def as_patiences(patience: int | Iterable[int] | None) -> list[int] | None:
    """Return the patiences to try; None for each run's own.

    Raises:
        BadValue: for none at all, or more than `MOST_PATIENCES`.
    """
    if patience is None:
        return None
    several = patience if isinstance(patience, Iterable) else [patience]
    found = list(islice(several, MOST_PATIENCES + 1))
    if not found:
        raise BadValue("patience is empty: give one, such as 5, or several, such as range(1, 21).")
    if len(found) > MOST_PATIENCES:
        raise BadValue(
            f"patience has more than {MOST_PATIENCES} values: give fewer. From a run's number of epochs "
            f"on, each gives the same outcome."
        )
    return found


def arguments(
    rule: Any, callback: RecordedCallback | None, asked: Mapping[str, Any], there: set[str]
) -> dict[str, Any]:
    """Return the arguments of a rule for one run.

    Args:
        rule: a policy's class.
        callback: the run's own; None where it had none.
        asked: settings to take instead; None for the run's own.
        there: names of the run's metrics.

    What belongs to the callback's metric (`OF_ONE_METRIC`) is not taken over when another is asked for.

    Raises:
        BadValue: for a run that was decided by rules of which there are none here.
    """
    known = {field.name for field in fields(rule)}
    config: dict[str, Any] = {}
    if callback is not None:
        config = {name: value for name, value in callback.config.items() if name in known}
        rules = asked.get("rules") or replayed_by(callback.rules or TRACKER)
        config.update(rules=rules, monitor=callback.monitor)
    else:
        config["monitor"] = "val_loss" if "val_loss" in there or not there else "loss"
    given = {name: value for name, value in asked.items() if value is not None and name in known}
    if given.get("monitor", config["monitor"]) != config["monitor"]:
        config = {name: value for name, value in config.items() if name not in OF_ONE_METRIC}
    return {**config, **given}


def replayed_by(recorded: str) -> str:
    """Return the rules that a replay takes for recorded ones: `KERAS` for each release of Keras without its own."""
    if recorded in RULES:
        return recorded
    if recorded.startswith("keras-"):
        return KERAS
    raise BadValue(
        f"A run was decided by the rules {recorded!r}, which are unknown here: there are "
        f"{' and '.join(RULES)}. Name those to replay it by with rules= or --rules."
    )


def other_rules(callback: RecordedCallback | None, asked: Mapping[str, Any]) -> str | None:
    """Return the recorded rules that a replay takes others for, unasked; None where it does not."""
    recorded = None if callback is None or asked.get("rules") else callback.rules
    return None if recorded in (None, *RULES) else recorded


def remark(rules: str, callback: RecordedCallback | None, asked: Mapping[str, Any]) -> str:
    """End a reason with what was recorded, where a replay by ``rules`` takes these for others, unasked."""
    recorded = other_rules(callback, asked)
    return "" if recorded is None else f"; by {rules}, for want of the rules {recorded}"


def watching(candidates: Sequence[RecordedCallback], monitor: str | None) -> list[RecordedCallback]:
    """Return the callbacks that look at a metric; all of them where none does, or none is named."""
    return [one for one in candidates if one.monitor == monitor] or list(candidates)


def each_callback(
    reader: Reader, runs: Sequence[str], kind: str, monitor: str | None
) -> Iterator[tuple[str, str, RecordedCallback | None, set[str]]]:
    """Yield run, name, callback and metric names, for each callback of a kind that looks at ``monitor``.

    Where none does, the first one is to be tried with that metric; where a run has no such callback, None.
    """
    own = callbacks(reader, runs, kind)
    called = labels(reader.connection, runs)
    there = curves.metrics_of(reader, runs)
    for run in runs:
        chosen: list[RecordedCallback | None] = [*watching(own.get(run, []), monitor)]
        if not chosen or (monitor is not None and chosen[0] and chosen[0].monitor != monitor):
            chosen = chosen[:1] or [None]
        for callback in chosen:
            yield run, called[run], callback, there[run]


class LeftOut:
    """Runs without the metric that a replay looks at: left out, unless they were named.

    Args:
        named: ids of the runs that were named; None where all were.
    """

    def __init__(self, named: Iterable[str] | None = None) -> None:
        self._named = None if named is None else set(named)
        self._lacking: dict[str, tuple[str, str, set[str]]] = {}

    def leave_out(self, run: str, name: str, monitor: str, there: set[str]) -> bool:
        """Leave a run out that does not have the metric and was not named; returns whether it is left out.

        Args:
            run, name: its id, and what it is called.
            monitor: the metric.
            there: names of the run's metrics.

        Raises:
            UnknownMetric: for a run that was named and has other metrics; names them.
        """
        if monitor in there:
            return False
        if self._named is not None and run not in self._named:
            self._lacking[run] = name, monitor, there
            return True
        if there:
            raise UnknownMetric(f"{name} has no metric {_choice(monitor, there)}")
        return False

    def said(self, reader: Reader, runs: Sequence[str]) -> str | None:
        """Say which of the runs that were to be replayed were left out; None for none of those with epochs.

        Raises:
            UnknownMetric: when none was replayed.
        """
        if not self._lacking:
            return None
        trained = curves.with_epochs(reader, runs)
        groups: dict[str, list[str]] = {}
        for name, monitor, _ in (self._lacking[run] for run in trained if run in self._lacking):
            groups.setdefault(monitor, []).append(name)
        if trained and trained <= self._lacking.keys():
            there = set().union(*(self._lacking[run][2] for run in trained))
            raise UnknownMetric(f"No run has the metric {_choice(next(iter(groups)), there)}")
        return "; ".join(_left(monitor, names) for monitor, names in groups.items()) or None


def _choice(monitor: str, there: set[str]) -> str:
    hint = nearest(monitor, sorted(there))
    return f"{brief(monitor)}: {hint} Choose one with monitor= or --monitor."


def _left(monitor: str, names: Sequence[str]) -> str:
    one = len(names) == 1
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (
        f"{len(names)} run{'' if one else 's'} without {monitor} {'was' if one else 'were'} left out: "
        f"{', '.join(sorted(names)[:5])}{more}"
    )

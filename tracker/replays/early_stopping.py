"""What early stopping would have done with other settings, over runs that are recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracker.policies import EarlyStopping, replay_early_stopping
from tracker.queries.callbacks import RecordedCallback, actors, callbacks
from tracker.replays import curves
from tracker.replays.missing_metrics import MissingMetrics
from tracker.replays.settings import Setup, setups, watching
from tracker.storage.database import Reader

KIND = "EarlyStopping"


@dataclass(frozen=True)
class Outcome:
    """What would have become of one run with one setting.

    Attributes:
        run: the name of the run.
        monitor, patience, min_delta, rules: the setting; rules are "keras-3.15 for keras-3.12" where the
            run was decided by a Keras release that has no rules of its own here.
        stop_epoch: 0-based epoch at which it would have stopped; None where it would not have.
        best_epoch, best: the best epoch up to then, and its value.
        epochs: how many would have been trained.
        epochs_saved, seconds_saved: how much less that is than what was recorded.
        own_best_epoch, own_best: the best of all recorded epochs.
        given_up: how much worse ``best`` is than ``own_best``; 0 for not at all.
    """

    run: str
    monitor: str
    patience: int
    min_delta: float
    rules: str
    stop_epoch: int | None
    best_epoch: int | None
    best: float | None
    epochs: int
    epochs_saved: int
    seconds_saved: float
    own_best_epoch: int | None
    own_best: float | None
    given_up: float | None


def outcomes(
    reader: Reader,
    runs: Sequence[str],
    patiences: list[int] | None,
    given: Mapping[str, Any],
    missing: MissingMetrics,
) -> list[Outcome]:
    """Replay the runs with epochs, by id; runs whose settings are equal are replayed together."""
    if reader.empty or not runs:
        return []
    own = _deciding_callbacks(reader, runs, given.get("monitor"))
    names: dict[str, str] = {}
    groups: dict[tuple[EarlyStopping, str], list[str]] = {}
    for setup in setups(reader, runs, own, EarlyStopping, given):
        if missing.leave_out(setup):
            continue
        rule = EarlyStopping(**setup.arguments)
        names[setup.run] = setup.name
        groups.setdefault((rule, _rules_shown(setup, rule)), []).append(setup.run)
    by_run: dict[str, list[Outcome]] = {}
    for (rule, rules), members in groups.items():
        tried = [rule.patience] if patiences is None else patiences
        all_curves = curves.curves(reader, members, rule.monitor).values()
        trained = [curve for curve in all_curves if curve.points]
        by_run.update(_replayed(rule, rules, tried, trained, names))
    return [outcome for run in runs for outcome in by_run.get(run, [])]


def _deciding_callbacks(
    reader: Reader, runs: Sequence[str], monitor: str | None
) -> dict[str, list[RecordedCallback]]:
    """Return the callback of each run whose settings count.

    Of those that watch ``monitor`` it is the one that stopped the run, else the one that restored weights,
    else the first.
    """
    own = callbacks(reader, runs, KIND)
    of_several = [
        id_
        for group in own.values()
        if len(group) > 1
        for callback in group
        for id_ in callback.ids
    ]
    actor_of = actors(reader.connection, of_several)
    deciding = {}
    for run, group in own.items():
        candidates = watching(group, monitor) or group
        acted = [callback for callback in candidates if actor_of.get(run) in callback.ids]
        deciding[run] = (acted or candidates)[:1]
    return deciding


def _rules_shown(setup: Setup, rule: EarlyStopping) -> str:
    return f"{rule.rules} for {setup.unknown_rules}" if setup.unknown_rules else rule.rules


def _replayed(
    rule: EarlyStopping,
    rules: str,
    patiences: Sequence[int],
    trained: Sequence[curves.Curve],
    names: Mapping[str, str],
) -> dict[str, list[Outcome]]:
    points = [curve.points for curve in trained]
    result = replay_early_stopping(points, patiences, rule)
    endless = max(map(len, points), default=0) + 1
    never = EarlyStopping(rule.monitor, mode=rule.direction, patience=endless)
    own = replay_early_stopping(points, [endless], never)
    by_run: dict[str, list[Outcome]] = {}
    for row, curve in enumerate(trained):
        own_epoch, own_value = _known(own.best_epoch[row, 0], own.best[row, 0])
        for column, patience in enumerate(patiences):
            stop = int(result.stop_epoch[row, column])
            epoch, value = _known(result.best_epoch[row, column], result.best[row, column])
            epochs = _epochs_until(curve, stop)
            by_run.setdefault(curve.run, []).append(
                Outcome(
                    run=names[curve.run],
                    monitor=rule.monitor,
                    patience=int(patience),
                    min_delta=rule.min_delta,
                    rules=rules,
                    stop_epoch=None if stop < 0 else stop,
                    best_epoch=epoch,
                    best=value,
                    epochs=epochs,
                    epochs_saved=len(curve.points) - epochs,
                    seconds_saved=math.fsum(curve.seconds[epochs:]),
                    own_best_epoch=own_epoch,
                    own_best=own_value,
                    given_up=_given_up(rule, value, own_value),
                )
            )
    return by_run


def _known(epoch: Any, value: Any) -> tuple[int | None, float | None]:
    return (None, None) if epoch < 0 else (int(epoch), float(value))


def _epochs_until(curve: curves.Curve, stop: int) -> int:
    """Return how many epochs are trained up to ``stop``, which is negative for never."""
    if stop < 0:
        return len(curve.points)
    return [epoch for epoch, _ in curve.points].index(stop) + 1


def _given_up(rule: EarlyStopping, best: float | None, own: float | None) -> float | None:
    if best is None or own is None:
        return None
    worse = best - own if rule.direction == "min" else own - best
    return max(0.0, worse) if math.isfinite(worse) else worse

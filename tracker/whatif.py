"""What early stopping would have done with other settings, over runs that are recorded.

A replay feeds the recorded values to `tracker.policies`, under the rules that the run was decided with.
It can only shorten a run: an epoch that was never trained has no value.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from tracker.database import Reader, reading
from tracker.errors import BadValue, UnknownMetric, nearest
from tracker.policies import TRACKER, EarlyStopping, replay_early_stopping
from tracker.queries import curves
from tracker.queries.find import find_runs, labels
from tracker.queries.runs import chosen_ids

if TYPE_CHECKING:
    import pandas as pd

KIND = "EarlyStopping"
_KNOWN = {field.name for field in fields(EarlyStopping)}


@dataclass(frozen=True)
class Outcome:
    """What one run would have been with one setting.

    Attributes:
        run: its name.
        monitor, patience, min_delta, rules: the setting.
        stop_epoch: 0-based epoch at which it would have stopped, None for not within what was recorded.
        best_epoch, best: the best epoch up to then and its value.
        epochs: how many would have been trained.
        epochs_saved, seconds_saved: of those recorded.
        own_best_epoch, own_best: over all that was recorded.
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


COLUMNS = tuple(field.name for field in fields(Outcome))


def replay(
    *runs: str,
    patience: int | Iterable[int] | None = None,
    min_delta: float | None = None,
    monitor: str | None = None,
    mode: str | None = None,
    baseline: float | None = None,
    start_from_epoch: int | None = None,
    rules: str | None = None,
    where: str | None = None,
    database: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Return what early stopping would have done, a row for each run and patience.

    Args:
        *runs: ids, prefixes or names; none: those that ``where`` leaves, or all.
        patience: one or several. Like every other setting it is the run's own where it is not given:
            that of its EarlyStopping callback, else Keras' default.
        min_delta: what an improvement must exceed.
        monitor: the metric; "val_loss" for a run without EarlyStopping, "loss" where it has no val_loss.
        mode: "min", "max" or "auto".
        baseline: what the first improvements must beat.
        start_from_epoch: epochs before it are not judged.
        rules: "tracker-1" or "keras-3.15"; those the run was decided with by default.
        where: a filter over runs, such as ``"experiment = 'digits'"``.
        database: a path or URL.

    Returns:
        A frame with the columns of `Outcome`.

    Raises:
        UnknownMetric: when a run has no such metric; UnknownRun, AmbiguousRun, BadValue.
    """
    import pandas as pd

    asked = {
        "min_delta": min_delta,
        "monitor": monitor,
        "mode": mode,
        "baseline": baseline,
        "start_from_epoch": start_from_epoch,
        "rules": rules,
    }
    with reading(database) as reader:
        chosen = choose(reader, runs, where)
        found = outcomes(reader, chosen, as_patiences(patience), asked)
    frame = pd.DataFrame(
        [[getattr(one, name) for name in COLUMNS] for one in found], columns=list(COLUMNS)
    )
    whole = ["stop_epoch", "best_epoch", "own_best_epoch"]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def choose(reader: Reader, runs: Sequence[str], where: str | None = None) -> list[str]:
    """Return the ids of the runs that are named, or that a filter leaves."""
    if runs:
        return find_runs(reader, runs)
    return chosen_ids(reader, where)


def as_patiences(patience: int | Iterable[int] | None) -> list[int] | None:
    """Return the patiences to try; None for each run's own."""
    if patience is None:
        return None
    found = list(patience) if isinstance(patience, Iterable) else [patience]
    if not found:
        raise BadValue("patience is empty: give one, such as 5, or several, such as range(1, 21).")
    return found


def outcomes(
    reader: Reader, runs: Sequence[str], patiences: list[int] | None, asked: Mapping[str, Any]
) -> list[Outcome]:
    """Replay runs, by id; runs whose settings are equal are replayed together."""
    if reader.empty or not runs:
        return []
    names = labels(reader.connection, runs)
    configs = _configs(reader, runs, asked, names)
    groups: dict[EarlyStopping, list[str]] = {}
    for run in runs:
        groups.setdefault(configs[run], []).append(run)
    found: dict[str, list[Outcome]] = {}
    for config, members in groups.items():
        tried = [config.patience] if patiences is None else patiences
        lines = curves.curves(reader, members, config.monitor)
        found.update(_replayed(config, tried, [lines[run] for run in members], names))
    return [one for run in runs for one in found[run]]


def _configs(
    reader: Reader, runs: Sequence[str], asked: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, EarlyStopping]:
    given = {name: value for name, value in asked.items() if value is not None}
    own = curves.settings(reader, runs, KIND)
    has = curves.metrics_of(reader, runs)
    configs = {}
    for run in runs:
        config: dict[str, Any] = {}
        if run in own:
            first = own[run][0]
            config = {name: value for name, value in first.config.items() if name in _KNOWN}
            config.update(rules=first.rules or TRACKER, monitor=first.monitor)
        elif "val_loss" not in has[run]:
            config["monitor"] = "loss"
        config.update(given)
        require_metric(config.get("monitor", "val_loss"), has[run], names[run])
        configs[run] = EarlyStopping(**config)
    return configs


def require_metric(monitor: str, there: set[str], run: str) -> None:
    """Refuse a metric that a run with epochs does not have; names those there are."""
    if there and monitor not in there:
        raise UnknownMetric(
            f"{run} has no metric {monitor!r}: {nearest(monitor, sorted(there))} "
            f"Choose one with monitor= or --monitor."
        )


def _replayed(
    config: EarlyStopping,
    patiences: Sequence[int],
    lines: Sequence[curves.Curve],
    names: Mapping[str, str],
) -> dict[str, list[Outcome]]:
    result = replay_early_stopping([line.points for line in lines], patiences, config)
    never = EarlyStopping(config.monitor, mode=config.direction, patience=_beyond(lines))
    own = replay_early_stopping([line.points for line in lines], [never.patience], never)
    found: dict[str, list[Outcome]] = {}
    for row, line in enumerate(lines):
        own_epoch, own_value = _known(own.best_epoch[row, 0], own.best[row, 0])
        for column, patience in enumerate(patiences):
            stop = int(result.stop_epoch[row, column])
            epoch, value = _known(result.best_epoch[row, column], result.best[row, column])
            trained = _trained(line, stop)
            found.setdefault(line.run, []).append(
                Outcome(
                    run=names[line.run],
                    monitor=config.monitor,
                    patience=int(patience),
                    min_delta=config.min_delta,
                    rules=config.rules,
                    stop_epoch=None if stop < 0 else stop,
                    best_epoch=epoch,
                    best=value,
                    epochs=trained,
                    epochs_saved=len(line.points) - trained,
                    seconds_saved=math.fsum(line.seconds[trained:]),
                    own_best_epoch=own_epoch,
                    own_best=own_value,
                    given_up=_given_up(config, value, own_value),
                )
            )
    return found


def _beyond(lines: Sequence[curves.Curve]) -> int:
    return max((len(line.points) for line in lines), default=0) + 1


def _known(epoch: Any, value: Any) -> tuple[int | None, float | None]:
    return (None, None) if epoch < 0 else (int(epoch), float(value))


def _trained(line: curves.Curve, stop: int) -> int:
    if stop < 0:
        return len(line.points)
    return next(place for place, (epoch, _) in enumerate(line.points) if epoch == stop) + 1


def _given_up(config: EarlyStopping, best: float | None, own: float | None) -> float | None:
    if best is None or own is None:
        return None
    worse = best - own if config.direction == "min" else own - best
    return max(0.0, worse) if math.isfinite(worse) else worse

"""What early stopping would have done with other settings, over runs that are recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracker.policies import EarlyStopping, replay_early_stopping
from tracker.queries.callbacks import RecordedCallback, actors, callbacks
from tracker.queries.resolve import labels
from tracker.replays import curves
from tracker.replays.settings import LeftOut, arguments, other_rules, watching
from tracker.storage.database import Reader

KIND = "EarlyStopping"


@dataclass(frozen=True)
class Outcome:
    """What one run would have been with one setting.

    Attributes:
        run: its name.
        monitor, patience, min_delta, rules: the setting; rules are "keras-3.15 for keras-3.12" where the
            run was decided by a Keras release that has no rules of its own here.
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


def outcomes(
    reader: Reader,
    runs: Sequence[str],
    patiences: list[int] | None,
    asked: Mapping[str, Any],
    left: LeftOut,
) -> list[Outcome]:
    """Replay the runs with epochs, by id; runs whose settings are equal are replayed together."""
    if reader.empty or not runs:
        return []
    names = labels(reader.connection, runs)
    configs = _configs(reader, runs, asked, names, left)
    groups: dict[tuple[EarlyStopping, str], list[str]] = {}
    for run, settings in configs.items():
        groups.setdefault(settings, []).append(run)
    found: dict[str, list[Outcome]] = {}
    for (config, rules), members in groups.items():
        tried = [config.patience] if patiences is None else patiences
        lines = curves.curves(reader, members, config.monitor).values()
        trained = [line for line in lines if line.points]
        found.update(_replayed(config, rules, tried, trained, names))
    return [one for run in runs for one in found.get(run, [])]


def _configs(
    reader: Reader,
    runs: Sequence[str],
    asked: Mapping[str, Any],
    names: Mapping[str, str],
    left: LeftOut,
) -> dict[str, tuple[EarlyStopping, str]]:
    """Return each run's settings, and what its rules are called."""
    own = callbacks(reader, runs, KIND)
    several = [
        name for group in own.values() if len(group) > 1 for one in group for name in one.ids
    ]
    acted = actors(reader.connection, several)
    has = curves.metrics_of(reader, runs)
    configs = {}
    for run in runs:
        callback = _judge(own.get(run, []), asked.get("monitor"), acted.get(run))
        config = arguments(EarlyStopping, callback, asked, has[run])
        if left.leave_out(run, names[run], config["monitor"], has[run]):
            continue
        rule = EarlyStopping(**config)
        recorded = other_rules(callback, asked)
        configs[run] = rule, f"{rule.rules} for {recorded}" if recorded else rule.rules
    return configs


def _judge(
    group: Sequence[RecordedCallback], monitor: str | None, actor: str | None
) -> RecordedCallback | None:
    """Return whose settings count: of those that look at ``monitor`` the one that stopped it, else the first."""
    candidates = watching(group, monitor)
    stopped = [one for one in candidates if actor in one.ids]
    return next(iter(stopped or candidates), None)


def _replayed(
    config: EarlyStopping,
    rules: str,
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
                    rules=rules,
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

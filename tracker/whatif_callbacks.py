"""Replays of ReduceLROnPlateau and ModelCheckpoint over recorded metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from tracker.database import Reader
from tracker.policies import TRACKER, Best, ReduceLROnPlateau, TopK
from tracker.queries import Listing, curves
from tracker.queries.find import labels
from tracker.queries.listing import columns
from tracker.whatif import require_metric

REDUCTIONS = columns("run. epoch# monitor. value best best_epoch# wait# factor reason.")
FILES = columns("run. epoch# monitor. value verdict. reason.")


def reductions(reader: Reader, runs: Sequence[str], asked: Mapping[str, Any]) -> Listing:
    """Return where the learning rate would have been lowered, a row a reduction.

    ``factor`` is the product of all reductions up to there. What a lower rate would have done to the
    metric nobody recorded: only the first reduction of a run is certain.
    """
    rows: list[tuple[Any, ...]] = []
    for run, name, config in _configured(
        reader, runs, "ReduceLROnPlateau", ReduceLROnPlateau, asked
    ):
        rule = ReduceLROnPlateau(**config)
        state, rate = rule.initial(), 1.0
        for epoch, value in _points(reader, run, name, rule.monitor):
            state, verdict = rule.step(state, epoch, value, rate)
            if verdict.verdict == "reduced" and verdict.lr_after is not None:
                rate = verdict.lr_after
                rows.append(
                    (name, epoch, rule.monitor, value, verdict.best, verdict.best_epoch,
                     verdict.wait, rate, verdict.reason)
                )  # fmt: skip
    return Listing(REDUCTIONS, rows)


def kept_files(
    reader: Reader, runs: Sequence[str], keep: int | None, asked: Mapping[str, Any]
) -> Listing:
    """Return which epochs ModelCheckpoint(save_best_only=True, keep=…) would have saved, and which stayed.

    ``verdict`` is "saved" for a file that would be there at the end, "pruned" for one that would
    have been saved and deleted since. Without ``keep`` each better file replaces the one before.
    """
    rows: list[tuple[Any, ...]] = []
    for run, name, config in _configured(reader, runs, "ModelCheckpoint", Best, asked):
        config["save_best_only"] = True
        rule = Best(**config)
        top = TopK(
            keep=1 if keep is None else keep, monitor=rule.monitor, mode=rule.mode, rules=rule.rules
        )
        points = _points(reader, run, name, str(rule.monitor))
        rows.extend(_files(rule, top, keep is None, points, name))
    return Listing(FILES, rows)


def _files(
    rule: Best, top: TopK, only_best: bool, points: Sequence[tuple[int, float | None]], name: str
) -> list[tuple[Any, ...]]:
    state, said = rule.initial(), {}
    there: list[tuple[int, float | None, int | None]] = []
    for epoch, value in points:
        state, verdict = rule.step(state, epoch, value)
        wanted = verdict.verdict == "saved" if only_best else top.admits(there, value)
        if value is None or not wanted:
            continue
        said[epoch] = (name, epoch, rule.monitor, value, "saved", verdict.reason)
        there.append((epoch, value, epoch))
        chosen = top.choose(there)
        for dropped, reason in zip(chosen.drop, chosen.reasons, strict=True):
            said[dropped] = (*said[dropped][:4], "pruned", reason)
        there = [file for file in there if file[0] in chosen.keep]
    return list(said.values())


def _configured(
    reader: Reader, runs: Sequence[str], kind: str, rule: Any, asked: Mapping[str, Any]
) -> list[tuple[str, str, dict[str, Any]]]:
    """Return each run's id, name and arguments: those asked for over its own over the defaults."""
    if reader.empty:
        return []
    known = {field.name for field in fields(rule)}
    given = {key: value for key, value in asked.items() if value is not None and key in known}
    own = curves.settings(reader, runs, kind)
    names = labels(reader.connection, runs)
    found = []
    for run in runs:
        config: dict[str, Any] = {"monitor": "val_loss"}
        if run in own:
            first = own[run][0]
            config.update({key: value for key, value in first.config.items() if key in known})
            config.update(monitor=first.monitor, rules=first.rules or TRACKER)
        found.append((run, names[run], {**config, **given}))
    return found


def _points(reader: Reader, run: str, name: str, monitor: str) -> list[tuple[int, float | None]]:
    require_metric(monitor, curves.metrics_of(reader, [run])[run], name)
    return curves.curves(reader, [run], monitor)[run].points

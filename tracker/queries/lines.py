"""One metric of several runs as lines to draw, with what was decided and saved on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import and_, case, select

from tracker.errors import BadValue, UnknownMetric
from tracker.models import CHECKPOINT, DECISION, EPOCH, METRIC, RUN
from tracker.queries.curves import curves
from tracker.queries.points import points
from tracker.queries.resolve import labels
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.storage.directions import Directions
from tracker.values import brief, join, name_text

Axis = Literal["epoch", "step", "time"]
SHOWN_VERDICTS = ("reduced", "stopped", "restored")


@dataclass(frozen=True)
class Mark:
    """What happened at a place of a line: a verdict, "saved" for a checkpoint, "best" for the best ``value``."""

    what: str
    x: float
    value: float | None = None


@dataclass
class Line:
    """A metric of one run; ``y`` may hold NaN and infinities."""

    run: str
    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)


@dataclass(frozen=True)
class Lines:
    """A metric of each run that has it.

    ``over`` says what x is: an epoch, a step, or the time since the run's start in ``unit``, seconds at first.
    """

    metric: str
    over: Axis
    lines: list[Line]
    unit: str = "s"

    def divided(self, amount: float, unit: str) -> Lines:
        """Return the same with x in another unit, ``amount`` times this one."""
        lines = [
            Line(
                line.run,
                [x / amount for x in line.x],
                line.y,
                [replace(mark, x=mark.x / amount) for mark in line.marks],
            )
            for line in self.lines
        ]
        return Lines(self.metric, self.over, lines, unit)


def lines(reader: Reader, ids: Sequence[str], metric: str, over: Axis | None = None) -> Lines:
    """Return one metric of these runs, over epochs or, where no epoch has it, over steps.

    Args:
        reader: an open database.
        ids: the runs.
        metric: its name.
        over: what x is; None for the epoch of a metric of epochs, and the step of a metric of steps.

    Raises:
        UnknownMetric: when none of the runs has it; names those that they have.
        BadValue: for a metric of steps over epochs, and for one of epochs over steps that nobody counted.
    """
    metric = name_text(metric)
    # Raises where none of them has it.
    found = curves(reader, ids, metric)
    called = labels(reader.connection, ids)
    if found.over == "step":
        if over == "epoch":
            raise BadValue(f"{brief(metric)} was logged by steps: draw it over step or time.")
        drawn = _of_steps(reader, ids, metric, over or "step")
    else:
        drawn = _of_epochs(reader, ids, metric, over or "epoch")
        if not any(line.x for line in drawn.values()):
            raise BadValue(
                f"No step was counted in the epochs of these runs: draw {brief(metric)} over "
                f"epoch or time."
            )
    directions = Directions(reader.connection, ids)
    for run, line in drawn.items():
        line.run = called[run]
        _mark_best(line, directions.of(metric, run).mode)
    kept = [drawn[run] for run in ids if run in drawn and drawn[run].x]
    return Lines(metric, over or found.over, kept)


def _mark_best(line: Line, mode: str | None) -> None:
    """Add where the line is best for the first time; nothing where no value is better than another."""
    places = [place for place, value in enumerate(line.y) if not math.isnan(value)]
    if mode is not None and places:
        best = (max if mode == "max" else min)(places, key=line.y.__getitem__)
        line.marks.append(Mark("best", line.x[best], line.y[best]))


def _started(reader: Reader, ids: Sequence[str]) -> dict[str, int]:
    statement = select(RUN.c.id, RUN.c.started)
    return {row.id: row.started for row in in_chunks(reader.connection, statement, RUN.c.id, ids)}


def _of_epochs(reader: Reader, ids: Sequence[str], metric: str, over: Axis) -> dict[str, Line]:
    started = _started(reader, ids)
    place: Callable[[Any], float | None] = {
        "epoch": lambda row: row.epoch,
        "step": lambda row: row.step,
        "time": lambda row: (row.started - started[row.run_id]) / 1e6 + row.seconds,
    }[over]
    columns = EPOCH.c
    statement = (
        select(EPOCH, METRIC.c.value, METRIC.c.value_kind)
        .join_from(METRIC, EPOCH, METRIC.c.epoch_id == columns.id)
        .where(METRIC.c.name == metric, columns.superseded.is_(False))
        .order_by(columns.run_id, columns.epoch)
    )
    drawn = {run: Line(run) for run in ids}
    places: dict[str, dict[int, float]] = {run: {} for run in ids}
    for row in in_chunks(reader.connection, statement, columns.run_id, ids):
        x, y = place(row), join(row.value, row.value_kind)
        if x is not None and y is not None:
            drawn[row.run_id].x.append(x)
            drawn[row.run_id].y.append(y)
            places[row.run_id][row.epoch] = x
    # Restored weights are those of the best epoch: that is where the line has them.
    _mark(reader, drawn, lambda run, row: places[run].get(row.held_epoch))
    return drawn


def _of_steps(reader: Reader, ids: Sequence[str], metric: str, over: Axis) -> dict[str, Line]:
    started = _started(reader, ids)
    drawn: dict[str, Line] = {}
    for run in ids:
        columns = _points_of(reader, run, metric)
        if columns is None:
            continue
        x = columns.step if over == "step" else (columns.time - started[run]) / 1e6
        drawn[run] = Line(run, x.tolist(), columns.value.tolist())
    if over == "step":
        _mark(reader, drawn, lambda run, row: row.step)
    return drawn


def _points_of(reader: Reader, run: str, metric: str) -> Any:
    """Return the points of one run's metric; None where it has none."""
    try:
        return points(reader, [run], names=[metric]).columns
    except UnknownMetric:
        return None


def _mark(
    reader: Reader, drawn: Mapping[str, Line], place: Callable[[str, Any], float | None]
) -> None:
    """Add verdicts and saved files to the lines."""
    is_restored = and_(DECISION.c.verdict == "restored", DECISION.c.best_epoch.is_not(None))
    held = case((is_restored, DECISION.c.best_epoch), else_=DECISION.c.epoch)
    verdicts = (
        select(DECISION.c.run_id, DECISION.c.step, DECISION.c.verdict, held.label("held_epoch"))
        .where(DECISION.c.verdict.in_(SHOWN_VERDICTS), DECISION.c.superseded.is_(False))
        .order_by(DECISION.c.attempt, DECISION.c.number)
    )
    for row in in_chunks(reader.connection, verdicts, DECISION.c.run_id, list(drawn)):
        if (x := place(row.run_id, row)) is not None:
            drawn[row.run_id].marks.append(Mark(str(row.verdict), x))
    columns = CHECKPOINT.c
    saved = select(columns.run_id, columns.epoch.label("held_epoch"), columns.step).where(
        columns.pending.is_(False)
    )
    for row in in_chunks(reader.connection, saved, columns.run_id, list(drawn)):
        if (x := place(row.run_id, row)) is not None:
            drawn[row.run_id].marks.append(Mark("saved", x))

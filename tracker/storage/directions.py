"""Which way is better for a metric: what somebody declared, else what a callback was given, else the name."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from tracker.models import METRIC_DEFINITION
from tracker.policies.modes import Direction, direction_by_name
from tracker.states import DirectionSource
from tracker.storage.chunks import in_chunks


class Directions:
    """Answers for one read transaction; each metric is looked up once.

    What holds for a run is what was said in that run, else what was said of that metric in most other
    runs: a metric that is declared once need not be declared in each run of a sweep.

    Args:
        connection: the transaction.
        runs: those that will be asked about by their id; None for all runs.
    """

    def __init__(self, connection: Connection, runs: Sequence[str] | None = ()) -> None:
        self._connection = connection
        self._own = self._of_runs(runs)
        self._common: dict[str, Direction] = {}

    def _of_runs(self, runs: Sequence[str] | None) -> dict[tuple[str, str], Direction]:
        if runs is not None and not runs:
            return {}
        rows = in_chunks(
            self._connection, select(METRIC_DEFINITION), METRIC_DEFINITION.c.run_id, runs
        )
        return {
            (row.run_id, row.name): Direction(row.mode, DirectionSource(row.source))
            for row in rows
            if row.source != DirectionSource.NAME
        }

    def of(self, metric: str, run: str | None = None) -> Direction:
        """Return which way is better for a metric, in one run or in general."""
        if run is not None and (run, metric) in self._own:
            return self._own[run, metric]
        if metric not in self._common:
            self._common[metric] = self._said_in_most_runs(metric) or direction_by_name(metric)
        return self._common[metric]

    def _said_in_most_runs(self, metric: str) -> Direction | None:
        columns = METRIC_DEFINITION.c
        rows = self._connection.execute(
            select(columns.mode, columns.source, func.count().label("runs"))
            .where(columns.name == metric, columns.source != DirectionSource.NAME)
            .group_by(columns.mode, columns.source)
        ).all()
        if not rows:
            return None
        best = max(rows, key=lambda row: (row.source == DirectionSource.DECLARED, row.runs))
        return Direction(best.mode, DirectionSource(best.source))

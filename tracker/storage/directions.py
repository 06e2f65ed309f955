"""Which way is better for a metric: what somebody declared, else what a callback was given, else the name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from sqlalchemy import Connection, select

from tracker.models import METRIC_DEFINITION
from tracker.policies.modes import Direction, direction_by_name
from tracker.states import DirectionSource
from tracker.storage.chunks import in_chunks


class Directions:
    """Answers for one read transaction.

    What holds for a run is what was said in that run, else what was said of that metric in another one:
    a metric that is declared once need not be declared in each run of a sweep.

    Args:
        connection: the transaction.
        runs: those that will be asked about by their id; None for all runs.

    Attributes:
        monitors: the metric that a run is declared to be judged by, and its mode: run → (name, mode).
    """

    def __init__(self, connection: Connection, runs: Sequence[str] | None = ()) -> None:
        self._connection = connection
        self._own: dict[tuple[str, str], Direction] = {}
        self.monitors: dict[str, tuple[str, str | None]] = {}
        statement = select(METRIC_DEFINITION)
        for row in in_chunks(connection, statement, METRIC_DEFINITION.c.run_id, runs):
            if row.source != DirectionSource.NAME:
                self._own[row.run_id, row.name] = Direction(row.mode, DirectionSource(row.source))
            if row.monitor:
                self.monitors[row.run_id] = row.name, row.mode

    def of(self, metric: str, run: str | None = None) -> Direction:
        """Return which way is better for a metric, in one run or in general."""
        if run is not None and (run, metric) in self._own:
            return self._own[run, metric]
        return self._in_any_run.get(metric) or direction_by_name(metric)

    def differ(self, metric: str) -> bool:
        """Return whether one of the runs that are asked about says it for itself."""
        return metric in self._said

    def mode(self, metric: str | None, run: str, given: str | None) -> str | None:
        """Return the mode that a run's checkpoints are ranked by; None for no metric, or one that has no best.

        Args:
            metric, run: the monitor of a checkpoint, and the id of its run.
            given: the mode of the policy that saved it, which comes first where it is "min" or "max".
        """
        if metric is None or given in ("min", "max"):
            return None if metric is None else given
        return self.of(metric, run).mode

    @cached_property
    def _said(self) -> set[str]:
        return {name for _, name in self._own}

    @cached_property
    def _in_any_run(self) -> dict[str, Direction]:
        """What some run says; what a user declared before what a callback was given."""
        columns = METRIC_DEFINITION.c
        said = select(columns.name, columns.source, columns.mode).distinct()
        rows = self._connection.execute(said.order_by(columns.name, columns.source, columns.mode))
        return {
            row.name: Direction(row.mode, DirectionSource(row.source))
            for row in rows
            if row.source != DirectionSource.NAME
        }

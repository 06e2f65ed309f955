"""`tracker.storage.statements`: what is compiled once says the same of one row and of many."""

from __future__ import annotations

import pytest

import tracker
from tracker.models import OF_STEPS, SUMMARY
from tracker.series.blocks import SeriesSummary
from tracker.storage import step_summaries
from tracker.storage.database import reading
from tracker.storage.prepare import writing


@pytest.mark.parametrize("count", [1, 7, 8, 583, 1100])
def test_many_rows_are_stored_like_each_by_itself(count: int) -> None:
    """New ones, changed ones, and those that the condition leaves alone."""
    with tracker.start_run() as run:
        run.log_epoch(0, {"3": 0.5})
    for value, lowest in ((2.0, 2.0), (1.0, 1.0), (3.0, 1.0)):
        summary = SeriesSummary(value, int(value), value, int(value), value, int(value))
        with writing() as connection:
            step_summaries.extend(connection, run.id, {f"{n}": summary for n in range(count)})
        with reading() as reader:
            stored = reader.connection.execute(SUMMARY.select().where(OF_STEPS)).all()
        assert {(row.last, row.min, row.min_step) for row in stored} == {(value, lowest, lowest)}
        assert len(stored) == count - (count > 3)

"""Step metrics have a last, lowest and highest value, which are always those of the effective points."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker import models
from tracker.maintenance.doctor import mend, runs_with_wrong_summaries
from tracker.storage import entries, journal, spool
from tracker.storage.database import Database, locate, reading
from tracker.storage.prepare import writing
from tracker.storage.summaries import summarize

NAN = math.nan


def log_steps(name: str, points: list[tuple[int, float]], metric: str = "loss") -> str:
    with tracker.start_run(name=name, resume="auto") as run:
        for step, value in points:
            run.log({metric: value}, step=step)
    return run.id


def summaries() -> dict[str, Any]:
    """Return the rows of ``summary``, by name."""
    with reading() as reader:
        rows = reader.connection.execute(models.SUMMARY.select()).all()
    return {row.name: row for row in rows}


def extremes(name: str = "loss") -> tuple[Any, ...]:
    """Return last, min, max of a metric of the only run, each with its step."""
    row = summaries()[name]
    last = NAN if row.last_kind == "nan" else row.last
    return (last, row.last_step), (row.min, row.min_step), (row.max, row.max_step)


def assert_sound() -> None:
    with reading() as reader:
        assert runs_with_wrong_summaries(reader.connection) == []


def test_a_step_metric_has_its_last_lowest_and_highest_value_with_their_steps() -> None:
    log_steps("a", [(0, 3.0), (10, 1.0), (20, 7.0), (30, 2.0)])
    assert extremes() == ((2.0, 30), (1.0, 10), (7.0, 20))
    row = summaries()["loss"]
    assert (row.last_epoch, row.min_epoch, row.max_epoch) == (None, None, None)
    assert_sound()


def test_a_nan_counts_as_last_only() -> None:
    log_steps("a", [(0, NAN), (1, 4.0), (2, math.inf), (3, NAN)])
    (last, step), *others = extremes()
    assert math.isnan(last)
    assert (step, *others) == (3, (4.0, 1), (math.inf, 2))
    assert_sound()


def test_a_metric_that_is_always_nan_has_neither_a_lowest_nor_a_highest_value() -> None:
    log_steps("a", [(0, NAN), (1, NAN)])
    (last, step), *others = extremes()
    assert math.isnan(last)
    assert (step, *others) == (1, (None, None), (None, None))
    assert_sound()


def test_the_last_value_is_the_one_logged_last_whatever_its_step() -> None:
    log_steps("a", [(5, 1.0), (9, 2.0), (3, 3.0)])
    assert extremes() == ((3.0, 3), (1.0, 5), (3.0, 3))
    assert_sound()


def test_of_equal_values_the_first_is_the_best() -> None:
    log_steps("a", [(7, 1.0), (2, 1.0), (9, 1.0)])
    assert extremes() == ((1.0, 9), (1.0, 7), (1.0, 7))
    assert_sound()


def test_every_flush_adds_to_the_summary() -> None:
    with tracker.start_run() as run:
        for step, value in enumerate([5.0, 1.0, 9.0, 4.0]):
            run.log({"loss": value, f"only_{step}": value})
            run.writer.flush()  # type: ignore[attr-defined]
            assert summaries()["loss"].last_step == step
    assert extremes() == ((4.0, 3), (1.0, 1), (9.0, 2))
    assert extremes("only_2") == ((9.0, 2),) * 3
    assert_sound()


def test_the_extremes_of_full_blocks_stay() -> None:
    with tracker.start_run() as run:
        for step in range(20_000):
            run.log(
                {"loss": abs(step - 3000.0), "sparse": -step} if step % 7 == 0 else {"loss": 1e9}
            )
    assert extremes()[1] == (3.0, 3003)
    assert extremes("sparse") == ((-19999.0, 19999), (-19999.0, 19999), (0.0, 0))
    assert_sound()


def test_a_metric_of_epochs_keeps_its_summary_of_epochs() -> None:
    with tracker.start_run() as run:
        run.log_epoch(0, {"loss": 5.0})
        run.log({"loss": 1.0, "batch": 2.0}, step=7)
    row = summaries()["loss"]
    assert (row.min, row.min_epoch, row.min_step, row.last_step) == (5.0, 0, None, None)
    assert extremes("batch")[0] == (2.0, 7)
    assert_sound()


@pytest.mark.parametrize("value", [5.0, NAN])
def test_an_epoch_takes_the_place_of_the_steps_before_it(value: float) -> None:
    with tracker.start_run() as run:
        run.log({"loss": 1.0}, step=7)
        run.writer.flush()  # type: ignore[attr-defined]
        assert summaries()["loss"].min_step == 7
        run.log_epoch(0, {"loss": value})
        run.log({"loss": 0.5}, step=8)
    row = summaries()["loss"]
    known = None if math.isnan(value) else value
    assert (row.min, row.min_step, row.last_epoch, row.last_step) == (known, None, 0, None)
    assert_sound()


def killed(name: str, points: list[tuple[int, float]], metric: str = "loss") -> None:
    """Record an attempt that a later one may resume."""
    run = tracker.start_run(name=name, resume="auto")
    for step, value in points:
        run.log({metric: value}, step=step)
    run.finish("failed")


def test_steps_that_a_resumed_attempt_repeats_no_longer_count() -> None:
    killed("a", [(0, 5.0), (1, 4.0), (2, 0.1), (3, 9.0)])
    log_steps("a", [(2, 3.0), (3, 2.0)])
    assert extremes() == ((2.0, 3), (2.0, 3), (5.0, 0))
    assert_sound()


def test_a_resumed_attempt_that_goes_back_further_supersedes_more() -> None:
    killed("a", [(0, 5.0), (1, 0.1), (2, 9.0)])
    killed("a", [(2, 3.0)])
    assert extremes() == ((3.0, 2), (0.1, 1), (5.0, 0))
    with tracker.start_run(name="a", resume="auto") as run:
        run.log({"loss": 2.5}, step=3)
        run.writer.flush()  # type: ignore[attr-defined]
        run.log({"loss": 2.0}, step=1)
    assert extremes() == ((2.0, 1), (2.0, 1), (5.0, 0))
    assert_sound()


def test_a_resumed_attempt_that_repeats_nothing_adds_to_the_summary() -> None:
    killed("a", [(0, 5.0), (1, 0.1)])
    log_steps("a", [(2, 3.0), (3, 6.0)])
    assert extremes() == ((6.0, 3), (0.1, 1), (6.0, 3))
    assert_sound()


def test_only_the_metrics_that_are_repeated_are_superseded() -> None:
    killed("a", [(0, 5.0), (9, 0.1)], "other")
    killed("a", [(0, 5.0), (9, 0.1)])
    log_steps("a", [(5, 3.0)])
    assert extremes() == ((3.0, 5), (3.0, 5), (5.0, 0))
    assert extremes("other") == ((0.1, 9), (0.1, 9), (5.0, 0))
    assert_sound()


def test_a_rewound_run_supersedes_its_own_steps() -> None:
    with tracker.start_run() as run:
        run.log({"loss": 0.1, "lr": 1.0}, step=1)
        run.log_epoch(0, {"acc": 1.0})
        run.rewind(0)
        run.log({"loss": 3.0}, step=1)
    assert extremes() == ((3.0, 1),) * 3
    assert extremes("lr") == ((1.0, 1),) * 3
    assert_sound()


def test_a_metric_whose_epochs_are_superseded_is_one_of_steps_again() -> None:
    run = tracker.start_run(name="a")
    run.log({"loss": 2.0}, step=4)
    run.log_epoch(0, {"loss": 5.0})
    run.finish("failed")
    with tracker.start_run(name="a", resume="auto") as run:
        run.rewind(0)
        run.log_epoch(0, {"acc": 1.0})
    assert extremes() == ((2.0, 4),) * 3
    assert summaries()["acc"].last_epoch == 0
    assert_sound()


def test_a_decision_that_claims_earlier_epochs_leaves_no_summary_of_them() -> None:
    run = tracker.start_run(name="a")
    for epoch in range(3):
        run.log_epoch(epoch, {"loss": 3.0 - epoch})
    run.finish("failed")
    with tracker.start_run(name="a", resume="auto") as run:
        run.rewind(1)
        policy = run.add_policy("EarlyStopping", monitor="loss")
        policy.decide("improved", epoch=1, reason="it did", value=2.5)
        run.log_epoch(1, {"loss": 2.5})
    row = summaries()["loss"]
    assert (row.min, row.min_epoch, row.last, row.last_epoch) == (2.5, 1, 2.5, 1)
    assert_sound()


def spooled(folder: Path) -> list[entries.Entry]:
    (path,) = (folder / ".tracker" / "spool").glob("*.jsonl")
    return spool.read_file(path)


def test_points_that_were_pending_have_summaries_when_they_are_imported(
    folder: Path, locked: Any
) -> None:
    run = tracker.start_run(name="a")
    with locked():
        run.log({"loss": 3.0, "nan": NAN}, step=1)
        run.log({"loss": 1.0, "nan": NAN}, step=2)
        run.finish()
    pending = spooled(folder)
    assert [entry["kind"] for entry in pending].count("series") == 1
    tracker.start_run(name="b").finish()
    assert extremes() == ((1.0, 2), (1.0, 2), (3.0, 1))
    assert math.isnan(extremes("nan")[0][0])
    before = summaries()
    with writing() as connection:
        journal.apply(connection, pending)
        journal.apply(connection, pending)
    assert summaries() == before
    assert_sound()


def series_entries(points: list[tuple[int, float]], run: str, attempt: int) -> list[Any]:
    """Return the entries that store some points, three calls to a block."""
    from tracker.series.blocks import SeriesWriter
    from tracker.series.buffer import Buffer

    buffer = Buffer(next_step=0, wake=lambda: None)
    for step, value in points:
        buffer.log({"loss": value}, step=step)
    writer = SeriesWriter(most_calls=3)
    writer.add(buffer.drain())
    return [entries.series(run, attempt, block) for block in writer.pending()]


def test_blocks_applied_again_and_out_of_order_change_nothing() -> None:
    run = tracker.start_run(name="a")
    blocks = series_entries([(s, float(v)) for s, v in enumerate([5, 1, 7, 3, 9, 4, 8])], run.id, 1)
    with writing() as connection:
        journal.apply(connection, blocks)
    assert extremes() == ((8.0, 6), (1.0, 1), (9.0, 4))
    with writing() as connection:
        journal.apply(connection, [blocks[0]])
    assert extremes() == ((8.0, 6), (1.0, 1), (9.0, 4))
    run.finish()
    assert_sound()


def test_an_earlier_attempts_points_that_come_late_are_superseded_at_once() -> None:
    killed("a", [(0, 6.0)])
    log_steps("a", [(3, 4.0)])
    (run_id,) = (row.run_id for row in summaries().values())
    (late,) = series_entries([(0, 6.0), (1, 2.0), (3, 0.1)], run_id, 1)
    with writing() as connection:
        journal.apply(connection, [late])
    assert extremes() == ((4.0, 3), (2.0, 1), (6.0, 0))
    assert_sound()


def test_blocks_that_an_earlier_release_left_behind_are_summarized() -> None:
    run = tracker.start_run(name="a")
    blocks = series_entries([(0, 5.0), (1, NAN), (2, 1.0)], run.id, 1)
    for block in blocks[0]["blocks"]:
        del block["summary"]
    with writing() as connection:
        journal.apply(connection, blocks)
    assert extremes() == ((1.0, 2), (1.0, 2), (5.0, 0))
    run.finish()


def test_the_doctor_finds_and_rebuilds_summaries_that_are_wrong_or_missing() -> None:
    ids = {
        name: log_steps(name, [(0, 3.0), (1, 1.0)]) for name in ("low", "gone", "extra", "right")
    }
    columns = models.SUMMARY.c
    with writing() as connection:
        connection.execute(
            models.SUMMARY.update().where(columns.run_id == ids["low"]).values(min_step=0)
        )
        connection.execute(models.SUMMARY.delete().where(columns.run_id == ids["gone"]))
        connection.execute(
            models.SUMMARY.insert().values(
                run_id=ids["extra"], name="ghost", last=1.0, last_kind="finite", last_step=1
            )
        )
    with reading() as reader:
        wrong = set(runs_with_wrong_summaries(reader.connection))
    assert wrong == {ids["low"], ids["gone"], ids["extra"]}
    mend(locate())
    assert_sound()


def test_a_damaged_block_does_not_keep_the_rest_from_being_summarized() -> None:
    run = tracker.start_run(name="a")
    blocks = series_entries([(s, float(s)) for s in range(6)], run.id, 1)
    with writing() as connection:
        journal.apply(connection, blocks)
        connection.execute(
            models.BLOCK.update().where(models.BLOCK.c.number == 0).values(payload=b"no block")
        )
        summarize(connection, run.id)
    assert extremes() == ((5.0, 5), (3.0, 3), (5.0, 5))
    run.finish()


def test_what_is_kept_in_json_comes_back(folder: Path, locked: Any) -> None:
    run = tracker.start_run(name="a")
    with locked():
        run.log({"loss": -math.inf})
        run.log({"loss": math.inf})
        run.finish()
    (entry,) = (entry for entry in spooled(folder) if entry["kind"] == "series")
    summary = entry["blocks"][0]["summary"]  # type: ignore[typeddict-item]
    assert json.loads(json.dumps(summary)) == summary
    assert (summary["min"], summary["max"]) == (-math.inf, math.inf)
    tracker.start_run(name="b").finish()
    assert extremes() == ((math.inf, 1), (-math.inf, 0), (math.inf, 1))


def test_a_database_in_use_is_written_once_per_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """The summaries cost no transaction of their own."""
    begun = []
    transaction = Database.transaction
    monkeypatch.setattr(
        Database, "transaction", lambda *a, **k: begun.append(1) or transaction(*a, **k)
    )
    run = tracker.start_run(database=locate().path)
    run.writer.flush()  # type: ignore[attr-defined]
    begun.clear()
    run.log({"loss": 1.0})
    run.writer.flush()  # type: ignore[attr-defined]
    assert len(begun) == 1
    run.finish()

"""The read side: which run is meant, what a listing says of it, and that reading never writes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert

import tracker
from tracker import models
from tracker.errors import AmbiguousRun, BadValue, UnknownMetric, UnknownRun
from tracker.queries import api as queries
from tracker.queries.checkpoints import find_checkpoint
from tracker.queries.curves import curves
from tracker.queries.details import details
from tracker.queries.monitored import wanted_first
from tracker.storage.database import locate, reading
from tracker.storage.directions import Directions
from tracker.storage.prepare import writing


def record(
    name: str | None = None, losses: tuple[float, ...] = (0.3, 0.1, 0.2), **more: Any
) -> str:
    with tracker.start_run(more.pop("experiment", "digits"), name, **more) as run:
        for epoch, loss in enumerate(losses):
            run.log_epoch(epoch, {"loss": loss / 2, "val_loss": loss})
    return run.id


def overview(**asked: Any) -> list[dict[str, Any]]:
    with reading() as reader:
        return list(queries.overview(reader, **asked).dicts())


def test_a_run_is_named_by_id_name_prefix_or_name_at_prefix() -> None:
    first, second = record("same"), record("same")
    other = record("other")  # no id begins like one of these names
    with reading() as reader:
        assert queries.find_run(reader, first) == first
        assert queries.find_run(reader, "other") == other
        assert queries.find_run(reader, f"same@{second[:9]}") == second
        assert queries.find_runs(reader, ["other", other, first]) == [other, first]
        assert queries.newest_run(reader) == other
        unique = next(
            n for n in range(1, 13) if not (first[:n] == second[:n] or first[:n] == other[:n])
        )
        assert queries.find_run(reader, first[:unique]) == first


def test_a_name_means_the_newest_run_of_that_name_and_says_so(caplog: Any) -> None:
    first, second, third = record("a"), record("a"), record("a")
    record("b@2")
    with reading() as reader:
        assert queries.find_run(reader, "a") == third
        assert "3 runs are named a; the newest is used" in caplog.text
        assert "a@1 to a@2 or an id" in caplog.text
        caplog.clear()
        for text, run in (("a@1", first), ("a@2", second), ("a@3", third), (first, first)):
            assert queries.find_run(reader, text) == run
        assert queries.find_run(reader, f"a@{second[:8]}") == second
        queries.find_run(reader, "b@2")
        assert caplog.text == ""


def test_a_number_after_a_name_is_never_the_beginning_of_an_id() -> None:
    starts = {record("a")[0] for _ in range(30)}
    missing = ["a@0", *(f"a@{digit}" for digit in range(31, 100) if str(digit)[0] in starts)]
    with reading() as reader:
        for text in missing:
            with pytest.raises(UnknownRun, match="the newest run named a is a@30"):
                queries.find_run(reader, text)


def test_a_prefix_of_several_ids_is_refused_with_the_candidates() -> None:
    ids = [record(f"run-{number}") for number in range(17)]
    start = next(one[0] for one in ids if sum(other[0] == one[0] for other in ids) > 1)
    with reading() as reader, pytest.raises(AmbiguousRun) as caught:
        queries.find_run(reader, start)
    assert all(one[:8] in str(caught.value) for one in ids if one[0] == start)
    assert caught.value.exit_code == 2


def test_an_unknown_run_is_told_with_the_nearest_names() -> None:
    record("digits-1")
    with reading() as reader:
        with pytest.raises(UnknownRun, match="did you mean digits-1"):
            queries.find_run(reader, "digit-1")
        for text in ("", "%", "_" * 12, "'; DROP TABLE run --", "\x00"):
            with pytest.raises(UnknownRun):
                queries.find_run(reader, text)


def test_without_a_database_listings_are_empty_and_runs_unknown(folder: Path) -> None:
    with reading() as reader:
        assert queries.overview(reader, "val_loss < 1", "val_loss").rows == ()
        assert queries.epochs(reader).rows == queries.checkpoints(reader).rows == ()
        assert queries.decisions(reader).rows == ()
        assert len(queries.points(reader).columns.step) == 0
        for ask in (queries.find_run, find_checkpoint):
            with pytest.raises(UnknownRun, match="no database at"):
                ask(reader, "a")
        with pytest.raises(UnknownMetric, match="no database at"):
            curves(reader, None, "loss")
    assert list(folder.iterdir()) == []


def test_the_best_is_of_the_monitored_metric_in_its_own_mode() -> None:
    with tracker.start_run(name="a") as run:
        run.add_policy("ModelCheckpoint", monitor="val_loss")
        run.add_policy("EarlyStopping", monitor="quality", config={"mode": "max"})
        for epoch, quality in enumerate([1.0, 3.0, 2.0]):
            run.log_epoch(epoch, {"val_loss": 0.1, "quality": quality})
    (row,) = overview()
    assert (row["monitor"], row["best"], row["best_epoch"]) == ("quality", 3.0, 1)
    assert (row["last"], row["last_epoch"]) == (2.0, 2)


def test_without_a_policy_the_best_is_of_val_loss_then_another_validation_metric_then_loss() -> (
    None
):
    with tracker.start_run(name="a") as run:
        run.log_epoch(0, {"speed": 1.0, "acc": 0.5})
    with tracker.start_run(name="b"):
        pass
    b, a = overview()
    with reading() as reader:
        names = ["acc", "lr", "loss", "val_acc", "val_loss", "eval_loss", "epoch_time"]
        assert wanted_first(names, Directions(reader.connection)) == [
            "eval_loss", "val_loss", "val_acc", "loss", "acc", "epoch_time", "lr",
        ]  # fmt: skip
    assert (a["monitor"], a["best"]) == ("acc", 0.5)
    assert (b["monitor"], b["best"], b["last_epoch"]) == (None, None, None)


def test_the_restored_epoch_stands_until_training_goes_on() -> None:
    with tracker.start_run(name="a") as run:
        policy = run.add_policy("EarlyStopping", monitor="val_loss")
        for epoch in range(3):
            run.log_epoch(epoch, {"val_loss": [0.3, 0.1, 0.2][epoch]})
        policy.decide("restored", epoch=2, reason="weights of epoch 1", best=0.1, best_epoch=1)
    assert overview()[0]["restored_epoch"] == 1
    with tracker.start_run(resume="a") as run:
        run.log_epoch(3, {"val_loss": 0.4})
    assert overview()[0]["restored_epoch"] is None


DYING = """
import tracker
tracker.start_run(name="dies").log_epoch(0, {"loss": 1.0})
print("ready", flush=True)
input()
"""


def test_a_run_whose_process_is_gone_is_lost_and_says_since_when(
    script: Callable[..., Any], sql: Any
) -> None:
    process = script(DYING, stdin=-1)
    assert process.stdout.readline() == "ready\n"
    assert overview()[0]["status"] == "running"
    process.kill()
    process.wait()
    (row,) = overview()
    assert row["status"] == "lost"
    assert f"process {process.pid}" in row["reason"]
    assert row["ended"] is not None
    assert [one["name"] for one in overview(where="status = 'lost'")] == ["dies"]
    assert overview(where="status = 'running'") == []
    assert sql("SELECT status FROM run") == [("running",)]  # reading did not write


def test_reading_leaves_every_byte_as_it_was(folder: Path) -> None:
    record("a", params={"lr": 1}, tags=["t"])
    path = folder / ".tracker/tracker.db"
    before = hashlib.sha256(path.read_bytes()).digest()
    with reading() as reader:
        queries.runs(reader)
        queries.epochs(reader, superseded=True)
        queries.decisions(reader)
        details(reader, queries.newest_run(reader))
    assert hashlib.sha256(path.read_bytes()).digest() == before


def test_a_listing_asks_the_same_few_questions_for_any_number_of_runs() -> None:
    def statements(limit: int) -> int:
        asked = []
        with reading() as reader:
            event.listen(reader.connection, "before_cursor_execute", lambda *a: asked.append(a[2]))
            assert len(queries.runs(reader, limit=limit).rows) == limit
        return len(asked)

    for number in range(12):
        record(f"run-{number}", (0.1,), params={"lr": number})
    assert statements(2) == statements(12) <= 13


def test_a_thousand_named_runs_need_no_thousand_variables() -> None:
    rows = [
        {"id": f"{n:012x}", "name": f"r{n}", "experiment": "e", "status": "finished", "started": n,
         "seconds": 0.0, "epochs": 1}
        for n in range(1200)
    ]  # fmt: skip
    with writing(locate()) as connection:
        connection.execute(insert(models.RUN), rows)
        connection.execute(
            insert(models.EPOCH),
            [{"id": n + 1, "run_id": row["id"], "attempt": 1, "epoch": 0, "started": n, "seconds": n / 10,
              "superseded": False} for n, row in enumerate(rows)],
        )  # fmt: skip
    ids = [row["id"] for row in rows]
    with reading() as reader:
        assert len(queries.runs(reader, ids=ids).rows) == 1200
        listing = queries.epochs(reader, ids, order_by="-seconds", limit=3)
        assert [row["run"] for row in listing.dicts()] == ["r1199", "r1198", "r1197"]


def test_epochs_are_in_the_order_of_the_runs_that_are_named() -> None:
    a, b = record("a"), record("b")
    with reading() as reader:
        assert [row["run"] for row in queries.epochs(reader, [b, a]).dicts()] == ["b"] * 3 + [
            "a"
        ] * 3
        assert [row["run"] for row in queries.epochs(reader, [b, a], limit=4).dicts()][-1] == "a"


def test_repeated_epochs_are_superseded_and_shown_only_when_asked_for() -> None:
    record("a", (0.3, 0.1, 0.2))
    with tracker.start_run(resume="a") as run:
        run.rewind(1)
        run.log_epoch(1, {"val_loss": 0.05})
    with reading() as reader:
        effective = list(queries.epochs(reader).dicts())
        every = list(queries.epochs(reader, superseded=True).dicts())
    assert [(row["epoch"], row["attempt"]) for row in effective][:1] == [(0, 1)]
    assert {row["val_loss"] for row in effective} == {0.3, 0.05}
    assert sum(row["superseded"] for row in every) == 2


def test_a_metric_called_as_a_column_keeps_both() -> None:
    with tracker.start_run(name="a") as run:
        run.log_epoch(0, {"seconds": 7.0, "epoch": 8.0, "learning_rate": 0.5}, seconds=1.0)
    with reading() as reader:
        (epoch,) = queries.epochs(reader).dicts()
        (row,) = queries.runs(reader).dicts()
    assert (epoch["seconds"], epoch["metrics.seconds"], epoch["metrics.epoch"]) == (1.0, 7.0, 8.0)
    assert epoch["learning_rate"] == 0.5
    assert (row["seconds"], row["metrics.seconds"], row["learning_rate"]) == (1.0, 7.0, 0.5)


def test_a_metric_called_as_the_title_of_another_has_a_title_of_its_own() -> None:
    metrics = {
        "epoch": 1.0,
        "metrics.epoch": 2.0,
        "metrics.metrics.epoch": 3.0,
        "metrics.loss": 4.0,
    }
    with tracker.start_run(name="a") as run:
        run.log_epoch(0, metrics)
    with reading() as reader:
        listing = queries.epochs(reader)
    assert len(set(listing.names)) == len(listing.names)
    (epoch,) = listing.dicts()
    assert [epoch[f"metrics.{name}"] for name in list(metrics)[:3]] == [1.0, 2.0, 3.0]
    assert epoch["metrics.loss"] == 4.0


def test_the_learning_rate_of_an_epoch_is_the_one_it_was_trained_with() -> None:
    """Many loops log the rate after they stepped the scheduler: it is kept beside the recorded one."""
    logged = {"learning_rate": 0.05, "loss": 1.0}
    with tracker.start_run(name="next") as run:
        run.log_epoch(0, logged, learning_rate=0.1)
    with tracker.start_run(name="same") as run:
        run.log_epoch(0, logged, learning_rate=0.05000000074505806)  # single precision
    with tracker.start_run(name="only") as run:
        run.log_epoch(0, logged)
    with reading() as reader:
        next_one, same, only = queries.epochs(
            reader, queries.find_runs(reader, ["next", "same", "only"])
        ).dicts()
        assert (next_one["learning_rate"], next_one["metrics.learning_rate"]) == (0.1, 0.05)
        assert [row["learning_rate"] for row in (same, only)] == [pytest.approx(0.05), 0.05]
        assert (
            "metrics.learning_rate"
            not in queries.epochs(reader, queries.find_runs(reader, ["same"])).names
        )
        for where, names in (("learning_rate = 0.1", ["next"]), ("learning_rate = 0.05", ["only"])):
            assert [row["run"] for row in queries.epochs(reader, where=where).dicts()] == names
        first, *_ = queries.epochs(reader, order_by="-learning_rate").dicts()
        assert first["run"] == "next"


def test_one_metric_of_runs_that_none_has_is_told_with_those_there_are() -> None:
    record("a")
    with tracker.start_run(name="steps") as run:
        run.log({"batch_loss": 1.0})
    with reading() as reader:
        with pytest.raises(UnknownMetric, match=r"run a has no metric 'val_acc'.*val_loss"):
            curves(reader, queries.find_runs(reader, ["a"]), "val_acc")
        with pytest.raises(UnknownMetric, match=r"No run has a metric 'batch_los'.*batch_loss"):
            curves(reader, None, "batch_los")
        assert curves(reader, None, "batch_loss").over == "step"
        with pytest.raises(UnknownMetric, match=r"metric of epochs.*tracker\.epochs"):
            queries.points(reader, names=["loss"])
        with pytest.raises(UnknownMetric, match="did you mean batch_loss"):
            queries.points(reader, names=["batch_los"])


def test_a_policy_that_decided_nothing_is_told_with_those_that_did() -> None:
    with tracker.start_run(name="a") as run:
        run.add_policy("EarlyStopping", monitor="loss", config={"patience": 3}).decide(
            "waited", epoch=0, reason="no better", value=math.nan, wait=1
        )
    with reading() as reader:
        (row,) = queries.decisions(reader, policy="EarlyStopping").dicts()
        assert (row["wait"], row["patience"], row["best"]) == (1, 3, None)
        assert math.isnan(row["value"])
        with pytest.raises(BadValue, match="did you mean EarlyStopping"):
            queries.decisions(reader, policy="EarlyStoping")


@pytest.mark.parametrize("most", [500, 1])
def test_more_runs_than_a_statement_takes_are_listed_alike(most: int, monkeypatch: Any) -> None:
    monkeypatch.setattr("tracker.queries.selection.CHUNK", most)
    ids = [record("a", (0.3, 0.1)), record("b", (0.2, 0.4)), record("c", (0.0,))][1::-1]
    with reading() as reader:

        def listed(**asked: Any) -> list[tuple[str, int]]:
            rows = queries.epochs(reader, ids, **asked).dicts()
            return [(row["run"], row["epoch"]) for row in rows]

        assert listed(limit=3) == [("b", 0), ("b", 1), ("a", 0)]
        assert listed(order_by="val_loss", limit=2) == [("a", 1), ("b", 0)]


def test_a_limit_is_a_number_of_rows() -> None:
    record("a")
    assert overview(limit=0) == []
    with pytest.raises(BadValue, match="limit is -1"):
        overview(limit=-1)

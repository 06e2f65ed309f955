"""A resumed run has one effective history, and every policy gets its own state back."""

from __future__ import annotations

import math
from typing import Any

import pytest

import tracker


def recorded(**losses: list[float]) -> None:
    for name, series in losses.items():
        with tracker.start_run("digits", name=name) as run:
            for epoch, loss in enumerate(series):
                run.log_epoch(epoch, {"loss": loss})


def test_it_goes_on_after_the_last_epoch_and_knows_the_ones_before() -> None:
    recorded(a=[3.0, math.nan, 1.0])
    with tracker.start_run(resume="a") as run:
        assert (run.attempt, run.first_epoch, run.experiment) == (2, 3, "digits")
        assert run.epochs_done() == [0, 1, 2]
        assert str(run.history()) == "{'loss': [3.0, nan, 1.0]}"


def test_going_on_earlier_supersedes_and_drops_nothing(sql: Any) -> None:
    recorded(a=[4.0, 3.0, 2.0, 1.0])
    with tracker.start_run(resume="a") as run:
        run.rewind(2)
        assert run.epochs_done() == [0, 1]
        run.log_epoch(2, {"loss": 9.0})
    rows = "SELECT attempt, epoch, superseded FROM epoch ORDER BY 1, 2"
    assert sql(rows) == [(1, 0, 0), (1, 1, 0), (1, 2, 1), (1, 3, 1), (2, 2, 0)]
    assert sql("SELECT epochs FROM run") == [(3,)]
    assert sql("SELECT last, min, min_epoch, max FROM summary") == [(9.0, 3.0, 1, 9.0)]


def test_epochs_out_of_order_supersede_all_the_same(sql: Any) -> None:
    recorded(a=[4.0, 3.0, 2.0, 1.0])
    with tracker.start_run(resume="a") as run:
        run.rewind(1)
        for epoch in (2, 1, 3):  # two threads take turns
            run.log_epoch(epoch, {"loss": 9.0 - epoch})
    assert sql("SELECT epoch, attempt FROM epoch WHERE NOT superseded ORDER BY 1") == [
        (0, 1), (1, 2), (2, 2), (3, 2),
    ]  # fmt: skip
    assert sql("SELECT epochs FROM run") == [(4,)]
    assert sql("SELECT last, min, max FROM summary") == [(6.0, 4.0, 8.0)]


@pytest.mark.parametrize("order", [(3, 2), (2, 3)])
def test_what_is_added_to_an_epoch_of_an_earlier_attempt_joins_what_it_had(
    order: tuple[int, int], sql: Any
) -> None:
    recorded(a=[4.0, 3.0, 2.0])
    seconds = sql("SELECT seconds FROM run")
    with tracker.start_run(resume="a") as run:
        for epoch in order:
            run.log_epoch(epoch, {"val_loss": 0.2} if epoch == 2 else {"loss": 1.0}, seconds=0.0)
    table = tracker.epochs("a")
    assert table["epoch"].tolist() == [0, 1, 2, 3]
    assert table["loss"].tolist() == [4.0, 3.0, 2.0, 1.0]
    assert table["val_loss"].tolist()[2] == 0.2
    assert sql("SELECT epochs FROM run") == [(4,)]
    assert sql("SELECT seconds FROM run") == seconds


def test_a_resumed_run_that_logs_nothing_changes_nothing(sql: Any) -> None:
    recorded(a=[2.0, 1.0])
    tracker.start_run(resume="a").finish()
    assert sql("SELECT count(*) FROM epoch WHERE superseded") == [(0,)]
    assert sql("SELECT epochs, status FROM run") == [(2, "finished")]


def test_an_epoch_that_comes_late_from_an_overtaken_attempt_is_superseded(sql: Any) -> None:
    """Its process was believed dead, or its spool lay on another machine."""
    from tracker.storage.database import Database
    from tracker.storage.entries import epoch
    from tracker.storage.journal import apply
    from tracker.storage.location import locate

    recorded(a=[1.0, 2.0])
    with tracker.start_run(resume="a") as run:
        run.log_epoch(2, {"loss": 3.0})
    database = Database(locate())
    late = epoch(run.id, 1, 2, 0, 1.0, None, [("loss", 0.1, "finite")])
    for _ in range(2):
        with database.transaction() as connection:
            apply(connection, [late])
    database.close()
    assert sql("SELECT attempt, superseded FROM epoch WHERE epoch = 2 ORDER BY 1") == [
        (1, 1),
        (2, 0),
    ]
    assert sql("SELECT epochs FROM run") == [(3,)]
    assert sql("SELECT last, min FROM summary") == [(3.0, 1.0)]


def test_metrics_that_an_epoch_lacks_are_nan_in_its_place() -> None:
    with tracker.start_run("x", name="a") as run:
        run.log_epoch(0, {"loss": 1.0})
        run.log_epoch(1, {"loss": 2.0, "val_loss": 3.0})
    with tracker.start_run(resume="a") as run:
        assert str(run.history()) == "{'loss': [1.0, 2.0], 'val_loss': [nan, 3.0]}"
        assert run.recorded_epoch(0) == {"loss": 1.0}
        assert run.recorded_epoch(7) is None


def test_steps_go_on_after_the_highest() -> None:
    with tracker.start_run("x", name="a") as run:
        run.log({"loss": 1.0}, step=41)
    with tracker.start_run(resume="a") as run:
        run.log({"loss": 1.0})
    from tracker import metrics

    assert list(metrics("a")["step"]) == [41, 42]


def decide(run: tracker.Run, policy: tracker.Policy, epoch: int, **state: Any) -> None:
    policy.decide("waited", epoch=epoch, reason="no better", state=state)
    run.log_epoch(epoch, {})


def test_a_policy_gets_the_state_it_had_before_the_first_epoch() -> None:
    with tracker.start_run("x", name="a") as run:
        policy = run.add_policy("EarlyStopping", monitor="val_loss", config={"patience": 3})
        assert (policy.saved_state, policy.saved_config) == (None, None)
        for epoch in range(3):
            decide(run, policy, epoch, wait=epoch, best=math.nan)
    with tracker.start_run(resume="a") as run:
        policy = run.add_policy("EarlyStopping", monitor="val_loss", config={"patience": 4})
        assert str(policy.saved_state) == "{'wait': 2, 'best': nan}"
        assert policy.changed == {"patience": (3, 4)}
        run.rewind(2)
        assert policy.saved_state is not None
        assert policy.saved_state["wait"] == 1
        run.rewind(0)
        assert policy.saved_state is None


def test_equal_policies_are_told_apart_by_their_order() -> None:
    with tracker.start_run("x", name="a") as run:
        for number in range(2):
            policy = run.add_policy("ModelCheckpoint", monitor="loss")
            policy.decide("saved", epoch=0, reason="best", state={"number": number})
        run.log_epoch(0, {})
    with tracker.start_run(resume="a") as run:
        run.add_policy("EarlyStopping", monitor="loss")
        both = [run.add_policy("ModelCheckpoint", monitor="loss") for _ in range(3)]
        assert [one.saved_state for one in both] == [{"number": 0}, {"number": 1}, None]


def test_a_policy_without_decisions_in_between_finds_its_older_state() -> None:
    with tracker.start_run("x", name="a") as run:
        decide(run, run.add_policy("EarlyStopping", monitor="loss"), 0, wait=1)
    with tracker.start_run(resume="a") as run:
        run.add_policy("EarlyStopping", monitor="loss")
        run.log_epoch(1, {})
    with tracker.start_run(resume="a") as run:
        assert run.add_policy("EarlyStopping", monitor="loss").saved_state == {"wait": 1}


@pytest.mark.parametrize("status", ["finished", "failed"])
def test_the_run_has_the_status_of_its_last_attempt(status: str, sql: Any) -> None:
    recorded(a=[1.0])
    tracker.start_run(resume="a").finish(status)
    assert sql("SELECT status FROM run") == [(status,)]
    assert sql("SELECT status FROM attempt ORDER BY number") == [("finished",), (status,)]


def test_checkpoints_of_all_attempts_are_there(sql: Any) -> None:
    with tracker.start_run("x", name="a") as run:
        run.save_checkpoint("ckpt/0", lambda path: path.write_text("0"), epoch=0)
    with tracker.start_run(resume="a") as run:
        run.save_checkpoint("ckpt/1", lambda path: path.write_text("1"), epoch=1)
        assert [one.epoch for one in run.checkpoints()] == [0, 1]


def test_an_attempt_that_is_withdrawn_leaves_the_run_as_it_was(sql: Any) -> None:
    """A resume that is refused before anything was trained is no failure of the run."""
    with tracker.start_run(name="good") as run:
        run.log_epoch(0, {"loss": 1.0})
        run.note_stop("enough")
    ended = sql("SELECT status, reason, error, ended, epochs FROM run")
    tracker.start_run(resume="good").withdraw(RuntimeError("no backup"))
    assert sql("SELECT status, reason, error, ended, epochs FROM run") == ended
    (last,) = sql("SELECT status, error FROM attempt WHERE number = 2")
    assert last == ("failed", "RuntimeError: no backup")


def test_a_new_run_that_is_withdrawn_has_failed(sql: Any) -> None:
    tracker.start_run().withdraw(RuntimeError("no backup"))
    assert sql("SELECT status FROM run") == [("failed",)]

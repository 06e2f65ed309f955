"""One run for one training, one training for a callback, and what a corrected mistake finds."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import pytest
from torch import nn

import tracker
from tests.helpers.torch_problems import Problem, ask, train
from tracker.checkpointing.store import keeping
from tracker_torch import (
    BackupAndRestore,
    Callback,
    CallbackList,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    Training,
)


def test_a_callback_works_for_one_training_at_a_time(wine: Problem) -> None:
    stopper = EarlyStopping(patience=1)
    with tracker.start_run() as one, tracker.start_run() as other:
        first = Training(wine.net(), None, 2, callbacks=[stopper], run=one)
        second = Training(wine.net(), None, 2, callbacks=[stopper], run=other)
        next(epochs := first.epochs())
        with pytest.raises(
            tracker.UsageError, match=f"training of run {one.name}, and would record"
        ):
            next(second.epochs())
        list(epochs)
        train(wine, 1, stopper, run=other)
    assert ask("SELECT count(*) FROM policy") == [(2,)]


def begun(kind: str, run: tracker.Run | None = None) -> Any:
    """Return a training of one epoch that has begun, and the call that ends it."""
    if kind == "Training":
        training = Training(nn.Linear(1, 1), None, 1, run=run)
        epochs = training.epochs()
        next(epochs)
        return training, lambda: list(epochs)
    callbacks = CallbackList([], nn.Linear(1, 1), run=run)
    callbacks.on_train_begin()
    return callbacks, callbacks.on_train_end


@pytest.mark.parametrize("second", ["Training", "CallbackList"])
@pytest.mark.parametrize("first", ["Training", "CallbackList"])
def test_a_run_that_a_training_records_into_is_not_another_ones(first: str, second: str) -> None:
    """Refused by name; without a name the second has a run of its own, below the first's."""
    with tracker.start_run(name="r") as run:
        _, end = begun(first)
        with pytest.raises(tracker.UsageError, match="run r already belongs to another"):
            begun(second, run)
        other, end_other = begun(second)
        end_other()
        end()
    assert other.run.status == "finished"
    family = [(None, run.id), (run.id, other.run.id)]
    assert sorted(ask("SELECT parent_id, id FROM run"), key=lambda row: row[0] or "") == family


@pytest.mark.parametrize("second", ["Training", "CallbackList"])
@pytest.mark.parametrize("first", ["Training", "CallbackList"])
def test_a_training_may_follow_another_in_one_run(first: str, second: str) -> None:
    with tracker.start_run(name="r") as run:
        for kind in (first, second):
            training, end = begun(kind)
            assert training.run is run
            end()
    assert run.status == "finished"


def test_a_training_that_is_refused_has_written_nothing(wine: Problem) -> None:
    stopper = EarlyStopping()
    with tracker.start_run(params={"lr": 0.1}) as run:
        first = Training(wine.net(), None, 2, callbacks=[stopper])
        epochs = first.epochs()
        next(epochs)
        for options in ({"run": run}, {"callbacks": [stopper]}):
            late = {"params": {"lr": 0.2}, "tags": ["late"], **options}
            with pytest.raises(tracker.UsageError):
                Training(wine.net(), None, 1, **late).__enter__()  # type: ignore[arg-type]
    assert ask("SELECT number FROM param") == [(0.1,)]
    assert ask("SELECT count(*) FROM tag") == ask("SELECT count(*) - 1 FROM run") == [(0,)]


def left_by_an_error(**options: Any) -> None:
    training = Training(nn.Linear(1, 1), None, 3, **options)
    for _ in training.epochs():
        raise MemoryError("out of memory")


def left_by_break(**options: Any) -> None:
    training = Training(nn.Linear(1, 1), None, 3, **options)
    for epoch in training.epochs():
        training.log_epoch(loss=1.0)
        if epoch == 1:
            break


@pytest.mark.parametrize("leave", [left_by_an_error, left_by_break])
def test_a_training_that_was_left_is_closed_by_the_next(leave: Any) -> None:
    with contextlib.suppress(MemoryError):
        leave(params={"size": 64})
    with Training(nn.Linear(1, 1), None, 1, params={"size": 32}) as training:
        list(training.epochs())
    assert ask(
        "SELECT status, reason LIKE '%before it ended%', number FROM run JOIN param ON run_id = run.id "
        "ORDER BY run.started"
    ) == [
        ("interrupted", 1, 64),
        ("finished", None, 32),
    ]


@pytest.mark.parametrize("leave", [left_by_an_error, left_by_break])
def test_a_training_that_is_still_named_is_closed_by_the_next_as_well(leave: Any) -> None:
    """As in a notebook, where the cell that failed has left its name, and the callback is used again."""
    kept: list[Any] = []
    stopper = EarlyStopping("loss")

    class Kept(Training):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            kept.append(self)

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(MemoryError):
        patch.setitem(globals(), "Training", Kept)
        leave(callbacks=[stopper])
    with Training(nn.Linear(1, 1), None, 1, callbacks=[stopper]) as training:
        for _ in training.epochs():
            training.log_epoch(loss=1.0)
    assert kept[0].run.status == "interrupted" and training.run.status == "finished"


def test_a_loop_left_within_its_with_is_not_left(wine: Problem) -> None:
    with tracker.start_run() as run, Training(wine.net(), None, 3) as training:
        for _ in training.epochs():
            break
        with pytest.raises(tracker.UsageError, match="already belongs"):
            begun("Training", run)
        training.log_epoch(loss=1.0)
    assert ask("SELECT status, epochs FROM run") == [("stopped_early", 1)]


def test_a_list_may_train_again_in_its_run() -> None:
    with tracker.start_run():
        callbacks = CallbackList([], nn.Linear(1, 1))
        for epoch in (0, 1):
            callbacks.on_train_begin()
            callbacks.on_epoch_end(epoch, {"loss": 1.0})
            callbacks.on_train_end()
    assert ask("SELECT count(*) FROM epoch") == [(2,)]


def test_the_run_that_is_resumed_may_be_named_again(
    wine: Problem, recwarn: pytest.WarningsRecorder
) -> None:
    with tracker.start_run(name="r"):
        train(wine, 1, resume="r")
    for again in ("auto", "r"):
        with tracker.start_run(resume="r"):
            train(wine, 1, resume=again)
    assert ask("SELECT count(*) FROM attempt") == [(3,)]
    assert not [one for one in recwarn if "not used" in str(one.message)]


def test_a_corrected_mistake_is_taken(wine: Problem) -> None:
    class Picky(Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            raise ValueError("wrong")

    with tracker.start_run():
        with pytest.raises(tracker.UsageError, match="is active already"):
            train(wine, 1, resume="auto")
        with pytest.raises(ValueError, match="wrong"):
            next(Training(wine.net(), None, 1, callbacks=[Picky()]).epochs())
        _, training = train(wine, 1)
    assert training.run.status == "finished"


@pytest.mark.parametrize(
    "keeper",
    [
        lambda: EarlyStopping(restore_best_weights=True),
        lambda: ModelCheckpoint("a.pt"),
        lambda: BackupAndRestore("backup"),
    ],
)
def test_what_keeps_weights_asks_for_the_model(feed: Any, keeper: Any) -> None:
    callbacks = CallbackList([keeper()])
    with pytest.raises(tracker.UsageError, match=r"but there is no model: CallbackList\("):
        callbacks.on_train_begin()


def test_hooks_before_the_beginning_say_what_is_missing() -> None:
    callbacks = CallbackList([LambdaCallback(on_epoch_begin=print)], nn.Linear(1, 1))
    for hook in (callbacks.on_epoch_begin, callbacks.on_epoch_end):
        with pytest.raises(tracker.RunError, match=r"call on_train_begin\(\) first"):
            hook(0, {})
    with pytest.raises(tracker.RunError, match=r"on_train_end was called, but"):
        callbacks.on_train_end()
    callbacks.on_test_begin()  # evaluation needs no training
    assert tracker.active_run() is None


def test_an_error_before_the_loop_is_the_only_thing_said(wine: Problem) -> None:
    keeper = ModelCheckpoint("ck/a.pt", save_on_exception=True)
    with warnings.catch_warnings(), pytest.raises(ValueError, match="no data"):
        warnings.simplefilter("error")
        with Training(wine.net(), None, 1, callbacks=[keeper]):
            raise ValueError("no data")


def test_a_stop_that_is_taken_back_is_no_early_stop(wine: Problem) -> None:
    with Training(wine.net(), None, 3) as training:
        for _ in training.epochs():
            training.stop_training = True
            training.log_epoch(loss=1.0)
            training.stop_training = False
    assert training.history.epoch == [0, 1, 2]
    assert ask("SELECT status, reason FROM run") == [("finished", None)]


def test_a_run_that_the_user_ends_first_costs_no_weights(wine: Problem) -> None:
    stopper = EarlyStopping(patience=9, restore_best_weights=True)
    with tracker.start_run() as run, Training(wine.net(), None, 2, callbacks=[stopper]) as training:
        for epoch in training.epochs():
            training.log_epoch(val_loss=float(epoch))
            if epoch == 1:
                run.finish()
    assert stopper.best_epoch == 0
    assert ask("SELECT verdict FROM decision") == [("improved",), ("waited",)]


def test_a_closed_training_cannot_be_entered_again(wine: Problem) -> None:
    _, training = train(wine, 1)
    with pytest.raises(tracker.RunClosed, match="is closed"), training:
        pass


def test_a_training_starts_its_run_with_all_that_a_run_can_be_started_with(
    wine: Problem, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"keep": "none", "keep_bytes": "1MB", "system_metrics": False, "price_per_hour": 2.5}
    options["remote"] = "memory://far/"
    _, training = train(wine, 1, monitor="loss", mode="max", verbose=0, **options)
    assert capsys.readouterr().err == ""
    assert training.run.keeping == keeping("none", "1MB")
    assert training.run.remote == "memory://far"
    assert ask("SELECT price_per_hour FROM run") == [(2.5,)]
    assert ask("SELECT name, mode FROM metric_definition WHERE monitor") == [("loss", "max")]


def test_a_training_says_where_it_is_recorded(
    wine: Problem, capsys: pytest.CaptureFixture[str]
) -> None:
    train(wine, 1, name="said")
    train(wine, 1, name="not-said-again")
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("local-tracker: run said is recorded in ") and told.endswith("show said")

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import IterableDataset

import tracker
from tests.helpers.torch_problems import Problem, ask, everything, step, train
from tracker_torch import (
    BackupAndRestore,
    BaseLogger,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    Training,
)


def bare_loop(problem: Problem, epochs: int) -> list[list[torch.Tensor]]:
    """Return the weights after each epoch of a loop without any of us."""
    model = problem.net()
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    history = []
    for _ in range(epochs):
        for x, y in problem.loader():
            step(model, optimizer, x, y)
        history.append([p.detach().clone() for p in model.parameters()])
    return history


def same(model: nn.Module, weights: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(model.parameters(), weights, strict=True))


def test_with_every_callback_the_weights_are_those_of_the_bare_loop(each: Problem) -> None:
    """It trains, stops, and restores the best epoch, whose weights equal the bare loop's."""
    model, training = train(each, 30, *everything())
    stopper = training.callbacks.callbacks[1]
    assert isinstance(stopper, EarlyStopping)
    assert stopper.stopped_epoch is not None and stopper.best_epoch == stopper.stopped_epoch - 2
    bare = bare_loop(each, stopper.stopped_epoch + 1)
    assert same(model, bare[stopper.best_epoch])
    other = each.net(1)
    from tracker_torch import load_checkpoint

    assert load_checkpoint("ck/last.pt", other)["epoch"] == stopper.stopped_epoch
    assert same(other, bare[-1])


def test_a_resumed_training_goes_on_bit_for_bit(each: Problem) -> None:
    class Failure(Exception):
        pass

    def fail(epoch: int, logs: Any) -> None:
        if epoch == 3:
            raise Failure

    with pytest.raises(Failure):
        train(
            each, 6, BackupAndRestore("backup"), LambdaCallback(on_epoch_begin=fail), experiment="x"
        )
    model, training = train(each, 6, BackupAndRestore("backup"), experiment="x", resume="auto")
    assert same(model, bare_loop(each, 6)[-1])
    assert training.history.epoch == [0, 1, 2, 3, 4, 5]
    assert len(training.history.history["val_loss"]) == 6
    assert training.run.attempt == 2 and not Path("backup").exists()


def test_averages_are_weighted_by_batch_size_when_it_is_given(wine: Problem) -> None:
    with Training(wine.net(), None, 1) as training:
        for _ in training.epochs():
            for size, value in ((1, 4.0), (3, torch.tensor([[8.0]]))):
                training.log({"weighted": value}, batch_size=size)
                training.log(plain=value)
            training.log_epoch()
    assert training.history.history == {"weighted": [7.0], "plain": [6.0]}


def test_a_stateful_metric_stands_with_its_last_value(wine: Problem) -> None:
    with Training(wine.net(), None, 1, callbacks=[BaseLogger(["auc"])]) as training:
        for _ in training.epochs():
            training.log(auc=0.2, loss=1)
            training.log(auc=0.6, loss=2)
    assert training.history.history == {"auc": [0.6], "loss": [1.5]}


def test_what_is_logged_is_recorded_with_seconds_and_learning_rate(wine: Problem) -> None:
    _, training = train(wine, 3, experiment="wine", params={"lr": 0.02}, tags=["first"])
    rows = ask("SELECT epoch, seconds > 0, learning_rate FROM epoch")
    assert rows == [(0, 1, 0.02), (1, 1, 0.02), (2, 1, 0.02)]
    assert ask("SELECT experiment, status FROM run") == [("wine", "finished")]
    assert ask("SELECT name FROM tag") == [("first",)]
    assert training.step == 3 * len(wine.loader())


def test_log_every_streams_steps(wine: Problem) -> None:
    _, training = train(wine, 2, log_every=3)
    steps = tracker.metrics(training.run.id, names=["loss"])["step"]
    assert list(steps) == [3, 6, 9]
    assert training.step == 10


def test_a_stop_in_a_batch_ends_the_epoch_which_still_counts(wine: Problem) -> None:
    with Training(wine.net(), None, 5) as training:
        for _ in training.epochs():
            for number, _ in enumerate(training.batches(wine.loader())):
                training.log(seen=1)
                if number == 1:
                    training.stop_training = True
    assert (training.step, training.history.epoch) == (2, [0])
    assert ask("SELECT status, reason FROM run") == [
        ("stopped_early", "the loop set stop_training at epoch 0")
    ]


def test_keras_own_way_to_stop_counts(wine: Problem) -> None:
    model = wine.net()

    def stop(epoch: int, logs: Any) -> None:
        model.stop_training = True  # type: ignore[assignment]

    with Training(model, None, 5, callbacks=[LambdaCallback(on_epoch_end=stop)]) as training:
        epochs = list(training.epochs())
    assert epochs == [0]
    with Training(model, None, 2) as training:
        assert list(training.epochs()) == [0, 1]


def test_leaving_the_loop_by_break_is_an_early_stop_with_its_reason(wine: Problem) -> None:
    stopper = EarlyStopping(patience=9, restore_best_weights=True)
    with Training(wine.net(), None, 9, callbacks=[stopper]) as training:
        for epoch in training.epochs():
            training.log_epoch(val_loss=1.0)
            if epoch == 1:
                break
    assert ask("SELECT status, reason FROM run") == [
        ("stopped_early", "the loop was left after epoch 1 (0-based) of 9")
    ]
    assert ask("SELECT count(*) FROM decision WHERE verdict = 'restored'") == [(1,)]


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_an_exception_comes_out_and_the_run_says_so(
    wine: Problem, error: BaseException, status: str
) -> None:
    with pytest.raises(type(error)), Training(wine.net(), None, 2) as training:
        for _ in training.epochs():
            raise error
    assert ask("SELECT status FROM run") == [(status,)]


def test_without_a_block_the_end_of_the_loop_is_the_end(wine: Problem) -> None:
    training = Training(wine.net(), None, 2)
    for _ in training.epochs():
        training.log_epoch(loss=1.0)
    assert training.run.finished


def test_within_the_block_the_run_is_open_until_it_ends(wine: Problem) -> None:
    with Training(wine.net(), None, 1) as training:
        for _ in training.epochs():
            training.log_epoch(loss=1.0)
        training.run.log({"test_acc": 0.9})
        assert not training.run.finished
    assert training.run.finished


def test_it_joins_the_active_run_and_leaves_it_open(wine: Problem) -> None:
    with tracker.start_run(experiment="mine") as run:
        _, training = train(wine, 1, params={"width": 16})
        assert training.run is run and not run.finished
    assert ask("SELECT name, text FROM param") == [("width", "16")]


def test_inside_a_run_that_records_nothing_it_records_nothing(wine: Problem) -> None:
    with tracker.start_run("outer"), tracker.start_run(recording=False) as silent:
        _, training = train(wine, 1)
        assert training.run is silent and not silent.finished
    assert training.history.epoch == [0]
    assert ask("SELECT experiment, epochs FROM run") == [("outer", 0)]


def test_another_rank_joins_the_silent_run_of_its_block(
    wine: Problem, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("PMIX_RANK", "1")  # whatever launcher it is, core and adapter agree
    with tracker.start_run() as silent:
        _, training = train(wine, 1, ModelCheckpoint("{epoch}.pt"), CSVLogger("log.csv"))
        assert training.run is silent and not silent.finished
    assert list(folder.iterdir()) == []


def test_loaders_without_length_and_validation_batches(wine: Problem) -> None:
    class Stream(IterableDataset):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            yield from range(5)

    heard: list[str] = []
    hooks = {
        f"on_test_{name}": lambda *_, name=name: heard.append(name)
        for name in ("begin", "batch_end", "end")
    }
    with Training(wine.net(), None, 1, callbacks=[LambdaCallback(**hooks)]) as training:
        for _ in training.epochs():
            assert (
                sum(int(x) for x in training.batches(torch.utils.data.DataLoader(Stream()))) == 10
            )
            list(training.batches(range(2), train=False))
    assert training.step == 5 and heard == ["begin", "batch_end", "batch_end", "end"]


def test_validation_may_log_in_inference_mode(wine: Problem) -> None:
    with Training(wine.net(), None, 1) as training:
        for _ in training.epochs():
            with torch.inference_mode():
                training.log(val=torch.ones(()) * 2)
            training.log(val=torch.ones(()) * 4)
    assert training.history.history["val"] == [3.0]

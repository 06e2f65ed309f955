from __future__ import annotations

import copy
import csv
import json
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import tracker
from tests.helpers.torch_problems import Problem, ask, decisions
from tracker_torch import (
    BackupAndRestore,
    BaseLogger,
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    ModelCheckpoint,
    TensorBoard,
    TerminateOnNaN,
    Training,
)


def table(path: str, **options: Any) -> list[list[str]]:
    with Path(path).open(newline="") as file:
        return list(csv.reader(file, **options))


# History and CSV


def test_history_holds_every_epoch(feed: Any) -> None:
    history = History()
    feed([{"b": 1.0, "a": torch.tensor([2.0])}, {"b": 3.0}], history)
    assert (history.epoch, history.history) == ([0, 1], {"b": [1.0, 3.0], "a": [2.0]})


def test_the_csv_has_keras_format(feed: Any) -> None:
    feed([{"val_loss": 0.1, "acc": 1.0}, {"acc": 0.5}], CSVLogger("a/log.csv", separator=";"))
    expected = b"epoch;acc;val_loss\r\n0;1.0;0.1\r\n1;0.5;NA\r\n"
    assert Path("a/log.csv").read_bytes() == expected


def test_a_late_metric_adds_a_column_and_earlier_rows_stay(feed: Any) -> None:
    feed([{"b": 1.0}, {"b": 2.0, "a": 3.0}, {"a": math.nan}], CSVLogger("log.csv"))
    assert table("log.csv") == [
        ["epoch", "b", "a"],
        ["0", "1.0", "NA"],
        ["1", "2.0", "3.0"],
        ["2", "NA", "nan"],
    ]


def test_a_second_logger_on_the_same_file_appends_or_begins_anew(feed: Any) -> None:
    feed([{"a": 1.0}], CSVLogger("log.csv"))
    feed([{"b": 2.0}], CSVLogger("log.csv", append=True))
    assert table("log.csv") == [["epoch", "a", "b"], ["0", "1.0", "NA"], ["0", "NA", "2.0"]]
    feed([{"c": 3.0}], CSVLogger("log.csv"))
    assert table("log.csv") == [["epoch", "c"], ["0", "3.0"]]


# The rest


def test_an_unknown_hook_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(
        tracker.UsageError, match=r"on_epoch_finish is not a hook.*Did you mean on_epoch"
    ):
        LambdaCallback(on_epoch_finish=print)
    with pytest.raises(tracker.UsageError, match="must be a function"):
        LambdaCallback(on_epoch_end="print")  # type: ignore[arg-type]


def test_functions_are_called_at_their_hooks(feed: Any) -> None:
    heard: list[str] = []
    names = ("on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end")
    feed([1], LambdaCallback(**{name: lambda *_, name=name: heard.append(name) for name in names}))
    assert heard == list(names)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_training_ends_at_a_loss_that_is_no_number(wine: Problem, loss: float, capsys: Any) -> None:
    with Training(wine.net(), None, 3, callbacks=[TerminateOnNaN()]) as training:
        for _ in training.epochs():
            for number, _ in enumerate(training.batches(range(5))):
                training.log(loss=torch.tensor(loss if number == 2 else 1.0))
    assert training.step == 3 and training.history.epoch == [0]
    assert capsys.readouterr().out == "Batch 2: Invalid loss, terminating training\n"
    assert decisions("TerminateOnNaN", "d.verdict, d.reason, d.step") == [
        (
            "stopped",
            f"loss is {'NaN' if math.isnan(loss) else loss} at batch 2, and training stops at once",
            3,
        )
    ]


def test_it_can_raise_instead(wine: Problem) -> None:
    with (
        pytest.raises(RuntimeError, match="NaN or Inf loss encountered at batch 0"),
        Training(wine.net(), None, 3, callbacks=[TerminateOnNaN(raise_error=True)]) as training,
    ):
        for _ in training.epochs():
            for _ in training.batches([1]):
                training.log(loss=math.nan)
    assert ask("SELECT status FROM run") == [("failed",)]


def test_base_logger_averages_what_batch_hooks_get() -> None:
    loop = CallbackList([BaseLogger(stateful_metrics=["last"])])
    loop.on_train_begin()
    for epoch in range(2):
        loop.on_epoch_begin(epoch)
        loop.on_train_batch_end(0, {"size": 1, "loss": 4.0 + epoch, "last": 1})
        loop.on_train_batch_end(1, {"size": 3, "loss": torch.tensor(8.0 + epoch), "last": 2})
        loop.on_epoch_end(epoch, logs := {"val_loss": 1.0})
    loop.on_train_end()
    assert logs == {"val_loss": 1.0, "loss": 8.0, "last": 2.0}
    assert tracker.epochs(loop.run.id)["loss"].tolist() == [7.0, 8.0]


def test_tensorboard_gets_epochs_steps_and_weights(wine: Problem) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = wine.net()
    board = TensorBoard(
        "tb", histogram_freq=1, update_freq=2, write_steps_per_second=True, write_images=True
    )
    with Training(
        model, torch.optim.SGD(model.parameters(), 0.1), 2, callbacks=[board]
    ) as training:
        for _ in training.epochs():
            for _ in training.batches(range(4)):
                training.log(loss=1.0)
            training.log_epoch(val_loss=0.5)
    found = {
        name: EventAccumulator(f"tb/{name}").Reload() for name in ("train", "validation", "batch")
    }
    assert [event.step for event in found["validation"].Scalars("epoch_loss")] == [0, 1]
    assert [event.step for event in found["batch"].Scalars("batch_loss")] == [2, 4, 6, 8]
    assert "epoch_learning_rate" in found["train"].Tags()["scalars"]
    assert "0.weight/histogram" in found["train"].Tags()["histograms"]
    assert "tb" in ask("SELECT captured FROM attempt")[0][0]


def test_a_metric_that_a_callback_adds_is_recorded_too(feed: Any) -> None:
    feed([1, 2], LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(gap=epoch + 0.5)))
    assert ask("SELECT value FROM metric WHERE name = 'gap'") == [(0.5,), (1.5,)]


def test_callbacks_end_the_epoch_in_the_order_judge_save_write(feed: Any) -> None:
    heard: list[str] = []
    made = []
    for name, order in (("write", 2), ("save", 1), ("judge", 0), ("average", -1)):
        callback = LambdaCallback(on_epoch_end=lambda *_, name=name: heard.append(name))
        callback.order = order
        made.append(callback)
    feed([1], *made)
    assert heard == ["average", "judge", "save", "write"]


def test_callbacks_can_be_copied_and_pickled_while_they_train(feed: Any) -> None:
    stopper = EarlyStopping(patience=3)
    copies: list[Any] = []

    def duplicate(epoch: int, logs: Any) -> None:
        copies[:] = [copy.deepcopy(stopper), pickle.loads(pickle.dumps(stopper))]

    feed([2, 1], stopper, LambdaCallback(on_epoch_end=duplicate))
    assert [one.best for one in copies] == [1, 1]
    with pytest.raises(tracker.RunError, match="is in no loop yet"):
        _ = copies[0].loop


def test_with_hooks_alone_the_first_starts_a_run_and_the_last_ends_it(feed: Any) -> None:
    loop = feed([1, 2], Callback())
    assert loop.run.finished and ask("SELECT status, epochs FROM run") == [("finished", 2)]


def test_a_lazy_layer_is_counted_once_it_has_a_size(caplog: pytest.LogCaptureFixture) -> None:
    def train(*, crash: bool) -> None:
        model = torch.nn.LazyLinear(3)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        with Training(
            model, optimizer, 3, name="lazy", resume="auto", verbose=0,
            callbacks=[BackupAndRestore("backup", delete_checkpoint=False)],
        ) as training:  # fmt: skip
            for epoch in training.epochs():
                optimizer.zero_grad()
                loss = model(torch.ones(2, 4)).square().mean()
                loss.backward()
                optimizer.step()
                training.log_epoch(loss=loss)
                if crash and epoch == 1:
                    raise ValueError

    with pytest.raises(ValueError):
        train(crash=True)
    train(crash=False)
    facts = [json.loads(text)["model"] for (text,) in ask("SELECT captured FROM attempt")]
    assert [(one["parameters"], one["trainable"]) for one in facts] == [(15, 15)] * 2
    assert "parameters" not in caplog.text


def test_what_is_trained_is_captured(wine: Problem) -> None:
    model = wine.net()
    model[0].bias.requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), 0.01, betas=(0.8, 0.9))
    with Training(model, optimizer, 1, callbacks=[ModelCheckpoint("a.pt")]) as training:
        list(training.epochs())
    found = json.loads(ask("SELECT captured FROM attempt")[0][0])
    assert found["model"] == {
        "class": "torch.nn.modules.container.Sequential", "parameters": 275, "trainable": 259,
        "device": "cpu", "dtype": "float32", "compiled": False,
    }  # fmt: skip
    assert found["optimizer"]["groups"][0]["betas"] == [0.8, 0.9]
    assert found["torch"]["version"] == torch.__version__
    assert found["distributed"]["world_size"] == 1


def test_a_list_can_be_used_for_one_training_after_another() -> None:
    loop = CallbackList([EarlyStopping(patience=5)])
    for _ in range(2):
        loop.on_train_begin()
        loop.on_epoch_end(0, {"val_loss": 1.0})
        loop.on_train_end()
    assert ask("SELECT status, epochs FROM run") == [("finished", 1)] * 2

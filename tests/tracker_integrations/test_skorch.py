"""skorch: what is recorded is what stands in the history of the net."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracker
from tests.helpers.integrations import epochs, points, run_named

skorch = pytest.importorskip("skorch")
import torch  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from skorch import NeuralNetClassifier  # noqa: E402
from skorch.callbacks import (  # noqa: E402
    Callback,
    Checkpoint,
    EarlyStopping,
    LoadInitState,
    LRScheduler,
)

from tracker_integrations.skorch import TrackerCallback  # noqa: E402

IMAGES, LABELS = load_digits(return_X_y=True)
X, Y = (IMAGES[:200] / 16).astype(np.float32), LABELS[:200].astype(np.int64)


def net(*callbacks: Any, **options: Any) -> Any:
    torch.manual_seed(0)
    return NeuralNetClassifier(
        torch.nn.Linear, module__in_features=64, module__out_features=10,
        criterion=torch.nn.CrossEntropyLoss, lr=0.1, max_epochs=4, verbose=0, batch_size=64,
        callbacks=list(callbacks), **options,
    )  # fmt: skip


def compare(made: Any) -> None:
    """Compare the history of a net with the epochs that are recorded."""
    found = epochs()
    for metric in ("train_loss", "valid_loss", "valid_acc"):
        assert found[metric] == pytest.approx(made.history[:, metric])
    frame = tracker.epochs(run_named()["id"])
    assert frame["seconds"].tolist() == pytest.approx(made.history[:, "dur"])
    assert "dur" not in found


def test_each_epoch_is_recorded() -> None:
    made = net(TrackerCallback("digits"))
    made.fit(X, Y)
    compare(made)
    row = run_named()
    assert (row["name"], row["status"]) == ("digits-1", "finished")
    assert row["params.lr"] == 0.1
    assert row["params.module"] == "Linear"


@pytest.mark.parametrize("first", [True, False])
def test_early_stopping_is_told_wherever_it_stands(first: bool) -> None:
    stopper = EarlyStopping("valid_loss", patience=2, threshold=10.0, threshold_mode="abs")
    ours = TrackerCallback()
    made = net(*((stopper, ours) if first else (ours, stopper)))
    made.fit(X, Y)
    compare(made)
    told = tracker.decisions(run_named()["id"])
    assert told["verdict"].tolist() == ["improved", "waited", "stopped"]
    assert told["wait"].tolist() == [0, 1, 2]
    assert told["value"].tolist() == pytest.approx(made.history[:, "valid_loss"])
    row = run_named()
    assert (row["status"], row["reason"]) == ("stopped_early", told["reason"].iloc[-1])
    outcome = tracker.replay(run_named()["id"]).iloc[0]
    assert outcome["stop_epoch"] == 2


def test_weights_that_come_back_are_told() -> None:
    class Worse(Callback):
        def on_epoch_begin(self, net: Any, **_: Any) -> None:
            net.optimizer_.param_groups[0]["lr"] = 0.1 if len(net.history) == 1 else 1e6

    made = net(Worse(), EarlyStopping(patience=2, load_best=True), TrackerCallback())
    made.fit(X, Y)
    last = tracker.decisions(run_named()["id"]).iloc[-1]
    assert (last["verdict"], last["best_epoch"]) == ("restored", 0)


def test_files_of_its_checkpoint_are_registered() -> None:
    made = net(Checkpoint(dirname="saved", monitor="valid_loss_best"), TrackerCallback())
    made.fit(X, Y)
    frame = tracker.checkpoints(run_named()["id"])
    there = frame[frame["state"] == "available"]
    assert sorted(Path(path).name for path in there["path"]) == sorted(
        path.name for path in Path("saved").iterdir()
    )
    assert set(there["epoch"]) == {3}


def test_the_rate_of_a_schedule_is_the_epoch_s() -> None:
    class Rates(Callback):
        seen: list[float]

        def on_train_begin(self, net: Any, **_: Any) -> None:
            self.seen = []

        def on_batch_begin(self, net: Any, training: bool = False, **_: Any) -> None:
            if training:
                self.seen.append(net.optimizer_.param_groups[0]["lr"])

    rates = Rates()
    schedule = LRScheduler(policy=torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    made = net(schedule, rates, TrackerCallback())
    made.fit(X, Y)
    frame = tracker.epochs(run_named()["id"])
    per_epoch = len(rates.seen) // 4
    assert frame["learning_rate"].tolist() == rates.seen[per_epoch - 1 :: per_epoch]


def test_losses_of_batches_are_streamed() -> None:
    made = net(TrackerCallback(log_every=1))
    made.fit(X, Y)
    kept = list(points()["batch_loss"].values())
    assert kept == pytest.approx(
        [row["train_loss"] for epoch in made.history[:, "batches"] for row in epoch if "train_loss" in row]
    )  # fmt: skip


def test_a_partial_fit_goes_on_in_the_active_run() -> None:
    made = net(TrackerCallback())
    with tracker.start_run("digits"):
        made.fit(X, Y, epochs=2)
        made.partial_fit(X, Y, epochs=2)
    compare(made)


def test_a_net_with_it_can_be_cloned_and_pickled() -> None:
    made = net(TrackerCallback("digits"))
    made.fit(X, Y)
    again = clone(made)
    again.fit(X, Y)
    pickle.loads(pickle.dumps(again)).predict(X)
    assert sorted(tracker.runs()["name"]) == ["digits-1", "digits-2"]


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_a_net_that_loads_its_state_counts_on_from_its_history(first: bool) -> None:
    def train(**start: Any) -> Any:
        saver, ours = (
            Checkpoint(dirname="saved", monitor=None),
            TrackerCallback(**start, log_every=1),
        )
        loads = LoadInitState(saver)
        made = net(*([ours, saver, loads] if first else [saver, loads, ours]))
        return made.fit(X, Y, epochs=2)

    train(name="r")
    made = train(resume="r")
    compare(made)
    frame = tracker.epochs("r")
    assert frame["attempt"].tolist() == [1, 1, 2, 2]
    batches = made.history[:, "train_batch_count"]
    assert list(points("r")["batch_loss"]) == list(range(1, sum(batches) + 1))


def test_a_second_fit_in_one_run_supersedes_the_first_one() -> None:
    with tracker.start_run("digits"):
        for epochs_ in (3, 2):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = net(TrackerCallback()).fit(X, Y, epochs=epochs_)
    compare(made)
    assert len(tracker.epochs(run_named()["id"], superseded=True)) == 5


def test_the_best_weights_of_its_checkpoint_are_the_best_checkpoint() -> None:
    made = net(Checkpoint(dirname="saved", monitor="valid_loss_best"), TrackerCallback())
    made.fit(X, Y)
    frame = tracker.checkpoints(run_named()["id"])
    best = frame[frame["alias"].astype(str).str.contains("best")]
    assert [Path(path).name for path in best["path"]] == ["params.pt"]
    assert best["value"].tolist() == [min(made.history[:, "valid_loss"])]


def test_an_interrupt_between_two_epochs_is_one() -> None:
    class Interrupt(Callback):
        def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
            if len(net.history) == 3:
                raise KeyboardInterrupt

    net(TrackerCallback(), Interrupt()).fit(X, Y)
    row = run_named()
    assert (row["status"], row["epochs"]) == ("interrupted", 3)
    assert row["reason"] == "a KeyboardInterrupt ended training after 3 of 4 epochs"
    net(TrackerCallback("whole")).fit(X, Y, epochs=2)
    assert run_named("whole-1")["status"] == "finished"

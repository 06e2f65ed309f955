"""fastai: what is recorded is what its Recorder and its callbacks hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.helpers.integrations import epochs, points, run_named

pytest.importorskip("fastai")
import torch
from fastai.callback.core import Callback, CancelFitException
from fastai.callback.schedule import Learner as _Scheduled  # noqa: F401 - it adds lr_find
from fastai.callback.tracker import EarlyStoppingCallback, SaveModelCallback
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.metrics import accuracy
from sklearn.datasets import load_digits

from tracker_integrations.fastai import TrackerCallback

IMAGES, LABELS = load_digits(return_X_y=True)
X, Y = torch.tensor(IMAGES[:256] / 16, dtype=torch.float32), torch.tensor(LABELS[:256])


def learner(*callbacks: Any) -> Any:
    torch.manual_seed(0)
    parts = [torch.utils.data.TensorDataset(X[a:b], Y[a:b]) for a, b in ((0, 192), (192, 256))]
    loaders = [torch.utils.data.DataLoader(part, 64) for part in parts]
    made = Learner(
        DataLoaders(*loaders), torch.nn.Linear(64, 10), torch.nn.CrossEntropyLoss(),
        metrics=accuracy, path=Path(), model_dir="models", cbs=list(callbacks),
    )  # fmt: skip
    made.no_logging().__enter__()
    return made


def compare(made: Any) -> None:
    """Compare the values of the Recorder with the epochs that are recorded."""
    found, names = epochs(), list(made.recorder.metric_names[1:-1])
    for place, name in enumerate(names):
        assert found[name] == pytest.approx([row[place] for row in made.recorder.values])


class Scripted(Callback):
    """Put scripted values in the place of the validation loss, before anybody looks at it."""

    order = 55

    def __init__(self, *losses: float) -> None:
        super().__init__()
        self.losses = list(losses)

    def after_epoch(self) -> None:
        self.recorder.values[-1][1] = self.losses.pop(0)


def test_each_epoch_is_recorded() -> None:
    made = learner(TrackerCallback("digits", log_every=1))
    made.fit(3, 0.1)
    compare(made)
    row = run_named()
    assert (row["name"], row["status"]) == ("digits-1", "finished")
    assert row["params.learning_rate"] == 0.1
    assert len(points()["batch_loss"]) == 9
    assert list(points()["learning_rate"].values()) == pytest.approx(made.recorder.lrs)
    frame = tracker.epochs(row["id"])
    assert frame["learning_rate"].tolist() == pytest.approx(made.recorder.lrs[2::3])


@pytest.mark.parametrize("first", [True, False])
def test_early_stopping_is_recorded_as_decisions(first: bool) -> None:
    stopper, ours = EarlyStoppingCallback(patience=2, min_delta=0.01), TrackerCallback()
    script = Scripted(2.0, 1.0, 0.995, 1.5, 0.1)
    made = learner(script, *((ours, stopper) if first else (stopper, ours)))
    made.fit(5, 0.1)
    compare(made)
    told = tracker.decisions(run_named()["id"])
    assert told["verdict"].tolist() == ["improved", "improved", "waited", "stopped"]
    assert told["best"].tolist() == [2.0, 1.0, 1.0, 1.0]
    assert told["reason"].tolist()[1:] == [
        "valid_loss 1.000 beat 2.000 (epoch 0) by more than 0.01",
        "valid_loss 0.9950 did not beat 1.000 (epoch 1) by 0.01; 1 of 2 waits",
        "valid_loss 1.500 did not beat 1.000 (epoch 1) by 0.01; 2 of 2 waits",
    ]
    row = run_named()
    assert (row["status"], row["reason"]) == ("stopped_early", told["reason"].iloc[-1])
    assert tracker.replay(row["id"]).iloc[0]["stop_epoch"] == 3


def test_what_is_saved_and_loaded_is_recorded() -> None:
    made = learner(Scripted(2.0, 1.0, 3.0), SaveModelCallback(fname="best"), TrackerCallback())
    made.fit(3, 0.1)
    frame = tracker.checkpoints(run_named()["id"])
    (kept,) = frame[frame["state"] == "available"].to_dict("records")
    assert (Path(kept["path"]).name, kept["epoch"], kept["value"]) == ("best.pth", 1, 1.0)
    told = tracker.decisions(run_named()["id"])
    assert told["verdict"].tolist() == ["saved", "saved", "restored"]
    assert told.iloc[-1]["best_epoch"] == 1


def test_a_fit_that_is_cancelled_was_stopped() -> None:
    class Cancel(Callback):
        def before_batch(self) -> None:
            if self.epoch == 1:
                raise CancelFitException

    learner(TrackerCallback(), Cancel()).fit(3, 0.1)
    row = run_named()
    assert (row["status"], row["epochs"]) == ("stopped_early", 1)
    assert row["reason"] == "a callback cancelled the fit in epoch 1"


def test_looking_for_a_rate_and_validating_are_no_trainings() -> None:
    made = learner(TrackerCallback())
    made.lr_find(num_it=4, show_plot=False)
    made.validate()
    assert tracker.runs().empty

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import tracker
from tests.helpers import ROOT
from tests.helpers.torch_problems import Problem, everything, train
from tracker_torch import (
    EarlyStopping,
    LearningRateScheduler,
    LRSchedulerCallback,
    ReduceLROnPlateau,
    Training,
)

MISUSE = {
    "log_epoch outside of the loop": (lambda t: t.log_epoch(a=1), tracker.RunError, "belongs into `for"),
    "log outside of the loop": (lambda t: t.log(a=1), tracker.RunError, "training.run.log"),
    "batches outside of the loop": (lambda t: list(t.batches([])), tracker.RunError, "belongs into"),
    "load after the start": (lambda t: [t.load("a.pt") for _ in t.epochs()], tracker.RunError, "before epochs"),
    "epochs twice": (lambda t: [*t.epochs(), *t.epochs()], tracker.RunError, "one loop"),
    "an epoch logged twice": (lambda t: [(t.log_epoch(), t.log_epoch()) for _ in t.epochs()], tracker.RunError, "once"),
    "many elements": (lambda t: [t.log(a=torch.ones(3)) for _ in t.epochs()], tracker.BadValue, "a has 3 elements"),
    "text": (lambda t: [t.log_epoch(a="low") for _ in t.epochs()], tracker.BadValue, "a is 'low'"),
    "negative size": (lambda t: [t.log(a=1, batch_size=-1) for _ in t.epochs()], tracker.BadValue, "batch_size is -1"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISUSE)
def test_misuse_is_answered_with_a_sentence(wine: Problem, case: str) -> None:
    misuse, error, words = MISUSE[case]
    with pytest.raises(error, match=words), Training(wine.net(), None, 2) as training:
        misuse(training)


def test_a_closed_training_says_so(wine: Problem) -> None:
    _, training = train(wine, 1)
    for call in (
        lambda: training.log(a=1),
        lambda: training.log_epoch(),
        lambda: next(training.epochs()),
    ):
        with pytest.raises(tracker.RunClosed, match="is closed"):
            call()


def test_resuming_belongs_to_whoever_started_the_run(wine: Problem) -> None:
    with tracker.start_run(), pytest.raises(tracker.UsageError, match="is active already"):
        train(wine, 1, resume="auto")


def test_a_callback_of_another_library_is_refused_by_name(wine: Problem) -> None:
    class Foreign:
        pass

    for wrong, words in (
        (Foreign(), "it is not a tracker_torch.Callback"),
        (EarlyStopping, "it is the class"),
    ):
        with pytest.raises(tracker.UsageError, match=words):
            Training(wine.net(), None, 1, callbacks=[wrong])  # type: ignore[list-item]


def test_switched_off_it_trains_alike_and_records_nothing(wine: Problem, monkeypatch: Any) -> None:
    monkeypatch.setenv("TRACKER_MODE", "disabled")
    _, training = train(
        wine, 30, *everything(), ReduceLROnPlateau(), LearningRateScheduler(lambda e, lr: lr)
    )
    assert not Path(".tracker").exists() and not training.run.recording
    assert len(list(Path("ck").glob("[0-9]*.pt"))) == 2


def test_a_bar_is_drawn_when_asked_for_and_a_line_stays(wine: Problem, capsys: Any) -> None:
    train(wine, 2, progress=True)
    shown = capsys.readouterr().err
    assert "Epoch 1/2" in shown and "Epoch 2/2" in shown and "val_loss" in shown


def test_rich_is_not_imported_without_a_terminal() -> None:
    code = "import sys, tracker_torch; sys.exit('rich' in sys.modules or 'keras' in sys.modules)"
    root = ROOT
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"PYTHONPATH": f"{root}:{root / 'adapters'}"}
    )


def test_schedulers_step_with_the_loop(wine: Problem) -> None:
    model = wine.net()
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    stepper = LRSchedulerCallback(torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5))
    with Training(model, optimizer, 3, callbacks=[stepper]) as training:
        list(training.epochs())
    assert training.history.history["learning_rate"] == [1.0, 0.5, 0.25]

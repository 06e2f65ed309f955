"""A second training in one run is its next phase: it continues the numbering, and nothing else."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from torch import nn, optim

import tracker
from tests.helpers.torch_problems import ask
from tracker_torch import BackupAndRestore, CallbackList, EarlyStopping, Training


class Killed(Exception):
    """Stands for a crash."""


def phase(
    epochs: int,
    *callbacks: Any,
    crash: int | None = None,
    groups: int = 1,
    streamed: bool = False,
) -> Training:
    model = nn.Linear(1, 1)
    parts = [{"params": [p]} for p in list(model.parameters())[:groups]]
    every = 1 if streamed else None
    training = Training(model, optim.SGD(parts, 0.1), epochs, callbacks=callbacks, log_every=every)
    with training:
        for epoch in training.epochs():
            if epoch == crash and not streamed:
                raise Killed
            for _ in training.batches(range(2)):
                training.log(loss=1.0)
            if epoch == crash:
                raise Killed
            training.log_epoch(loss=float(epoch))
    return training


def recorded() -> list[Any]:
    return ask("SELECT epoch, attempt, step FROM epoch WHERE NOT superseded ORDER BY epoch")


def test_freeze_then_fine_tune() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with tracker.start_run(name="r"):
            first = phase(3, EarlyStopping("loss", patience=0, mode="min"))
            second = phase(3, EarlyStopping("loss", patience=9), groups=2)
    assert first.history.epoch == [0, 1] and second.history.epoch == [2, 3, 4]
    assert recorded() == [(epoch, 1, 2 * epoch + 2) for epoch in range(5)]
    assert ask("SELECT epochs FROM run") == [(5,)]


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize(
    ("ends", "status"),
    [(("stopped", "well"), "finished"), (("well", "stopped"), "stopped_early")],
)
def test_a_stop_is_the_end_of_the_last_phase_only(
    ends: tuple[str, str], status: str, by_hand: bool
) -> None:
    with tracker.start_run(name="r") as run:
        for end in ends:
            patience = 0 if end == "stopped" else 9
            stopper = EarlyStopping("loss", patience=patience, mode="min")
            if by_hand:
                loop(stopper)
            else:
                phase(3, stopper)
    assert run.status == status


@pytest.mark.parametrize("crash", [0, 1])
@pytest.mark.parametrize("next_by_hand", [False, True])
def test_steps_of_an_epoch_that_a_phase_did_not_end_are_superseded(
    crash: int, next_by_hand: bool
) -> None:
    with tracker.start_run(name="r") as run:
        with pytest.raises(Killed):
            phase(3, crash=crash, streamed=True)
        if next_by_hand:
            loop()
        else:
            phase(2, streamed=True)
    points = tracker.metrics("r")
    trained = crash if next_by_hand else crash + 2
    assert points["step"].tolist() == list(range(1, 2 * trained + 1 + 2 * next_by_hand))
    assert run.attempt == 2


@pytest.mark.parametrize("left", [0, 1])
def test_steps_of_an_epoch_in_which_a_training_was_dropped_are_superseded(left: int) -> None:
    """Nobody holds a training that a loop was left of: it says nothing when it is gone."""

    def leave() -> None:
        model = nn.Linear(1, 1)
        training = Training(model, optim.SGD(model.parameters(), 0.1), 3, log_every=1)
        for epoch in training.epochs():
            for _ in training.batches(range(2)):
                training.log(loss=1.0)
            if epoch == left:
                break
            training.log_epoch(loss=float(epoch))

    with tracker.start_run(name="r") as run:
        leave()
        phase(2, streamed=True)
    assert tracker.metrics("r")["step"].tolist() == list(range(1, 2 * left + 5))
    assert run.attempt == 2


def loop(*callbacks: Any) -> None:
    """A loop that calls the hooks itself."""
    model = nn.Linear(1, 1)
    hooks = CallbackList(list(callbacks), model, optim.SGD(model.parameters(), 0.1))
    hooks.on_train_begin()
    for epoch in range(hooks.first_epoch, hooks.first_epoch + 3):
        hooks.on_epoch_end(epoch, {"loss": float(epoch)})
        if hooks.stop_training:
            break
    hooks.on_train_end()


@pytest.mark.parametrize("folders", [("a", "b"), ("a", "a")])
def test_phases_with_backups(folders: tuple[str, str]) -> None:
    with tracker.start_run(name="r"):
        for number, folder in enumerate(folders, 1):
            phase(2, BackupAndRestore(folder), groups=number)
    assert [epoch for epoch, *_ in recorded()] == [0, 1, 2, 3]


@pytest.mark.parametrize("crash", [1, 2, 3, 4])
def test_a_kill_in_either_phase_and_a_resume(crash: int) -> None:
    for attempt in (1, 2):
        at = crash if attempt == 1 else None
        try:
            with tracker.start_run(name="r", resume="r" if attempt > 1 else None):
                phase(2, BackupAndRestore("a"), crash=at)
                phase(3, BackupAndRestore("b"), crash=at, groups=2)
        except Killed:
            assert attempt == 1
    assert [(epoch, step) for epoch, _, step in recorded()] == [
        (epoch, 2 * epoch + 2) for epoch in range(5)
    ]


def test_hooks_by_hand_continue_and_may_repeat() -> None:
    with tracker.start_run(name="r"):
        for begin_again in (False, False, True):
            loop = CallbackList([], nn.Linear(1, 1))
            loop.on_train_begin()
            first = 0 if begin_again else loop.first_epoch
            for epoch in range(first, first + 2):
                loop.on_epoch_end(epoch, {"loss": 1.0})
            loop.on_train_end()
    assert ask("SELECT epoch, attempt, superseded FROM epoch ORDER BY id") == [
        (0, 1, 1), (1, 1, 1), (2, 1, 1), (3, 1, 1), (0, 2, 0), (1, 2, 0),
    ]  # fmt: skip

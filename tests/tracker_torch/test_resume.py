from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tests.helpers.torch_problems import ask, decisions
from tracker.policies import Retention
from tracker_torch import (
    BackupAndRestore,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
)


class Killed(Exception):
    """Stands for a kill: nothing of the loop runs afterwards."""


def part(
    series: list[float], *callbacks: Any, end: int | None = None, resume: str | None = "auto"
) -> Any:
    """Train on ``series``, and die before epoch ``end``; returns the optimizer."""
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    try:
        with tracker.start_run("resumed", resume=resume):
            loop = CallbackList(callbacks, model, optimizer)
            loop.on_train_begin()
            for epoch in range(loop.first_epoch, len(series)):
                if loop.stop_training:
                    break
                loop.on_epoch_begin(epoch)
                if epoch == end:
                    raise Killed
                loop.on_epoch_end(epoch, {"val_loss": series[epoch]})
            loop.on_train_end()
    except Killed:
        pass
    return optimizer


def test_wait_best_and_stop_come_back(folder: Path) -> None:
    series = [3, 1, 2, 2, 2, 2]
    part(series, EarlyStopping(patience=3), end=3)
    stopper = EarlyStopping(patience=3)
    part(series, stopper)
    assert (stopper.best, stopper.best_epoch, stopper.wait, stopper.stopped_epoch) == (1, 1, 3, 4)
    assert ask("SELECT status, epochs FROM run") == [("stopped_early", 5)]


def test_a_raised_patience_takes_effect(folder: Path) -> None:
    series = [1, 2, 2, 2, 2, 2, 2]
    part(series, EarlyStopping(patience=2))
    stopper = EarlyStopping(patience=4)
    part(series, stopper, resume="resumed-1")
    assert stopper.stopped_epoch == 4
    assert decisions("EarlyStopping") == [
        (0, "improved"), (1, "waited"), (2, "stopped"), (3, "waited"), (4, "stopped"),
    ]  # fmt: skip


def test_a_run_that_was_stopped_stays_stopped_under_the_same_rules(folder: Path) -> None:
    """A kill may come between the decision to stop and the end of the run."""
    part([1, 2, 2, 2, 2], EarlyStopping(patience=2))
    stopper = EarlyStopping(patience=2)
    with pytest.warns(UserWarning, match="nothing is trained unless an argument changes"):
        part([1, 2, 2, 2, 2], stopper, resume="resumed-1")
    assert stopper.stopped_epoch == 2 and ask("SELECT count(*) FROM epoch") == [(3,)]
    assert ask("SELECT status, reason FROM run")[0][1].endswith("2 of 2 waits")


def test_a_better_file_of_an_earlier_attempt_is_not_overwritten(folder: Path) -> None:
    part([2, 1, 5, 4, 3], ModelCheckpoint("best.pt", save_best_only=True), end=2)
    before = Path("best.pt").read_bytes()
    keeper = ModelCheckpoint("best.pt", save_best_only=True)
    part([2, 1, 5, 4, 3], keeper)
    assert (keeper.best, keeper.best_epoch) == (1, 1)
    assert Path("best.pt").read_bytes() == before


def test_keep_k_goes_on_with_the_right_files(folder: Path) -> None:
    series = [3, 1, 5, 2, 4, 0]
    part(series, ModelCheckpoint("ck/{epoch}.pt", keep=2), end=3)
    part(series, ModelCheckpoint("ck/{epoch}.pt", keep=2))
    assert sorted(path.name for path in Path("ck").iterdir()) == ["2.pt", "6.pt"]


def test_a_size_goes_on_with_the_right_files(folder: Path) -> None:
    """There is room for two files: what was saved before the interruption counts."""
    series = [4, 1, 5, 2, 6, 3]
    part(series[:1], ModelCheckpoint("one.pt"))
    keep = Retention(size=int(2.5 * Path("one.pt").stat().st_size))
    part(series, ModelCheckpoint("ck/{epoch}.pt", keep=keep), end=3)
    part(series, ModelCheckpoint("ck/{epoch}.pt", keep=keep))
    assert sorted(path.name for path in Path("ck").iterdir()) == ["2.pt", "6.pt"]


def test_learning_rates_come_back_without_a_backup(folder: Path) -> None:
    series = [1.0] * 6
    part(series, ReduceLROnPlateau(patience=1, factor=0.5), end=3)
    assert part(series, ReduceLROnPlateau(patience=1, factor=0.5)).param_groups[0]["lr"] == 0.5**5


def test_a_schedule_goes_on_from_the_rate_it_had(folder: Path) -> None:
    series = [1.0] * 4
    part(series, LearningRateScheduler(lambda epoch, lr: lr / 2), end=2)
    optimizer = part(series, LearningRateScheduler(lambda epoch, lr: lr / 2))
    assert optimizer.param_groups[0]["lr"] == 0.5**4


def test_history_is_read_back_from_the_database(folder: Path) -> None:
    part([3, 2, 1], end=2)
    history = History()
    part([3, 2, 1], history)
    assert (history.epoch, history.history["val_loss"]) == ([0, 1, 2], [3, 2, 1])


def test_the_csv_goes_on_without_a_seam(folder: Path) -> None:
    part([3, 2, 1], CSVLogger("log.csv"), end=2)
    with Path("log.csv").open("a") as file:
        file.write("2,1.")  # the kill came in the middle of a line
    part([3, 2, 1], CSVLogger("log.csv"))
    assert Path("log.csv").read_text().split() == ["epoch,val_loss", "0,3.0", "1,2.0", "2,1.0"]


def test_a_row_that_was_recorded_but_not_written_comes_back(folder: Path) -> None:
    part([3, 2, 1], CSVLogger("log.csv"), end=2)
    Path("log.csv").write_text("epoch,val_loss\n0,3.0\n1,2")
    part([3, 2, 1], CSVLogger("log.csv"))
    assert Path("log.csv").read_text().split() == ["epoch,val_loss", "0,3.0", "1,2.0", "2,1.0"]


def test_of_an_appended_csv_only_the_own_rows_are_written_again(folder: Path) -> None:
    Path("log.csv").write_text("epoch,val_loss\n0,9\n1,9\n2,9\n0,3.0\n1,2.0\n")
    part([3, 2, 1])
    with tracker.start_run("resumed", resume="resumed-1") as run:
        run.rewind(1)
        loop = CallbackList([CSVLogger("log.csv", append=True)])
        loop.on_train_begin()
        loop.on_epoch_end(1, {"val_loss": 7.0})
        loop.on_train_end()
    assert Path("log.csv").read_text().split()[4:] == ["0,3.0", "1,7.0"]


def test_tensorboard_drops_what_is_written_again(folder: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    part([3, 2, 1, 0], TensorBoard("tb"), BackupAndRestore("bk"), end=2)
    part([3, 2, 1, 0], TensorBoard("tb"), BackupAndRestore("bk"))
    events = EventAccumulator("tb/validation").Reload().Scalars("epoch_loss")
    # The files of one second are read in the order of their numbers as text: 10 before 9.
    assert sorted((event.step, event.value) for event in events) == [(0, 3), (1, 2), (2, 1), (3, 0)]


def test_a_kill_between_the_stop_and_the_end_loses_no_epoch(folder: Path) -> None:
    series, stopped = [1, 2, 2, 2, 2], [(0, "improved"), (1, "waited"), (2, "stopped")]

    def die(logs: Any) -> None:
        raise Killed

    def callbacks(*hooks: Any) -> list[Any]:
        return [
            ModelCheckpoint("ck/{epoch}.pt"),
            *hooks,
            EarlyStopping(patience=2, restore_best_weights=True),
        ]

    part(series, *callbacks(LambdaCallback(on_train_end=die)))
    for resume in ("resumed-1", "resumed-1"):
        part(series, *callbacks(), resume=resume)
        assert ask("SELECT epoch FROM epoch WHERE NOT superseded") == [(0,), (1,), (2,)]
        assert decisions("EarlyStopping") == [*stopped, (2, "restored")]
    assert ask("SELECT status, epochs FROM run") == [("stopped_early", 3)]


def test_a_run_that_is_extended_tells_again_which_weights_it_ended_with(folder: Path) -> None:
    def callbacks() -> list[Any]:
        stopper = EarlyStopping(patience=9, restore_best_weights=True)
        return [ModelCheckpoint("ck/{epoch}.pt"), stopper]

    for series in ([2, 3], [2, 3, 1, 3]):
        part(series, *callbacks(), resume="resumed-1" if len(series) == 4 else None)
    told = decisions("EarlyStopping", "d.epoch, d.best_epoch, d.verdict")
    assert [one[:2] for one in told if one[2] == "restored"] == [(1, 0), (3, 2)]
    assert tracker.runs()["restored_epoch"].tolist() == [2]


def test_a_file_that_was_condemned_before_a_kill_goes_after_it(
    folder: Path, monkeypatch: Any
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(tracker.Run, "prune_checkpoints", die)
        part([2, 1], ModelCheckpoint("ck/{epoch}.pt", keep=1))
    assert len(list(Path("ck").iterdir())) == 2
    part([2, 1, 3], ModelCheckpoint("ck/{epoch}.pt", keep=1))
    assert [path.name for path in Path("ck").iterdir()] == ["2.pt"]
    assert decisions("ModelCheckpoint") == [
        (0, "saved"),
        (1, "saved"),
        (1, "pruned"),
        (2, "skipped"),
    ]
    assert ask("SELECT epoch FROM epoch WHERE NOT superseded") == [(0,), (1,), (2,)]

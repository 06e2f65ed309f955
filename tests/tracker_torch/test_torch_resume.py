from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch_problems import Problem, ask, decisions, step

import tracker
from tracker_torch import (
    BackupAndRestore,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    LRSchedulerCallback,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
    Training,
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
    assert [(event.step, event.value) for event in events] == [(0, 3), (1, 2), (2, 1), (3, 0)]


def test_a_kill_between_the_stop_and_the_end_loses_no_epoch_and_restores_once(folder: Path) -> None:
    series, stopped = (
        [1, 2, 2, 2, 2],
        [(0, "improved"), (1, "waited"), (2, "stopped"), (2, "restored")],
    )

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
        assert decisions("EarlyStopping") == stopped
    assert ask("SELECT status, epochs FROM run") == [("stopped_early", 3)]


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


# BackupAndRestore


def train(
    problem: Problem,
    epochs: int,
    *callbacks: Any,
    die: tuple[int, int] | None = None,
    **options: Any,
) -> tuple[nn.Module, Training]:
    """A shuffling, noisy training that dies in one batch of one epoch."""
    model = problem.net()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    loader = problem.loader(16, generator=torch.Generator().manual_seed(5))
    training = Training(
        model, optimizer, epochs, callbacks=callbacks, scheduler=scheduler, **options
    )
    try:
        with training:
            for epoch in training.epochs():
                for number, (x, y) in enumerate(training.batches(loader)):
                    if (epoch, number) == die:
                        raise Killed
                    training.log(
                        loss=step(model, optimizer, x + torch.randn_like(x), y), batch_size=len(x)
                    )
                training.log_epoch(val_loss=problem.val_loss(model))
                scheduler.step()
    except Killed:
        pass
    return model, training


def weights(model: nn.Module) -> list[Any]:
    return [p.tolist() for p in model.parameters()]


@pytest.mark.parametrize("save_freq", ["epoch", 3, 7, 100])
def test_a_killed_training_ends_with_the_weights_of_one_that_was_not(
    wine: Problem, save_freq: Any
) -> None:
    """Also when the backup is taken in the middle of an epoch, or there is none yet."""
    whole, first = train(wine, 4)
    train(wine, 4, BackupAndRestore("bk", save_freq), experiment="k", die=(2, 5))
    model, again = train(wine, 4, BackupAndRestore("bk", save_freq), experiment="k", resume="auto")
    assert weights(model) == weights(whole)
    assert again.history.history == first.history.history
    assert again.step == first.step and again.run.attempt == 2
    assert tracker.epochs(again.run.id)["loss"].tolist() == first.history.history["loss"]


def test_the_best_weights_survive_in_the_backup(wine: Problem) -> None:
    def callbacks() -> list[Any]:
        return [
            EarlyStopping(patience=50, restore_best_weights=True, mode="max"),
            BackupAndRestore("bk"),
        ]

    whole, _ = train(wine, 6, callbacks()[0])
    train(wine, 6, *callbacks(), experiment="k", die=(4, 0))
    model, _ = train(wine, 6, *callbacks(), experiment="k", resume="auto")
    assert weights(model) == weights(whole)


def test_without_a_backup_the_best_weights_come_from_their_checkpoint(wine: Problem) -> None:
    def callbacks() -> list[Any]:
        return [
            EarlyStopping(patience=50, restore_best_weights=True, mode="max"),
            ModelCheckpoint("ck/{epoch}.pt"),
        ]

    whole, _ = train(wine, 6, callbacks()[0])
    train(wine, 6, *callbacks(), experiment="k", die=(4, 0))
    model, _ = train(wine, 6, *callbacks(), experiment="k", resume="auto")
    assert weights(model) == weights(whole)


def test_it_is_deleted_once_the_run_has_ended_well_and_only_then(wine: Problem) -> None:
    train(wine, 3, BackupAndRestore("bk"), die=(2, 0))
    assert Path("bk/latest.pt").exists()
    train(wine, 3, BackupAndRestore("bk"), resume="auto")
    assert not Path("bk").exists()
    train(wine, 2, BackupAndRestore("bk", delete_checkpoint=False))
    assert Path("bk/latest.pt").exists()


def test_files_of_others_in_its_folder_stay(wine: Problem) -> None:
    Path("bk").mkdir()
    Path("bk/mine.txt").write_text("x")
    train(wine, 1, BackupAndRestore("bk"))
    assert [path.name for path in Path("bk").iterdir()] == ["mine.txt"]


def test_a_damaged_backup_falls_back_on_the_one_before(wine: Problem) -> None:
    whole, _ = train(wine, 4)
    train(wine, 4, BackupAndRestore("bk", double_checkpoint=True), experiment="k", die=(3, 1))
    Path("bk/latest.pt").write_bytes(Path("bk/latest.pt").read_bytes()[:-100])
    with pytest.warns(UserWarning, match="the backup before it"):
        model, training = train(
            wine, 4, BackupAndRestore("bk", double_checkpoint=True), experiment="k", resume="auto"
        )
    assert weights(model) == weights(whole) and training.history.epoch == [0, 1, 2, 3]


def test_a_damaged_backup_alone_is_an_error_that_names_it(wine: Problem) -> None:
    train(wine, 4, BackupAndRestore("bk"), die=(3, 1))
    Path("bk/latest.pt").write_bytes(b"PK")
    with pytest.raises(tracker.CheckpointError, match=r"bk/latest\.pt cannot be read"):
        train(wine, 4, BackupAndRestore("bk"), resume="auto")


def test_the_backup_of_another_run_is_gone_on_with_and_said(wine: Problem) -> None:
    """What Keras does, which knows no runs."""
    train(wine, 4, BackupAndRestore("bk"), die=(2, 1))
    with pytest.warns(UserWarning, match="resume='auto'"):
        _, training = train(wine, 4, BackupAndRestore("bk"))
    assert ask("SELECT epoch FROM epoch WHERE run_id = ?", training.run.id) == [(2,), (3,)]


def test_a_run_with_epochs_but_without_its_backup_is_refused(wine: Problem) -> None:
    train(wine, 4, BackupAndRestore("bk"))
    with pytest.raises(tracker.RunError, match=r"has 4 epochs, but there is no backup"):
        train(wine, 6, BackupAndRestore("bk"), resume="default-1")


def test_a_kill_before_the_first_backup_begins_again(wine: Problem) -> None:
    whole, _ = train(wine, 2)
    with pytest.raises(OSError, match="full"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(BackupAndRestore, "_save", lambda *_: (_ for _ in ()).throw(OSError("full")))
        train(wine, 2, BackupAndRestore("bk"), experiment="k")
    model, training = train(wine, 2, BackupAndRestore("bk"), experiment="k", resume="auto")
    assert weights(model) == weights(whole) and training.history.epoch == [0, 1]


def test_a_run_that_has_all_its_epochs_says_so(wine: Problem) -> None:
    train(wine, 2, BackupAndRestore("bk", delete_checkpoint=False))
    with pytest.warns(UserWarning, match="nothing is left to train"):
        train(wine, 2, BackupAndRestore("bk"), resume="default-1")


def test_training_can_be_loaded_from_a_checkpoint(wine: Problem) -> None:
    """The scheduler is stepped after log_epoch here, and so one step behind in the file."""
    train(wine, 4, ModelCheckpoint("ck/{epoch}.pt"), experiment="k", die=(3, 0))
    model = wine.net(9)
    optimizer = torch.optim.Adam(model.parameters(), 1.0)
    with Training(model, optimizer, 4, experiment="k", resume="auto") as training:
        training.load("ck/2.pt")
        assert list(training.epochs()) == [2, 3]
    assert training.history.epoch == [0, 1, 2, 3]
    assert optimizer.param_groups[0]["lr"] < 0.011


def test_a_scheduler_goes_on_without_a_backup(wine: Problem) -> None:
    def lone(end: int | None) -> float:
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), 1.0)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
        try:
            with tracker.start_run("lone", resume="auto"):
                loop = CallbackList([LRSchedulerCallback(scheduler)], None, optimizer)
                loop.on_train_begin()
                for epoch in range(loop.first_epoch, 6):
                    if epoch == end:
                        raise Killed
                    loop.on_epoch_end(epoch, {"loss": 1.0})
                loop.on_train_end()
        except Killed:
            pass
        return optimizer.param_groups[0]["lr"]

    lone(3)
    assert lone(None) == 0.125

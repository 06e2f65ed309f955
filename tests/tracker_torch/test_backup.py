from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

import tracker
from tests.helpers.torch_killed import train_and_die_on_the_way_out
from tests.helpers.torch_problems import Problem, ask, step
from tests.helpers.torch_processes import SPAWN
from tracker.files import prepared
from tracker_torch import (
    BackupAndRestore,
    CallbackList,
    EarlyStopping,
    LRSchedulerCallback,
    ModelCheckpoint,
    Training,
)


class Killed(Exception):
    """Stands for a kill: nothing of the loop runs afterwards."""


# BackupAndRestore


def train(
    problem: Problem,
    epochs: int,
    *callbacks: Any,
    die: tuple[int, int] | None = None,
    loader: Any = None,
    **options: Any,
) -> tuple[nn.Module, Training]:
    """A shuffling, noisy training that dies in one batch of one epoch."""
    model = problem.net()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    if loader is None:
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


@pytest.mark.parametrize("save_freq", ["epoch", 3])
def test_a_batch_sampler_with_a_generator_of_its_own_goes_on_as_well(
    wine: Problem, save_freq: Any
) -> None:
    def loader() -> DataLoader[Any]:
        order = RandomSampler(wine.train, generator=torch.Generator().manual_seed(5))
        return DataLoader(wine.train, batch_sampler=BatchSampler(order, 16, drop_last=False))

    whole, _ = train(wine, 4, loader=loader())
    train(wine, 4, BackupAndRestore("bk", save_freq), experiment="k", die=(2, 5), loader=loader())
    again = {"experiment": "k", "resume": "auto", "loader": loader()}
    model, _ = train(wine, 4, BackupAndRestore("bk", save_freq), **again)
    assert weights(model) == weights(whole)


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


@pytest.mark.usefixtures("started_processes_find_us")
def test_a_kill_before_it_is_deleted_leaves_it_to_its_own_run(
    folder: Path, wine: Problem, recwarn: pytest.WarningsRecorder
) -> None:
    """Another training begins anew; the run itself may go on for more epochs."""
    wine.save("wine.pt")
    for name in ("first", "second"):
        child = SPAWN.Process(target=train_and_die_on_the_way_out, args=(str(folder), name))
        child.start()
        child.join()
        assert child.exitcode == 9
        assert ask("SELECT status FROM run WHERE name = ?", name) == [("finished",)]
        assert Path("bk/latest.pt").exists()
        resume = name if name == "first" else None
        _, training = train(wine, 4, BackupAndRestore("bk"), experiment="k", resume=resume)
        assert not Path("bk").exists()
        assert training.history.epoch == [0, 1, 2, 3]
        assert training.run.attempt == (1 if resume is None else 2)
    assert ask("SELECT count(*) FROM epoch WHERE superseded") == [(0,)]
    assert not recwarn.list


@pytest.mark.parametrize("own", [False, True])
def test_half_a_backup_of_another_machine_goes_when_its_own_run_goes_on(
    wine: Problem, own: bool
) -> None:
    """A resumed run has no other process any more; of a new one nobody knows."""
    train(wine, 3, BackupAndRestore("bk"), experiment="k", die=(2, 0))
    half = Path("bk/.tracker-0badcafe-4194000-01234567-latest.pt")
    half.write_text("half")
    train(wine, 3, BackupAndRestore("bk"), experiment="k", resume="auto" if own else None)
    assert half.exists() == (not own)


def test_half_a_backup_of_a_living_process_stays(wine: Problem) -> None:
    with prepared("bk/latest.pt", lambda path: path.write_text("half")) as living:
        train(wine, 1, BackupAndRestore("bk"))
        assert living.temporary.exists()


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


def test_a_damaged_backup_alone_is_an_error_that_names_it(wine: Problem, recwarn: Any) -> None:
    train(wine, 4, BackupAndRestore("bk"), die=(3, 1))
    Path("bk/latest.pt").write_bytes(b"PK")
    rescue = ModelCheckpoint("x.pt", save_on_exception=True)
    with pytest.raises(tracker.CheckpointError, match=r"bk/latest\.pt cannot be read") as caught:
        train(wine, 4, BackupAndRestore("bk"), rescue, resume="auto")
    assert "weights_only set to" not in str(caught.value) and not Path("exception.pt").exists()
    assert not [one for one in recwarn if "failed as well" in str(one.message)]


def test_the_backup_of_another_run_is_gone_on_with_and_said(wine: Problem) -> None:
    """What Keras does, which knows no runs."""
    _, first = train(wine, 4, BackupAndRestore("bk"), die=(2, 1))
    with pytest.warns(UserWarning, match=f"continue that run pass resume='{first.run.id}'"):
        _, training = train(wine, 4, BackupAndRestore("bk"))
    assert ask("SELECT epoch FROM epoch WHERE run_id = ?", training.run.id) == [(2,), (3,)]


def test_a_run_with_epochs_but_without_its_backup_is_refused(wine: Problem) -> None:
    """Nothing was trained by that: the run stays finished."""
    train(wine, 4, BackupAndRestore("bk"))
    ending = "SELECT status, reason, error, ended, epochs FROM run"
    before = ask(ending)
    with pytest.raises(tracker.RunError, match=r"has 4 epochs, but there is no backup"):
        train(wine, 6, BackupAndRestore("bk"), resume="default-1")
    assert ask(ending) == before and before[0][0] == "finished"
    with (
        pytest.raises(tracker.RunError, match="there is no backup"),
        tracker.start_run(resume="default-1"),
    ):
        train(wine, 6, BackupAndRestore("bk"))
    assert ask(ending) == before


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


def test_a_resumed_run_with_fresh_weights_says_so(wine: Problem, recwarn: Any) -> None:
    """Neither a backup, nor `load`, nor a loop that says it loaded them itself is warned."""
    train(wine, 4, ModelCheckpoint("ck/{epoch}.pt"), experiment="k", die=(2, 0))
    with pytest.warns(
        UserWarning, match="Run k-1 continues at epoch 2, but nothing brought its weights"
    ):
        train(wine, 4, experiment="k", resume="auto", die=(2, 0))
    recwarn.clear()
    loop = CallbackList(model=wine.net(), start=lambda **_: tracker.start_run("k", resume="auto"))
    loop.restored = True
    loop.on_train_begin()
    loop.on_train_end()
    with Training(wine.net(), None, 3, resume="k-1") as training:
        training.load("ck/1.pt")
        list(training.epochs())
    assert not [one for one in recwarn if "brought" in str(one.message)]


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

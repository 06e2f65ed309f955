"""Steps of an epoch that is trained again are counted from where it began."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tests.helpers.torch_problems import Problem, ask, step
from tracker_torch import (
    BackupAndRestore,
    Callback,
    CallbackList,
    LRSchedulerCallback,
    ModelCheckpoint,
    Training,
)


class Killed(Exception):
    """Stands for a kill: nothing of the loop runs afterwards."""


def train(problem: Problem, *callbacks: Any, load: str | None = None) -> Training:
    """Train for two epochs of five batches."""
    model = problem.net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Training(model, optimizer, 2, callbacks=callbacks) as training:
        if load:
            training.load(load, rng=False)
        for _ in training.epochs():
            for x, y in training.batches(problem.loader()):
                step(model, optimizer, x, y)
    return training


@pytest.mark.filterwarnings("ignore:.* holds no optimizer")
@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_a_checkpoint_from_the_middle_of_an_epoch_begins_it_again(wine: Problem, kind: str) -> None:
    whole = train(wine, ModelCheckpoint("{step}." + kind, monitor=None, save_freq=1))
    assert whole.step == 10
    for done in (3, 8, 10):
        assert train(wine, load=f"{done}.{kind}").step == 10


def test_a_loop_of_ones_own_that_begins_an_epoch_again_counts_from_there(folder: Any) -> None:
    def part(end: int | None) -> int:
        model = nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        loop = CallbackList([BackupAndRestore("bk", 2)], model, optimizer)
        try:
            with tracker.start_run("own", resume="auto"):
                loop.on_train_begin()
                for epoch in range(loop.first_epoch, 2):
                    loop.on_epoch_begin(epoch)
                    for batch in range(5):
                        if (epoch, batch) == (1, end):
                            raise Killed
                        loop.on_train_batch_end(batch)
                    loop.on_epoch_end(epoch, {"loss": 1.0})
                loop.on_train_end()
        except Killed:
            pass
        return loop.step

    part(3)
    assert part(None) == 10


def best_and_kept(name: str, backup_first: bool = False, die: int | None = None) -> list[Any]:
    """Train two epochs whose steps log these values; return the files, and what is known of them."""
    best = ModelCheckpoint(f"{name}/best.pt", "loss", save_best_only=True, save_freq=1)
    kept = ModelCheckpoint(name + "/{step}.pt", "loss", keep=2, save_freq=2)
    callbacks = [best, kept, BackupAndRestore(f"{name}-backup", save_freq=4)]
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    options: dict[str, Any] = {"experiment": name, "resume": "auto"}
    if backup_first:
        callbacks.reverse()
    try:
        with Training(model, optimizer, 2, callbacks=callbacks, **options) as training:
            for epoch in training.epochs():
                for value in training.batches([0.5, 0.3, 0.1, 0.2, 0.6, 0.7, 0.4, 0.8]):
                    if training.step == die:
                        raise Killed
                    training.log(loss=value - epoch)
    except Killed:
        pass
    available = "SELECT path FROM checkpoint WHERE state = 'available' AND path LIKE ?"
    known = {Path(path).name for (path,) in ask(available, f"%{name}/%")}
    there = {path.name for path in Path(name).iterdir()}
    return [known, there, best.best, kept.files, torch.load(f"{name}/best.pt")["step"]]


@pytest.mark.parametrize("backup_first", [False, True])
def test_what_was_decided_in_an_epoch_survives_a_kill_in_that_epoch(
    folder: Path, backup_first: bool
) -> None:
    """No better file is overwritten, and none is left that keep= does not count."""
    whole = best_and_kept("whole")
    best_and_kept("killed", backup_first, die=14)
    assert best_and_kept("killed", backup_first) == whole
    assert whole[:2] == [{"best.pt", "10.pt", "12.pt"}] * 2 and whole[-1] == 11


def decided(name: str, *dies: int) -> list[Any]:
    """Train for two epochs of eight steps, killed before these steps; return what was decided and counts."""
    for die in (*dies, None):
        model = nn.Linear(1, 1)
        callbacks = [
            ModelCheckpoint(f"{name}/{{step}}.pt", monitor=None, save_freq=1, keep=2),
            BackupAndRestore(f"{name}-backup", save_freq=4),
        ]
        options: dict[str, Any] = {"experiment": name, "resume": "auto", "callbacks": callbacks}
        try:
            with Training(
                model, torch.optim.SGD(model.parameters(), 0.1), 2, **options
            ) as training:
                for _ in training.epochs():
                    for _ in training.batches(range(8)):
                        if training.step == die:
                            raise Killed
        except Killed:
            pass
    decisions = tracker.decisions(training.run.id)
    return [
        (row.step, row.verdict, Path(row.path).name)
        for row in decisions.sort_values(["step", "verdict"]).itertuples()
    ]


@pytest.mark.parametrize("dies", [(6,), (7, 6), (8,), (11, 14)])
def test_decisions_before_a_backup_in_the_middle_of_an_epoch_count(
    folder: Any, dies: tuple[int, ...]
) -> None:
    """Nobody repeats them; those after it are repeated, and count once."""
    assert decided("killed", *dies) == decided("whole")


def test_a_rate_per_batch_is_compared_with_that_of_the_epochs_beginning(folder: Any) -> None:
    """Also where the epoch was resumed in its middle."""

    def rates(name: str, die: int | None = None) -> list[Any]:
        model = nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        callbacks = [LRSchedulerCallback(schedule, per="batch"), BackupAndRestore(name, 3)]
        options: dict[str, Any] = {"experiment": name, "resume": "auto", "callbacks": callbacks}
        try:
            with Training(model, optimizer, 2, **options) as training:
                for _ in training.epochs():
                    for _ in training.batches(range(4)):
                        if training.step == die:
                            raise Killed
                        optimizer.step()
        except Killed:
            pass
        return tracker.decisions(training.run.id)[["lr_before", "lr_after"]].values.tolist()

    rates("killed", die=7)
    assert rates("killed") == rates("whole")


def test_step_metrics_are_on_the_disk_once_the_backup_that_follows_them_is(folder: Any) -> None:
    """A kill right after it would lose them for good: these steps are not repeated."""
    model, on_disk = nn.Linear(1, 1), []

    class Asks(Callback):
        order = 4

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            steps = tracker.metrics(self.run.id)["step"].tolist()
            on_disk.append(steps == list(range(1, self.loop.step + 1)))

    callbacks = [Asks(), BackupAndRestore("backup", save_freq=1)]
    with Training(model, None, 1, callbacks=callbacks, log_every=1) as training:
        for _ in training.epochs():
            for number in training.batches(range(12)):
                training.log(loss=number)
    assert on_disk == [True] * 12


def seen_batches(
    name: str, problem: Problem, *sizes: int, save_freq: int = 1, die: int | None = None
) -> list[tuple[int, int, Any]]:
    """Walk over a loader for each batch size in each of two epochs; return epoch, size and samples."""
    torch.manual_seed(0)
    model, seen = nn.Linear(1, 1), []
    loaders = [(size, problem.loader(size)) for size in sizes]
    callbacks = [BackupAndRestore(f"{name}-backup", save_freq)]
    options: dict[str, Any] = {"experiment": name, "resume": "auto"}
    try:
        with Training(model, None, 2, callbacks=callbacks, **options) as training:
            for epoch in training.epochs():
                for size, loader in loaders:
                    for x, _ in training.batches(loader):
                        if training.step == die:
                            raise Killed
                        seen.append((epoch, size, x.tolist()))
    except Killed:
        pass
    return seen


@pytest.mark.parametrize("die", [2, 5, 7, 20, 25])
def test_several_loaders_in_an_epoch_go_on_where_they_were(wine: Problem, die: int) -> None:
    """Epochs of five, then three, then nine batches."""
    whole = seen_batches("whole", wine, 32, 64, 16)
    assert len(whole) == 34
    before = seen_batches("killed", wine, 32, 64, 16, die=die)
    assert before + seen_batches("killed", wine, 32, 64, 16) == whole


def test_another_batch_size_in_the_middle_of_an_epoch_begins_its_data_again(wine: Problem) -> None:
    assert len(seen_batches("k", wine, 8, die=12)) == 12
    with pytest.warns(UserWarning, match="after 12 of 17 batches of this epoch.* has 5 now"):
        seen = seen_batches("k", wine, 32)
    assert [epoch for epoch, _, _ in seen] == [0] * 5 + [1] * 5

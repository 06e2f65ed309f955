"""ModelCheckpoint(background=True): the same files and decisions, written while training goes on."""

from __future__ import annotations

import copy
import errno
import json
import pickle
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tests.helpers.torch_problems import Problem, decisions, step
from tracker_torch import (
    BackupAndRestore,
    CallbackList,
    LambdaCallback,
    ModelCheckpoint,
    Training,
    load_checkpoint,
)
from tracker_torch.state.snapshot import Snapshot

DECISIONS = (
    "SELECT number, epoch, step, verdict, value, value_kind, best, best_epoch, reason FROM decision "
    "WHERE run_id = ? ORDER BY number"
)


class Tied(nn.Module):
    """Shares a weight, holds a view of a larger tensor, a buffer without elements, and text."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(30, 30), nn.Linear(30, 30)
        self.second.weight = self.first.weight
        self.register_buffer("view", torch.arange(10.0)[2:5])
        self.register_buffer("none", torch.zeros(0, 3))
        self.register_buffer("halves", torch.ones(3, 2, dtype=torch.bfloat16).t())
        self.norm = nn.BatchNorm1d(30)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.second(self.first(x)))


def train(model: nn.Module, epochs: int, *callbacks: Any, **options: Any) -> Training:
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    x = torch.randn(16, 30)
    with Training(
        model, optimizer, epochs, callbacks=callbacks, scheduler=scheduler, verbose=0, **options
    ) as training:
        for epoch in training.epochs():
            for batch in training.batches([x, x]):
                loss = model(batch).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            scheduler.step()
            training.log_epoch(val_loss=[3.0, 2.0, 2.5, 1.0, 4.0][epoch])
    return training


def safetensors(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return the header and the tensors' bytes: the order of the header's metadata is by chance."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size]), content[8 + size :]


@pytest.mark.parametrize("weights_only", [False, True])
def test_a_pt_file_is_the_same_byte_for_byte(weights_only: bool) -> None:
    given = {"save_weights_only": weights_only, "save_last": True}
    beside = ModelCheckpoint("beside/{epoch}.pt", background=True, **given)
    train(Tied(), 3, ModelCheckpoint("plain/{epoch}.pt", **given), beside)
    for name in ("1.pt", "2.pt", "3.pt", "last.pt"):
        assert Path("beside", name).read_bytes() == Path("plain", name).read_bytes()


def test_a_safetensors_file_holds_the_same(feed: Any) -> None:
    tied = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    tied[2].weight = tied[0].weight
    models = {"a": tied, "b": nn.Linear(2, 2)}
    names = "plain.safetensors", "beside.safetensors"
    feed([1], *(ModelCheckpoint(n, None, background=n[0] == "b") for n in names), model=models["a"])
    assert safetensors(Path(names[0])) == safetensors(Path(names[1]))
    loop = CallbackList([ModelCheckpoint("two.safetensors", None, background=True)], models)
    loop.on_train_begin()
    loop.on_epoch_end(0, {})
    loop.on_train_end()
    others = {"a": copy.deepcopy(tied), "b": nn.Linear(2, 2)}
    load_checkpoint("two.safetensors", others)
    assert torch.equal(others["b"].weight, models["b"].weight)


def test_decisions_rows_and_files_are_those_without(feed: Any, sql: Callable[..., Any]) -> None:
    given = {"keep": 2, "save_last": "link"}
    series = [3, 2, 2.5, float("nan"), 1, 4]
    plain = feed(series, ModelCheckpoint("plain/{epoch}.pt", **given)).run
    beside = feed(series, ModelCheckpoint("beside/{epoch}.pt", background=True, **given)).run
    rows = [repr(sql(DECISIONS, run.id)) for run in (plain, beside)]
    assert rows[0] == rows[1] and "'pruned'" in rows[0] and "'skipped'" in rows[0]
    names = [sorted(path.name for path in Path(name).iterdir()) for name in ("plain", "beside")]
    assert names[0] == names[1]
    states = sql("SELECT epoch, step, value, state, pending FROM checkpoint ORDER BY created")
    assert states[: len(states) // 2] == states[len(states) // 2 :]


def test_the_file_is_of_the_moment_it_was_taken_and_so_is_its_row(
    wine: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer is held until an epoch more is trained; the folder is another one by then."""
    free, write = threading.Event(), torch.save

    def held(*given: Any, **named: Any) -> None:
        assert free.wait(60)
        write(*given, **named)

    monkeypatch.setattr(torch, "save", held)
    model, home = wine.net(), Path.cwd()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    keeper = ModelCheckpoint("a.pt", None, every_n_epochs=2, background=True)
    with Training(model, optimizer, 3, callbacks=keeper, verbose=0) as training:
        for epoch in training.epochs():
            for x, y in training.batches(wine.loader()):
                step(model, optimizer, x, y)
            if epoch == 1:
                then = copy.deepcopy(model.state_dict())
                steps = training.step
            if epoch == 2:
                assert not Path("a.pt").exists() and training.run.checkpoints() == []
                Path("elsewhere").mkdir()
                monkeypatch.chdir("elsewhere")
                free.set()
    other = wine.net(1)
    assert load_checkpoint(home / "a.pt", other) == {"epoch": 1, "step": steps, "complete": True}
    assert all(torch.equal(then[name], value) for name, value in other.state_dict().items())
    assert not torch.equal(then["0.weight"], model.state_dict()["0.weight"])
    (row,) = tracker.checkpoints(
        training.run.id, database=home / ".tracker/tracker.db"
    ).itertuples()
    assert (row.epoch, row.step) == (1, steps)


def test_one_file_is_written_at_a_time(feed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, order, write = [0], [0], [], torch.save

    def counted(payload: Any, file: Any) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        write(payload, file)
        order.append(payload["epoch"])
        running[0] -= 1

    monkeypatch.setattr(torch, "save", counted)
    feed(list(range(8)), ModelCheckpoint("{epoch}.pt", background=True))
    assert most == [1] and order == list(range(8))


def broken(monkeypatch: pytest.MonkeyPatch, error: Exception, at: int) -> None:
    """Let the file of an epoch fail."""
    write = torch.save

    def save(payload: Any, file: Any) -> None:
        if payload["epoch"] == at:
            raise error
        write(payload, file)

    monkeypatch.setattr(torch, "save", save)


def test_a_full_disk_is_a_warning_and_everything_else_is_as_without(
    feed: Any, monkeypatch: pytest.MonkeyPatch, sql: Callable[..., Any]
) -> None:
    broken(monkeypatch, OSError(errno.ENOSPC, "No space left on device"), 1)
    rows = []
    for name in ("plain", "beside"):
        keeper = ModelCheckpoint("a.pt", save_best_only=True, background=name == "beside")
        with pytest.warns(UserWarning, match=r"a\.pt could not be saved .*training continues"):
            rows.append(sql(DECISIONS, feed([3, 1, 2, 2.5], keeper).run.id))
        assert (keeper.best, keeper.best_epoch) == (2, 2)
    assert rows[0] == rows[1]
    assert [row[3] for row in rows[1]] == ["saved", "skipped", "saved", "skipped"]


def test_a_strict_run_raises_at_the_next_turn(feed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, OSError(errno.ENOSPC, "No space left on device"), 0)
    with (
        pytest.raises(OSError, match="No space left"),
        tracker.start_run(strict=True),
    ):
        feed([3, 1, 2], ModelCheckpoint("{epoch}.pt", background=True))
    assert decisions("ModelCheckpoint", "d.epoch") == []


@pytest.mark.parametrize(("at", "judged"), [(1, [0]), (3, [0, 1, 2])])
def test_an_error_comes_out_at_the_next_turn_or_at_the_end(
    feed: Any, monkeypatch: pytest.MonkeyPatch, at: int, judged: list[int]
) -> None:
    broken(monkeypatch, RuntimeError("broken"), at)
    keeper = ModelCheckpoint("{epoch}.pt", background=True)
    with pytest.raises(RuntimeError, match="broken"):
        feed([4, 3, 2, 1], keeper)
    assert decisions("ModelCheckpoint", "d.epoch") == [(epoch,) for epoch in judged]


def test_a_training_that_raises_has_its_file_and_the_one_of_its_end(wine: Problem) -> None:
    keeper = ModelCheckpoint("{epoch}.pt", None, save_on_exception=True, background=True)
    model = wine.net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with (
        pytest.raises(ZeroDivisionError),
        Training(model, optimizer, 3, callbacks=keeper, verbose=0) as training,
    ):
        for epoch in training.epochs():
            for number, (x, y) in enumerate(training.batches(wine.loader())):
                step(model, optimizer, x, y)
                number / (2 - epoch - (number > 1))
    assert [one.epoch for one in tracker.checkpoints().itertuples()] == [0, 1]
    assert Path("exception.pt").is_file()


def test_a_backup_knows_the_file_that_was_being_written(wine: Problem) -> None:
    """It waits for it: a training that continues from the backup has what the run has."""
    keeper = ModelCheckpoint("k/{epoch}.pt", keep=2, background=True)
    seen: list[Any] = []
    look = LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(_backed_up()))
    train(Tied(), 3, keeper, BackupAndRestore("backup"), look)
    assert [len(one["files"]) for one in seen[1:]] == [1, 2]


def _backed_up() -> Any:
    try:
        payload = torch.load("backup/latest.pt", weights_only=True)
    except FileNotFoundError:
        return None
    return payload["callbacks"]["ModelCheckpoint val_loss"][0]["state"]


def test_a_second_training_goes_on_with_the_same_callback(wine: Problem) -> None:
    keeper = ModelCheckpoint("{epoch}.pt", background=True)
    with tracker.start_run() as run:
        for _ in range(2):
            train(Tied(), 2, keeper)
        assert [one.epoch for one in run.checkpoints()] == [0, 1, 2, 3]


def test_a_callback_that_has_saved_can_be_copied(feed: Any) -> None:
    keeper = ModelCheckpoint("a.pt", background=True)
    feed([1], keeper)
    for other in (copy.deepcopy(keeper), pickle.loads(pickle.dumps(keeper))):
        feed([1], other)


def test_nothing_is_recorded_and_files_are_written_all_the_same(
    feed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKER_MODE", "disabled")
    feed([1], ModelCheckpoint("a.pt", background=True))
    assert load_checkpoint("a.pt", nn.Linear(2, 1))["epoch"] == 0


def test_background_is_yes_or_no() -> None:
    with pytest.raises(tracker.BadValue, match="background is 'yes': it must be True or False"):
        ModelCheckpoint("a.pt", background="yes")  # type: ignore[arg-type]


def test_the_copy_is_in_the_memory_of_the_cpu_whatever_the_default_device() -> None:
    model = nn.Linear(30, 30)
    torch.set_default_device("meta")
    try:
        snapshot = Snapshot()
        snapshot.begin()
        copied = [snapshot.copy(one) for one in (model.weight, model.weight.detach()[2:])]
        snapshot.end()
    finally:
        torch.set_default_device(None)
    assert torch.equal(copied[0], model.weight) and torch.equal(copied[1], model.weight[2:])


def test_a_layer_without_values_yet_is_saved_as_it_is_without_background() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.LazyLinear(3))
    for background, path in ((False, "plain.pt"), (True, "beside.pt")):
        with Training(
            model, torch.optim.SGD(model[0].parameters(), 0.1), 1,
            callbacks=[ModelCheckpoint(path, background=background)], verbose=0,
        ) as training:  # fmt: skip
            for _ in training.epochs():
                training.log_epoch(val_loss=1.0)
    assert Path("beside.pt").read_bytes() == Path("plain.pt").read_bytes()

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tests.helpers.torch_problems import Problem, decisions, step
from tracker_torch import CallbackList, ModelCheckpoint, Training, load_checkpoint

NAN = math.nan


def test_a_pt_file_brings_everything_back(wine: Problem) -> None:
    model = wine.net()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 1, 5])
    keeper = ModelCheckpoint("a.pt")
    with Training(model, optimizer, 2, callbacks=[keeper], scheduler=scheduler) as training:
        for _ in training.epochs():
            for x, y in training.batches(wine.loader()):
                step(model, optimizer, x, y)
            scheduler.step()
            training.log_epoch(val_loss=1.0)
        drawn = torch.rand(3)
    other = wine.net(1)
    again = torch.optim.Adam(other.parameters(), 1.0)
    rates = torch.optim.lr_scheduler.MultiStepLR(again, [9])
    found = load_checkpoint("a.pt", other, again, rates, rng=True)
    assert found == {"epoch": 1, "step": training.step, "complete": True}
    assert torch.equal(torch.rand(3), drawn)
    assert rates.state_dict() == scheduler.state_dict()
    assert type(rates.milestones) is type(scheduler.milestones)
    assert str(again.state_dict()) == str(optimizer.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
def test_weights_alone_load_into_one_model_or_several(feed: Any, name: str) -> None:
    pair = {"generator": nn.Linear(2, 2), "critic": nn.Linear(2, 1)}
    loop = CallbackList([ModelCheckpoint(name, None, save_weights_only=True)], pair)
    loop.on_train_begin()
    loop.on_epoch_end(0, {"loss": 1.0})
    loop.on_train_end()
    other = {"generator": nn.Linear(2, 2), "critic": nn.Linear(2, 1)}
    load_checkpoint(name, other)
    assert torch.equal(pair["critic"].weight, other["critic"].weight)


def test_plain_weights_are_what_torch_load_returns(feed: Any) -> None:
    model = nn.BatchNorm1d(3)
    feed([1], ModelCheckpoint("a.pt", save_weights_only=True), model=model)
    assert nn.BatchNorm1d(3).load_state_dict(torch.load("a.pt", weights_only=True))


def test_a_recorded_checkpoint_is_checked_before_it_is_loaded(feed: Any) -> None:
    loop = feed([1], ModelCheckpoint("a.pt"))
    (one,) = loop.run.checkpoints()
    load_checkpoint(one, nn.Linear(2, 1))
    with pytest.raises(tracker.CheckpointError, match=rf"it has {one.bytes} bytes .* were 7 bytes"):
        load_checkpoint(replace(one, bytes=7), nn.Linear(2, 1))
    one.path.write_bytes(one.path.read_bytes()[:-1] + b"x")
    with pytest.raises(tracker.CheckpointError, match="is not the file that was saved"):
        load_checkpoint(one, nn.Linear(2, 1))


def test_a_recorded_checkpoint_may_have_been_moved_behind_a_link(feed: Any) -> None:
    (one,) = feed([1], ModelCheckpoint("a.pt")).run.checkpoints()
    one.path.rename("moved.pt")
    with pytest.raises(tracker.CheckpointError, match="is missing"):
        load_checkpoint(one, nn.Linear(2, 1))
    one.path.symlink_to("moved.pt")
    assert load_checkpoint(one, nn.Linear(2, 1))["epoch"] == 0


def test_a_pickle_is_never_run(folder: Path) -> None:
    class Canary:
        def __reduce__(self) -> Any:
            return Path.touch, (Path("sung"),)

    torch.save({"model": Canary()}, "evil.pt")
    with pytest.raises(tracker.CheckpointError, match="weights_only"):
        load_checkpoint("evil.pt", nn.Linear(1, 1))
    assert not Path("sung").exists()


def test_state_that_only_unpickling_could_read_is_refused_with_its_place(feed: Any) -> None:
    class Odd(nn.Linear):
        def get_extra_state(self) -> Any:
            return {"when": Path("x")}

        def set_extra_state(self, state: Any) -> None: ...

    with pytest.raises(tracker.UsageError, match=r"_extra_state\.when holds a PosixPath"):
        feed([1], ModelCheckpoint("a.pt"), model=Odd(1, 1))


def test_a_checkpoint_of_another_model_is_refused(feed: Any) -> None:
    feed([1], ModelCheckpoint("a.pt"))
    with pytest.raises(tracker.CheckpointError, match="does not fit Linear"):
        load_checkpoint("a.pt", nn.Linear(7, 7))
    with pytest.raises(tracker.CheckpointError, match="'a', 'b' now"):
        load_checkpoint("a.pt", {"a": nn.Linear(2, 1), "b": nn.Linear(2, 1)})


def test_what_is_pruned_is_recorded_with_the_reason(feed: Any) -> None:
    feed([3, 2, 2.5], ModelCheckpoint("ck/{epoch}.pt", keep=1))
    columns = "d.epoch, d.verdict, d.value, d.path, d.reason"
    assert decisions("ModelCheckpoint", columns)[2:] == [
        (
            1,
            "pruned",
            2,
            "ck/1.pt",
            "val_loss 3.000 is not among the 1 best, down to 2.000 (epoch 1)",
        ),
        (
            2,
            "skipped",
            2.5,
            None,
            "val_loss 2.500 is not among the 1 best, down to 2.000 (epoch 1)",
        ),
    ]


def test_a_name_is_filled_in_only_for_a_file_that_is_saved(feed: Any) -> None:
    """Validation every second epoch: the others have no val_loss for the name, and save nothing."""
    series = [{"loss": 1.0}, {"val_loss": 0.5}, {"loss": 1.0}, {"val_loss": 0.25}]
    feed(series, ModelCheckpoint("ck/{epoch}-{val_loss:.2f}.pt", save_best_only=True, verbose=1))
    assert sorted(path.name for path in Path("ck").iterdir()) == ["2-0.50.pt", "4-0.25.pt"]
    verdicts = [verdict for _, verdict in decisions("ModelCheckpoint")]
    assert verdicts == ["skipped", "saved", "skipped", "saved"]

"""A part of a training that a file does not hold is said, never passed over."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tracker_torch import (
    BackupAndRestore,
    CallbackList,
    EarlyStopping,
    ModelCheckpoint,
    Training,
    load_checkpoint,
)


def parts() -> tuple[nn.Module, Any, Any]:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1)


def test_a_part_that_is_asked_for_and_not_there_is_refused(feed: Any) -> None:
    feed([1], ModelCheckpoint("a.pt"))
    with pytest.raises(
        tracker.CheckpointError, match=r"a\.pt holds no scheduler: it holds model, opt"
    ):
        load_checkpoint("a.pt", *parts())


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_a_file_of_weights_has_nothing_else_and_then_nothing_is_loaded(
    feed: Any, name: str
) -> None:
    feed([1], ModelCheckpoint(name, save_weights_only=True))
    model, optimizer, _ = parts()
    before = model.weight.tolist()
    with pytest.raises(tracker.CheckpointError, match=f"{name} holds no optimizer: it holds model"):
        load_checkpoint(name, model, optimizer)
    with pytest.raises(tracker.CheckpointError, match="holds no random generators"):
        load_checkpoint(name, model, rng=True)
    assert model.weight.tolist() == before
    load_checkpoint(name, model)
    assert model.weight.tolist() != before


def test_a_training_that_loads_weights_alone_goes_on_and_says_what_is_missing(feed: Any) -> None:
    feed([1], ModelCheckpoint("w.safetensors"))
    model, optimizer, scheduler = parts()
    with Training(model, optimizer, 3, scheduler=scheduler) as training:
        with pytest.warns(
            UserWarning, match="holds no optimizer and no scheduler and no random gen"
        ):
            training.load("w.safetensors")
        assert list(training.epochs()) == [1, 2]


def test_the_empty_state_of_a_scaler_that_is_switched_off_is_a_state(feed: Any) -> None:
    off, on = (torch.amp.GradScaler("cpu", enabled=enabled) for enabled in (False, True))
    feed([1], ModelCheckpoint("a.pt"), scaler=off)
    assert torch.load("a.pt", weights_only=True)["scaler"] == {}
    load_checkpoint("a.pt", scaler=off)
    with pytest.raises(tracker.CheckpointError, match="holds no scaler"):
        load_checkpoint("a.pt", scaler=on)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"tracker_torch": 99}, "has format 99, .* upgrade local-tracker"),
        ({"tracker_torch": 1}, "is incomplete: it has no model, optimizer"),
        ([1, 2], "holds a list: a checkpoint is"),
        (torch.ones(3), "holds a Tensor"),
        ({"weight": 1}, "does not fit Linear"),
    ],
)
def test_a_file_of_something_else_is_refused_with_a_sentence(
    folder: Any, payload: Any, words: str
) -> None:
    torch.save(payload, "a.pt")
    with pytest.raises(tracker.CheckpointError, match=words):
        load_checkpoint("a.pt", nn.Linear(2, 1))


def test_a_backup_of_a_newer_version_is_refused(folder: Any) -> None:
    (folder / "bk").mkdir()
    torch.save({"tracker_torch": 99, "callbacks": {}}, "bk/latest.pt")
    loop = CallbackList([BackupAndRestore("bk")], nn.Linear(1, 1))
    with pytest.raises(tracker.CheckpointError, match="has format 99"):
        loop.on_train_begin()


def test_a_backup_can_be_loaded_like_a_checkpoint(feed: Any) -> None:
    feed([2, 1], BackupAndRestore("bk", delete_checkpoint=False))
    assert load_checkpoint("bk/latest.pt", nn.Linear(2, 1))["epoch"] == 1


def test_weights_without_values_cannot_be_kept(feed: Any) -> None:
    with pytest.raises(tracker.UsageError, match="on the meta device"):
        feed([1], EarlyStopping(restore_best_weights=True), model=nn.Linear(2, 1, device="meta"))


def test_that_there_is_no_checkpoint_of_the_best_epoch_is_said(feed: Any) -> None:
    feed([1, 2], EarlyStopping(patience=9, restore_best_weights=True))
    resumed = {"start": lambda **_: tracker.start_run(resume="default-1")}
    with pytest.warns(UserWarning, match="of epoch 0: .* there is no checkpoint of that epoch"):
        feed([1, 2, 3], EarlyStopping(patience=9, restore_best_weights=True), **resumed)


def test_several_models_in_a_file_of_weights_may_have_any_names(folder: Any) -> None:
    """A tensor that two of them share is written once."""
    made = {"net.g": nn.Linear(2, 2), "keys": nn.Linear(2, 2), "a": nn.BatchNorm1d(2)}
    made["keys"].weight = made["net.g"].weight
    loop = CallbackList([ModelCheckpoint("w.safetensors", monitor=None)], made)
    loop.on_train_begin()
    loop.on_epoch_end(0, {})
    loop.on_train_end()
    other = {"net.g": nn.Linear(2, 2), "keys": nn.Linear(2, 2), "a": nn.BatchNorm1d(2)}
    other["keys"].weight = other["net.g"].weight
    load_checkpoint("w.safetensors", other)
    assert all(
        torch.equal(tensor, other[name].state_dict()[key])
        for name, model in made.items()
        for key, tensor in model.state_dict().items()
    )
    with pytest.raises(tracker.CheckpointError, match="Unexpected key"):
        load_checkpoint("w.safetensors", {"net.g": other["net.g"], "keys": other["keys"]})


@pytest.mark.parametrize("background", [False, True])
def test_models_whose_tensors_would_have_one_name_are_not_saved_and_a_warning_names_them(
    folder: Any, background: bool
) -> None:
    models = {"net": nn.ModuleDict({"g": nn.Linear(1, 1)}), "net.g": nn.Linear(1, 1)}
    saves = ModelCheckpoint("w.safetensors", monitor=None, background=background)
    loop = CallbackList([saves], models)
    loop.on_train_begin()
    with pytest.warns(UserWarning, match=r"the models are named 'net', 'net\.g', and two"):
        loop.on_epoch_end(0, {})
        loop.on_train_end()
    assert tracker.decisions()["verdict"].tolist() == ["skipped"]
    assert not (folder / "w.safetensors").exists()

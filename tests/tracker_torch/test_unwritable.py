"""A folder that cannot be written costs files and a warning, never the training."""

from __future__ import annotations

import csv
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.helpers.torch_problems import Problem, decisions, train
from tracker.maintenance.checkpoints import pin
from tracker.storage.location import locate
from tracker_torch import (
    BackupAndRestore,
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    TensorBoard,
)


def replaced(folder: str, at: int = 1, back: int = 99) -> Callback:
    """Put a file in the folder's place as epoch ``at`` begins, and take it away at ``back``."""

    def change(epoch: int, logs: Any) -> None:
        if epoch == at:
            shutil.rmtree(folder, ignore_errors=True)
            Path(folder).write_text("")
        if epoch == back:
            Path(folder).unlink()
            Path(folder).mkdir()

    return LambdaCallback(on_epoch_begin=change)


WRITERS = {
    "checkpoint": (1, lambda: ModelCheckpoint("out/{epoch}.pt", keep=2, save_last="link")),
    "backup": (1, lambda: BackupAndRestore("out")),
    "csv": (1, lambda: CSVLogger("out/log.csv")),
    "tensorboard": (0, lambda: TensorBoard("out", update_freq="batch")),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_folder_that_cannot_be_written_is_one_warning_and_training_goes_on(
    wine: Problem, writer: str
) -> None:
    at, make = WRITERS[writer]
    with pytest.warns(UserWarning, match="training continues without it") as warned:
        _, training = train(wine, 5, make(), replaced("out", at))
    assert training.history.epoch == [0, 1, 2, 3, 4] and training.run.status == "finished"
    assert len([one for one in warned if "continues without" in str(one.message)]) == 1


@pytest.mark.parametrize("writer", WRITERS)
def test_a_strict_run_raises_it(wine: Problem, writer: str) -> None:
    at, make = WRITERS[writer]
    with pytest.raises(Exception, match=r"cannot be made|not a directory|Not a directory|exists"):
        train(wine, 5, make(), replaced("out", at), strict=True)


def test_a_table_has_every_epoch_once_its_folder_is_back(wine: Problem) -> None:
    with pytest.warns(UserWarning, match="could not be written"):
        train(wine, 5, CSVLogger("out/log.csv"), replaced("out", 1, 3))
    with Path("out/log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == list("01234")
    assert all(float(row["val_loss"]) > 0 for row in rows)


def test_a_checkpoint_that_could_not_be_written_is_a_decision(wine: Problem) -> None:
    with pytest.warns(UserWarning, match="could not be saved"):
        train(wine, 3, ModelCheckpoint("out/{epoch}.pt"), replaced("out"))
    assert decisions("ModelCheckpoint") == [(0, "saved"), (1, "skipped"), (2, "skipped")]


def test_a_link_takes_the_place_of_another_runs_file_whose_pinned_bytes_are_kept(
    wine: Problem,
) -> None:
    train(wine, 2, ModelCheckpoint("ck/{run}-{epoch}.pt", save_last=True))
    (of_first,) = tracker.checkpoints().query("path == 'ck/last.pt' and state == 'available'")["id"]
    pin(locate(), [of_first])
    real = Path("ck/last.pt").read_bytes()
    train(wine, 3, ModelCheckpoint("ck/{run}-{epoch}.pt", save_last="link", keep=1))
    assert Path("ck/last.pt").resolve().name.endswith("-3.pt")
    kept = tracker.checkpoints().set_index("id").loc[of_first]
    assert (kept["state"], kept["path"]) == ("available", "ck/last.pt")
    assert Path(kept["file"]).read_bytes() == real


def test_a_warning_points_at_the_line_of_the_user(wine: Problem) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        train(wine, 2, EarlyStopping("loss_val", mode="min"))
        callbacks = CallbackList([EarlyStopping("loss_val", mode="min")], wine.net())
        callbacks.on_train_begin()
        callbacks.on_epoch_end(0, {"val_loss": 1.0})
        callbacks.on_train_end()
    ours = [Path(one.filename).name for one in warned if "loss_val" in str(one.message)]
    assert ours == ["torch_problems.py"] * 2 + ["test_unwritable.py"] * 2

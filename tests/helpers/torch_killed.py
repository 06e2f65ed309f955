"""A training that can be killed at any moment and started again; run in processes of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file

import tracker
from tests.helpers.torch_problems import Problem, ask, problem, step
from tracker_torch import (
    BackupAndRestore,
    CSVLogger,
    EarlyStopping,
    LRSchedulerCallback,
    ModelCheckpoint,
    ReduceLROnPlateau,
    Training,
)

EPOCHS = 16


def train(folder: str, seed: int, save_freq: str | int = "epoch") -> None:
    """Train in ``folder``, going on with whatever is there."""
    os.chdir(folder)
    torch.set_num_threads(1)
    wine = Problem.read("../wine.pt")
    model = wine.net(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01 + seed % 7 / 500, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 7, 0.9)
    loader = wine.loader(16, generator=torch.Generator().manual_seed(seed))
    callbacks = [
        EarlyStopping(patience=4 + seed % 3, restore_best_weights=True),
        ReduceLROnPlateau(patience=2, factor=0.7),
        LRSchedulerCallback(scheduler),
        ModelCheckpoint("kept/{epoch:03d}.pt", keep=1 + seed % 3, save_last=True),
        ModelCheckpoint("best.safetensors", save_best_only=True),
        CSVLogger("log.csv"),
        BackupAndRestore("backup", save_freq),
    ]
    with Training(
        model, optimizer, EPOCHS, experiment="killed", resume="auto", callbacks=callbacks
    ) as training:
        for _ in training.epochs():
            for x, y in training.batches(loader):
                noisy = x + 0.3 * torch.randn_like(x)
                training.log(loss=step(model, optimizer, noisy, y), batch_size=len(x))
            training.log_epoch(val_loss=wine.val_loss(model))
        torch.save(model.state_dict(), "final.pt")
        Path("done").write_text(str(training.history.history["val_loss"]))


def prepare(folder: str) -> None:
    """Lay down the data in a folder above those of the trainings."""
    problem("wine").save(f"{folder}/wine.pt")


def tell() -> None:
    """Write down, as ``story.json``, everything that must not depend on whether the training was killed."""
    folder = Path.cwd()
    final, best = torch.load("final.pt"), load_file("best.safetensors")
    story = {
        "csv": Path("log.csv").read_text(),
        "history": Path("done").read_text(),
        "run": ask("SELECT status, reason, epochs FROM run"),
        "epochs": ask(
            "SELECT e.epoch, e.learning_rate, m.name, m.value FROM epoch e JOIN metric m "
            "ON m.epoch_id = e.id WHERE NOT e.superseded ORDER BY 1, 3"
        ),
        "decisions": ask(
            "SELECT d.epoch, p.kind, d.value, d.best, d.best_epoch, d.wait, d.verdict, d.reason, "
            "d.lr_before, d.lr_after, d.path, d.step FROM decision d JOIN policy p "
            "ON p.id = d.policy_id WHERE NOT d.superseded ORDER BY 1, 2, 11, 7"
        ),
        "available": ask(
            "SELECT path, epoch, value FROM checkpoint WHERE state = 'available' ORDER BY 1"
        ),
        "files": sorted(str(file.relative_to(folder)) for file in _files(folder)),
        "final": {name: values.tolist() for name, values in final.items()},
        "best": {name: values.tolist() for name, values in best.items()},
    }
    Path("story.json").write_text(json.dumps(story))


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files of weights but for a backup that is marked: the next training deletes it."""
    marked = (folder / "backup/ended").exists()
    for file in folder.glob("**/*.[ps][ta]*"):
        if not (marked and file.parent == folder / "backup"):
            yield file


def train_and_die_on_the_way_out(folder: str, name: str) -> None:
    """Train two epochs, and end the process where the run has its status, but its backup is still there."""
    os.chdir(folder)
    wine = Problem.read("wine.pt")
    model = wine.net()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)
    with tracker.start_run("k", name) as run:
        run.on_finish(lambda: os._exit(9))
        backup = BackupAndRestore("bk", double_checkpoint=True)
        training = Training(model, optimizer, 2, callbacks=[backup], scheduler=scheduler)
        for _ in training.epochs():
            training.log_epoch(val_loss=wine.val_loss(model))

"""A training that can be killed at any moment and started again; run in processes of its own."""

from __future__ import annotations

import os
from pathlib import Path

import torch

import tracker
from tests.helpers.torch_problems import Problem, step
from tracker_torch import (
    BackupAndRestore,
    CSVLogger,
    EarlyStopping,
    LRSchedulerCallback,
    ModelCheckpoint,
    ReduceLROnPlateau,
    Training,
)

EPOCHS = 40


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

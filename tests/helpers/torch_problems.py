"""Real data, small nets, and a look into the database, for the tests of the torch adapter."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tracker_torch import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    TerminateOnNaN,
    Training,
)

torch.set_num_threads(1)


@dataclass
class Problem:
    """A small classification problem, split in two."""

    train: TensorDataset
    x: torch.Tensor
    y: torch.Tensor
    classes: int

    def net(self, seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        features = self.x.shape[1]
        return nn.Sequential(nn.Linear(features, 16), nn.ReLU(), nn.Linear(16, self.classes))

    def loader(self, batch_size: int = 32, **options: Any) -> DataLoader:
        return DataLoader(self.train, batch_size, shuffle=True, **options)

    def val_loss(self, model: nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return nn.functional.cross_entropy(model(self.x), self.y)

    def save(self, path: str) -> None:
        torch.save([*self.train.tensors, self.x, self.y, self.classes], path)

    @classmethod
    def read(cls, path: str) -> Problem:
        """Spare a started process the import of scikit-learn."""
        train_x, train_y, *held = torch.load(path)
        return cls(TensorDataset(train_x, train_y), *held)


def problem(name: str) -> Problem:
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    x = torch.tensor((x - x.mean(0)) / (x.std(0) + 1e-6), dtype=torch.float32)
    y = torch.tensor(y)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    train, held = order[: len(x) * 3 // 4], order[len(x) * 3 // 4 :]
    return Problem(TensorDataset(x[train], y[train]), x[held], y[held], int(y.max()) + 1)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Any, y: Any) -> torch.Tensor:
    """Train on one batch."""
    loss = nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def everything() -> list[Callback]:
    """Return one of nearly every callback."""
    return [
        EarlyStopping(patience=2, restore_best_weights=True),
        ModelCheckpoint("ck/{epoch}.pt", keep=2, save_last=True),
        ModelCheckpoint("best.safetensors", save_best_only=True),
        CSVLogger("log.csv"),
        BackupAndRestore("backup"),
        TerminateOnNaN(),
        LambdaCallback(on_epoch_begin=lambda epoch, logs: None),
    ]


def train(
    problem: Problem, epochs: int, *callbacks: Callback, **options: Any
) -> tuple[nn.Module, Training]:
    """Train the net of ``problem`` and return it."""
    model = problem.net()
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    with Training(model, optimizer, epochs, callbacks=callbacks, **options) as training:
        for _ in training.epochs():
            for x, y in training.batches(problem.loader()):
                training.log(loss=step(model, optimizer, x, y), batch_size=len(x))
            training.log_epoch(val_loss=problem.val_loss(model))
    return model, training


def ask(sql: str, *values: Any, database: str = ".tracker/tracker.db") -> list[tuple[Any, ...]]:
    """Read from the database of this folder."""
    connection = sqlite3.connect(f"file:{Path(database).absolute()}?mode=ro", uri=True)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def decisions(
    kind: str | None = None, columns: str = "d.epoch, d.verdict"
) -> list[tuple[Any, ...]]:
    """Return the effective decisions of one kind of callback, in order."""
    return ask(
        f"SELECT {columns} FROM decision d JOIN policy p ON p.id = d.policy_id "
        f"WHERE NOT d.superseded AND (? IS NULL OR p.kind = ?) ORDER BY d.epoch, d.attempt, d.number",
        kind,
        kind,
    )

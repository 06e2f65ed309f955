"""Small Lightning modules whose metrics are known beforehand."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def data(rows: int = 24, batch_size: int = 4, seed: int = 0) -> DataLoader[Any]:
    """Return rows of a linear problem with noise."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 3, generator=generator)
    y = x.sum(1, keepdim=True) + torch.randn(rows, 1, generator=generator)
    return DataLoader(TensorDataset(x, y), batch_size=batch_size)


class Linear(LightningModule):
    """Linear regression: a loss of steps and epochs, two losses of validation, a rate that decays."""

    def __init__(self, lr: float = 0.1, gamma: float = 0.5) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = nn.Linear(3, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = batch
        loss = nn.functional.mse_loss(self.layer(x), y)
        self.log("loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        self.log("norm", self.layer.weight.norm())
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        x, y = batch
        self.log("val_loss", nn.functional.mse_loss(self.layer(x), y))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        self.log("test_loss", nn.functional.mse_loss(self.layer(x), y))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=self.hparams["lr"])
        return [optimizer], [
            torch.optim.lr_scheduler.ExponentialLR(optimizer, self.hparams["gamma"])
        ]


class Scripted(LightningModule):
    """Trains nothing to speak of, and logs a series as its validation loss: a value per epoch; None logs nothing."""

    def __init__(self, series: Sequence[float | None]) -> None:
        super().__init__()
        self.series = series
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.layer(batch[0][:, :1]).sum() * 0.0

    def on_train_epoch_end(self) -> None:
        value = self.series[self.current_epoch]
        if value is not None:
            self.log("val_loss", value)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def quiet(**options: Any) -> Trainer:
    """Return a Trainer on the CPU that shows nothing."""
    options.setdefault("logger", False)
    return Trainer(
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def csv_rows(folder: Path) -> list[dict[str, str]]:
    """Return what Lightning's own CSVLogger wrote."""
    (path,) = folder.rglob("metrics.csv")
    with path.open() as file:
        return list(csv.DictReader(file))

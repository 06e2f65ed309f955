"""A training as any recorder meets it: it asks for values, says what came back, and may fill up the disk."""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

METRICS = 50
NAME = "run"


@dataclass
class Found:
    """What a recorder shows of a store.

    Attributes:
        losses: epoch → every loss that is shown for it.
        status: what it calls the run; "" where it knows no status.
    """

    losses: dict[int, list[float]] = field(default_factory=dict)
    status: str = ""

    def add(self, epoch: int, loss: float) -> None:
        """Note a row."""
        self.losses.setdefault(int(epoch), []).append(float(loss))


@dataclass
class Script:
    """A training.

    Args:
        folder: where the store is, and all that a recorder keeps.
        epochs: how many there are.
        pause: seconds that an epoch trains.
        full: in which epochs the disk is full.
        left: bytes that are free then.
    """

    folder: Path
    epochs: int
    pause: float = 0.0
    full: tuple[int, int] | None = None
    left: int = 0

    def metrics(self, epoch: int) -> dict[str, float]:
        """Train an epoch; returns its metrics, with all their bits."""
        if self.full is not None and epoch == self.full[0]:
            self._fill()
        if self.full is not None and epoch == self.full[1]:
            self._filler.unlink()
        time.sleep(self.pause)
        return {"loss": loss_of(epoch)} | {
            f"metric_{number}": random.Random(f"{epoch} {number}").random()
            for number in range(METRICS)
        }

    def acknowledge(self, epoch: int) -> None:
        """Note, on another disk, that the call which recorded an epoch has returned."""
        with (self.folder.parent / "acknowledged").open("a") as file:
            print(json.dumps([epoch, time.time()]), file=file, flush=True)
            os.fsync(file.fileno())

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"

    def _fill(self) -> None:
        disk = os.statvfs(self.folder)
        with self._filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - self.left)


def loss_of(epoch: int) -> float:
    """Return the loss of an epoch."""
    return random.Random(epoch).random()

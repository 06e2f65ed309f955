"""What saving costs: 500 MB of weights and optimizer through us, beside the training, and to be verified.

python -m benchmarks.saving           writes its section of docs/benchmarks.md; about a minute
python -m benchmarks.saving --quick   50 MB, a few rounds, nothing is written

Each round saves in all ways, one after the other, so that the ratios hold when the disk's speed drifts.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

import tracker
from benchmarks import page
from tracker.checkpointing.registry import check
from tracker_torch import CallbackList, ModelCheckpoint
from tracker_torch.state import serialization

BYTES, ROUNDS = 500_000_000, 9
QUICK_BYTES, QUICK_ROUNDS = 50_000_000, 3
LAYERS = 10


def trained(size: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return a model and an Adam whose states take ``size`` bytes together."""
    width = int((size / 4 / 3 / LAYERS) ** 0.5)
    model = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(LAYERS)))
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    return model, optimizer


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def bare(payload: Any, path: Path) -> None:
    """Save as everybody does, and wait for the disk."""
    with path.open("wb") as file:
        torch.save(payload, file)
        file.flush()
        os.fsync(file.fileno())


class Loop:
    """A training that does nothing but end epochs, with one callback."""

    def __init__(self, keeper: ModelCheckpoint, model: nn.Module, optimizer: Any) -> None:
        self.hooks = CallbackList(keeper, model, optimizer)
        self.hooks.on_train_begin()
        self._epoch = 0

    def end_epoch(self) -> float:
        """Return how many seconds the training was held; the file is complete when this returns."""
        held = seconds(lambda: self.hooks.on_epoch_end(self._epoch, {"val_loss": 1.0}))
        self._epoch += 1
        self.hooks.run.wait_for_saves()
        return held


def measure(size: int, rounds: int, folder: Path) -> dict[str, list[float]]:
    """Return the seconds of each way, a value per round."""
    model, optimizer = trained(size)
    payload = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    took: dict[str, list[float]] = {}
    with tracker.start_run("saving", database=folder / "tracker.db", system_metrics=False) as run:
        beside = Loop(
            ModelCheckpoint(folder / "beside.pt", background=True, monitor=None), model, optimizer
        )
        plain, ours = folder / "bare.pt", folder / "ours.pt"
        for number in range(rounds + 1):
            now = {
                "bare": seconds(lambda: bare(payload, plain)),
                "ours": seconds(
                    lambda: run.save_checkpoint(
                        ours, lambda path: serialization.write(payload, path)
                    )
                ),
                "beside": beside.end_epoch(),
                "tensors": seconds(lambda: hash_tensors(payload)),
            }
            now |= verified(run)
            for name, value in now.items():
                took.setdefault(name if number else f"first {name}", []).append(value)
        beside.hooks.on_train_end()
    return took


def verified(run: tracker.Run) -> dict[str, float]:
    """Return how long it takes to verify a file, and `sha256sum` to hash it."""
    (file,) = (one for one in run.checkpoints() if one.path.name == "ours.pt")
    return {
        "verify": seconds(lambda: check(file)),
        "sha256sum": seconds(
            lambda: subprocess.run(
                ["sha256sum", str(file.path)], check=True, stdout=subprocess.DEVNULL
            )
        ),
    }


def hash_tensors(payload: Any) -> None:
    """Do what would tell which tensors have changed."""

    def note(tensor: torch.Tensor) -> torch.Tensor:
        hashlib.sha256(tensor.detach().contiguous().numpy()).digest()
        return tensor

    serialization.plain(payload, copy=note)


def rows(took: dict[str, list[float]]) -> list[tuple[str, str, str, str]]:
    """Return the table's rows: what, its seconds, those of what it is compared with, and the ratio."""

    def row(what: str, name: str, other: str) -> tuple[str, str, str, str]:
        pairs = zip(took[name], took[other], strict=True)
        ratio = statistics.median(one / two for one, two in pairs)
        medians = (f"{statistics.median(took[each]):.3f} s" for each in (name, other))
        return (what, *medians, f"{ratio:.2f} ×")

    return [
        row("through us, against torch.save and fsync", "ours", "bare"),
        row("beside the training: how long it is held", "beside", "bare"),
        row("the same, the first time", "first beside", "first bare"),
        row("verify, on one core, against sha256sum", "verify", "sha256sum"),
        row("SHA-256 of each tensor, against torch.save and fsync", "tensors", "bare"),
    ]


def main() -> None:
    """Print the table, and write it into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    size, rounds = (QUICK_BYTES, QUICK_ROUNDS) if quick else (BYTES, ROUNDS)
    # Beside the page: the system's folder for temporary files may be in memory.
    with tempfile.TemporaryDirectory(dir=page.PAGE.parent.parent, prefix=".benchmarks-") as name:
        took = measure(size, rounds, Path(name))
    head = ("Medians of pairs", "this", "compared with", "ratio")
    text = (
        f"## Saving\n\n{page.machine()}. The weights of a model and the state of its Adam, "
        f"{size // 1_000_000} MB in {3 * LAYERS} tensors.\n\n{page.table(head, rows(took))}"
    )
    print(text)
    if not quick:
        page.write("saving", text)


if __name__ == "__main__":
    main()

"""What saving costs: 500 MB of weights and optimizer through us, beside the training, and to be verified.

python -m benchmarks.saving           writes its section of docs/benchmarks.md; a few minutes
python -m benchmarks.saving --quick   50 MB, a few rounds, nothing is written

Each round saves in all ways, one after the other, so that the ratios hold when the disk's speed drifts. Of two saves
in a row the second one counts: as in a training, it reuses the memory that the save before it has freed.
How much memory they take is looked at in a round of its own, on Linux.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import re
import statistics
import subprocess
import sys
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
from tracker.maintenance.checkpoints import verify
from tracker.storage.location import Location, locate
from tracker_torch import CallbackList, ModelCheckpoint
from tracker_torch.state import serialization

BYTES, ROUNDS = 500_000_000, 7
QUICK_BYTES, QUICK_ROUNDS = 50_000_000, 3
LAYERS = 10
CORES = os.cpu_count() or 1


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


def seconds_again(work: Callable[[], object]) -> float:
    """Return the wall time of the second of two calls."""
    work()
    return seconds(work)


def peak(work: Callable[[], object]) -> float:
    """Return how many bytes of memory a call takes at most, beyond those that its process has before."""
    Path("/proc/self/clear_refs").write_text("5")
    before = highest_memory()
    work()
    return highest_memory() - before


def highest_memory() -> int:
    """Return how many bytes of memory this process has had at most since it was last asked to forget."""
    found = re.search(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


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


class Copies:
    """A registered file for each core; all of them are names of one."""

    def __init__(self, payload: Any, folder: Path) -> None:
        folder.mkdir()
        self.location: Location = locate(folder / "tracker.db")
        self.paths = [folder / f"{number}.pt" for number in range(CORES)]
        bare(payload, self.paths[0])
        for path in self.paths[1:]:
            os.link(self.paths[0], path)
        with tracker.start_run(database=self.location.path, system_metrics=False) as run:
            for path in self.paths:
                run.log_checkpoint(path)

    def verify(self) -> None:
        """Verify all of them, as `tracker checkpoints verify` does."""
        assert all(file.is_safe for file in verify(self.location))

    def sha256sum(self) -> None:
        """Hash all of them at once."""
        processes = [
            subprocess.Popen(["sha256sum", str(path)], stdout=subprocess.DEVNULL)
            for path in self.paths
        ]
        assert [process.wait() for process in processes] == [0] * CORES


def measure(
    size: int, rounds: int, folder: Path
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the seconds of each way, a value per round, and the bytes of memory that ways take."""
    model, optimizer = trained(size)
    payload = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    copies = Copies(payload, folder / "copies")
    took: dict[str, list[float]] = {}
    with tracker.start_run("saving", database=folder / "tracker.db", system_metrics=False) as run:
        beside = Loop(
            ModelCheckpoint(folder / "beside.pt", background=True, monitor=None), model, optimizer
        )

        def save_bare() -> None:
            bare(payload, folder / "bare.pt")

        def save() -> None:
            run.save_checkpoint(folder / "ours.pt", lambda path: serialization.write(payload, path))

        for number in range(rounds + 1):
            now = {
                "bare": seconds_again(save_bare),
                "ours": seconds_again(save),
                "beside": beside.end_epoch(),
                "tensors": seconds(lambda: hash_tensors(payload)),
                "verify all": seconds(copies.verify),
                "sha256sum all": seconds(copies.sha256sum),
            }
            now |= verified(run)
            for name, value in now.items():
                took.setdefault(name if number else f"first {name}", []).append(value)
        beside.hooks.on_train_end()
        memory = {}
        if sys.platform == "linux":
            memory = {"bare": peak(save_bare), "ours": peak(save), "verify": peak(copies.verify)}
    return took, memory


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
        row(
            f"verify, {CORES} files on {CORES} cores, against as many sha256sum at once",
            "verify all",
            "sha256sum all",
        ),
        row("SHA-256 of each tensor, against torch.save and fsync", "tensors", "bare"),
    ]


def memory_words(memory: dict[str, float]) -> str:
    """Return a sentence about memory; nothing where it was not measured."""
    if not memory:
        return ""
    shown = {name: f"{max(1, math.ceil(number / 1e6))} MB" for name, number in memory.items()}
    return (
        f"\n\nBeyond what the training has, saving takes at most {shown['ours']} of memory through us and "
        f"{shown['bare']} by `torch.save`, and verifying {CORES} files at once {shown['verify']}."
    )


def main() -> None:
    """Print the table, and write it into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    size, rounds = (QUICK_BYTES, QUICK_ROUNDS) if quick else (BYTES, ROUNDS)
    # Beside the page: the system's folder for temporary files may be in memory.
    with tempfile.TemporaryDirectory(dir=page.PAGE.parent.parent, prefix=".benchmarks-") as name:
        took, memory = measure(size, rounds, Path(name))
    head = ("Medians of pairs", "this", "compared with", "ratio")
    text = (
        f"## Saving\n\n{page.machine()}. The weights of a model and the state of its Adam, "
        f"{size // 1_000_000} MB in {3 * LAYERS} tensors. A ratio is the median of those of the rounds, which need not "
        f"be the ratio of two medians.\n\n{page.table(head, rows(took))}"
        f"{memory_words(memory)}"
    )
    print(text)
    if not quick:
        page.write("saving", text)


if __name__ == "__main__":
    main()

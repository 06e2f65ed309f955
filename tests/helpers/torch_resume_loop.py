"""A loop that draws from everything, killed at random points and resumed: `python -m tests.helpers.torch_resume_loop`.

Each seed trains once in one piece and once with kills; the weights must be the same bit for bit.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import nn

import tracker
from tests.helpers import ROOT
from tests.helpers.torch_processes import SPAWN

SAMPLES, BATCH = 27, 4
PLACES = ("drawn", "batch", "backward", "stepped", "epoch")


@dataclass(frozen=True)
class Kill:
    """Where a process ends itself by SIGKILL: at a place of a step, or after so many seconds."""

    step: int | None = None
    place: str | None = None
    seconds: float | None = None

    def at(self, place: str, step: int) -> None:
        """End this process where this is the place."""
        if place == self.place and step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)

    def start_clock(self) -> None:
        """Let a thread end this process, wherever it then is: in a save, say."""
        if self.seconds is None:
            return

        def end() -> None:
            time.sleep(self.seconds or 0)
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=end, daemon=True).start()


class Settings:
    """What one seed trains with."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)
        self.seed = seed
        self.save_freq: str | int = dice.choice(["epoch", 1, 2, 3, 5, 9])
        self.accumulate = dice.choice([1, 3, 4])
        self.flush = dice.random() < 0.5
        self.zero_first = dice.random() < 0.5
        self.order = dice.choice(["randperm", "shuffle", "numpy", "loader"])
        self.adam = dice.random() < 0.5
        self.epochs = dice.randint(2, 4)
        self.steps = self.epochs * -(-SAMPLES // BATCH)

    def kills(self, took: float) -> list[Kill]:
        """Draw one to three kills for a training that takes so many seconds."""
        dice = random.Random(f"kills of {self.seed}")
        return [
            Kill(dice.randrange(self.steps), dice.choice(PLACES))
            if dice.random() < 0.7
            else Kill(seconds=dice.uniform(0, took))
            for _ in range(dice.randint(1, 3))
        ]

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in vars(self).items())


def train(folder: str, seed: int, kill: Kill) -> None:
    """Train in ``folder``, continuing with whatever is there, until the end or the kill."""
    from tracker_torch import BackupAndRestore, LRSchedulerCallback, Training

    os.chdir(folder)
    torch.set_num_threads(1)
    kill.start_clock()
    given = Settings(seed)
    for seeded in (torch.manual_seed, random.seed, numpy.random.seed):
        seeded(seed)
    x, y = torch.randn(SAMPLES, 5), torch.randint(0, 3, (SAMPLES,))
    model = nn.Sequential(
        nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)
    )
    optimizer: torch.optim.Optimizer = (
        torch.optim.Adam(model.parameters(), 0.01)
        if given.adam
        else torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.99**step)
    callbacks = [
        LRSchedulerCallback(schedule, per="batch"),
        BackupAndRestore("backup", given.save_freq),
    ]
    # Wherever a new process begins to draw: what a backup brings back must not depend on it. After a kill between
    # the end of the run and that of its process a backup may be left; what follows is another run, from the start.
    resumes = Path("backup/latest.pt").exists() and tracker.runs(where="status = 'finished'").empty
    if resumes:
        for seeded in (torch.manual_seed, random.seed, numpy.random.seed):
            seeded(seed + 1)
    with Training(
        model, optimizer, given.epochs, name="loop", resume="auto", callbacks=callbacks,
        progress=False,
    ) as training:  # fmt: skip
        for epoch in training.epochs():
            if given.flush or epoch == 0:
                optimizer.zero_grad()
            scale = 1 + random.random() / 10
            for rows in training.batches(_order(given.order)):
                kill.at("drawn", training.step)
                noise = torch.from_numpy(numpy.random.normal(0, 0.1, (len(rows), 5))).float()
                kill.at("batch", training.step)
                done = training.step + 1
                if given.zero_first and training.step % given.accumulate == 0:
                    optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(scale * x[rows] + noise), y[rows])
                (loss / given.accumulate).backward()
                kill.at("backward", training.step)
                last = given.flush and done % -(-SAMPLES // BATCH) == 0
                if done % given.accumulate == 0 or last:
                    optimizer.step()
                    if not given.zero_first:
                        optimizer.zero_grad()
                kill.at("stepped", training.step)
                training.log(loss=loss, batch_size=len(rows))
            training.log_epoch(drawn=random.random() + float(torch.rand(())))
            kill.at("epoch", training.step)
    end = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict()["state"],
        "history": training.history.history,
        "epochs": training.history.epoch,
    }
    torch.save(end, "unfinished.pt")
    Path("unfinished.pt").rename("final.pt")


def _order(kind: str) -> Any:
    """Return the batches of one epoch as tensors of row numbers, drawn by the generator of ``kind``."""
    rows = torch.arange(SAMPLES)
    if kind == "loader":
        return torch.utils.data.DataLoader(rows, BATCH, shuffle=True)
    if kind == "randperm":
        return torch.randperm(SAMPLES).split(BATCH)
    if kind == "numpy":
        return torch.from_numpy(numpy.random.permutation(SAMPLES)).split(BATCH)
    numbers = rows.tolist()
    random.shuffle(numbers)
    return torch.tensor(numbers).split(BATCH)


def run(folder: Path, seed: int, kill: Kill) -> bool:
    """Train in a process of its own; return whether it came to its end."""
    process = SPAWN.Process(target=train, args=(str(folder), seed, kill))
    process.start()
    process.join(120)
    if process.is_alive():
        process.kill()
        raise AssertionError(f"seed {seed}: the training did not end within 120 s")
    if process.exitcode not in (0, -signal.SIGKILL):
        raise AssertionError(f"seed {seed}: the training ended with exit code {process.exitcode}")
    return (folder / "final.pt").exists()


def check(folder: Path, seed: int) -> list[Kill]:
    """Train once in one piece and once with kills, in ``folder``; return the kills.

    Raises:
        AssertionError: the two did not end alike.
    """
    whole, killed = folder / f"whole{seed}", folder / f"killed{seed}"
    whole.mkdir()
    killed.mkdir()
    began = time.perf_counter()
    assert run(whole, seed, Kill())
    kills = Settings(seed).kills(time.perf_counter() - began)
    for kill in [*kills, Kill()]:
        if run(killed, seed, kill):
            break
    first, second = (torch.load(path / "final.pt") for path in (whole, killed))
    difference = _difference(first, second)
    assert difference is None, f"seed {seed}: {difference} differs ({Settings(seed)}; {kills})"
    return kills


def _difference(first: Any, second: Any, path: str = "") -> str | None:
    """Return the path of the first value that is not the same bit for bit; None where all are."""
    if isinstance(first, dict):
        if list(first) != list(second):
            return f"{path} {list(first)} {list(second)}"
        found = (_difference(first[key], second[key], f"{path}/{key}") for key in first)
        return next((place for place in found if place), None)
    same = torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second
    return None if same else path


def main() -> int:
    """Check so many seeds, and say which of them did not end alike."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to check")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    # The process that others are forked from imports what they need.
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, ROOT / "adapters")))
    failed = []
    for seed in range(options.first, options.first + options.seeds):
        folder = Path(tempfile.mkdtemp(prefix="resume-"))
        try:
            kills = check(folder, seed)
            print(f"seed {seed}: alike after {len(kills)} kills", flush=True)
        except Exception:
            failed.append(seed)
            traceback.print_exc()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{options.seeds - len(failed)} of {options.seeds} alike; not alike: {failed or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

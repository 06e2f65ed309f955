"""One process of a data-parallel training; a test starts several of them, with the variables of a launcher."""

from __future__ import annotations

import json
import os
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import torch
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

import tracker
from tests.faults.works import acknowledge, loss_of
from tests.helpers.torch_problems import Problem, step
from tracker_torch import (
    BackupAndRestore,
    CSVLogger,
    EarlyStopping,
    ModelCheckpoint,
    ReduceLROnPlateau,
    Training,
)


def main(folder: str, rank: str, port: str, epochs: int, die: int) -> None:
    """Train, die before epoch ``die``, and leave what this rank saw and said in ``rank<n>.*``."""
    os.chdir(folder)
    os.environ.update(RANK=rank, WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    with Path(f"rank{rank}.txt").open("w") as said, redirect_stdout(said):
        train(epochs, die)


def stop_on_rank_1(folder: str, rank: str, port: str, epochs: int, die: int) -> None:
    """Let rank 1 alone ask for the end, once its epoch is logged."""
    os.chdir(folder)
    os.environ.update(RANK=rank, WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    dist.init_process_group("gloo")
    with Training(nn.Linear(1, 1), None, epochs) as training:
        for epoch in training.epochs():
            training.log_epoch(loss=1.0)
            if rank == "1" and epoch == 1:
                training.stop_training = True
    Path(f"rank{rank}.json").write_text(json.dumps({"epochs": training.history.epoch}))
    Path(f"rank{rank}.txt").touch()
    leave()


def spawned(folder: str, rank: str, port: str, group: str, die: int) -> None:
    """Train as `torch.multiprocessing.spawn` starts a rank: without the variables of a launcher.

    Args:
        folder, rank, port, die: as for `main`.
        group: whether the process group is initialised "before" the run starts, "in" it, "late" in it, after
            a step metric was logged, or "never".
    """
    os.chdir(folder)
    where = f"tcp://127.0.0.1:{port}"
    if group == "before":
        dist.init_process_group("gloo", where, rank=int(rank), world_size=2)
    with tracker.start_run("spawned", params={"rank": rank}) as run:
        if group == "late":
            run.log({"warm_up": 1.0})
        if group in ("in", "late"):
            dist.init_process_group("gloo", where, rank=int(rank), world_size=2)
        with Training(nn.Linear(1, 1), None, 2, progress=False) as training:
            for _ in training.epochs():
                training.log_epoch(loss=1.0)
        run.log({"after": 1.0})
        run.set_tags(["trained"])
    Path(f"rank{rank}.json").write_text(json.dumps({"recording": training.run.recording}))
    Path(f"rank{rank}.txt").touch()
    if group != "never":
        leave()


def take_part(
    rank: int, ranks: int, variables: dict[str, str], meet: str | None, epochs: int
) -> None:
    """Be one of several ranks of a resumable training, as a work of `tests.faults`; rank 0 saves and acknowledges.

    Args:
        rank, ranks: which of how many.
        variables: those that the launcher sets.
        meet: the file by which the ranks form a process group; None: they know nothing of one another.
        epochs: how many there are in the end.
    """
    os.environ.update(variables)
    torch.set_num_threads(1)
    if meet is not None:
        dist.init_process_group("gloo", f"file://{meet}", rank=rank, world_size=ranks)
    with Training(
        nn.Linear(1, 1), None, epochs, experiment="fault", name="run", resume="auto", progress=False
    ) as training:
        for epoch in training.epochs():
            if meet is not None:
                dist.barrier()
            training.log(step_loss=loss_of(epoch))
            if rank == 0:
                save = partial(Path.write_text, data=str(epoch))
                training.run.save_checkpoint("ckpt-run/best", save, epoch=epoch)
            training.log_epoch(loss=loss_of(epoch))
            if rank == 0:
                acknowledge(training.run.id, epoch, loss_of(epoch))
    if meet is not None:
        leave()


def leave() -> None:
    """Leave the group together: rank 0 has the store that the other one still talks to."""
    dist.barrier()
    dist.destroy_process_group()


def train(epochs: int, die: int) -> None:
    """Train as a script would."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    wine = Problem.read("../wine.pt")
    model = DistributedDataParallel(wine.net())
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    sampler = DistributedSampler(wine.train)
    stopper = EarlyStopping(patience=2, restore_best_weights=True, verbose=1)
    plateau = ReduceLROnPlateau(patience=1)
    callbacks = [
        stopper,
        plateau,
        ModelCheckpoint("ck/{epoch}.pt", keep=2),
        CSVLogger("log.csv"),
        BackupAndRestore("bk"),
    ]
    seen = []
    with Training(
        model, optimizer, epochs, experiment="ddp", resume="auto", callbacks=callbacks
    ) as training:
        for epoch in training.epochs():
            if epoch == die:
                os._exit(9)
            sampler.set_epoch(epoch)
            for x, y in training.batches(DataLoader(wine.train, 16, sampler=sampler)):
                training.log(loss=step(model, optimizer, x + torch.randn_like(x) / 9, y))
            # Each rank has its own number; rank 0's counts.
            training.log_epoch(val_loss=wine.val_loss(nn.Sequential(model)) + rank * epoch)
            seen.append(epoch)
    Path(f"rank{rank}.json").write_text(
        json.dumps(
            {
                "epochs": seen,
                "recording": training.run.recording,
                "stopped": stopper.stopped_epoch,
                "best": stopper.best,
                "rate": optimizer.param_groups[0]["lr"],
                "weights": [p.tolist() for p in model.parameters()],
                "history": training.history.history["val_loss"],
                "random": torch.rand(1).item(),
            }
        )
    )
    leave()

"""A checkpoint that runs code when it is unpickled: nothing that we do with files unpickles one."""

from __future__ import annotations

import pickle
import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

import tracker
import tracker_torch
from tests.faults.family import Family, Result
from tests.faults.processes import Place, forks
from tests.helpers.cli import runner
from tracker.cli import program

WORKS = "tests.faults.canaries"
SUNG = Path("../sung")
"""The file that the canary makes."""


class Canary:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (SUNG,)


def _as_archive(path: Path) -> None:
    """Write what torch.save writes, by hand: an archive with a pickle in it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"model": Canary()}))
        archive.writestr("archive/version", "3\n")


FILES: dict[str, Callable[[Path], object]] = {
    ".pkl": lambda path: path.write_bytes(pickle.dumps(Canary())),
    ".joblib": lambda path: path.write_bytes(pickle.dumps({"model": Canary()})),
    ".pt": lambda path: torch.save({"model": Canary()}, path),
    ".pth": lambda path: torch.save(
        {"model": Canary()}, path, _use_new_zipfile_serialization=False
    ),
    ".ckpt": _as_archive,
    ".keras": _as_archive,
    ".safetensors": lambda path: path.write_bytes(pickle.dumps(Canary())),
    ".npy": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00" + pickle.dumps(Canary())),
}
COMMANDS = (
    "runs list", "runs show run", "runs best fault", "checkpoints list", "checkpoints show run",
    "checkpoints provenance run", "checkpoints totals", "checkpoints verify",
    "checkpoints restore run --to restored",
    "checkpoints pin run", "checkpoints prune run --keep 1 --yes", "checkpoints gc", "checkpoints adopt FILE",
    "checkpoints relocate FILE moved", "checkpoints upload run file://FAR", "export run", "db doctor",
    "db doctor --fix", "db backup", "runs delete run --files --yes",
)  # fmt: skip


def use(suffix: str) -> None:
    """Save one in two epochs, register one, load it, resume, and give it to twenty commands."""
    with tracker.start_run("fault", "run", system_metrics=False) as run:
        for epoch in range(2):
            run.save_checkpoint(
                f"ckpt/{epoch}{suffix}", FILES[suffix], epoch=epoch, monitor="loss", value=1.0
            )
        FILES[suffix](Path(f"mine{suffix}"))
        run.log_checkpoint(f"mine{suffix}", epoch=2)
        run.log_epoch(0, {"loss": 1.0})
    for load in (
        lambda: tracker.load_checkpoint(f"ckpt/0{suffix}"),
        lambda: tracker_torch.load_checkpoint(f"ckpt/0{suffix}", nn.Linear(1, 1)),
    ):
        with suppress(tracker.TrackerError):
            load()
    for words in COMMANDS:
        text = words.replace("FILE", f"mine{suffix}").replace("FAR", str(Path("far").absolute()))
        done = runner().invoke(program, text.split())
        assert done.exit_code in (0, 1), (
            f"{words}: {done.exit_code}, {done.exception!r}, {done.stderr}"
        )
        assert done.exception is None or isinstance(done.exception, SystemExit), (
            f"{words}: {done.exception!r}"
        )
    tracker.start_run("fault", "run", resume="auto", system_metrics=False).finish()


def canaries(folder: Path, share: float, rng: random.Random) -> Result:
    """Files of eight formats, whose pickles make a file; twenty commands and our calls see them."""
    result = Result()
    with forks(folder, WORKS) as starting:
        starting.warm_up(f"{WORKS}:use", suffix=".safetensors")
        for suffix in FILES:
            with Place(folder / suffix) as place, result.trial(suffix):
                answer = starting.start(place, f"{WORKS}:use", given={"suffix": suffix})
                assert answer["code"] == 0, place.raised()
                assert not (place.folder / SUNG.name).exists(), "it was unpickled"
                result.count("commands", len(COMMANDS))
    return result


FAMILIES = [
    Family(
        "S2",
        "checkpoints of eight formats that run code when they are unpickled, given to twenty commands",
        "10",
        None,
        1.0,
        canaries,
        minutes=0.5,
    )
]

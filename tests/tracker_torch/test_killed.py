from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.torch_killed import train
from tests.helpers.torch_problems import Problem, ask
from tests.helpers.torch_processes import SPAWN
from tracker.queries import api as queries
from tracker.storage.database import reading

SEEDS = int(os.environ.get("KILLED_SEEDS", "2"))


def story(folder: Path) -> dict[str, object]:
    """Everything that must not depend on whether the training was killed."""
    database = str(folder / ".tracker/tracker.db")
    text = {name: (folder / name).read_text() for name in ("log.csv", "done")}
    return {
        **text,
        "run": ask("SELECT status, reason, epochs FROM run", database=database),
        "epochs": ask(
            "SELECT e.epoch, e.learning_rate, m.name, m.value FROM epoch e JOIN metric m "
            "ON m.epoch_id = e.id WHERE NOT e.superseded ORDER BY 1, 3",
            database=database,
        ),
        "decisions": ask(
            "SELECT d.epoch, p.kind, d.value, d.best, d.best_epoch, d.wait, d.verdict, d.reason, "
            "d.lr_before, d.lr_after, d.path, d.step FROM decision d JOIN policy p "
            "ON p.id = d.policy_id WHERE NOT d.superseded ORDER BY 1, 2, 11, 7",
            database=database,
        ),
        "available": ask(
            "SELECT path, epoch, value FROM checkpoint WHERE state = 'available' ORDER BY 1",
            database=database,
        ),
        "files": sorted(str(f.relative_to(folder)) for f in files(folder)),
        "final": {k: v.tolist() for k, v in torch.load(folder / "final.pt").items()},
        "best": {k: v.tolist() for k, v in load_file(folder / "best.safetensors").items()},
    }


def files(folder: Path) -> Iterator[Path]:
    """Yield all files of weights but for a backup that is marked: the next training deletes it."""
    marked = (folder / "backup/ended").exists()
    for file in folder.glob("**/*.[ps][ta]*"):
        if not (marked and file.parent == folder / "backup"):
            yield file


def run_to_end(folder: Path, seed: int, kills: list[float], save_freq: str | int = "epoch") -> None:
    """Start the training, kill it after each of these seconds, and let it end at last."""
    folder.mkdir(exist_ok=True)
    for patience in [*kills, 600.0]:
        child = SPAWN.Process(target=train, args=(str(folder), seed, save_freq))
        child.start()
        child.join(patience)
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        if child.exitcode != -signal.SIGKILL:
            assert child.exitcode == 0
            break
        if has_ended(folder):  # killed on its way out: "auto" would begin another run
            break


def has_ended(folder: Path) -> bool:
    with reading(folder / ".tracker/tracker.db") as reader:
        rows = [] if reader.empty else list(queries.overview(reader).dicts())
    return any(row["status"] in ("finished", "stopped_early") for row in rows)


@pytest.mark.usefixtures("started_processes_find_us")
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("save_freq", ["epoch", 3])
def test_a_training_killed_up_to_five_times_ends_as_one_that_was_not(
    folder: Path, wine: Problem, seed: int, save_freq: str | int
) -> None:
    """Same stop, best, kept files, decisions, history, CSV and weights, bit for bit."""
    wine.save("wine.pt")
    dice = random.Random(seed)
    began = time.perf_counter()
    run_to_end(folder / "whole", seed, [])
    took = time.perf_counter() - began
    kills = [dice.uniform(0, took * 0.8) for _ in range(dice.randint(1, 5))]
    run_to_end(folder / "killed", seed, kills, save_freq)
    whole, killed = story(folder / "whole"), story(folder / "killed")
    for part in whole:
        assert killed[part] == whole[part], part

"""Trainings of several processes: one run, recorded by rank 0, whatever has started them and whoever dies."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.faults.family import Family, Result, share_of
from tests.faults.kills import kill_hard, settled, wait_for_epochs
from tests.faults.oracle import Oracle
from tests.faults.processes import Forks, Place, forks

TORCH = "tests.helpers.torch_ranks"
EPOCHS, MOST_RANKS = 8, 4
LONGEST_WAIT = 120.0


class Launcher(NamedTuple):
    """What a launcher tells its processes: its variable of the rank, and whether they form a process group."""

    variable: str | None
    grouped: bool


LAUNCHERS = {
    "torchrun": Launcher("RANK", grouped=True),
    "torch.multiprocessing.spawn": Launcher(None, grouped=True),
    "SLURM": Launcher("SLURM_PROCID", grouped=True),
    "SLURM, no group": Launcher("SLURM_PROCID", grouped=False),
    "Open MPI": Launcher("OMPI_COMM_WORLD_RANK", grouped=False),
    "PMIx": Launcher("PMIX_RANK", grouped=False),
    "MPICH": Launcher("PMI_RANK", grouped=False),
}


def several(folder: Path, share: float, rng: random.Random) -> Result:
    """One to four ranks train; in most trials one of them is killed, and all are started again."""
    result = Result()
    with forks(folder, TORCH, "torch._dynamo") as starting:
        for number in range(share_of(20 * len(LAUNCHERS), share)):
            name = rng.choice(list(LAUNCHERS))
            ranks = rng.randint(1, MOST_RANKS)
            dying = rng.choice((None, 0, 0, ranks - 1))
            with (
                Place(folder / str(number)) as place,
                result.trial(f"{number}, {name}, {ranks} ranks, {dying} dies"),
            ):
                check_ranks(starting, place, LAUNCHERS[name], ranks, dying, rng)
            result.count("processes", ranks)
            result.count("killed", dying is not None)
    return result


def check_ranks(
    starting: Forks,
    place: Place,
    launcher: Launcher,
    ranks: int,
    dying: int | None,
    rng: random.Random,
) -> None:
    """There is one run, with each epoch once."""
    pids = launched(starting, place, launcher, ranks, 0)
    if dying is not None:
        wait_for_epochs(place, rng.randint(1, EPOCHS - 1))
        time.sleep(rng.uniform(0, 0.02))
        kill_hard(pids[dying])
        if rng.random() < 0.5:
            for pid in pids[:dying] + pids[dying + 1 :]:
                # As torchrun and SLURM do with those that are left.
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
    ended(starting, place, pids, dying is not None)
    status = "SELECT status FROM run WHERE name = 'run'"
    if Oracle(place.work).rows(status) != [("finished",)]:
        assert dying is not None, place.log
        ended(starting, place, launched(starting, place, launcher, ranks, 1), False)
    acknowledged = settled(starting, place)
    oracle = Oracle(place.work)
    [(attempts,)] = oracle.rows(
        "SELECT count(*) FROM attempt JOIN run ON run.id = run_id AND run.name = 'run'"
    )
    assert EPOCHS - attempts < acknowledged <= EPOCHS
    assert oracle.rows("SELECT name, status, epochs FROM run WHERE name NOT LIKE 'after%'") == [
        ("run", "finished", EPOCHS)
    ]
    effective = oracle.rows("SELECT epoch FROM epoch WHERE superseded = 0 ORDER BY epoch")
    assert effective == [(epoch,) for epoch in range(EPOCHS)], effective


def launched(
    starting: Forks, place: Place, launcher: Launcher, ranks: int, attempt: int
) -> list[int]:
    """Start the ranks; returns their process ids."""
    meet = str(place.folder / f"meet{attempt}") if launcher.grouped else None
    pids = []
    for rank in range(ranks):
        variables = {} if launcher.variable is None else {launcher.variable: str(rank)}
        given = {
            "rank": rank, "ranks": ranks, "variables": variables, "meet": meet, "epochs": EPOCHS,
        }  # fmt: skip
        pids.append(starting.launch(place, f"{TORCH}:take_part", given=given))
    return pids


def ended(starting: Forks, place: Place, pids: list[int], may_fail: bool) -> None:
    """Wait for the ranks; nothing that they raise is ours."""
    try:
        starting.wait(pids, LONGEST_WAIT)
    finally:
        for pid in pids:
            kill_hard(pid)
    codes = [starting.collect(pid) for pid in pids]
    assert may_fail or codes == [0] * len(pids), f"{codes}: {place.log}"
    assert "tracker." not in (place.raised() or ""), place.raised()


FAMILIES = [
    Family(
        "E6",
        "1 to 4 ranks, started as six launchers do; one of them is killed",
        "1, 7",
        20 * len(LAUNCHERS),
        0.03,
        several,
        minutes=4.0,
    )
]

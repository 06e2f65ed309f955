"""Trainings that are killed and resumed: they end as one that was not, and nobody resumes one twice."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import tracker
from tests.faults.family import Family, Result, share_of
from tests.faults.kills import kill_hard, settled, wait_for_epochs
from tests.faults.oracle import Oracle
from tests.faults.processes import Forks, Place, forks
from tests.faults.works import acknowledge, loss_of
from tracker.errors import RunBusy

TORCH, WORKS = "tests.helpers.torch_killed", "tests.faults.resumes"
SEEDS, MOST_KILLS = 10, 5
LONGEST_TRAINING = 300.0


def resumed(folder: Path, share: float, rng: random.Random) -> Result:
    """A training with all callbacks is killed up to five times, and resumed: its story is that of one piece."""
    result = Result()
    wholes: dict[int, tuple[Any, float]] = {}
    with forks(folder, TORCH, "torch._dynamo") as starting:
        data = Place(folder / "data")
        starting.start(data, f"{TORCH}:prepare", given={"folder": str(data.folder)})
        for number in range(share_of(200, share)):
            seed, save_freq = number % SEEDS, ("epoch", 3)[number % 2]
            if seed not in wholes:
                wholes[seed] = trained(starting, data, folder / f"whole{seed}", seed, "epoch", [])
            whole, took = wholes[seed]
            kills = [rng.uniform(0, took * 0.8) for _ in range(rng.randint(1, MOST_KILLS))]
            with result.trial(f"training {number}"):
                story, _ = trained(starting, data, folder / str(number), seed, save_freq, kills)
                for part in whole:
                    assert story[part] == whole[part], f"{part} differs"
            result.count("kills", len(kills))
            result.count("of them stopped early", "stopped_early" in whole["run"][0])
    return result


def trained(
    starting: Forks, data: Place, folder: Path, seed: int, save_freq: str | int, kills: list[float]
) -> tuple[dict[str, Any], float]:
    """Train, killed after each of these seconds, until it ends at last; returns its story, and how long it took."""
    with Place(folder) as place:
        shutil.copy(data.folder / "wine.pt", place.folder)
        given = {"folder": str(place.work), "seed": seed, "save_freq": save_freq}
        begun = time.monotonic()
        for seconds in [*kills, None]:
            pid = starting.launch(place, f"{TORCH}:train", given=given)
            if seconds is None:
                starting.wait([pid], LONGEST_TRAINING)
            else:
                time.sleep(seconds)
                kill_hard(pid)
            code = starting.collect(pid)
            assert code in (0, -signal.SIGKILL), place.raised()
            # Killed on its way out: "auto" would begin another run.
            if code == 0 or has_ended(Oracle(place.work)):
                break
        took = time.monotonic() - begun
        assert starting.start(place, f"{TORCH}:tell")["code"] == 0, place.raised()
        story: dict[str, Any] = json.loads((place.work / "story.json").read_text())
        Oracle(place.work).check_database()
        Oracle(place.work).check_available()
    return story, took


def has_ended(oracle: Oracle) -> bool:
    """Say whether the run has its last status."""
    if not oracle.path.exists() or not oracle.has_tables():
        return False
    return ("finished",) in oracle.rows("SELECT status FROM run") or (
        "stopped_early",
    ) in oracle.rows("SELECT status FROM run")


AT_ONCE = 3
LONGEST_WAIT = 60.0
GO, RESUMED, REFUSED = "go", "resumed", "refused"


def contend(me: int, how: str) -> None:
    """Resume at the same moment as others; whoever gets the run records when all others were refused."""
    beside = Path.cwd().parent
    while not (beside / GO).exists():
        time.sleep(0.0001)
    try:
        run = tracker.start_run("fault", "run", resume=how, system_metrics=False)
    except RunBusy as error:
        (beside / f"{REFUSED}{me}").write_text(str(error))
        return
    (beside / f"{RESUMED}{me}").touch()
    give_up = time.monotonic() + LONGEST_WAIT
    while len(list(beside.glob(f"{REFUSED}*"))) < AT_ONCE - 1:
        assert time.monotonic() < give_up, "two have resumed the run"
        time.sleep(0.001)
    for epoch in range(run.first_epoch, run.first_epoch + 3):
        run.log_epoch(epoch, {"loss": loss_of(epoch)})
        acknowledge(run.id, epoch, loss_of(epoch))
    run.finish()


def resumed_at_once(folder: Path, share: float, rng: random.Random) -> Result:
    """Three processes resume one run at the same moment: one that was killed, or one whose process lives."""
    result = Result()
    with forks(folder, WORKS) as starting:
        for number in range(share_of(100, share)):
            with Place(folder / str(number)) as place:
                alive = number % 4 == 3
                with result.trial(f"{number}, {'alive' if alive else 'killed'}"):
                    check_contenders(starting, place, rng, alive=alive)
    return result


def check_contenders(starting: Forks, place: Place, rng: random.Random, *, alive: bool) -> None:
    """One gets the run, none while its process lives; the others are told who has it."""
    given = {"epochs": 10_000, "checkpoints": False, "pause": 0.02}
    first = starting.launch(place, "record", given=given)
    wait_for_epochs(place, rng.randint(1, 5))
    if not alive:
        kill_hard(first)
    try:
        pids = [
            starting.launch(
                place, f"{WORKS}:contend", given={"me": me, "how": rng.choice(("run", "auto"))}
            )
            for me in range(AT_ONCE)
        ]
        (place.folder / GO).touch()
        starting.wait(pids, 2 * LONGEST_WAIT)
    finally:
        kill_hard(first)
    assert place.raised() is None, place.raised()
    refused = [path.read_text() for path in place.folder.glob(f"{REFUSED}*")]
    assert len(list(place.folder.glob(f"{RESUMED}*"))) == (0 if alive else 1)
    assert len(refused) == (AT_ONCE if alive else AT_ONCE - 1)
    assert all("is being recorded by process" in text for text in refused), refused
    settled(starting, place)
    attempts = Oracle(place.work).rows("SELECT count(*) FROM attempt WHERE status = 'finished'")
    assert attempts == [(1 if alive else 2,)]


FAMILIES = [
    Family(
        "D1",
        "a run with every callback is killed up to five times, and resumed",
        "4, 5, 6",
        200,
        0.01,
        resumed,
        minutes=17.0,
    ),
    Family(
        "D4",
        "one run is resumed by three processes at once",
        "6, 7",
        100,
        0.04,
        resumed_at_once,
        minutes=1.5,
    ),
]

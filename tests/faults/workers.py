"""Threads and child processes of a process that records: every row is there once, and the run stays its parent's."""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
from pathlib import Path

import tracker
from tests.faults.family import Family, Result, share_of
from tests.faults.kills import settled
from tests.faults.oracle import Oracle
from tests.faults.processes import Place, forks
from tests.faults.works import acknowledge, loss_of

WORKS = "tests.faults.workers"
THREADS, CHILDREN = 16, 2
METHODS = ("fork", "forkserver", "spawn")


def share_between_threads(epochs: int) -> None:
    """Let 16 threads log into one run at once, each its own epochs and steps."""
    with tracker.start_run("fault", "run", system_metrics=False) as run:

        def work(first: int) -> None:
            for epoch in range(first, first + epochs):
                run.log({"step_loss": 1.0})
                run.log_epoch(epoch, {"loss": loss_of(epoch)})
                acknowledge(run.id, epoch, loss_of(epoch))

        threads = [
            threading.Thread(target=work, args=(number * epochs,)) for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def threads(folder: Path, share: float, rng: random.Random) -> Result:
    """16 threads log 500 epochs each into one run, and a step metric with each."""
    result = Result()
    epochs = share_of(500, share)
    with forks(folder, WORKS) as starting:
        place = Place(folder / "threads")
        with result.trial("threads"):
            answer = starting.start(
                place, f"{WORKS}:share_between_threads", given={"epochs": epochs}
            )
            assert answer["code"] == 0, place.raised()
            oracle, rows = Oracle(place.work), THREADS * epochs
            assert settled(starting, place) == rows
            assert oracle.rows("SELECT epochs FROM run WHERE name = 'run'") == [(rows,)]
            steps = "SELECT sum(calls) FROM clock WHERE number >= 0"
            assert oracle.rows(steps) == [(rows,)]
            of_all = [loss_of(epoch) for epoch in range(rows)]
            extremes = "SELECT min, max FROM summary WHERE name = 'loss'"
            assert oracle.rows(extremes) == [(min(of_all), max(of_all))]
    result.tried = THREADS * epochs
    return result


def have_children(method: str) -> None:
    """Start children as data loaders do, twice within a run; each records a run of its own, or tries its parent's."""
    with tracker.start_run("fault", "run", system_metrics=False) as run:
        context = multiprocessing.get_context(method)
        for epoch in range(2):
            run.log({"step_loss": 1.0})
            children = [
                context.Process(target=_be_a_child, args=(str(Path.cwd()), f"{epoch}-{number}"))
                for number in range(CHILDREN)
            ]
            if method == "fork":
                children += [context.Process(target=_use, args=(run,)) for _ in range(CHILDREN)]
            for child in children:
                child.start()
            run.log_epoch(epoch, {"loss": loss_of(epoch)})
            acknowledge(run.id, epoch, loss_of(epoch))
            for child in children:
                child.join()
            assert {child.exitcode for child in children} == {0}


def _use(run: tracker.Run) -> None:
    """Log into the parent's run, as code does that does not know that it is in a child: nothing comes of it."""
    assert tracker.active_run() is None
    run.log({"step_loss": 2.0})
    run.log_epoch(99, {"loss": 99.0})
    own = Path(f"ckpt-run/{os.getpid()}")
    run.save_checkpoint(own, lambda path: path.write_text("child"))
    own.unlink()
    run.finish()


def _be_a_child(folder: str, name: str) -> None:
    """Record a run of its own in the parent's database."""
    os.chdir(folder)
    assert tracker.active_run() is None
    with tracker.start_run("fault", f"child-{name}", system_metrics=False) as own:
        own.log_epoch(0, {"loss": 0.0})


def children(folder: Path, share: float, rng: random.Random) -> Result:
    """Children of all three start methods; the parent's run is as if there were none."""
    result = Result()
    with forks(folder, WORKS) as starting:
        for number in range(share_of(30, share)):
            method = METHODS[number % len(METHODS)]
            with Place(folder / str(number)) as place:
                with result.trial(f"{number}, {method}"):
                    answer = starting.start(
                        place, f"{WORKS}:have_children", given={"method": method}
                    )
                    assert answer["code"] == 0, place.raised()
                    settled(starting, place)
                    oracle = Oracle(place.work)
                    runs = (
                        "SELECT name, status, epochs FROM run WHERE name <> 'after-1' ORDER BY name"
                    )
                    assert oracle.rows(runs) == [
                        *((f"child-{epoch}-{one}", "finished", 1) for epoch in range(2) for one in range(CHILDREN)),
                        ("run", "finished", 2),
                    ]  # fmt: skip
                    assert oracle.rows("SELECT sum(calls) FROM clock WHERE number >= 0") == [(2,)]
                result.count(method)
    return result


FAMILIES = [
    Family(
        "E4", "children of each start method, within a run", "1, 7", 30, 0.03, children, minutes=1.0
    ),
    Family("E5", "16 threads log into one run at once", "1", 8000, 0.02, threads, minutes=0.5),
]

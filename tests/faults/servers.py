"""PostgreSQL that stops answering, is killed, cut off, full or forbids, while many processes record."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tracker
from tests.faults.disks import Longest, can_mount, small_disk
from tests.faults.family import Family, Load, Result, share_of
from tests.faults.oracle import noted
from tests.faults.processes import Forks, Place, forks
from tests.faults.pulse import pulse
from tests.faults.works import PARTS
from tests.helpers.postgres import Cluster, binary, cluster
from tests.helpers.proxy import proxy
from tracker.storage.location import locate
from tracker.storage.prepare import prepare

AT_ONCE = 20
FROZEN_SECONDS, CUT_SECONDS = 20.0, 2.0
TIMES_CUT = 3
LONGEST_WAIT = 300.0


@dataclass(frozen=True)
class Hit:
    """A fault of a server: the URL that processes use, and what happens while they record."""

    url: str
    strike: Callable[[], object]


Fault = Callable[[Cluster, str], AbstractContextManager[Hit]]


@contextmanager
def _freeze(server: Cluster, url: str) -> Iterator[Hit]:
    def strike() -> None:
        with server.frozen():
            time.sleep(FROZEN_SECONDS)

    yield Hit(url, strike)


@contextmanager
def _crash(server: Cluster, url: str) -> Iterator[Hit]:
    def strike() -> None:
        server.stop()
        time.sleep(CUT_SECONDS)
        server.start()

    yield Hit(url, strike)


@contextmanager
def _cut_off(server: Cluster, url: str) -> Iterator[Hit]:
    with proxy(url) as between:

        def strike() -> None:
            for _ in range(TIMES_CUT):
                between.cut()
                time.sleep(CUT_SECONDS)
                between.mend()
                time.sleep(CUT_SECONDS / 10)

        yield Hit(between.url, strike)


PRIVILEGES = ("INSERT", "UPDATE", "SELECT", "INSERT, UPDATE, DELETE, SELECT")


@contextmanager
def _revoke(server: Cluster, url: str) -> Iterator[Hit]:
    import psycopg

    name = f"trainer_{url.rpartition('/')[2]}"
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            f"CREATE ROLE {name} LOGIN",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}",
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {name}",
        ):
            connection.execute(statement)  # type: ignore[arg-type]  # no literal

        def strike() -> None:
            for privilege in PRIVILEGES:
                tables = f"{privilege} ON ALL TABLES IN SCHEMA public"
                connection.execute(f"REVOKE {tables} FROM {name}")  # type: ignore[arg-type]
                time.sleep(CUT_SECONDS / 2)
                connection.execute(f"GRANT {tables} TO {name}")  # type: ignore[arg-type]

        yield Hit(url.replace("tester@", f"{name}@"), strike)


DISK_BYTES = 400 << 20


@contextmanager
def _disk_for_everybody() -> Iterator[Path]:
    """Mount a small disk where the user of PostgreSQL may reach it."""
    with tempfile.TemporaryDirectory(prefix="tracker-pg-") as folder:
        Path(folder).chmod(0o711)
        with small_disk(Path(folder) / "disk", DISK_BYTES) as disk:
            yield disk


@contextmanager
def _fill(server: Cluster, url: str) -> Iterator[Hit]:
    def strike() -> None:
        filler = server.folder.parent / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        time.sleep(3 * CUT_SECONDS)
        filler.unlink()
        server.ensure()

    yield Hit(url, strike)


def while_recording(fault: Fault, folder: Path, share: float, rng: random.Random) -> Result:
    """Many processes record while the fault strikes, at a random moment; then the next start finds everything."""
    result = Result()
    if binary("initdb") is None:
        result.facts["not tried"] = "PostgreSQL is not installed"
        return result
    if fault is _fill and not can_mount(folder):
        result.facts["not tried"] = "only root may mount a small disk"
        return result
    longest = Longest()
    at_once = max(2, share_of(AT_ONCE, min(1.0, share * 10)))
    disk = _disk_for_everybody() if fault is _fill else nullcontext()
    with disk as on, cluster(on) as server:
        for number in range(share_of(200, share) // at_once or 1):
            url = server.create(f"t{number}")
            prepare(locate(url))
            place = Place(folder / str(number))
            state = str(place.folder / "state")
            with (
                fault(server, url) as hit,
                pulse() as beating,
                forks(folder, TRACKER_DATABASE_URL=hit.url, XDG_STATE_HOME=state) as starting,
            ):
                pids = [
                    starting.launch(place, "record in parts", given={"name": f"w{one}"})
                    for one in range(at_once)
                ]
                time.sleep(rng.uniform(1, 10))
                hit.strike()
                with result.trial(f"round {number}"):
                    starting.wait(pids, LONGEST_WAIT)
                    check_server(starting, place, url)
                    calls, ends = place.took()
                    longest.note(calls, ends, beating.longest)
                    assert len(ends) == at_once * PARTS, place.log
            result.tried += at_once - 1
    result.facts |= longest.facts
    return result


def check_server(starting: Forks, place: Place, url: str) -> None:
    """After the next start, every acknowledged epoch is in the database, with its value."""
    assert starting.start(place, "recover")["code"] == 0, place.raised()
    frame = tracker.epochs(database=url)
    ids = dict(zip(*(tracker.runs(database=url)[name] for name in ("id", "name")), strict=True))
    shown = {(row.run, int(row.epoch)): row.loss for row in frame.itertuples()}
    acknowledged = noted(place.acknowledged)
    lost = [
        (ids.get(run, run), epoch)
        for run, epochs in acknowledged.items()
        for epoch, loss in epochs.items()
        if shown.get((ids.get(run, run), epoch)) != loss
    ]
    assert lost == [], f"{len(lost)} acknowledged epochs are lost, such as {lost[0]}"
    assert place.raised() is None, place.raised()


FAMILIES = [
    Family(
        "P1",
        "PostgreSQL frozen for 20 s at a random moment of starting, resuming, recording, saving and finishing",
        "1, 2, 3",
        200,
        0.01,
        partial(while_recording, _freeze),
        minutes=11.5,
        load=Load.WAITING,
    ),
    Family(
        "P2",
        "PostgreSQL killed and started again",
        "1, 2, 3",
        200,
        0.01,
        partial(while_recording, _crash),
        minutes=9.0,
        load=Load.WAITING,
    ),
    Family(
        "P3",
        "PostgreSQL behind a proxy that cuts all connections off, three times",
        "1, 2, 3",
        200,
        0.01,
        partial(while_recording, _cut_off),
        minutes=11.5,
        load=Load.WAITING,
    ),
    Family(
        "P4",
        "privileges of PostgreSQL taken away for seconds, one after the other, and all of them",
        "1, 2, 3",
        200,
        0.01,
        partial(while_recording, _revoke),
        minutes=8.5,
        load=Load.WAITING,
    ),
    Family(
        "P5",
        "the disk of PostgreSQL full for seconds",
        "1, 2, 3",
        200,
        0.01,
        partial(while_recording, _fill),
        minutes=8.0,
        load=Load.WAITING,
    ),
]

"""A PostgreSQL server that is frozen, restarted, or takes a privilege away: training goes on, nothing is lost."""

from __future__ import annotations

import gc
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.helpers.postgres import Cluster, binary, cluster
from tests.helpers.proxy import proxy
from tests.storage.test_checksums import damaged, record_awkward_values
from tracker.errors import BadValue, RunBusy
from tracker.process import SILENT_SECONDS
from tracker.recording.recorder import FLUSH_SECONDS
from tracker.storage import entries, journal
from tracker.storage.database import Database, locate
from tracker.storage.superseding import hold
from tracker.values import LONGEST_NAME

pytestmark = [
    pytest.mark.skipif(binary("initdb") is None, reason="PostgreSQL is not installed"),
    pytest.mark.xdist_group("postgres"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture
def url(server: Cluster, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip("psycopg")
    made = server.create(f"t{abs(hash(request.node.name)) % 10**10}")
    monkeypatch.setenv("TRACKER_DATABASE_URL", made)
    monkeypatch.setenv("XDG_STATE_HOME", str(Path.cwd() / "state"))
    return made


def timed(call: Callable[[], Any]) -> float:
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


def record_through(name: str, cut: Callable[[], Any], mend: Callable[[], Any]) -> list[float]:
    """Record four epochs, the middle two without a server, and start a run after it; returns what those two took."""
    run = tracker.start_run("x", name=name)
    run.log_epoch(0, {"loss": 0.0})
    cut()
    took = [timed(lambda epoch=epoch: run.log_epoch(epoch, {"loss": 1.0})) for epoch in (1, 2)]
    mend()
    run.log_epoch(3, {"loss": 3.0})
    run.finish()
    tracker.start_run("x").finish()
    return took


@pytest.mark.impatient
def test_a_frozen_server_holds_up_no_call_and_loses_nothing(server: Cluster, url: str) -> None:
    """SIGSTOP: the kernel still acknowledges what is sent, so that no time limit of TCP's helps."""
    run = tracker.start_run("x", name="frozen")
    run.log_epoch(0, {"loss": 0.0})
    first = run.save_checkpoint("ckpt/first", lambda to: to.write_text("1"), epoch=0)
    took = []
    with server.frozen():
        for epoch in range(1, 4):
            took.append(timed(lambda epoch=epoch: run.log_epoch(epoch, {"loss": float(epoch)})))
            run.log({"step": 1.0})
        took.append(
            timed(lambda: run.save_checkpoint("ckpt/second", lambda to: to.write_text("2")))
        )
        took.append(timed(lambda: run.log_params({"late": 1})))
        begun = time.monotonic()
        kept = run.checkpoints()
        took.append(time.monotonic() - begun)
        assert first.path.exists()
        assert len(kept) == 2
        ending = timed(run.finish)
    # 2 and 5 seconds on a machine that has nothing else to do
    assert max(took) < 4
    assert ending < 8
    tracker.start_run("x").finish()
    assert list(tracker.epochs("frozen")["loss"]) == [0.0, 1.0, 2.0, 3.0]
    assert len(tracker.metrics("frozen")) == 3
    assert tracker.runs(where="name = 'frozen'")["status"].tolist() == ["finished"]


@pytest.mark.impatient
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_of_a_frozen_server_each_thing_is_said_once(
    server: Cluster, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with tracker.start_run("x") as run:
        for epoch in range(2):
            run.log({"loss": 1.0})
            run.save_checkpoint("ckpt/last", lambda to: to.write_text("1"), epoch=epoch)
            run.log_epoch(epoch, {"loss": 1.0})
        with server.frozen():
            for epoch in range(2, 5):
                run.log({"loss": 1.0})
                run.save_checkpoint("ckpt/last", lambda to: to.write_text("1"), epoch=epoch)
                run.prune_checkpoints(run.checkpoints()[:-1])
                run.log_epoch(epoch, {"loss": 1.0})
                time.sleep(FLUSH_SECONDS)
            gc.collect()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(set(said)), said
    assert [text for text in said if "only checkpoints of this process count" in text]
    assert {record.name for record in caplog.records} == {"tracker"}


@pytest.mark.impatient
def test_a_restart_of_the_server_loses_nothing(server: Cluster, url: str) -> None:
    took = record_through("cut off", server.stop, server.start)
    assert max(took) < 4
    assert list(tracker.epochs("cut off")["epoch"]) == [0, 1, 2, 3]


@pytest.mark.impatient
def test_a_server_that_is_cut_off_loses_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connections break off within a call, and new ones are not taken for a while."""
    with proxy(url) as between:
        monkeypatch.setenv("TRACKER_DATABASE_URL", between.url)
        took = record_through("cut", between.cut, between.mend)
    assert max(took) < 4
    assert list(tracker.epochs("cut", database=url)["epoch"]) == [0, 1, 2, 3]


def test_an_epoch_comes_back_with_the_bits_of_its_checksum(url: str) -> None:
    record_awkward_values()
    assert damaged() == []
    execute(url, "UPDATE metric SET value = 0.7 WHERE name = 'late'")
    assert [number for _, number in damaged()] == [0]


def test_a_machine_whose_clock_is_wrong_is_neither_lost_nor_immortal(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's clock has stamped what was heard of it; its own may be hours off."""
    run = tracker.start_run("x", name="elsewhere")
    move = "UPDATE attempt SET host = 'elsewhere', boot_id = 'another', heartbeat = heartbeat + "
    for skew in (-3_600_000_000, 7_200_000_000):
        execute(url, f"{move}{skew}")
        assert tracker.runs()["status"].tolist() == ["running"]
        with pytest.raises(RunBusy):
            tracker.start_run(resume="elsewhere")
    execute(url, f"UPDATE attempt SET heard = heard - {int(SILENT_SECONDS + 1) * 1_000_000}")
    assert tracker.runs()["status"].tolist() == ["lost"]
    monkeypatch.setattr("tracker.recording.recorder.HEARTBEAT_SECONDS", 0.0)
    run.log_epoch(0, {"loss": 1.0})
    assert tracker.runs()["status"].tolist() == ["running"]
    run.finish()


def execute(url: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def as_other(url: str) -> str:
    return url.replace("tester@", "trainer@")


@pytest.fixture
def trainer(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A role that may write what is recorded, until somebody takes that away."""
    tracker.start_run("x", name="before").finish()
    execute(
        url,
        "DROP ROLE IF EXISTS trainer",
        "CREATE ROLE trainer LOGIN",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO trainer",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO trainer",
    )
    monkeypatch.setenv("TRACKER_DATABASE_URL", as_other(url))
    yield url
    execute(url, "DROP OWNED BY trainer", "DROP ROLE trainer")


def test_a_privilege_that_is_missing_for_a_while_costs_no_record(trainer: str) -> None:
    """It is no fault of the records: they wait, and none is set aside."""
    run = tracker.start_run("x", name="revoked")
    run.log_epoch(0, {"loss": 0.0})
    execute(trainer, "REVOKE INSERT ON ALL TABLES IN SCHEMA public FROM trainer")
    for epoch in range(1, 5):
        run.log_epoch(epoch, {"loss": float(epoch)})
    execute(trainer, "GRANT INSERT ON ALL TABLES IN SCHEMA public TO trainer")
    run.log_epoch(5, {"loss": 5.0})
    run.finish()
    tracker.start_run("x").finish()
    assert list(tracker.epochs("revoked")["loss"]) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert list(Path("state").rglob("*.refused")) == []


def test_a_start_without_the_privilege_leaves_a_killed_runs_spool_alone(
    trainer: str, script: Any
) -> None:
    code = """
import os, tracker
run = tracker.start_run("x", name="killed")
spool = run.writer.spool
run.writer.record = lambda *entries: spool.append(entries)
run.log_epoch(0, {"loss": 1.0})
os._exit(9)
"""
    script(code).wait()
    execute(trainer, "REVOKE INSERT ON metric FROM trainer")
    with pytest.raises(tracker.TrackerError):
        tracker.start_run("x")
    execute(trainer, "GRANT INSERT ON metric TO trainer")
    tracker.start_run("x").finish()
    assert list(tracker.epochs("killed")["loss"]) == [1.0]


def test_the_longest_names_are_the_same_on_both_databases(url: str, folder: Path) -> None:
    """PostgreSQL cannot index more than 2704 bytes: what it would refuse is refused at the door, everywhere."""
    rng = random.Random(0)
    name = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=LONGEST_NAME))
    for database in (url, str(folder / "local.db")):
        record_long_names(name, database)


def record_long_names(name: str, database: str) -> None:
    with tracker.start_run(
        name, name=name, params={name: 1}, tags=[name], database=database
    ) as run:
        run.define_metric(name, "max", monitor=True)
        run.add_policy("P", monitor=name)
        run.log({name: 1.0, "x" * 5000: 1.0})
        run.log_epoch(0, {f"e{name[1:]}": 1.0, "y" * 10_000: 1.0})
        for call in (
            lambda: run.log({name + "x": 1.0}),
            lambda: run.log_epoch(1, {name + "x": 1.0}),
            lambda: run.log_params({"a": {name: 1}}),
            lambda: run.set_tags([name + "x"]),
            lambda: run.define_metric(name + "x"),
            lambda: run.add_policy("P", monitor=name + "x"),
            lambda: run.log_checkpoint("x/" * 1400),
            lambda: tracker.start_run(name + "x", database=database),
            lambda: tracker.start_run(name=name + "x", database=database),
        ):
            with pytest.raises(BadValue, match="bytes, of at most"):
                call()
    assert len(tracker.metrics(run.id, database=database)) == 2
    assert list(tracker.epochs(run.id, database=database)[f"e{name[1:]}"]) == [1.0]


def test_what_an_import_brings_late_is_seen_by_the_attempt_that_repeats_it(url: str) -> None:
    import psycopg

    with pytest.raises(ZeroDivisionError), tracker.start_run("x", name="held") as run:
        run.log_epoch(0, {"loss": 0.0})
        raise ZeroDivisionError
    resumed = tracker.start_run(resume="held")
    late = [entries.epoch(run.id, 1, number, 0, 1.0, None, []) for number in (1, 2)]
    repeated = entries.epoch(run.id, 2, 1, 0, 1.0, None, [])
    ours, others = Database(locate(url)), Database(locate(url))

    def repeat() -> None:
        with others.transaction() as connection:
            journal.apply(connection, [repeated])

    thread = threading.Thread(target=repeat)
    with ours.transaction() as connection:
        hold(connection, run.id)
        journal.apply(connection, late)
        thread.start()
        with psycopg.connect(url) as asking:
            while not asking.execute(_WAITING).fetchall():
                asking.rollback()
    thread.join()
    ours.close()
    others.close()
    resumed.finish()
    assert tracker.epochs("held")[["attempt", "epoch"]].to_numpy().tolist() == [[1, 0], [2, 1]]
    assert tracker.runs()["epochs"].tolist() == [2]


_WAITING = (
    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)

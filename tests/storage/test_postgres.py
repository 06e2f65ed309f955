"""The same runs on PostgreSQL: a cluster of its own on loopback, made for the test session."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tracker
from benchmarks.many_runs import build
from tests.helpers import odd_labels
from tests.helpers.frame_types import check_types
from tests.helpers.plans import plans
from tests.helpers.postgres import Cluster, binary, cluster
from tests.helpers.sparse_program import run_program
from tracker import models
from tracker.checkpointing.recovery import PENDING_CHECKPOINTS
from tracker.checkpointing.store import folder_of
from tracker.queries import api as queries
from tracker.queries.follow import Follower
from tracker.queries.groups import groups
from tracker.queries.names_in_use import params_in_use
from tracker.queries.runs import run_ids
from tracker.queries.waste import waste
from tracker.storage import schema
from tracker.storage.database import Database, reading
from tracker.storage.location import locate

pytestmark = [
    pytest.mark.skipif(binary("initdb") is None, reason="PostgreSQL is not installed"),
    pytest.mark.xdist_group("postgres"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """Start a cluster."""
    with cluster() as made:
        yield made


@pytest.fixture
def url(server: Cluster, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of the test's own."""
    pytest.importorskip("psycopg")
    made = server.create(f"t{abs(hash(request.node.name)) % 10**10}")
    monkeypatch.setenv("TRACKER_DATABASE_URL", made)
    monkeypatch.setenv("XDG_STATE_HOME", str(Path.cwd() / "state"))
    return made


def test_what_is_joined_on_its_way_comes_out_as_it_went_in(url: str) -> None:
    odd_labels.record()
    odd_labels.check()


@pytest.mark.parametrize("seed", range(4))
def test_names_that_few_calls_have_come_back(url: str, seed: int) -> None:
    run_program(seed)


def test_metrics_params_and_text_come_back_as_they_went_in(url: str) -> None:
    values = {"nan": math.nan, "up": math.inf, "down": -math.inf, "zero": -0.0, "tiny": 5e-324}
    with tracker.start_run(name="a\0b", params={"big": 2**70, "text": "x\0y\ud800"}) as run:
        run.log_epoch(0, {**values, "n\0ul": 1.0})
        run.log({"step": 1.0})
        back = run.recorded_epoch(0)
        run.log_params({"big": 3})
    assert back is not None
    assert {name: repr(back[name]) for name in values} == {n: repr(v) for n, v in values.items()}
    assert back["n\\x00ul"] == 1.0
    assert list(tracker.runs()["status"]) == ["finished"]
    assert len(tracker.metrics(run.id)) == 1


TAGS = "ix_tag_name", "ix_tag_name_value"
"""The first one is a server's, the second one an SQLite file's, see migration 0009."""


def test_the_schema_is_that_of_the_models(url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    tracker.start_run().finish()
    with reading(url) as reader:
        options = {
            "version_table": schema.VERSION_TABLE,
            "compare_type": True,
            "include_name": lambda name, *place: name not in TAGS,
            "include_object": lambda made, name, *place: name not in TAGS,
        }
        context = MigrationContext.configure(reader.connection, opts=options)
        assert compare_metadata(context, models.Table.metadata) == []


@pytest.mark.parametrize("runs", [0, 2])
def test_columns_of_frames_have_the_types_that_they_have_elsewhere(url: str, runs: int) -> None:
    check_types(runs)


def test_runs_are_grouped_as_their_listing_says(url: str) -> None:
    losses = [("a", 2.0), ("b", 3.0), ("a", None), ("a", 1.0)]
    losses += [("c", value) for value in (1e308, -1e308, math.inf)]
    losses += [("d", value) for value in (1.0, 2.0, 4.0)]
    for team, loss in losses:
        with tracker.start_run("digits", tags={"team": team}) as run:
            run.add_policy("EarlyStopping", monitor="val_loss", config={"mode": "min"})
            run.log_epoch(0, {"loss": 1.0} if loss is None else {"val_loss": loss})
    with reading(locate(url)) as reader:
        quick = groups(reader, "tags.team")
        listed = groups(reader, "tags.team", order_by="-started")
    assert list(map(repr, quick.rows)) == list(map(repr, listed.rows))
    assert [row[0] for row in quick.rows] == ["d", "c", "a", "b"]


def test_params_of_all_runs_are_counted_as_those_of_the_same_runs_by_name(url: str) -> None:
    values = (
        0.1,
        0.1,
        1,
        1.0,
        True,
        False,
        0,
        0.0,
        2.0**60,
        2**60,
        math.inf,
        math.nan,
        "auto",
        None,
    )
    for value in (*values, *range(-20, 20)):
        tracker.start_run("digits", params={"lr": value}).finish()
    with reading(locate(url)) as reader:
        every = params_in_use(reader)
        named = params_in_use(reader, run_ids(reader, None))
    assert list(map(repr, every.rows)) == list(map(repr, named.rows))


def test_a_run_is_followed(url: str) -> None:
    with tracker.start_run("digits", params={"epochs": 5}) as run:
        stopping = run.add_policy("EarlyStopping", monitor="loss", config={"patience": 2})
        follower = Follower(run.id)
        for epoch in range(2):
            run.log({"batch_loss": 1.0}, step=epoch)
            run.log_epoch(epoch, {"loss": 1.0}, seconds=2.0)
            stopping.decide("waited", epoch=epoch, reason="r", best=1.0, wait=1)
            with reading(locate(url)) as reader:
                found = follower.look(reader)
            assert ([one.epoch for one in found.fresh], len(found.decisions)) == ([epoch], 1)
    assert (found.left, found.step, found.is_running) == (6.0, 1, True)


def test_resume_decisions_and_checkpoints(url: str) -> None:
    with tracker.start_run("x", name="a") as run:
        policy = run.add_policy("EarlyStopping", monitor="loss")
        for epoch in range(3):
            run.log_epoch(epoch, {"loss": float(epoch)})
            policy.decide(
                "waited", epoch=epoch, reason="r", state={"wait": epoch, "best": math.nan}
            )
            run.save_checkpoint("ckpt/best", lambda to, n=epoch: to.write_text(str(n)), epoch=epoch)
    with tracker.start_run(resume="a") as run:
        assert (run.attempt, run.first_epoch) == (2, 3)
        assert [one.epoch for one in run.checkpoints()] == [2]
        run.rewind(2)
        assert (
            str(run.add_policy("EarlyStopping", monitor="loss").saved_state)
            == "{'wait': 1, 'best': nan}"
        )
        run.log_epoch(2, {"loss": 9.0})
        assert run.checkpoints()[0].path.read_text() == "2"
    assert list(tracker.epochs("a")["loss"]) == [0.0, 1.0, 9.0]


def test_a_killed_run_is_lost_and_goes_on(url: str, script: Any) -> None:
    code = "import os, tracker; run = tracker.start_run('x', name='a'); run.log_epoch(0, {'loss': 1.0}); os._exit(9)"
    script(code).wait()
    assert list(tracker.runs()["status"]) == ["lost"]
    with tracker.start_run("x", resume="auto") as run:
        assert (run.name, run.attempt, run.first_epoch) == ("a", 2, 1)


def test_first_starts_at_once_make_one_database(url: str, script: Any) -> None:
    code = "import tracker; tracker.start_run('x').finish()"
    for one in [script(code) for _ in range(6)]:
        assert one.communicate()[1] == ""
    assert sorted(tracker.runs()["name"]) == [f"x-{number}" for number in range(1, 7)]


def test_a_lock_that_another_connection_holds_is_busy(url: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    tracker.start_run("x").finish()
    database = Database(locate(), patience=0.3)
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE run")
        with pytest.raises(tracker.DatabaseBusy), database.transaction() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM run")
    with database.transaction() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM run").scalar() == 1
    database.close()


def test_listings_of_the_first_rows_look_at_no_more_than_those(url: str) -> None:
    build(locate(), 2000)
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")
    listings = {
        "runs": lambda reader: queries.overview(reader, None, "val_loss", 20),
        "param": lambda reader: queries.overview(reader, None, "lr", 20),
        "where": lambda reader: queries.overview(reader, "val_loss < 0.5 and lr > 0.1", None, 20),
        "epochs": lambda reader: queries.epochs(reader, limit=20),
        "decisions": lambda reader: queries.decisions(reader, limit=20),
        "checkpoints": lambda reader: queries.checkpoints(reader, limit=20),
    }
    with reading() as reader:
        for name, ask in listings.items():
            planned = [one for one in plans(reader, ask) if is_listing(one.statement)]
            lines = [line for one in planned for line in one.plan]
            assert planned, name
            scanned = re.compile(r"Seq Scan on (epoch|metric|summary|param|decision|checkpoint)\b")
            assert not [line for line in lines if scanned.search(line)], (name, lines)
            # Within equal keys it may sort.
            assert not [line for line in lines if re.search(r"(^|-> +)Sort  \(", line)], (
                name,
                lines,
            )
        ask = lambda reader: reader.connection.execute(PENDING_CHECKPOINTS).all()  # noqa: E731
        (planned_pending,) = plans(reader, ask)
        assert any("ix_checkpoint_pending" in line for line in planned_pending.plan)


def is_listing(statement: str) -> bool:
    """Say whether a statement asks for the first rows in an order."""
    return "LIMIT" in statement and "ORDER BY" in statement


def test_copies_of_checkpoints_are_recorded_and_go_with_their_run(
    url: str, cli: Any, tmp_path: Path
) -> None:
    folder = f"memory://{tmp_path}"
    with tracker.start_run(name="r", remote=folder) as run:
        for epoch, loss in enumerate((0.5, 0.2)):
            run.save_checkpoint(
                f"{epoch}.pt", lambda to: to.write_text("x"), epoch=epoch, monitor="loss", value=loss
            )  # fmt: skip
    assert tracker.checkpoints()["remote"].notna().all()
    assert "0 files, 0 B copied; 2 copies there" in cli("checkpoints", "upload", "r", folder).stdout
    Path("1.pt").unlink()
    assert cli("checkpoints", "verify", "r", "--remote").exit_code == 0
    assert list(tracker.checkpoints()["alias"].dropna()) == ["best, last"]
    assert cli("runs", "delete", "r", "--yes").exit_code == 0
    with reading(url) as reader:
        assert list(reader.connection.exec_driver_sql("SELECT * FROM remote_copy")) == []


def test_a_later_run_does_not_take_the_best_with_its_name(
    url: str, cli: Any, tmp_path: Path
) -> None:
    """The rows are on the server; the bytes are kept on the disk of the machine that saved them."""
    values, inodes = (0.5, 0.2, 0.7, 0.4), {}
    for value in values:
        with tracker.start_run("digits") as run:
            facts: dict[str, Any] = {"epoch": 0, "monitor": "loss", "value": value}
            run.save_checkpoint("best.pt", lambda to: to.write_text(f"{value}"), **facts)  # noqa: B023
            inodes[value] = Path("best.pt").stat().st_ino
    location = locate()
    (kept,) = folder_of(location).iterdir()
    assert folder_of(location).is_relative_to(tmp_path / "state")
    assert (kept.read_text(), kept.stat().st_ino) == ("0.2", inodes[0.2])
    assert list(tracker.checkpoints()["state"]) == [
        "overwritten", "available", "overwritten", "available",
    ]  # fmt: skip
    best = tracker.checkpoints().query("value == 0.2")["run"].item()
    assert cli("checkpoints", "restore", best, "best", "-o", "back.pt").exit_code == 0
    assert (Path("back.pt").read_text(), Path("best.pt").read_text()) == ("0.2", "0.4")
    assert cli("checkpoints", "verify").exit_code == 0
    assert "kept files    1" in cli("db", "status").stdout
    assert "1 file, 3 B kept" in cli("checkpoints", "gc").stdout
    assert kept.exists()


@pytest.mark.parametrize("key", ["best_epoch(val_loss)", "-val_loss", "params.p", "-tags.t"])
def test_runs_without_the_value_come_last_in_every_order(
    url: str, tmp_path: Path, key: str
) -> None:
    orders = []
    for database in (url, tmp_path / "local" / "tracker.db"):
        for number in range(4):
            given: dict[str, Any] = {}
            if number % 2:
                given = {"params": {"p": number}, "tags": {"t": str(number)}}
            with tracker.start_run(name=f"run-{number}", database=database, **given) as run:
                for epoch in range(number):
                    run.log_epoch(epoch, {"val_loss": -float(epoch)})
        with reading(database) as reader:
            everything = queries.overview(reader, order_by=key).cells("name")
            assert queries.overview(reader, order_by=key, limit=4).cells("name") == everything
        orders.append(everything)
    assert orders[0] == orders[1]
    assert everything[-1] in ("run-0", "run-2")


def test_waste_of_all_runs_is_that_of_the_same_runs_named(url: str) -> None:
    build(locate(url), 12)
    with reading(url) as reader:
        found = waste(reader)
        assert found == waste(reader, ids=run_ids(reader))
    assert found.rows
    assert {type(cell) for row in found.rows for cell in row} <= {str, int, float}

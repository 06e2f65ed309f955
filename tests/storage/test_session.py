"""A session answers the user's own questions, and writes nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import col, func, select

import tracker
from tracker.models import ALL, RUN, Epoch, Metric, Run


@pytest.fixture
def recorded() -> None:
    for name, losses in (("a", [0.3, 0.1]), ("b", [0.4])):
        with tracker.start_run("digits", name, tags={"team": name}) as run:
            for epoch, loss in enumerate(losses):
                run.log_epoch(epoch, {"val_loss": loss})


@pytest.mark.usefixtures("recorded")
def test_rows_are_objects_of_the_models() -> None:
    with tracker.session() as session:
        runs = session.exec(select(Run).where(Run.status == "finished").order_by(Run.name)).all()
    assert [(run.name, run.epochs) for run in runs] == [("a", 2), ("b", 1)]


@pytest.mark.usefixtures("recorded")
def test_tables_are_joined_and_summed_up() -> None:
    statement = (
        select(Run.name, func.min(Metric.value))
        .join(Epoch, col(Epoch.run_id) == Run.id)
        .join(Metric, col(Metric.epoch_id) == Epoch.id)
        .group_by(Run.name)
        .order_by(Run.name)
    )
    with tracker.session() as session:
        assert [tuple(row) for row in session.exec(statement)] == [("a", 0.1), ("b", 0.4)]


@pytest.mark.usefixtures("recorded")
def test_what_was_read_can_be_used_after_the_session() -> None:
    with tracker.session() as session:
        run = session.exec(select(Run).where(Run.name == "a")).one()
        session.commit()
    assert (run.name, run.status) == ("a", "finished")


@pytest.mark.usefixtures("recorded")
def test_objects_that_were_changed_are_not_written(folder: Path) -> None:
    path = folder / ".tracker/tracker.db"
    before = hashlib.sha256(path.read_bytes()).digest()
    with tracker.session() as session:
        run = session.exec(select(Run).where(Run.name == "a")).one()
        run.note = "mine"
        with pytest.raises(tracker.UsageError, match="only reads"):
            session.commit()
    assert hashlib.sha256(path.read_bytes()).digest() == before


@pytest.mark.parametrize(
    "statement", ["DELETE FROM run", "UPDATE run SET name = 'x'", "DROP TABLE run"]
)
@pytest.mark.usefixtures("recorded")
def test_statements_that_write_are_refused(statement: str) -> None:
    with (
        pytest.raises(tracker.UsageError, match=r"tracker\.session\(\) only reads"),
        tracker.session() as session,
    ):
        session.connection().execute(text(statement))
    assert len(tracker.runs()) == 2


def test_before_anything_is_recorded_every_table_is_empty(folder: Path) -> None:
    with tracker.session() as session:
        assert all(session.connection().execute(select(table)).all() == [] for table in ALL)
        with pytest.raises(tracker.UsageError, match="only reads"):
            session.connection().execute(RUN.delete())
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("recorded")
def test_a_session_sees_one_moment() -> None:
    count = select(func.count()).select_from(Run)
    with tracker.session() as session:
        assert session.exec(count).one() == 2
        tracker.start_run("digits", "c").finish()
        assert session.exec(count).one() == 2
    with tracker.session() as session:
        assert session.exec(count).one() == 3


def test_another_database_is_named(folder: Path) -> None:
    tracker.start_run(name="there", database="other.db").finish()
    with tracker.session("other.db") as session:
        assert session.exec(select(Run.name)).all() == ["there"]
    with tracker.session() as session:
        assert session.exec(select(Run.name)).all() == []

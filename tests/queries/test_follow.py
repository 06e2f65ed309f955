"""Following a run reads what is new, and says where it stands."""

from __future__ import annotations

import math
from typing import Any

import pytest

import tracker
from tests.helpers.plans import plans
from tracker.queries.follow import Followed, Follower, Waiting
from tracker.recording import sampled, system_metrics
from tracker.storage.database import reading


def look(follower: Follower) -> Followed:
    with reading() as reader:
        return follower.look(reader)


def epochs(run: tracker.Run, *losses: float, first: int = 0) -> None:
    for epoch, loss in enumerate(losses, first):
        run.log_epoch(epoch, {"val_loss": loss}, seconds=2.0)


def test_each_epoch_and_each_decision_is_found_once() -> None:
    with tracker.start_run("digits", params={"epochs": 10}) as run:
        plateau = run.add_policy("ReduceLROnPlateau", monitor="val_loss", config={})
        follower = Follower(run.id)
        epochs(run, 0.5, 0.4)
        plateau.decide("waited", epoch=1, reason="r")
        first = look(follower)
        assert ([one.epoch for one in first.fresh], len(first.decisions)) == ([0, 1], 1)
        again = look(follower)
        assert (again.fresh, again.decisions, again.epoch) == ([], [], first.epoch)
        assert (again.left, again.planned, again.event) == (16.0, 10, None)
        epochs(run, 0.6, first=2)
        plateau.decide("reduced", epoch=2, reason="r", lr_before=0.1, lr_after=0.01)
        third = look(follower)
        assert [one.epoch for one in third.fresh] == [2]
        assert [(one.verdict, one.epoch) for one in third.decisions] == [("reduced", 2)]
        assert (third.row["best_epoch"], third.row["epochs"]) == (1, 3)
        fourth = look(follower)
        assert fourth.event == third.event is not None
    assert look(follower).row["status"] == "finished"


def test_a_look_without_news_reads_no_history() -> None:
    with tracker.start_run("digits") as run:
        stopping = run.add_policy("EarlyStopping", monitor="val_loss", config={"patience": 90})
        for epoch in range(20):
            run.log({"batch_loss": 1.0})
            epochs(run, 1 / (epoch + 1), first=epoch)
            stopping.decide("improved", epoch=epoch, reason="r", value=1 / (epoch + 1))
        follower = Follower(run.id)
        look(follower)
        with reading() as reader:
            planned = plans(reader, lambda reader: follower.look(reader))
            rows = [
                reader.connection.exec_driver_sql(*sent).all() for sent in sent_by(reader, follower)
            ]
    # The run, its newest attempt, and the newest block of steps; nothing of what was read before.
    assert sum(map(len, rows)) == 3
    assert not [one for one in planned if "payload" in one.statement]
    assert not [line for one in planned for line in one.plan if line.startswith("SCAN")]


def sent_by(reader: Any, follower: Follower) -> list[tuple[str, Any]]:
    """Return the statements of a look, and their values."""
    from sqlalchemy import event

    sent: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    event.listen(reader.connection, "before_cursor_execute", note)
    try:
        follower.look(reader)
    finally:
        event.remove(reader.connection, "before_cursor_execute", note)
    return sent


@pytest.mark.parametrize(
    ("config", "best", "expected"),
    [
        ({"patience": 3, "mode": "min", "min_delta": 0.5}, 2.0, ("min", 1.5)),
        ({"patience": 3, "mode": "min", "min_delta": -0.5}, 2.0, ("min", 1.5)),
        ({"patience": 3, "mode": "max", "min_delta": 0.5}, 2.0, ("max", 2.5)),
        ({"patience": 3, "mode": "auto"}, 2.0, ("min", 2.0)),
        ({"patience": 3, "mode": "min", "baseline": 1.0}, None, ("min", 1.0)),
        ({"patience": 3, "mode": "min"}, None, ("min", None)),
    ],
)
def test_what_would_beat_the_best_is_told(
    config: dict[str, Any], best: float | None, expected: tuple[str, float | None]
) -> None:
    with tracker.start_run("digits") as run:
        stopping = run.add_policy("EarlyStopping", monitor="val_loss", config=config)
        epochs(run, 2.0)
        stopping.decide("waited", epoch=0, reason="r", value=2.0, best=best, wait=1)
        assert look(Follower(run.id)).waiting == Waiting("val_loss", 1, 3, *expected)


def test_steps_per_second_are_those_of_the_last_looks() -> None:
    with tracker.start_run("digits") as run:
        follower = Follower(run.id)
        run.log({"loss": 1.0}, step=5)
        run.writer.flush()  # type: ignore[attr-defined]
        first = look(follower)
        assert (first.step, first.speed) == (5, None)
        run.log({"loss": 0.5}, step=25)
        run.writer.flush()  # type: ignore[attr-defined]
        second = look(follower)
        assert second.step == 25
        assert second.speed is not None and second.speed > 0
        assert second.latest is not None and second.latest.metrics == {"loss": 0.5}
        assert second.row["best"] == 0.5


def test_the_machine_is_told_by_its_last_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled, "_BEGIN_AFTER", 0.0)
    monkeypatch.setattr(system_metrics, "_SHORTEST_SPAN", 0.0)
    monkeypatch.setattr(system_metrics, "LARGEST_SHARE", math.inf)
    with tracker.start_run("digits") as run:
        follower = Follower(run.id)
        run.writer.sampled.look()  # type: ignore[attr-defined]
        assert look(follower).system == {}
    measured = tracker.metrics(run, names="system/memory_bytes")["value"]
    assert look(follower).system["system/memory_bytes"] == measured.iloc[-1]

"""What a policy remembers from one attempt to the next, and the code beside a decision's reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Engine, event

import tracker
from tracker.errors import BadValue
from tracker.queries.callbacks import callbacks, decided
from tracker.states import Cause
from tracker.storage.database import reading


def test_the_saved_state_is_read_once_for_each_epoch_to_resume_at() -> None:
    with tracker.start_run(name="a") as run:
        policy = run.add_policy("EarlyStopping")
        for epoch in range(3):
            policy.decide("waited", epoch=epoch, reason="no better", state={"wait": epoch})
            run.log_epoch(epoch, {})
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "decision.state" in statement:
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        with tracker.start_run(resume="a") as run:
            policy = run.add_policy("EarlyStopping")
            assert [policy.saved_state for _ in range(3)] == [{"wait": 2}] * 3
            run.rewind(1)
            assert [policy.saved_state for _ in range(3)] == [{"wait": 0}] * 3
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len(statements) == 2


def decisions(run: tracker.Run) -> list[tuple[int, str | None]]:
    with reading() as reader:
        (callback,) = callbacks(reader, [run.id], "ModelCheckpoint")[run.id]
        return [(one.epoch, one.cause) for one in decided(reader, callback)]


def test_what_brought_a_decision_about_is_a_code_and_no_part_of_the_state() -> None:
    with tracker.start_run(name="a") as run:
        policy = run.add_policy("ModelCheckpoint")
        policy.decide("saved", epoch=0, reason="better", state={"best": 1.0})
        policy.decide(
            "skipped", epoch=1, reason="disk full", state={"best": 1.0}, cause="not-written"
        )
        policy.decide("saved", epoch=2, reason="raised", state={"best": 2.0}, cause=Cause.EXCEPTION)
        for epoch in range(3):
            run.log_epoch(epoch, {})
    assert decisions(run) == [(0, None), (1, "not-written"), (2, "exception")]
    with tracker.start_run(resume="a") as run:
        assert run.add_policy("ModelCheckpoint").saved_state == {"best": 2.0}


def test_a_cause_without_a_state_hides_no_earlier_state() -> None:
    with tracker.start_run(name="a") as run:
        policy = run.add_policy("ModelCheckpoint")
        policy.decide("saved", epoch=0, reason="better", state={"best": 1.0})
        policy.decide("saved", epoch=1, reason="raised", cause="exception")
        for epoch in range(2):
            run.log_epoch(epoch, {})
    assert decisions(run) == [(0, None), (1, "exception")]
    with tracker.start_run(resume="a") as run:
        assert run.add_policy("ModelCheckpoint").saved_state == {"best": 1.0}


def test_a_state_of_its_own_by_the_name_of_the_code_is_not_mistaken_for_one(sql: Any) -> None:
    with tracker.start_run() as run:
        policy = run.add_policy("ModelCheckpoint")
        policy.decide("saved", epoch=0, reason="r", state={"note": "$cause"})
        run.log_epoch(0, {})
    assert decisions(run) == [(0, None)]
    assert json.loads(sql("SELECT state FROM decision")[0][0]) == {"note": "$cause"}


def test_an_unknown_cause_is_refused_with_those_there_are() -> None:
    with tracker.start_run() as run, pytest.raises(BadValue, match=r"'meh': .*exception"):
        run.add_policy("ModelCheckpoint").decide("saved", epoch=0, reason="r", cause="meh")

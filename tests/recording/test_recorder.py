"""What the database cannot take waits, in order; what it refuses holds up nothing; strict raises."""

from __future__ import annotations

import gc
import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, event

import tracker
from tracker.errors import StoreError
from tracker.storage import entries, journal
from tracker.storage.spool import Spool, read_file

DATABASE = Path(".tracker/tracker.db")
DEAD = """
import os, tracker
run = tracker.start_run(name="dead")
spool = run.writer.spool
run.writer.record = lambda *entries: spool.append(entries)
"""
"""A script whose run keeps all that it records beside the database."""


def epochs(sql: Any) -> list[int]:
    return [row[0] for row in sql("SELECT epoch FROM epoch ORDER BY id")]


def test_a_locked_database_is_waited_for_once_and_then_spooled_to(
    sql: Any, caplog: pytest.LogCaptureFixture, locked: Any
) -> None:
    run = tracker.start_run()
    with locked():
        took = []
        for epoch in range(20):
            begun = time.monotonic()
            run.log_epoch(epoch, {"loss": float(epoch)})
            run.log({"step": 1.0})
            took.append(time.monotonic() - begun)
        # One call waits 1.5 s; on a busy machine some of the others may be slow as well.
        assert sorted(took)[10] < took[0] / 2
        waiting = list(Path(".tracker/spool").iterdir())
        assert len(waiting) == 1
    run.finish()
    assert epochs(sql) == list(range(20))
    assert sql("SELECT epochs FROM run") == [(20,)]
    assert sql("SELECT spooled > 0, dropped FROM attempt") == [(1, 0)]
    assert list(Path(".tracker/spool").iterdir()) == []
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert 1 <= len(told) <= 2
    assert str(DATABASE) in caplog.text


class Left:
    """What is in a cycle, and does something when it is collected."""

    def __init__(self, last: Callable[[], object]) -> None:
        self.last, self.me = last, self

    def __del__(self) -> None:
        self.last()


@pytest.mark.parametrize("last", ["set_tags", "amend", "flush", "discard", "log", "finish"])
def test_what_is_collected_within_a_commit_may_record_and_end_the_run(
    last: str, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, other = tracker.start_run("e", "a"), tracker.start_run("e", "b")
    calls: dict[str, Callable[[], object]] = {
        "set_tags": lambda: run.set_tags({"left": "yes"}),
        "amend": lambda: run.writer.amend(lambda connection, location: None),
        "flush": run.writer.flush,
        "discard": run.writer.discard,
        "log": lambda: [run.log({f"m{number}": 1.0}) for number in range(100_000)],
        "finish": run.finish,
    }
    apply = journal.apply

    def collect_and_apply(*given: Any) -> None:
        gc.collect()
        apply(*given)

    Left(calls[last])
    # Any allocation may have it collected; here it is one of the writer's, within its transaction.
    monkeypatch.setattr(journal, "apply", collect_and_apply)
    run.log_epoch(0, {"loss": 1.0})
    other.log_epoch(0, {"loss": 1.0})
    run.finish()
    other.finish()
    assert sql("SELECT count(*) FROM epoch") == [(2,)]
    assert sql("SELECT DISTINCT status FROM run") == [("finished",)]
    assert sql("SELECT name, value FROM tag") == ([("left", "yes")] if last == "set_tags" else [])


def test_a_handler_of_our_warnings_may_record_them(
    sql: Any, locked: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run = tracker.start_run()

    class Note(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            run.set_tags({record.getMessage().split(":")[-1].strip()[:40]: "said"})

    note = Note(logging.WARNING)
    logging.getLogger("tracker").addHandler(note)
    try:
        with locked():
            run.log_epoch(0, {"loss": 1.0})
        run.writer.flush()
        run.log_epoch(1, {"loss": 0.5})
    finally:
        logging.getLogger("tracker").removeHandler(note)
    run.finish()
    assert epochs(sql) == [0, 1]
    assert len(sql("SELECT name FROM tag")) == 2


def test_points_that_the_disk_cannot_follow_are_bounded_and_counted(sql: Any, locked: Any) -> None:
    """A call waits for room once, then the newest points go; both are kept with the attempt."""
    run = tracker.start_run()
    # Values that do not compress: what is packed counts by its bytes.
    dice, names = np.random.default_rng(0), [f"m{number}" for number in range(500)]
    with locked():
        # Six million numbers; up to about four may wait: two were taken before the commit, one is taken for it, one
        # is in the buffer.
        for _ in range(12_000):
            run.log(dict(zip(names, dice.random(500).tolist(), strict=True)))
    run.finish()
    ((dropped, waited),) = sql("SELECT dropped, waited FROM attempt")
    assert 1_000_000 < dropped < 5_500_000
    assert 0.5 < waited < 30
    assert len(tracker.metrics(run.id)) + dropped == 6_000_000


def test_the_spool_is_written_by_itself_once_the_database_answers(sql: Any, locked: Any) -> None:
    run = tracker.start_run()
    with locked():
        run.log_epoch(0, {})
    for epoch in range(2):
        give_up = time.monotonic() + 60
        while len(epochs(sql)) <= epoch:
            assert time.monotonic() < give_up
            time.sleep(0.02)
        run.log_epoch(epoch + 1, {})
    run.finish()
    assert epochs(sql) == [0, 1, 2]


def test_strict_raises_what_cannot_be_recorded(locked: Any) -> None:
    run = tracker.start_run(strict=True)
    with locked(), pytest.raises(StoreError, match="locked"):
        run.log_epoch(0, {})
    run.log_epoch(1, {})


def test_a_locked_database_answers_and_what_waits_is_in_the_answer(
    tmp_path: Path, locked: Any
) -> None:
    run = tracker.start_run()
    run.log_epoch(0, {"loss": 1.0})
    first = run.save_checkpoint(tmp_path / "first", lambda path: path.write_text("1"))
    with locked():
        begun = time.monotonic()
        assert run.recorded_epoch(0) == {"loss": 1.0}
        assert run.checkpoints() == [first]
        assert time.monotonic() - begun < 1  # it waits for nobody
        second = run.save_checkpoint(tmp_path / "second", lambda path: path.write_text("2"))
        assert run.checkpoints() == [first, second]
        again = run.save_checkpoint(tmp_path / "first", lambda path: path.write_text("3"))
        assert run.checkpoints() == [second, again]
        assert [one.id for one in run.prune_checkpoints([second])] == [second.id]
        assert run.checkpoints() == [again]
    run.finish()
    assert [one.id for one in run.checkpoints()] == [again.id]


def test_whatever_a_question_raises_is_the_database_not_answering(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A driver that is broken, or has no memory, ends no training: this process knows its own checkpoints."""
    run = tracker.start_run()
    made = run.save_checkpoint("ckpt/0", lambda to: to.write_text("0"), epoch=0)

    def broken(cursor: Any, statement: str, *_: Any) -> None:
        if "SELECT" in statement:
            raise RuntimeError("planted")

    event.listen(Engine, "do_execute", broken)
    try:
        again = run.save_checkpoint("ckpt/1", lambda to: to.write_text("1"), epoch=1)
        assert run.checkpoints() == [made, again]
    finally:
        event.remove(Engine, "do_execute", broken)
    assert "could not be read: RuntimeError: planted" in caplog.text
    run.finish()
    assert list(tracker.checkpoints(run.id)["epoch"]) == [0, 1]


def test_no_answer_is_not_taken_for_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = tracker.start_run()
    made = run.save_checkpoint(tmp_path / "file", lambda path: path.write_text("1"))
    DATABASE.rename("away.db")
    with pytest.raises(StoreError, match="no longer exists"):
        run.recorded_epoch(0)
    with pytest.raises(StoreError, match="no longer exists"):
        run.history()
    assert run.checkpoints() == [made]
    assert "no longer exists" in caplog.text
    Path("away.db").rename(DATABASE)
    assert run.checkpoints() == [made]


def test_what_the_database_refuses_is_set_aside_and_holds_up_nothing(
    sql: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run = tracker.start_run()
    for entry in (
        {"kind": "of another release"},
        {"kind": "tags", "rows": [{"run_id": "no such", "name": "n", "value": ""}]},
    ):
        run.writer.record(entry)
        run.log_epoch(len(epochs(sql)), {})
    run.finish()
    assert epochs(sql) == [0, 1]
    assert sql("SELECT status FROM run") == [("finished",)]
    assert len(list(Path(".tracker/spool").glob("*.refused"))) == 1
    assert "refused 1" in caplog.text


def test_what_is_refused_and_cannot_be_set_aside_stays_in_the_spool(
    sql: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run = tracker.start_run()
    run.writer.spool.path.with_suffix(".refused").mkdir(parents=True)  # as on a full disk
    with caplog.at_level(logging.WARNING):
        for epoch in range(3):
            run.writer.record({"kind": f"of another release {epoch}"})
            run.log_epoch(epoch, {})
    run.finish()
    assert epochs(sql) == [0, 1, 2]
    kinds = [entry["kind"] for entry in read_file(run.writer.spool.path)]
    assert [kind for kind in kinds if kind.startswith("of")] == [
        f"of another release {epoch}" for epoch in range(3)
    ]
    assert caplog.text.count("refused 1") == 1


def test_an_import_that_cannot_set_aside_leaves_the_spool(
    script: Any, sql: Any, caplog: pytest.LogCaptureFixture
) -> None:
    code = """
run.log_epoch(0, {"loss": 1.0})
spool.append([{"kind": "of another release"}])
os._exit(9)
"""
    script(DEAD + code).wait()
    [path] = Path(".tracker/spool").iterdir()
    path.with_suffix(".refused").mkdir()
    tracker.start_run(name="next").finish()
    assert epochs(sql) == [0]
    assert "of another release" in path.read_text()
    assert "the file stays" in caplog.text
    path.with_suffix(".refused").rmdir()
    tracker.start_run(name="next but one").finish()
    assert epochs(sql) == [0]
    assert [file.suffix for file in Path(".tracker/spool").iterdir()] == [".refused"]


def test_a_checkpoint_that_the_database_refuses_is_in_its_place_and_can_be_pruned(sql: Any) -> None:
    """Those after it are newer: none but the last would stay because it is the last."""
    run = tracker.start_run()
    with closing(sqlite3.connect(DATABASE)) as other:
        other.executescript(
            "CREATE TRIGGER refusing BEFORE UPDATE ON checkpoint WHEN NEW.path = '1.pt' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    made = [run.save_checkpoint(f"{n}.pt", lambda path: path.write_text("1")) for n in range(4)]
    assert sql("SELECT path FROM checkpoint WHERE state = 'available'") == [
        ("0.pt",), ("2.pt",), ("3.pt",),
    ]  # fmt: skip
    assert run.checkpoints() == made
    assert [one.path.name for one in run.prune_checkpoints(made[:3])] == ["0.pt", "1.pt", "2.pt"]
    assert [path.name for path in Path().glob("*.pt")] == ["3.pt"]
    run.finish()


def test_a_run_that_was_deleted_meanwhile_disturbs_no_training(sql: Any) -> None:
    run = tracker.start_run()
    with closing(sqlite3.connect(DATABASE)) as other:
        other.execute("PRAGMA foreign_keys=ON")
        other.execute("DELETE FROM run")
        other.commit()
    run.log_epoch(0, {"loss": 1.0})
    run.log({"step": 1.0})
    run.finish()
    assert epochs(sql) == []


def test_a_bad_spool_does_not_keep_the_next_run_from_starting(
    script: Any, sql: Any, caplog: pytest.LogCaptureFixture
) -> None:
    code = """
run.log_epoch(0, {"loss": 1.0})
spool.append([{"kind": "of another release"}])
run.log_epoch(1, {"loss": 2.0})
spool.append([{"kind": "epoch"}])
run.log_epoch(2, {"loss": 3.0})
lines = spool.path.read_bytes().splitlines(keepends=True)
lines[3] = lines[3].replace(b"loss", b"lost")  # the first line says whose records these are
spool.path.write_bytes(b"".join(lines) + b"torn")
os._exit(9)
"""
    script(DEAD + code).wait()
    tracker.start_run(name="next").finish()
    assert epochs(sql) == [0, 2]
    assert sql("SELECT status, epochs FROM run WHERE name = 'dead'") == [("lost", 2)]
    left = sorted(path.suffix for path in Path(".tracker/spool").iterdir())
    assert left == [".damaged", ".refused"]
    assert "2 pending records could not be imported" in caplog.text
    assert "1 pending record cannot be read" in caplog.text


def test_a_checkpoint_that_comes_late_leaves_the_file_that_is_there_to_the_one_that_saved_it(
    script: Any, sql: Any
) -> None:
    code = """
run.save_checkpoint("model.pt", lambda path: path.write_text("dead"))
os._exit(9)
"""
    living = tracker.start_run(name="living")
    script(DEAD + code).wait()
    made = living.save_checkpoint("model.pt", lambda path: path.write_text("living"))
    tracker.start_run(name="next").finish()
    states = "SELECT name, state FROM checkpoint JOIN run ON run.id = run_id ORDER BY name"
    assert sql(states) == [("dead", "pruned"), ("living", "available")]
    assert [one.path for one in living.checkpoints()] == [made.path]
    living.finish()


def test_records_of_an_attempt_whose_number_is_taken_change_no_other_attempt(sql: Any) -> None:
    """It began while its database was away, and the run was resumed elsewhere meanwhile."""
    with tracker.start_run("e", "a") as run:
        run.log_epoch(0, {"loss": 1.0})
    earlier = run.writer.attempt_id
    with tracker.start_run(resume="a") as again:
        again.log_epoch(1, {"loss": 2.0})
    late = [
        entries.follow(run.id, earlier, "other", 2),
        entries.epoch(run.id, 2, 1, 0, 1.0, None, [("loss", 100.0, "finite")]),
        entries.params(run.id, {"lr": 1.0}, 2),
        entries.follow(run.id, "other", "another", 3),
        entries.epoch(run.id, 3, 2, 0, 1.0, None, [("loss", 101.0, "finite")]),
        entries.tags(run.id, {"late": "yes"}),
    ]
    Spool(Path(f".tracker/spool/{earlier}.jsonl")).append(late)
    tracker.start_run("e", "b").finish()
    assert sql("SELECT e.epoch, value FROM epoch e JOIN metric ON epoch_id = e.id ORDER BY 1") == [
        (0, 1.0), (1, 2.0),
    ]  # fmt: skip
    assert sql("SELECT name FROM param") == []
    assert sql("SELECT name FROM tag") == [("late",)]
    [kept] = Path(".tracker/spool").iterdir()
    assert [entry["kind"] for entry in read_file(kept)] == [
        "follow", "epoch", "params", "follow", "epoch",
    ]  # fmt: skip


def test_an_import_can_be_repeated_without_doubles(script: Any, sql: Any) -> None:
    """The kill comes between the commit of an import and the removal of its file."""
    code = """
import os, tracker
run = tracker.start_run(name="dead")
policy = run.add_policy("EarlyStopping")
spool = run.writer.spool
run.writer.record = lambda *entries: spool.append(entries)
for epoch in range(3):
    run.log_epoch(epoch, {"loss": float(epoch)}, seconds=1)
    policy.decide("waited", epoch=epoch, reason="no better")
    run.save_checkpoint("ckpt/best", lambda path: path.write_text(str(epoch)), epoch=epoch)
run.log_params({"lr": 1})
os._exit(9)
"""
    script(code).wait()
    (spool,) = Path(".tracker/spool").iterdir()
    data = spool.read_bytes()
    for _ in range(3):
        spool.write_bytes(data)
        tracker.start_run(name="next").finish()
        assert epochs(sql) == [0, 1, 2]
        assert sql("SELECT epochs, seconds FROM run WHERE name = 'dead'") == [(3, 3.0)]
        assert sql("SELECT count(*) FROM decision") == [(3,)]
        assert sql("SELECT state, count(*) FROM checkpoint GROUP BY 1") == [
            ("available", 1),
            ("pruned", 2),
        ]


def test_the_spool_of_a_living_process_is_left_alone(script: Any) -> None:
    code = """
import tracker
run = tracker.start_run(name="alive")
spool = run.writer.spool
run.log_epoch(0, {})
run.rewind(0)  # the attempt that the spool is named after has ended; its process has not
run.writer.record = lambda *entries: spool.append(entries)
run.writer.flush = lambda: None
run.log_epoch(1, {})
print(".", flush=True); input()
"""
    alive = script(code, stdin=-1)
    alive.stdout.readline()
    tracker.start_run().finish()
    assert len(list(Path(".tracker/spool").iterdir())) == 1


def test_a_run_whose_end_could_not_be_written_ends_at_the_next_start(sql: Any, locked: Any) -> None:
    """In a notebook the process lives on; its own closed runs are imported all the same."""
    run = tracker.start_run(name="mine")
    with locked():
        run.finish("failed", "a reason")
    assert sql("SELECT status FROM run") == [("running",)]
    tracker.start_run(name="next").finish()
    assert sql("SELECT status, reason FROM run WHERE name = 'mine'") == [("failed", "a reason")]
    assert list(Path(".tracker/spool").iterdir()) == []


def test_a_value_that_cannot_be_read_is_warned_of_once_and_counted(
    sql: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A tensor without storage stands for a device that is gone."""
    torch = pytest.importorskip("torch")
    run = tracker.start_run()
    for epoch in range(3):
        run.log({"noise": torch.empty((), device="meta"), "loss": 1.0})
        run.log_epoch(epoch, {"loss": 1.0})
    run.finish()
    assert caplog.text.count("noise could not be read from its device") == 1
    assert sql("SELECT dropped FROM attempt") == [(3,)]


def test_without_a_thread_everything_is_written_too(script: Any, sql: Any) -> None:
    """No thread can start while the interpreter ends."""
    code = """
import atexit, tracker
def last():
    with tracker.start_run() as run:
        run.log({"a": 1.0})
        run.log_epoch(0, {})
atexit.register(last)
"""
    _, errors = script(code).communicate()
    assert errors == ""
    assert epochs(sql) == [0]
    assert sql("SELECT sum(calls) FROM clock WHERE number >= 0") == [(1,)]

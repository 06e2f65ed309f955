"""Whose run it is: by context, not by process; nothing is written by a training that is refused."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import tracker


class Nameless:
    def __str__(self) -> str:
        raise ValueError("nameless")


class Training:
    """A training as an adapter makes one."""

    left = False

    def __init__(self, **start: Any) -> None:
        self.claim = tracker.claim_run(self, "Training", **start)
        self.run = self.claim.run

    def is_left(self) -> bool:
        return self.left

    def close_left(self) -> None:
        if self.claim.started:
            self.run.finish("interrupted", "training was left before it ended")
        self.claim.release()


def test_a_training_gets_the_run_around_it_and_the_next_one_too() -> None:
    with tracker.start_run(name="outer") as run:
        first = Training(params={"lr": 0.1})
        assert first.run is run and not first.claim.started
        first.claim.release()
        assert Training().run is run


def test_a_nested_training_gets_a_child_of_its_own(sql: Any) -> None:
    with tracker.start_run(name="outer") as run:
        outer = Training()
        inner = Training(name="inner")
        innermost = Training(name="innermost")
        assert outer.run is run and inner.claim.started
        innermost.run.finish()
        inner.run.finish()
        assert tracker.active_run() is run
    family = sql(
        "SELECT c.name, p.name FROM run c LEFT JOIN run p ON p.id = c.parent_id ORDER BY c.started"
    )
    assert family == [("outer", None), ("inner", "outer"), ("innermost", "inner")]


def test_a_training_that_is_refused_has_written_nothing(sql: Any) -> None:
    with tracker.start_run(name="r", params={"lr": 0.1}) as run:
        held = Training()
        with pytest.raises(tracker.UsageError, match="already belongs to another training"):
            Training(run=run, params={"lr": 0.2}, tags={"who": "second"})
        with pytest.raises(tracker.UsageError, match="comes too late"):
            held.claim.release()
            Training(resume="another", params={"lr": 0.3})
    assert sql("SELECT name, text FROM param") == [("lr", "0.1")]
    assert sql("SELECT count(*) FROM tag") == [(0,)]
    assert sql("SELECT count(*) FROM run") == [(1,)]


@pytest.mark.parametrize(
    "refused",
    [
        {"tags": 3},
        {"tags": [Nameless()]},
        {"params": 3, "tags": ["a"]},
        {"monitor": "loss", "mode": "best"},
        {"mode": "min"},
    ],
)
def test_params_or_tags_that_are_refused_leave_nothing_behind(
    refused: dict[str, Any], sql: Any
) -> None:
    with tracker.start_run(), pytest.raises(tracker.BadValue):
        Training(**({"params": {"lr": 0.1}} | refused))
    assert sql("SELECT name FROM param UNION SELECT name FROM tag") == []


def test_a_second_training_that_repeats_epochs_does_not_make_a_run_resumed() -> None:
    with tracker.start_run(name="r") as run:
        run.log_epoch(0, {"loss": 1.0})
        run.rewind(0)
        run.log_epoch(0, {"loss": 0.5})
        with pytest.raises(tracker.UsageError, match="comes too late"):
            Training(resume="auto")
        run.fail("cut off")
    with tracker.start_run(name="r", resume="auto") as run:
        run.log_epoch(1, {"loss": 0.4})
        run.rewind(1)
        assert Training(resume="auto").run is run


@pytest.mark.parametrize("refused", [{"monitor": "loss", "mode": "best"}, {"mode": "min"}])
def test_a_start_that_is_refused_leaves_no_run(refused: dict[str, Any]) -> None:
    with pytest.raises(tracker.BadValue, match="mode is"):
        tracker.start_run(**refused)
    assert tracker.active_run() is None
    assert tracker.runs().empty


def test_a_training_that_joins_says_what_the_run_is_judged_by(sql: Any) -> None:
    with tracker.start_run(name="r"):
        claim = Training(monitor="score", mode="max", keep="none", price_per_hour=2.0).claim
    assert sql("SELECT name, mode FROM metric_definition WHERE monitor") == [("score", "max")]
    assert [note.split("=")[0] for note in claim.notes] == [
        "Training(keep",
        "Training(price_per_hour",
    ]


def test_where_a_training_is_recorded_is_said_once_for_each_database(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Training(verbose=0).run.finish()
    Training(recording=False, verbose=1).run.finish()
    assert capsys.readouterr().err == ""
    for database in ("a.db", "a.db", "b.db"):
        Training(name="my run", database=tmp_path / database, verbose=1).run.finish()
    told = capsys.readouterr().err.splitlines()
    assert told == [
        f"local-tracker: run my run is recorded in {tmp_path / name}: tracker runs show 'my run'"
        for name in ("a.db", "b.db")
    ]


@pytest.mark.parametrize("around", [False, True])
def test_each_thread_has_its_own_run(around: bool, sql: Any) -> None:
    both = threading.Barrier(2)

    def objective(k: int) -> None:
        if around:
            tracker.start_run("opt", name=f"trial{k}")
        training = Training(experiment="opt", params={"k": k})
        both.wait()
        training.run.log_epoch(0, {"loss": float(k)})
        both.wait()
        training.run.finish()

    with tracker.start_run("study"), ThreadPoolExecutor(2) as pool:
        list(pool.map(objective, range(4)))
    rows = sql(
        "SELECT p.text, m.value FROM run r JOIN param p ON p.run_id = r.id JOIN epoch e ON e.run_id = r.id "
        "JOIN metric m ON m.epoch_id = e.id ORDER BY p.text"
    )
    assert rows == [(str(k), float(k)) for k in range(4)]
    assert sql("SELECT count(*) FROM run WHERE status != 'finished'") == [(0,)]


def test_each_task_has_its_own_run_and_the_first_one_that_around_them(sql: Any) -> None:
    async def train(k: int) -> None:
        training = Training(name=f"task{k}")
        await asyncio.sleep(0)
        training.run.log_epoch(0, {"loss": float(k)})
        await asyncio.sleep(0)
        if training.claim.started:
            training.run.finish()

    async def main() -> None:
        await asyncio.gather(*(train(k) for k in range(3)))

    with tracker.start_run(name="around"):
        asyncio.run(main())
    assert sql("SELECT name, epochs FROM run ORDER BY name") == [
        ("around", 1), ("task1", 1), ("task2", 1),
    ]  # fmt: skip


def test_of_threads_that_took_one_context_along_one_has_its_run() -> None:
    count = 8
    ready = threading.Barrier(count)

    def train(number: int) -> Training:
        ready.wait()
        return Training(params={"k": number})

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with tracker.start_run(name="around") as run, ThreadPoolExecutor(count) as pool:
            contexts = [contextvars.copy_context() for _ in range(count)]
            begun = [pool.submit(one.run, train, k) for k, one in enumerate(contexts)]
            trainings = [future.result() for future in begun]
    finally:
        sys.setswitchinterval(interval)
    assert sum(one.run is run for one in trainings) == 1
    assert len({one.run.id for one in trainings}) == count


def test_a_context_of_its_own_sees_only_what_was_begun_before_it() -> None:
    outer = tracker.start_run()
    copied = contextvars.copy_context()
    inner = tracker.start_run()
    assert copied.run(tracker.active_run) is outer
    assert contextvars.Context().run(tracker.active_run) is None
    inner.finish()
    outer.finish()
    assert copied.run(tracker.active_run) is None


def test_a_run_handed_to_another_thread_is_active_within_its_block() -> None:
    run = tracker.start_run()
    found: list[Any] = []

    def work() -> None:
        found.append(tracker.active_run())
        with run:
            found.append(tracker.active_run())
        found.append(tracker.active_run())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [None, run, None]


def test_a_training_that_was_left_is_closed_by_the_next_one(sql: Any, caplog: Any) -> None:
    first = Training(name="first")
    first.left = True
    second = Training(name="second")
    assert second.run is not first.run and second.claim.started
    second.run.finish()
    assert sql("SELECT name, status FROM run ORDER BY started") == [
        ("first", "interrupted"), ("second", "finished"),
    ]  # fmt: skip
    assert "recorded in first was left before it ended" in caplog.text


def test_a_training_that_was_dropped_is_closed_by_the_next_one(sql: Any) -> None:
    Training(name="dropped")
    gc.collect()
    Training(name="next").run.finish()
    assert sql("SELECT name, status FROM run ORDER BY started") == [
        ("dropped", "interrupted"), ("next", "finished"),
    ]  # fmt: skip


def test_a_left_training_frees_the_run_around_it() -> None:
    with tracker.start_run() as run:
        first = Training()
        first.left = True
        assert Training().run is run


def test_a_silent_run_around_it_silences_a_nested_training() -> None:
    with tracker.start_run(recording=False):
        first, second = Training(), Training()
        assert not first.run.recording and not second.run.recording


def test_another_rank_takes_back_the_run_that_it_began_before_that_was_known(sql: Any) -> None:
    with tracker.start_run(params={"lr": 0.1}, monitor="val_loss") as run:
        assert Training(recording=False).run is run and not run.recording
        run.log_epoch(0, {"loss": 1.0})
    assert sql("SELECT count(*) FROM run") == [(0,)]


@pytest.mark.parametrize(
    "record",
    [
        lambda run: run.log_epoch(0, {"loss": 1.0}),
        lambda run: run.log({"loss": 1.0}),
        lambda run: run.add_policy("EarlyStopping", monitor="loss"),
        lambda run: tracker.start_run(parent=run).finish(),
    ],
)
def test_another_rank_leaves_what_was_recorded_and_joins_no_run_that_records(
    record: Any, sql: Any
) -> None:
    with tracker.start_run(name="kept") as run:
        record(run)
        elsewhere = Training(recording=False)
        assert elsewhere.run is not run and not elsewhere.run.recording
    assert sql("SELECT status FROM run WHERE name = 'kept'") == [("finished",)]


def test_another_rank_leaves_a_run_that_was_to_record_and_one_that_is_resumed(sql: Any) -> None:
    with tracker.start_run(name="asked", recording=True):
        assert not Training(recording=False).run.recording
    with tracker.start_run(resume="asked"):
        assert not Training(recording=False).run.recording
    assert sql("SELECT name, status FROM run") == [("asked", "finished")]


def test_a_run_in_another_database_is_not_the_parent(sql: Any) -> None:
    with tracker.start_run():
        held = Training()
        other = Training(database="other.db")
        other.run.finish()
        held.claim.release()
    assert sql("SELECT parent_id, status FROM run", path="other.db") == [(None, "finished")]


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("sys.exit('no GPU found')", "interrupted"),
        ("sys.exit(3)", "interrupted"),
        ("sys.exit(0)", "finished"),
        ("exec('def f(): sys.exit(2)\\nf()')", "interrupted"),
        ("try: sys.exit(3)\nexcept SystemExit: pass", "finished"),
        ("threading.Thread(target=sys.exit, args=(3,)).start()", "finished"),
    ],
)
def test_an_exit_with_a_status_is_an_interruption(
    ending: str, status: str, script: Any, sql: Any
) -> None:
    code = (
        "import sys, threading, tracker\nrun = tracker.start_run()\nrun.log_epoch(0, {'loss': 1})\n"
    )
    script(code + ending).communicate()
    assert sql("SELECT status FROM run") == [(status,)]


def test_a_child_is_in_its_parent_s_database_wherever_the_working_directory_is_by_then(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with tracker.start_run("outer") as outer:
        monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
        with tracker.start_run("inner", parent=outer) as inner:
            assert inner.writer.location == outer.writer.location
    assert not Path(".tracker").exists()


def test_a_parent_of_another_database_is_refused_with_both_names(folder: Path) -> None:
    with tracker.start_run("outer", database="a.db") as outer:
        with pytest.raises(tracker.BadValue, match=r"a\.db.*b\.db"):
            tracker.start_run("inner", parent=outer, database="b.db")
        with tracker.start_run("inner", parent=outer, database=folder / "." / "a.db"):
            pass
    assert tracker.runs(database="b.db").empty

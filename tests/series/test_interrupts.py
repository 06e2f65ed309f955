"""Signal handlers that log, and Ctrl-C, anywhere in the buffer and the blocks: each call is kept once."""

import signal
from dataclasses import replace

import numpy as np
import pytest

from tracker.series.batch import Batch, Codes, Column, Sparse
from tracker.series.blocks import SeriesWriter
from tracker.series.buffer import Buffer


class Key:
    """A name that, when it is packed, does what a signal at that moment would do."""

    def __init__(self, name, arrive):
        self.name, self.arrive = name, arrive

    def __str__(self):
        self.arrive()
        return self.name


class Once:
    """Raises KeyboardInterrupt the first time."""

    armed = True

    def __call__(self):
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt


class InterruptedArray(np.ndarray):
    """Values that cannot be cut the first time: Ctrl-C comes."""

    def __getitem__(self, place):
        self.interrupt()
        return np.asarray(self)[place]


def points(batches):
    """Return name → list of (step, value)."""
    found = {}
    for batch in batches:
        for column in batch.columns:
            rows = range(batch.calls) if column.rows is None else column.rows
            found.setdefault(column.name, []).extend(
                (int(batch.steps[row]), value)
                for row, value in zip(rows, column.values.tolist(), strict=True)
            )
    return found


@pytest.mark.parametrize("calls", [10, 5000])
def test_a_signal_handler_that_logs_while_calls_are_packed_doubles_and_loses_nothing(calls):
    """Neither where the thread that it interrupts packs for itself, nor where it drains."""
    buffer, handled, given = Buffer(), 0, []

    def handler():
        nonlocal handled
        for _ in range(50):
            buffer.log({"handler": float(handled)}, handled)
            handled += 1
        given.extend(buffer.drain())

    key = Key("main", handler)
    for step in range(calls):
        buffer.log({key: float(step)}, step)
    batches = buffer.drain()
    found = points([*batches, *buffer.drain()])
    assert found["main"] == [(step, float(step)) for step in range(calls)]
    assert handled >= 50
    assert found["handler"] == [(step, float(step)) for step in range(handled)]
    assert points(given) == {}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_a_signal_handler_that_logs_while_its_thread_waits_for_a_drain_does_not_wait_as_well():
    """Or each signal would wait in the one before, without end."""
    buffer, waited = Buffer(limit=1000, patience=0.5), []

    def handler(*_):
        before = buffer.waited
        buffer.log({"handler": 1.0}, 0)
        waited.append(buffer.waited - before)

    earlier = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        for step in range(5000):
            buffer.log({"main": 1.0}, step)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
    found = points(buffer.drain())
    assert set(waited) <= {0.0}
    assert sum(map(len, found.values())) + buffer.dropped == 5000 + len(waited)


def test_ctrl_c_while_the_caller_packs_shifts_no_step():
    """The calls stay, and are numbered once."""
    buffer, key, logged = Buffer(), Key("loss", Once()), 0
    while logged < 3000:
        try:
            logged += 1
            buffer.log({key: float(logged - 1)})
        except KeyboardInterrupt:
            assert logged > 1000
    assert not key.arrive.armed
    assert points(buffer.drain()) == {"loss": [(step, float(step)) for step in range(3000)]}


def test_an_interrupted_drain_is_repeated_by_the_next(monkeypatch):
    """Ctrl-C in the middle of a drain takes nothing away and gives nothing twice."""
    buffer = Buffer()
    buffer.log({"loss": 1.0})

    def interrupt(calls, codes):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("tracker.series.buffer.pack", interrupt)
        buffer.drain()
    buffer.log({"loss": 2.0})
    assert points(buffer.drain()) == {"loss": [(0, 1.0), (1, 2.0)]}


def test_ctrl_c_in_a_drain_keeps_what_was_packed_before_and_what_comes_after():
    """In order, each once, also where it comes twice."""
    buffer, keys = Buffer(), [Key("loss", Once()), Key("loss", Once())]
    for key in keys:
        key.arrive.armed = False
    for step in range(2500):
        buffer.log({keys[step > 2400]: float(step)})
    for key in keys[1:]:
        for step in range(2500, 2502):
            key.arrive.armed = True
            with pytest.raises(KeyboardInterrupt):
                buffer.drain()
            buffer.log({key: float(step)})
    assert points(buffer.drain()) == {"loss": [(step, float(step)) for step in range(2502)]}
    assert buffer.drain() == []


def test_ctrl_c_while_blocks_are_cut_moves_no_value_to_another_step():
    """The next batch goes on where it was interrupted."""
    writer, whole = SeriesWriter(most_calls=8), SeriesWriter(most_calls=8)

    def batch(first, calls, make=lambda values: values):
        steps = np.arange(first, first + calls)
        columns = {"a": steps.astype(float), "b": make(steps.astype(float))}
        return Batch(steps, steps, [Column(name, None, column) for name, column in columns.items()])

    def interrupted(values):
        found = values.view(InterruptedArray)
        found.interrupt = Once()
        return found

    parts = [batch(0, 5), batch(5, 20), batch(25, 3)]
    writer.add(parts[:1])
    with pytest.raises(KeyboardInterrupt):
        writer.add([batch(5, 20, interrupted), parts[2]])
    writer.add([])
    whole.add(parts)
    assert writer.pending() == whole.pending()


def comparable(blocks):
    """The blocks, their sparse points' names and counts as lists."""
    shared = [
        replace(block.sparse, names=list(block.sparse.names), counts=block.sparse.counts.tolist())
        for block in blocks
    ]
    return [replace(block, sparse=sparse) for block, sparse in zip(blocks, shared, strict=True)]


def test_ctrl_c_while_names_that_few_calls_have_are_cut_gives_no_point_twice():
    """What an interrupted block has noted of a name counts for nothing until its points are there."""
    writer, whole, table = SeriesWriter(most_calls=16), SeriesWriter(most_calls=16), Codes()

    def batch(first, calls, make=lambda values: values):
        steps = np.arange(first, first + calls)
        codes = np.array([table[f"n{step}"] for step in range(calls)], np.int32)
        places = np.arange(calls, dtype=np.int32)
        sparse = Sparse(table, codes, places, make(steps.astype(float)))
        return Batch(steps, steps, [Column("a", None, steps.astype(float))], sparse)

    def interrupted(values):
        found = values.view(InterruptedArray)
        found.interrupt = Once()
        return found

    parts = [batch(0, 10), batch(10, 30)]
    writer.add(parts[:1])
    with pytest.raises(KeyboardInterrupt):
        writer.add([batch(10, 30, interrupted)])
    writer.add([])
    whole.add(parts)
    assert comparable(writer.pending()) == comparable(whole.pending())
    assert sum(sum(block.sparse.counts) for block in writer.pending()) == 40

"""`tracker.series.buffer` and `tracker.series.batch`: what `log` was given is what is drained."""

import os
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.errors import BadValue
from tracker.series.buffer import Buffer


def drained(buffer):
    """Everything drained, as name → list of (step, value), in the order of the calls."""
    found = {}
    for batch in buffer.drain():
        for column in [*batch.columns, *(batch.sparse.columns() if batch.sparse else ())]:
            rows = range(batch.calls) if column.rows is None else column.rows
            steps = [int(batch.steps[row]) for row in rows]
            found.setdefault(column.name, []).extend(zip(steps, column.values, strict=True))
    return found


def test_steps_default_to_the_last_one_plus_one():
    """They start where they are told to, and go on from a step that was named."""
    buffer = Buffer(next_step=5)
    for step in (None, None, 20, None, 3, 3, None):
        buffer.log({"loss": 0.0}, step)
    assert [step for step, _ in drained(buffer)["loss"]] == [5, 6, 20, 21, 3, 3, 4]
    buffer.log({"loss": 0.0})
    assert drained(buffer)["loss"] == [(5, 0.0)]


def test_a_dict_that_is_used_again_changes_nothing():
    """The record is what the dict held when `log` was called."""
    buffer, metrics = Buffer(), {"loss": 1.0}
    buffer.log(metrics)
    metrics["loss"], metrics["extra"] = 2.0, 3.0
    assert drained(buffer) == {"loss": [(0, 1.0)]}


def test_an_array_or_tensor_changed_in_place_changes_nothing():
    """Nor does a NumPy array or a torch tensor that goes on being added to."""
    torch = pytest.importorskip("torch")
    buffer, array, tensor = Buffer(), np.array([1.0]), torch.tensor(1.0, requires_grad=True)
    buffer.log({"array": array, "tensor": tensor})
    array += 1
    tensor.data.add_(1)
    assert drained(buffer) == {"array": [(0, 1.0)], "tensor": [(0, 1.0)]}


def test_names_may_differ_from_call_to_call():
    """Each name keeps its own calls, in order, whatever the order of the keys."""
    buffer = Buffer()
    buffer.log({"a": 1.0, "b/c": 2.0})
    buffer.log({"b/c": 3.0, "a": 4.0})
    buffer.log({"a": 5.0})
    buffer.log({})
    buffer.log({"late": 6.0, "a": 7.0})
    assert drained(buffer) == {
        "a": [(0, 1.0), (1, 4.0), (2, 5.0), (4, 7.0)],
        "b/c": [(0, 2.0), (1, 3.0)],
        "late": [(4, 6.0)],
    }


def test_names_that_no_database_takes_are_settled():
    """NUL and lone surrogates become their escapes; a clash of two names loses no point."""
    buffer = Buffer()
    buffer.log({"a\0": 1.0, "a\\x00": 2.0, "\ud800": 3.0, 4: 5.0})
    found = drained(buffer)
    assert found == {"a\\x00": [(0, 1.0), (0, 2.0)], "\\ud800": [(0, 3.0)], "4": [(0, 5.0)]}


def test_times_are_when_log_was_called():
    """Not when the buffer was drained; in µs since 1970."""
    buffer = Buffer()
    before = time.time()
    buffer.log({"loss": 0.0})
    after = time.time()
    time.sleep(0.02)
    (batch,) = buffer.drain()
    assert round(before * 1e6) <= batch.times[0] <= round(after * 1e6)


@pytest.mark.parametrize("value", ["0.5", None, b"1", [1.0], np.zeros(3), np.zeros(0), 1j, 10**400])
def test_what_is_not_one_number_is_refused_at_the_door(value):
    """The error names the metric; the call is not recorded in part."""
    buffer = Buffer()
    with pytest.raises(BadValue, match="noise"):
        buffer.log({"loss": 1.0, "noise": value})
    assert drained(buffer) == {}


def test_a_name_without_a_text_costs_its_own_values_only():
    """They are counted, and a warning says why; what else was logged is drained."""

    class Mute:
        def __str__(self):
            raise ZeroDivisionError("no text")

    buffer = Buffer()
    buffer.log({"loss": 1.0, Mute(): 2.0})
    buffer.log({"loss": 3.0})
    assert drained(buffer) == {"loss": [(0, 1.0), (1, 3.0)]}
    assert buffer.bad == 1
    assert "Mute without a text (no text)" in buffer.warning


@pytest.mark.parametrize("step", [1.5, "3", np.array([1, 2])])
def test_a_step_must_be_an_integer(step):
    """The error shows the step."""
    with pytest.raises(BadValue, match="step is"):
        Buffer().log({"loss": 1.0}, step)


def test_numpy_integers_are_steps():
    """So are other things that are an index."""
    buffer = Buffer()
    buffer.log({"loss": 1.0}, np.int32(7))
    buffer.log({"loss": 1.0})
    assert [step for step, _ in drained(buffer)["loss"]] == [7, 8]


@pytest.mark.parametrize("step", [2**63, -(2**63), 10**30])
def test_a_step_beyond_64_bits_is_refused_at_the_door(step):
    """No database holds it; the other calls stay."""
    buffer = Buffer()
    buffer.log({"loss": 1.0}, 2**63 - 1)
    with pytest.raises(BadValue, match=f"step is {step}: it must fit into 64 bits"):
        buffer.log({"loss": 2.0}, step)
    assert drained(buffer) == {"loss": [(2**63 - 1, 1.0)]}


def test_a_step_of_thousands_of_digits_is_not_printed():
    """Nor does Python's own limit of digits come out."""
    with pytest.raises(BadValue, match=r"step is .{1,200}: it must fit into 64 bits"):
        Buffer().log({}, 10**5000)


class Halves:
    """Has values, but no names."""

    def values(self):
        return [0.5]


@pytest.mark.parametrize("metrics", [None, [("a", 1)], "loss", 0.5, np.zeros(2), Halves()])
def test_metrics_without_names_are_refused_in_a_sentence(metrics):
    """Whatever was passed is shown."""
    with pytest.raises(BadValue, match=r"metrics is .*: pass a dict of names and numbers"):
        Buffer().log(metrics)


# Without a deadline: a busy machine is not a failure.
@settings(deadline=None)
@given(st.lists(st.integers(1, 4), max_size=8), st.integers(0, 4000))
def test_packing_early_changes_nothing(widths, calls):
    """Calls that were packed by the caller come out like those that were not."""
    buffer, expected = Buffer(), {}
    for width in [*widths, 2]:
        for step in range(calls // 4):
            metrics = {f"m{i}": float(step + i) for i in range(width)}
            buffer.log(metrics, step)
            for name, value in metrics.items():
                expected.setdefault(name, []).append((step, value))
    assert drained(buffer) == {name: points for name, points in expected.items() if points}


def test_sixteen_threads_lose_nothing():
    """Every call of every thread is drained once, each thread's calls in their order."""
    buffer, calls, found, stop = Buffer(patience=60), 5000, {}, threading.Event()

    def log(thread):
        for step in range(calls):
            buffer.log({f"t{thread}": float(step)}, step)

    def drain():
        while not stop.is_set():
            merge()

    def merge():
        for name, points in drained(buffer).items():
            found.setdefault(name, []).extend(points)

    threads = [threading.Thread(target=log, args=(i,)) for i in range(16)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    drainer = threading.Thread(target=drain)
    try:
        for thread in [drainer, *threads]:
            thread.start()
        for thread in threads:
            thread.join()
        stop.set()
        drainer.join()
    finally:
        sys.setswitchinterval(interval)
    merge()
    assert found == {f"t{i}": [(s, float(s)) for s in range(calls)] for i in range(16)}


def test_a_full_buffer_waits_then_drops_the_newest_and_counts_them():
    """Until somebody drains; what was taken before stays, and steps go on counting."""
    buffer = Buffer(limit=10_000, patience=0.05)
    for _ in range(20_000):
        buffer.log({"loss": 1.0})
    kept = [step for step, _ in drained(buffer)["loss"]]
    assert 0 < buffer.dropped < 20_000
    assert len(kept) + buffer.dropped == 20_000
    assert kept[:5000] == list(range(5000))
    assert 0.04 < buffer.waited < 1
    buffer.log({"loss": 1.0})
    assert drained(buffer)["loss"] == [(20_000, 1.0)]


def test_a_full_buffer_asks_to_be_drained_and_goes_on_when_it_is():
    """The logging thread signals once; a drain in time means that nothing is dropped."""
    wake = threading.Event()
    buffer, found = Buffer(limit=10_000, patience=30, wake=wake.set), 0

    def log():
        for _ in range(50_000):
            buffer.log({"loss": 1.0})

    thread = threading.Thread(target=log)
    thread.start()
    while thread.is_alive():
        wake.wait(0.1)
        wake.clear()
        found += len(drained(buffer).get("loss", []))
    found += len(drained(buffer).get("loss", []))
    assert found == 50_000
    assert buffer.dropped == 0


def test_memory_stays_bounded_when_nobody_drains():
    """A million calls leave no more behind than the limit says."""
    tracemalloc = pytest.importorskip("tracemalloc")
    buffer = Buffer(limit=100_000, patience=0)
    tracemalloc.start()
    for _ in range(200_000):
        buffer.log({"loss": 1.0})
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 8 * 100_000 + 3_000_000


@pytest.mark.parametrize("names", [["a"], ["a", "b"]])
def test_the_numbers_that_count_toward_the_limit_are_those_that_are_held(names):
    """Steps, times and values, and which call each is of where names differ."""
    buffer = Buffer()
    for step in range(100):
        buffer.log({names[step % len(names)]: 1.0})
    (batch,) = buffer.drain()
    parts = [batch.steps, batch.times]
    for column in batch.columns:
        parts += [column.values] if column.rows is None else [column.values, column.rows]
    parts += batch.sparse[1:] if batch.sparse else ()
    assert batch.numbers == sum(part.nbytes for part in parts) / 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_forked_child_s_copy_is_forgotten():
    """After `forget` a child's calls cost nothing and are kept nowhere."""
    buffer = Buffer()
    buffer.log({"loss": 1.0})
    pid = os.fork()
    if pid == 0:
        buffer.forget()
        for _ in range(10_000):
            buffer.log({"loss": 1.0})
        os._exit(0 if len(drained(buffer).get("loss", [])) < 5000 else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert drained(buffer) == {"loss": [(0, 1.0)]}


def test_a_call_costs_about_a_microsecond():
    """The median of calls with four Python floats; generous here, measured in benchmarks/."""
    buffer, took = Buffer(), []
    for step in range(2000):
        metrics = {"loss": 0.1, "acc": 0.2, "lr": 0.3, "norm": float(step)}
        start = time.perf_counter_ns()
        buffer.log(metrics, step)
        took.append(time.perf_counter_ns() - start)
    assert sorted(took)[1000] < 5000

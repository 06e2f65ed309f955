"""`tracker.series.blocks` and `tracker.series.assemble`: calls cut into blocks, and put together again."""

import struct
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.series.assemble import Members, StoredBlock, StoredClock, StoredSparse, assemble
from tracker.series.batch import Batch, Column
from tracker.series.blocks import SeriesWriter
from tracker.series.buffer import Buffer
from tracker.series.codec import encode_members


@dataclass
class Store:
    """Rows by their primary keys, as the three tables hold them."""

    clocks: dict = field(default_factory=dict)
    blocks: dict = field(default_factory=dict)
    sparse: dict = field(default_factory=dict)
    ids: dict = field(default_factory=dict)

    def upsert(self, attempt, pending):
        for block in pending:
            self.clocks[attempt, block.number] = block
            for series in block.series:
                self.blocks[series.name, attempt, block.number] = series
            if block.sparse is not None:
                self.sparse[attempt, block.number] = self._row(attempt, block.number, block.sparse)

    def _row(self, attempt, number, block):
        series = [self.ids.setdefault(name, 7 + len(self.ids)) for name in block.names]
        members = encode_members(np.array(series, np.int64), np.array(block.counts, np.int64))
        return StoredSparse(0, attempt, number, members, block.payload)

    def read(self, *names, **span):
        rows = [
            StoredBlock(0, names.index(key[0]), *key[1:], series.points, series.payload)
            for key, series in sorted(self.blocks.items(), key=lambda item: item[0])
            if key[0] in names
        ]
        clocks = [StoredClock(0, *key, block.payload) for key, block in self.clocks.items()]
        wanted = {self.ids[name]: at for at, name in enumerate(names) if name in self.ids}
        shared = sorted(self.sparse.values())
        return assemble(rows, clocks, sparse=shared, members=Members(wanted), **span)


def batch(steps, **columns):
    """A batch of one call a step; a column is its values, or (rows, values)."""
    split = {n: c if isinstance(c, tuple) else (None, c) for n, c in columns.items()}
    return Batch(
        np.array(steps, np.int64),
        np.arange(len(steps), dtype=np.int64) + 1_700_000_000_000_000,
        [
            Column(name, None if rows is None else np.array(rows), np.array(values, np.float64))
            for name, (rows, values) in split.items()
        ],
    )


def bits(value):
    return struct.unpack("<q", struct.pack("<d", value))[0]


any_float = st.integers(-(2**63), 2**63 - 1).map(
    lambda i: struct.unpack("<d", struct.pack("<q", i))[0]
)
values = st.one_of(
    any_float,
    st.sampled_from([float("nan"), float("inf"), float("-inf"), -0.0, 0.1]),
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.floats(width=32).map(np.float32),
    st.floats(width=16).map(np.float16),
    st.integers(0, 255).map(np.uint8),
    any_float.map(np.float64),
    st.floats(width=32).map(lambda value: np.array([[value]], np.float32)),
)
metrics = st.dictionaries(st.sampled_from(["loss", "acc", "a/b", "ä", "lr"]), values, max_size=5)
steps = st.one_of(st.none(), st.integers(-(2**63) + 1, 2**63 - 1), st.integers(0, 20))
events = st.lists(
    st.one_of(
        st.tuples(st.just("log"), metrics, steps),
        st.tuples(st.just("burst"), metrics, st.integers(1, 1500)),
        st.sampled_from([("drain",), ("commit",), ("fail",), ("restart",)]),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(events, st.integers(1, 5), st.integers(1, 50), st.integers(1, 60))
def test_any_sequence_of_calls_comes_back_bit_for_bit(events, fewest, most, points):
    """Whatever is logged, drained, committed, failed and restarted in between."""
    store, expected, attempt, last = Store(), {}, 1, -1
    buffer = Buffer()
    writer = SeriesWriter(fewest_calls=fewest, most_calls=most * 20, points=points * 20)
    for event, *arguments in [*events, ("commit",)]:
        if event in ("log", "burst"):
            logged, step = arguments
            for _ in range(step if event == "burst" else 1):
                given_step = None if event == "burst" else step
                buffer.log(logged, given_step)
                last = min(last + 1, 2**63 - 1) if given_step is None else given_step
                for name, value in logged.items():
                    point = last, bits(float(np.asarray(value, np.float64).item()))
                    expected.setdefault(name, []).append(point)
            continue
        writer.add(buffer.drain())
        pending = writer.pending() if event != "drain" else []
        if event in ("commit", "restart"):
            store.upsert(attempt, pending)
            writer.saved()
        if event == "restart":
            attempt, buffer = attempt + 1, Buffer(next_step=last + 1)
            writer = SeriesWriter(most_calls=most)
    for name, points in expected.items():
        found = store.read(name)
        assert (
            list(zip(found.step.tolist(), map(bits, found.value.tolist()), strict=True)) == points
        )
        assert (np.diff(found.time) >= 0).all()


def test_a_failed_commit_is_offered_again():
    """What `pending` gave stays pending until `saved`, full blocks included."""
    writer = SeriesWriter(most_calls=4)
    writer.add([batch(range(6), loss=range(6))])
    assert [block.final for block in writer.pending()] == [True, False]
    assert [block.final for block in writer.pending()] == [True, False]
    writer.saved()
    assert writer.pending() == []


def test_the_open_block_offers_only_what_changed():
    """A series that got nothing new since the last commit is not written again."""
    writer = SeriesWriter()
    writer.add([batch([0, 1], loss=[1, 2], lr=[3, 4])])
    writer.saved()
    writer.add([batch([2], loss=[5])])
    (block,) = writer.pending()
    assert [(series.name, series.points) for series in block.series] == [("loss", 3)]
    assert (block.number, block.calls, block.final) == (0, 3, False)


def test_wide_calls_make_short_blocks():
    """A block is full at its number of values, but never before its least number of calls."""
    writer = SeriesWriter(fewest_calls=4, points=100)
    wide = {f"m{i}": range(40) for i in range(50)}
    writer.add([batch(range(40), **wide)])
    assert {block.calls for block in writer.pending()} == {4}


def test_rows_say_their_lowest_and_highest_step():
    """Also where steps go back, and for a series that only some calls had."""
    writer = SeriesWriter()
    writer.add([batch([7, 3, 9, 1], loss=range(4), rare=([1, 2], [0, 0]))])
    (block,) = writer.pending()
    spans = {series.name: (series.first_step, series.last_step) for series in block.series}
    assert (block.first_step, block.last_step) == (1, 9)
    assert spans == {"loss": (1, 9), "rare": (3, 9)}


def test_a_step_range_is_half_open():
    """``start`` is in, ``stop`` is out."""
    store, writer = Store(), SeriesWriter(most_calls=4)
    writer.add([batch(range(20), loss=range(20))])
    store.upsert(1, writer.pending())
    assert store.read("loss", start=5, stop=9).value.tolist() == [5, 6, 7, 8]
    assert store.read("loss", stop=0).value.tolist() == []


def test_codes_are_as_small_as_they_can_be():
    """Run and name are one byte a point up to 128 of them."""
    store, writer = Store(), SeriesWriter()
    writer.add([batch([0, 1], a=[1, 2], b=[3, 4])])
    store.upsert(1, writer.pending())
    found = store.read("a", "b")
    assert found.name.tolist() == [0, 0, 1, 1]
    assert found.name.dtype == found.run.dtype == np.int8


def test_values_without_their_clock_are_an_error():
    """A missing clock row is told with its attempt and number."""
    store, writer = Store(), SeriesWriter()
    writer.add([batch([0], loss=[1])])
    store.upsert(3, writer.pending())
    store.clocks.clear()
    with pytest.raises(ValueError, match="Block 0 of attempt 3 has values but no steps"):
        store.read("loss")


def test_nothing_is_empty_columns():
    """No blocks, no points, no error."""
    found = assemble([], [])
    assert [len(getattr(found, name)) for name in found.__slots__] == [0] * 7

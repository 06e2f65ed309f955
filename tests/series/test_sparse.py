"""`tracker.series.sparse`: points of many series in one block, and what each of them amounts to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import BadValue
from tracker.series.assemble import Members
from tracker.series.batch import CodedNames, Codes
from tracker.series.blocks import summary_of
from tracker.series.codec import encode_clock, encode_members, encode_values
from tracker.series.sparse import (
    SeriesPoints,
    decode_shared,
    grouped,
    points_of,
    superseded_in,
)
from tracker.values import name_text

odd = st.sampled_from([float("nan"), float("inf"), float("-inf"), -0.0, 0.0, 1.0, 2.0])
ids = st.sampled_from([1, 2, 3, 70_000]) | st.sampled_from([1, 2, 3, 4])
logged = st.lists(st.tuples(ids, st.integers(-5, 5), odd), max_size=30)


@given(logged)
def test_summaries_of_many_series_are_those_of_each(points):
    """The same as of one after the other: of equal values the first, a NaN only as the last."""
    series, steps, values = (
        (np.array(column) for column in zip(*points, strict=True)) if points else ([], [], [])
    )
    together = grouped(
        SeriesPoints(np.array(series, np.int64), np.array(steps, np.int64), np.array(values, float))
    )
    expected = {
        key: summary_of(
            np.array([value for at, _, value in points if at == key]),
            np.array([step for at, step, _ in points if at == key]),
        )
        for key in {point[0] for point in points}
    }
    assert repr(together.summaries()) == repr(dict(sorted(expected.items())))
    spans = zip(*together.spans(), strict=True)
    assert {key: (low, high) for key, low, high in spans} == {
        key: (min(own), max(own))
        for key in expected
        if (own := [step for at, step, _ in points if at == key])
    }


@given(logged, st.sets(ids))
def test_what_is_left_out_is_as_if_it_had_never_been_logged(points, gone):
    """Of points by series, and of what each amounts to."""

    def by_series(some):
        columns = zip(*some, strict=True) if some else ([], [], [])
        series, steps, values = map(np.array, columns)
        return grouped(
            SeriesPoints(series.astype(np.int64), steps.astype(np.int64), values.astype(float))
        )

    left = by_series(points).without(gone)
    expected = by_series([point for point in points if point[0] not in gone])
    assert left.series.tolist() == expected.series.tolist()
    assert repr(left.summaries()) == repr(expected.summaries())


@pytest.mark.parametrize("apart", [1, 3, 10**9])
def test_names_are_found_by_ids_however_far_apart_these_are(apart):
    """-1 is for a series that is not wanted, between, below and beyond those that are."""
    names = Members({apart * place: place for place in (7, 2, 5)}).lookup()
    series = np.array([apart * place for place in (5, 7, 1, 8, 6, 2, 2, 100)])
    assert names.names_of(series).tolist() == [5, 7, -1, -1, -1, 2, 2, -1]


def test_without_wanted_series_no_name_is_found():
    """Whatever the ids."""
    assert Members({}).lookup().names_of(np.array([0, 1, -5])).tolist() == [-1, -1, -1]


def test_names_of_one_text_have_one_number():
    """The number is that of the text, and stays."""
    codes = Codes()
    assert [codes[name] for name in ("a", 1, "1", "b", 1, "a")] == [0, 1, 1, 2, 1, 0]
    assert list(CodedNames(codes, np.array([2, 0, 1]))[1:]) == ["a", "1"]
    with pytest.raises(BadValue, match="A name"):
        codes["x" * 10_000 + "y"]


@pytest.mark.parametrize("name", ["größe", "loss 😀", "a\0b", "\ud800", "x" * 1000, np.str_("a")])
def test_a_name_that_is_not_plain_ascii_has_one_number_too(name):
    """Its text is made anew each time that it is asked for."""
    codes = Codes()
    assert [codes[name], codes["b"], codes[name], codes[name_text(name)]] == [0, 1, 0, 0]
    assert codes.names == {0: name_text(name), 1: "b"}


def shared(counts, rows):
    """A block of the series 5, 6, … and its rows."""
    members = encode_members(np.arange(5, 5 + len(counts)), np.array(counts))
    return members, encode_values(np.arange(float(len(rows))), np.array(rows))


def test_the_points_of_some_series_are_taken_out_of_their_block():
    """In the order of the block; the others are left out."""
    block = decode_shared(*shared([2, 1, 2], [0, 3, 1, 2, 3]))
    points = points_of(block.only(block.series != 6), np.array([10, 11, 12, 13]))
    assert points.series.tolist() == [5, 5, 7, 7]
    assert points.steps.tolist() == [10, 13, 12, 13]
    assert points.values.tolist() == [0.0, 1.0, 3.0, 4.0]


def test_what_does_not_belong_together_is_refused():
    """Other members than the points', a clock of fewer calls, points that name no calls."""
    with pytest.raises(ValueError, match="2 series share holds 3 values, not 4"):
        decode_shared(shared([2, 2], [0, 1, 2])[0], shared([2, 1], [0, 1, 2])[1])
    with pytest.raises(ValueError, match="steps for 2 calls"):
        points_of(decode_shared(*shared([3], [0, 1, 2])), np.arange(2))
    with pytest.raises(ValueError, match="1 series share"):
        decode_shared(shared([3], [0])[0], encode_values(np.arange(3.0)))
    with pytest.raises(ValueError, match="steps and times"):
        decode_shared(shared([3], [0])[0], encode_clock(np.arange(3), np.arange(3)))


def test_a_series_is_superseded_from_its_own_step_on():
    """The highest step that there is, too; not where nothing was repeated."""
    series, steps = np.array([1, 1, 2, 3]), np.array([4, 5, 2**63 - 1, 2**63 - 1])
    cuts = {1: {1: 5}, 2: {1: 2**63 - 1}, 3: {2: 0}}
    assert superseded_in(series, steps, 1, cuts).tolist() == [False, True, True, False]
    assert superseded_in(series, steps, 3, cuts) is None

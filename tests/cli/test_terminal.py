"""On a terminal a table is as wide as that, and every number in it is whole."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import tracker
from tracker.cli.table import Table
from tracker.cli.terminal import draw
from tracker.queries.result import Column, Listing

REASON = "val_loss 0.524691 did not beat 0.512346 (epoch 3) by 0.001; 1 of 3 waits"

Terminal = Callable[..., str]


@pytest.fixture
def run() -> tracker.Run:
    with tracker.start_run("an-experiment-with-a-long-name", "a-run-with-a-long-name") as run:
        stopping = run.add_policy(
            "EarlyStopping", monitor="val_loss", config={"patience": 3, "min_delta": 0.001}
        )
        for epoch in range(3):
            run.log_epoch(epoch, {"loss": 0.123456, "val_loss": 0.512346 + epoch}, seconds=1.5)
            stopping.decide(
                "waited", epoch=epoch, reason=REASON, value=0.524691, best=0.512346, best_epoch=0
            )
    return run


@pytest.mark.parametrize("wide", [40, 60, 80, 200])
@pytest.mark.parametrize("words", ["decisions list", "runs show", "decisions waste", "runs list"])
def test_no_line_is_too_long_and_no_number_is_cut(
    run: tracker.Run, terminal: Terminal, wide: int, words: str
) -> None:
    said = terminal(wide, *words.split(), NO_COLOR="1")
    tables = said.partition("\nmetrics\n")[2].partition("\ncaptured\n")[0] or said
    assert max(map(len, tables.splitlines())) <= wide
    assert not re.search(r"\d…", tables)
    assert "0.512346" in said


def test_a_reason_without_room_stands_under_its_row(run: tracker.Run, terminal: Terminal) -> None:
    narrow = terminal(60, "decisions", "list", NO_COLOR="1").splitlines()
    assert "reason" not in narrow[0]
    assert " ".join(line.strip() for line in narrow[2:4]) == REASON
    assert REASON in terminal(200, "decisions", "list", NO_COLOR="1")


def test_no_color_is_no_escape_at_all(run: tracker.Run, terminal: Terminal) -> None:
    assert "\x1b" not in terminal(80, "runs", "list", NO_COLOR="1")
    assert "\x1b[32mfinished" in terminal(80, "runs", "list")


def test_words_are_coloured_in_their_column_only(terminal: Terminal) -> None:
    with pytest.raises(ValueError), tracker.start_run("failed", "lost"):
        raise ValueError
    said = terminal(120, "runs", "list")
    assert said.count("\x1b[31mfailed") == 1
    assert "\x1b[35mlost" not in said


def test_a_long_table_is_drawn_in_batches_that_line_up(terminal: Terminal) -> None:
    with tracker.start_run("digits", "a") as run:
        for epoch in range(450):
            run.log_epoch(epoch, {"loss": 0.5}, seconds=1.0)
    lines = terminal(60, "epochs", "list", "a", NO_COLOR="1").splitlines()
    assert [line.split()[0] for line in lines] == ["epoch", *map(str, range(450))]
    assert len({line.rindex("0.5") for line in lines[1:]}) == 1


def test_wide_letters_take_two_cells(terminal: Terminal) -> None:
    tracker.start_run("数字", "训练训练").finish()
    tracker.start_run("digits", "a").finish()
    lines = terminal(120, "runs", "list", NO_COLOR="1").splitlines()[1:]
    before = [line[: line.index("finished")] for line in lines]
    first, second = ([2 if letter > "\u2fff" else 1 for letter in text] for text in before)
    assert sum(first) == sum(second)
    assert 2 in first + second


LISTED = (Column("run", "text"), Column("best", "number"), Column("last", "number"))


def drawn(table: Table, width: int) -> tuple[list[str], list[str]]:
    """Return the lines of a table in so many cells, and the headings of columns that found no room."""
    return draw(table, width, coloured=False)


def test_spare_columns_go_first_and_are_named() -> None:
    columns = (LISTED[0], Column("note", "text"), *LISTED[1:])
    listing = Listing(columns, [["a", "x" * 30, 0.123456, 0.654321]])
    lines, left_out = drawn(Table(listing, spare=["note"]), 30)
    assert left_out == ["note"]
    assert lines == ["run      best      last", "a    0.123456  0.654321"]


def test_then_names_are_cut_and_then_columns_go_from_the_right() -> None:
    listing = Listing(LISTED, [["a" * 30, 0.123456, 0.654321]])
    lines, left_out = drawn(Table(listing), 40)
    assert (lines[1], left_out) == ("aaaaaaaaaaaaaaaaaaa…  0.123456  0.654321", [])
    lines, left_out = drawn(Table(listing), 24)
    assert (lines[1], left_out) == ("aaaaaaaaaaaaa…  0.123456", ["last"])


def test_columns_of_the_same_name_are_told_apart() -> None:
    listing = Listing((Column("field", "text"), Column("field", "text")), [["a" * 20, "b" * 9]])
    assert drawn(Table(listing), 25)[0][1] == "aaaaaaaaaaaaa…  bbbbbbbbb"

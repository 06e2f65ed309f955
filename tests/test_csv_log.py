"""The file of a run holds each epoch once, whatever a kill left of it; rows of others stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracker import CSVLog

RECORDED = {epoch: {"loss": float(epoch), "acc": 0.5} for epoch in range(4)}


def resumed(text: str, first: int = 3, *, shared: bool = False) -> list[str]:
    """Return the file's lines after a resume; four epochs are recorded, with a loss of their number."""
    path = Path("log.csv")
    path.write_text(text, newline="")
    log = CSVLog(path)
    rows = log.resumed(log.read(torn=True), first, RECORDED.get, shared=shared)
    log.columns += log.new_columns(rows)
    log.write(rows)
    return path.read_text().splitlines()


@pytest.mark.parametrize(
    "left", ["0,0.5,0.0\n1,0.5,1.0\n", "0,0.5,0.0\n1,0.5,1.0\n2,0.", "", "1,0.5,1.0\n"]
)
def test_rows_that_a_kill_kept_from_being_written_come_back(folder: Path, left: str) -> None:
    expected = ["epoch,acc,loss", "0,0.5,0.0", "1,0.5,1.0", "2,0.5,2.0"]
    assert resumed(f"epoch,acc,loss\n{left}") == expected


def test_a_file_that_is_gone_is_written_again(folder: Path) -> None:
    assert resumed("", 2) == ["epoch,acc,loss", "0,0.5,0.0", "1,0.5,1.0"]


def test_rows_that_are_trained_again_are_taken_out(folder: Path) -> None:
    text = "epoch,loss,acc\n0,0.0,0.5\n1,1.0,0.5\n2,2.0,0.5\n3,3.0,0.5\n"
    assert resumed(text, 2) == ["epoch,loss,acc", "0,0.0,0.5", "1,1.0,0.5"]


@pytest.mark.parametrize("own", ["", "0,0.0\n", "0,0.0\n1,1.0\n2,2.0\n3,3.0\n"])
def test_rows_of_others_stay_whatever_is_left_of_the_own(folder: Path, own: str) -> None:
    """They are told apart by their values, also where their epochs are the higher ones."""
    lines = resumed("epoch,loss\n0,9.0\n5,8.0\n" + own, 2, shared=True)
    cells = [line.split(",")[:2] for line in lines]
    assert cells == [["epoch", "loss"], ["0", "9.0"], ["5", "8.0"], ["0", "0.0"], ["1", "1.0"]]


def test_a_file_is_read_as_it_was_written(folder: Path) -> None:
    log = CSVLog("log.csv", ";")
    rows = [log.row(0, {"b": 0.1, "a;": "x"}), log.row(1, {"c": float("nan"), "epoch": 7})]
    log.columns += log.new_columns(rows)
    assert log.columns == ["epoch", "a;", "b", "c"]
    log.write(rows[:1])
    log.append(rows[1])
    again = CSVLog("log.csv", ";")
    assert again.read() == [
        {"epoch": "0", "a;": "x", "b": "0.1", "c": "NA"},
        {"epoch": "1", "a;": "NA", "b": "NA", "c": "nan"},
    ]
    assert again.columns == log.columns


def test_a_mark_of_a_spreadsheet_is_no_part_of_the_first_name(folder: Path) -> None:
    Path("log.csv").write_text("\ufeffepoch,a\n0,1\n", encoding="utf-8")
    assert CSVLog("log.csv").read() == [{"epoch": "0", "a": "1"}]


def test_a_link_stays_one(folder: Path) -> None:
    Path("real").mkdir()
    Path("log.csv").symlink_to("real/log.csv")
    log = CSVLog("log.csv")
    log.columns = ["epoch"]
    log.write([log.row(0, {})])
    assert Path("log.csv").is_symlink()
    assert Path("real/log.csv").read_text() == "epoch\n0\n"

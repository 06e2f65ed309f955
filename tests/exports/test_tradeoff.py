"""The picture of what each patience saves and costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracker.exports.tradeoff import labelled, places, save_tradeoff
from tracker.replays.tradeoff import Point


def point(patience: int, saved: float, given_up: float | None, *, knee: bool = False) -> Point:
    return Point(patience, 1, 1, 1, saved, 1.0, given_up, given_up, knee)


POINTS = [
    point(1, 0.5, 0.4), point(2, 0.3, 0.1, knee=True), point(3, 0.295, 0.1),
    *(point(patience, 0.0, 0.0) for patience in range(4, 21)), point(21, 0.0, None),
]  # fmt: skip


def test_patiences_that_come_to_the_same_are_one_place() -> None:
    assert [name for _, _, name, _ in places(POINTS)] == ["1", "2", "3", "4–20"]


def test_labels_do_not_collide_and_the_knee_has_one() -> None:
    assert labelled(places(POINTS)) == [True, True, False, True]
    assert labelled(places([point(1, 0.0, 0.0)])) == [True]
    assert labelled([]) == []


def test_the_picture_names_the_metric_and_the_knee(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    save_tradeoff(POINTS, "tradeoff.svg", "val_loss")
    text = (folder / "tradeoff.svg").read_text(encoding="utf-8")
    for words in (
        "val_loss given up, mean of the runs",
        "patience 2: knee",
        ">4–20<",
        "epochs saved, %",
    ):
        assert words in text, words

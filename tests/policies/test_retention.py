"""Which files of a run stay, by numbers alone."""

from __future__ import annotations

from typing import Any

import pytest

from tracker.errors import BadValue
from tracker.policies import Retention, TopK

FILES: list[tuple[str, float | None, int | None]] = [
    ("a", 0.5, 0), ("b", 0.3, 1), ("c", None, 2), ("d", 0.4, 3), ("e", 0.9, 4), ("f", float("nan"), 5),
]  # fmt: skip
SIZES = dict.fromkeys("abcdef", 10)


@pytest.mark.parametrize(
    ("rule", "stay"),
    [
        ({}, "abcdef"),
        ({"last": 2}, "ef"),
        ({"last": 0}, ""),
        ({"best": 2, "monitor": "loss"}, "bd"),
        ({"best": 1, "monitor": "acc"}, "e"),
        ({"every": 2}, "bdf"),
        ({"best": 1, "last": 1, "every": 3, "monitor": "loss"}, "bcf"),
        ({"size": 35}, "def"),
        ({"size": 35, "monitor": "loss"}, "bef"),
        ({"size": 0}, "f"),
        ({"last": 4, "size": 20}, "ef"),
    ],
)
def test_what_stays(rule: dict[str, Any], stay: str) -> None:
    chosen = Retention(**rule).choose(FILES, SIZES)
    assert "".join(chosen.keep) == stay
    assert "".join(chosen.drop) == "".join(sorted(set("abcdef") - set(stay)))
    assert len(chosen.reasons) == len(chosen.drop)


def test_what_is_spared_stays_and_counts_for_the_size() -> None:
    assert Retention(last=1).choose(FILES, spared=["a"]).keep == ("a", "f")
    assert Retention(size=30).choose(FILES, SIZES, ["a", "b"]).keep == ("a", "b", "f")


def test_the_best_are_those_of_top_k() -> None:
    assert set(Retention(best=3, monitor="loss").choose(FILES).keep) == set(
        TopK(3, "loss").choose(FILES).keep
    )


@pytest.mark.parametrize(
    "rule", [{"last": -1}, {"best": 1.5}, {"every": "3"}, {"best": 1, "monitor": ""}, {"size": -1}]
)
def test_what_is_no_count_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(BadValue):
        Retention(**rule)

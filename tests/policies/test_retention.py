"""Which files of a run stay, by numbers alone."""

from __future__ import annotations

from typing import Any

import pytest

from tracker.errors import BadValue
from tracker.policies import Retention, TopK, validation

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
    ("keep", "settings", "most"),
    [
        (None, None, None),
        (3, 3, 3),
        (0, 0, 0),
        (Retention(best=3), 3, 3),
        (Retention(best=3, last=2), {"best": 3, "last": 2}, 5),
        (Retention(best=0, last=2), {"best": 1, "last": 2}, 3),
        (Retention(every=10, size="2 kB"), {"best": 1, "every": 10, "size": 2000}, None),
        (Retention(size=5), {"size": 5}, None),
    ],
)
def test_what_a_callback_is_given_is_recorded_and_read_again(
    keep: Any, settings: Any, most: int | None
) -> None:
    rule = Retention.of(keep, "val_loss", "min")
    assert (rule.settings, rule.most, rule.monitor) == (settings, most, "val_loss")
    assert Retention.of(rule.settings, "val_loss", "min") == rule


def test_a_rule_for_another_metric_is_refused() -> None:
    assert Retention.of(Retention(best=1, monitor="loss"), "loss").best == 1
    with pytest.raises(BadValue, match="keep ranks by 'loss', but the callback watches 'acc'"):
        Retention.of(Retention(best=1, monitor="loss"), "acc")


def test_the_reason_says_which_rule_did_not_keep_a_file() -> None:
    (reason,) = Retention(best=1, monitor="loss").choose(FILES[:2]).reasons
    assert reason == TopK(1, "loss").choose(FILES[:2]).reasons[0]
    reason = Retention(1, 1, 10, monitor="loss").choose(FILES).reasons[0]
    assert reason == "not among the 1 best or the 1 last or the epochs 10, 20, …"
    reason = Retention(size=50).choose(FILES, SIZES).reasons[0]
    assert reason == "the files that stay would take more than 50 bytes with it"


@pytest.mark.parametrize(
    "rule",
    [
        {"last": -1},
        {"best": 1.5},
        {"every": "3"},
        {"best": 1, "monitor": ""},
        {"size": -1},
        {"size": "2 boxes"},
    ],
)
def test_what_is_no_count_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(BadValue):
        Retention(**rule)


@pytest.mark.parametrize(
    ("given", "size"),
    [("20", 20), (7, 7), ("1.5 kB", 1500), ("2GiB", 2 * 1024**3), ("20gb", 20_000_000_000)],
)
def test_sizes_are_read_as_people_write_them(given: str | int, size: int) -> None:
    assert validation.size(given) == size


@pytest.mark.parametrize("given", ["", "much", "-1", "1 PB x", True])
def test_what_is_no_size_is_refused(given: str) -> None:
    with pytest.raises(BadValue, match="is not a size"):
        validation.size(given)

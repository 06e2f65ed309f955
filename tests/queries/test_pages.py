"""Pages of a sorted listing of runs: one after the other they are the whole listing, whatever lies before a page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tracker
from benchmarks.many_runs import build
from tracker.queries import api as queries
from tracker.storage.database import Reader, locate, reading

RUNS = 1200
LIMIT = 100
"""Runs of a page."""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Open a database of more runs than are skipped one by one, some of them without a value, or with an odd one."""
    path = tmp_path_factory.mktemp("pages") / "tracker.db"
    location = locate(path)
    build(location, RUNS)
    for number, params in enumerate([{}, {"lr": "auto"}, {"lr": None}, {"lr": 0.25}, {"lr": True}]):
        with tracker.start_run("odd", params=params, database=path, system_metrics=False) as run:
            for epoch in range(number):
                # What is NaN throughout has no lowest value, and so no place among those that have.
                run.log_epoch(epoch, {"val_loss": float("nan"), "m1": 0.25})
    with reading(location) as opened:
        yield opened


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ("val_loss", None), ("-val_loss", None), ("last(val_loss)", None), ("m1,-m2", None),
        ("params.lr", None), ("-params.lr", None), ("tags.tag1", None), ("-tags.tag1", None),
        ("experiment:asc,val_loss", None), ("name", None), (None, None), ("val_loss", "params.lr < 0.99"),
        ("params.p1", "val_loss < 0.5"), ("tags.tag0", "tags.tag0 = 'value 7'"), ("-tags.tag1", "m2 < 0.5"),
    ],
)  # fmt: skip
def test_pages_are_the_whole_listing(reader: Reader, keys: str | None, where: str | None) -> None:
    whole = queries.overview(reader, where, keys).cells("id")
    total = len(whole)
    for offset in [0, 100, 900, *range(1000, total, 50), total - 3, total, total + 7]:
        page = queries.overview(reader, where, keys, LIMIT, with_total=True, offset=offset)
        assert page.cells("id") == whole[offset : offset + LIMIT], offset
        assert page.total == total, offset


@pytest.mark.parametrize("key", ["val_loss", "-params.lr", "tags.tag0", None])
def test_a_filter_that_none_of_the_first_passes_gives_the_same_pages(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    where = "val_loss > 0.6 and params.lr < 0.5"
    whole = queries.overview(reader, where, key).cells("id")
    assert len(whole) == 35
    for walked in (3, 40, 700):
        monkeypatch.setattr("tracker.queries.pages._WALKED", walked)
        for limit, offset in ((1, 0), (20, 0), (20, 15)):
            page = queries.overview(reader, where, key, limit, offset=offset)
            assert page.cells("id") == whole[offset : offset + limit], (walked, limit, offset)


def test_a_filter_that_lets_few_pass_counts_as_one_that_lets_many(reader: Reader) -> None:
    for share in ("0.05", "0.2", "0.3", "0.9"):
        for where in (
            f"params.p2 < {share}", f"val_loss < {share}", f"not (m3 > {share})", f"params.p2 != {share}",
            f"tags.tag1 > 'value {share[-1]}'", "val_loss < params.lr",
            "last(val_loss) = nan", "params.lr = 'auto'", "params.lr = true", "run.params.lr = 0.25",
        ):  # fmt: skip
            passed = len(queries.overview(reader, where).rows)
            assert queries.overview(reader, where, limit=2, with_total=True).total == passed

"""Listings of the first rows look at no more than those: with 100 000 runs as with ten."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select

from benchmarks.many_runs import build
from tests.helpers.plans import Planned, plans
from tracker.checkpointing.recovery import PENDING_CHECKPOINTS
from tracker.filters.names import all_metric_names, experiments
from tracker.models import CHECKPOINT
from tracker.queries import api as queries
from tracker.queries.best_run import best_run
from tracker.queries.groups import groups
from tracker.queries.monitored import shared_monitor
from tracker.queries.names_in_use import metrics_in_use, params_in_use
from tracker.queries.waste import waste
from tracker.storage.database import Reader, locate, reading

Ask = Callable[[Reader], object]

LISTINGS: dict[str, Ask] = {
    "runs": lambda reader: queries.overview(reader, limit=20),
    "runs by a metric": lambda reader: queries.overview(reader, None, "val_loss", 20),
    "runs by a last value": lambda reader: queries.overview(reader, None, "last(m3)", 20),
    "runs by a param": lambda reader: queries.overview(reader, None, "-lr", 20),
    "runs by a tag": lambda reader: queries.overview(reader, None, "tags.tag0", 20),
    "runs by a tag, from the last": lambda reader: queries.overview(reader, None, "-tags.tag1", 20),
    "runs with a tag": lambda reader: queries.overview(reader, "tags.tag0 > 'value 3'", None, 20),
    "runs with a metric, by a tag": lambda reader: queries.overview(
        reader, "val_loss < 0.5", "tags.tag0", 20
    ),
    "runs with a metric, and how many": lambda reader: queries.overview(
        reader, "val_loss < 0.5", None, 20, with_total=True
    ),
    "runs by name": lambda reader: queries.overview(reader, None, "name", 20),
    "runs with a metric": lambda reader: queries.overview(reader, "val_loss < 0.5", None, 20),
    "runs with a metric, by it": lambda reader: queries.overview(
        reader, "val_loss < 0.5", "val_loss", 20
    ),
    "runs with params and tags": lambda reader: queries.overview(
        reader, "lr > 0.1 and p3 < 0.9 and tags.tag0 like 'value%'", None, 20
    ),
    "runs of an experiment, by a metric": lambda reader: queries.overview(
        reader, "experiment = 'sweep-3'", "val_loss", 20
    ),
    "epochs": lambda reader: queries.epochs(reader, limit=20),
    "epochs with a metric": lambda reader: queries.epochs(reader, where="m3 < 0.5", limit=20),
    "decisions": lambda reader: queries.decisions(reader, limit=20),
    "decisions with a verdict": lambda reader: queries.decisions(
        reader, where="verdict = 'waited'", limit=20
    ),
    "checkpoints": lambda reader: queries.checkpoints(reader, limit=20),
    "checkpoints of an epoch": lambda reader: queries.checkpoints(
        reader, where="epoch = 1", limit=20
    ),
}
CHILDREN = "attempt|param|tag|epoch|metric|summary|policy|checkpoint|decision|fact"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Open a database of 1200 runs, more than are few."""
    location = locate(tmp_path_factory.mktemp("plans") / "tracker.db")
    build(location, 1200)
    with reading(location) as opened:
        yield opened


def scans(planned: list[Planned]) -> list[Planned]:
    """Return the statements that look at all rows of a table which belongs to runs."""
    every = re.compile(rf"^SCAN ({CHILDREN})\b")
    return [one for one in planned if any(map(every.match, one.plan))]


def sorts(planned: list[Planned]) -> list[Planned]:
    """Return the statements for the first rows that sort all of them; within equal keys they may."""
    return [
        one
        for one in planned
        if "LIMIT" in one.statement and "USE TEMP B-TREE FOR ORDER BY" in one.plan
    ]


@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_looks_only_at_what_it_shows(reader: Reader, name: str) -> None:
    planned = plans(reader, LISTINGS[name])
    assert any("LIMIT" in one.statement for one in planned)
    assert scans(planned) == []
    assert sorts(planned) == []


@pytest.mark.parametrize("ask", [metrics_in_use, params_in_use])
def test_what_is_in_use_is_counted_by_an_index(reader: Reader, ask: Ask) -> None:
    planned = plans(reader, ask)
    assert scans(planned) == []
    assert not any("TEMP B-TREE FOR GROUP BY" in line for one in planned for line in one.plan[:1])


def test_the_count_of_a_filter_looks_at_no_row_of_a_run(reader: Reader) -> None:
    planned = plans(
        reader, lambda reader: queries.overview(reader, "val_loss < 0.5", None, 1, with_total=True)
    )
    counts = [
        one for one in planned if "LIMIT" not in one.statement and "count(*)" in one.statement
    ]
    assert any("COVERING INDEX ix_summary_name_min" in line for one in counts for line in one.plan)


def test_a_scan_and_a_sort_are_seen(reader: Reader) -> None:
    listing = select(CHECKPOINT).order_by(CHECKPOINT.c.bytes).limit(1)
    planned = plans(reader, lambda reader: reader.connection.execute(listing).all())
    assert scans(planned) == planned == sorts(planned) != []


def test_what_runs_are_judged_by_is_found_by_an_index(reader: Reader) -> None:
    planned = plans(reader, lambda reader: shared_monitor(reader.connection))
    lines = [line for one in planned for line in one.plan if re.search(r"\bpolicy\b", line)]
    assert lines
    assert all("INDEX ix_policy_monitor" in line for line in lines), lines


@pytest.mark.parametrize("by", ["params.p3", "tags.tag0"])
@pytest.mark.parametrize("where", [None, "params.lr < 0.5"])
def test_the_newest_groups_are_those_that_come_first_of_all(
    reader: Reader, by: str, where: str | None
) -> None:
    everything = groups(reader, by, where, judged=False)
    for limit in (1, 10, 200):
        found = groups(reader, by, where, limit=limit, judged=False)
        assert (found.columns, found.rows) == (everything.columns, everything.rows[:limit])


def test_the_newest_groups_are_looked_for_among_few_runs(reader: Reader) -> None:
    ask: Ask = lambda reader: groups(reader, "params.p3", limit=10, judged=False)  # noqa: E731
    counts = plans(reader, ask)[-2]
    assert "GROUP BY" in counts.statement
    assert any("SEARCH param_1 USING INDEX" in line for line in counts.plan), counts.plan


def test_the_last_page_of_all_runs_is_found_by_the_index_of_their_start(reader: Reader) -> None:
    planned = plans(reader, lambda reader: queries.overview(reader, limit=10, offset=1190))
    lines = [line for one in planned for line in one.plan if re.search(r" run\b", line)]
    assert all("INDEX" in line for line in lines), lines


def test_decisions_sorted_by_their_epoch_are_found_by_an_index(reader: Reader) -> None:
    planned = plans(reader, lambda reader: queries.decisions(reader, order_by="epoch", limit=20))
    assert scans(planned) == [
        one
        for one in planned
        if any("COVERING INDEX ix_decision_policy" in line for line in one.plan)
    ]


@pytest.mark.parametrize("names", [all_metric_names, experiments])
def test_names_for_completion_are_found_from_one_to_the_next(reader: Reader, names: Ask) -> None:
    (planned,) = plans(reader, names, ("WITH",))
    assert not any(re.match(r"SCAN (summary|run)\b", line) for line in planned.plan), planned.plan
    assert any("SEARCH" in line and "COVERING INDEX" in line for line in planned.plan)


def test_what_is_pending_is_found_by_its_index(reader: Reader) -> None:
    ask: Ask = lambda reader: reader.connection.execute(PENDING_CHECKPOINTS).all()  # noqa: E731
    (planned,) = plans(reader, ask)
    assert any("ix_checkpoint_pending" in line for line in planned.plan)


def test_a_filter_that_few_runs_pass_is_answered_by_its_index(reader: Reader) -> None:
    planned = plans(reader, lambda reader: queries.overview(reader, "val_loss < 0.01"))
    listing = next(
        one for one in planned if "FROM run" in one.statement and "ORDER BY" in one.statement
    )
    assert any("SEARCH run" in line for line in listing.plan), listing.plan
    assert not any("CORRELATED" in line for line in listing.plan), listing.plan


@pytest.mark.parametrize("key", ["best_epoch(val_loss)", "-last_epoch(m3)"])
def test_a_sort_by_what_has_no_index_reads_the_runs_as_they_lie(reader: Reader, key: str) -> None:
    planned = plans(reader, lambda reader: queries.overview(reader, order_by=key, limit=20))
    (sorted_all,) = sorts(planned)
    assert sorted_all.plan[0].startswith("SEARCH run USING PRIMARY KEY"), sorted_all.plan


@pytest.mark.parametrize("key", ["name", "-name", "status", "experiment", "started"])
def test_a_sort_by_what_has_an_index_reads_only_the_first(reader: Reader, key: str) -> None:
    planned = plans(reader, lambda reader: queries.overview(reader, order_by=key, limit=20))
    assert sorts(planned) == []


def test_all_runs_are_read_as_they_lie_and_their_metrics_once(reader: Reader) -> None:
    planned = plans(reader, queries.runs)
    of_runs = [one for one in planned if "run.started" in one.statement]
    assert [one.plan[0] for one in of_runs] == ["SCAN run"]
    assert [one for one in planned if "SCAN summary" in one.plan] == [
        one for one in planned if "max(summary" in one.statement
    ]


def test_the_names_of_wasteful_runs_come_with_them(reader: Reader) -> None:
    planned = plans(reader, waste)
    assert sum("run.name" in one.statement for one in planned) == 1


def test_the_best_run_of_an_experiment_is_found_by_its_own_runs(reader: Reader) -> None:
    planned = plans(reader, lambda reader: best_run(reader, "sweep-3"))
    of_summaries = [line for one in planned for line in one.plan if re.search(r"\bsummary\b", line)]
    assert of_summaries
    assert all("USING PRIMARY KEY (run_id=?" in line for line in of_summaries)

"""Filters and sort keys on a database: which runs, epochs and decisions they leave, in which order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

import tracker
from tracker.errors import WhereError
from tracker.filters.dates import moment
from tracker.filters.names import misspelt, sort_keys
from tracker.maintenance import edits
from tracker.queries import api as queries
from tracker.storage.database import Reader, locate, reading


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Open a database with runs a, b, c (losses .3 .2 .1, accuracies .7 .8 .9) and an empty one, d."""
    path = tmp_path_factory.mktemp("filters") / "tracker.db"
    given = {"a": (0.3, 0.7), "b": (0.2, 0.8), "c": (0.1, 0.9)}
    for place, (name, (loss, accuracy)) in enumerate(given.items()):
        params = {
            "lr": 10.0**-place,
            "units": 2**place,
            "act": "relu" if place else "tanh",
            "big": place > 0,
        }
        tags = {"team": "x"} if place else None
        if place:
            params["x"], tags = 1, {"team": "x", "x": "y"}
        with tracker.start_run("digits", name, params, tags, path) as run:
            run.log_epoch(0, {"val_loss": loss, "val_accuracy": accuracy, "name": place})
            run.log_epoch(1, {"val_loss": 1.0 if place else math.nan, "val_accuracy": 0.5})
    with tracker.start_run("other", "d", {"none": None}, None, path):
        pass
    with reading(path) as opened:
        yield opened


def left(reader: Reader, where: str) -> str:
    return "".join(sorted(row["name"] for row in queries.overview(reader, where).dicts()))


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("val_loss < 0.25", "bc"),
        ("0.25 > val_loss", "bc"),
        ("val_accuracy >= 0.9", "c"),
        ("max(val_loss) = 1", "bc"),
        ("last(val_loss) is nan", "a"),
        ("last(val_loss) = nan", "a"),
        ("last(val_loss) > best(val_loss)", "bc"),
        ("best_epoch(val_loss) = 0", "abc"),
        ("last_epoch(val_loss) = 1", "abc"),
        ("val_loss is null", "d"),
        ("not val_loss < 0.25", "ad"),
        ("val_loss != 0.3", "bcd"),
        ("name = 'a'", "a"),
        ("metrics.name = 1", "b"),
        ("name in ('a', 'c')", "ac"),
        ("name not in ('a', 'c')", "bd"),
        ("experiment like 'DIG%'", "abc"),
        ("experiment not like 'dig%'", "d"),
        ("params.lr = 0.1", "b"),
        ("params.lr in (1, 0.1)", "ab"),
        ("params.units > 1 and params.units < 4", "b"),
        ("params.act = 'relu'", "bc"),
        ("params.act != 'relu'", "ad"),
        ("params.big = true", "bc"),
        ("params.big = false", "a"),
        ("params.act like 'RE%'", "bc"),
        ("params.none is null", "abcd"),
        ("params.lr is not null", "abc"),
        ("params.lr < params.units", "bc"),
        ("tags.team = 'x'", "bc"),
        ("tags.team is null", "ad"),
        ("not tags.team = 'x' or val_loss < 0.15", "acd"),
        ("status = 'finished' and epochs = 2", "abc"),
        ("run.status = 'finished'", "abcd"),
        ("started > 'yesterday' and started > '1 hour ago'", "abcd"),
        ("ended >= started", "abcd"),
        ("error is null and parent is null and note is null", "abcd"),
        ("seconds < inf", "abcd"),
        ("id = 'x'", ""),
        ("lr = 0.1", "b"),
        ("team == 'x'", "bc"),
        ("run.params.lr = 0.1", "b"),
        ('status == "finished"', "abcd"),
        ('"a" = name', "a"),
        ('name in ("a", "c")', "ac"),
        ('experiment like "DIG%"', "abc"),
        ('act = "relu"', "bc"),
        ('act = "lr"', ""),
        ("status = 'FINISHED'", "abcd"),
        ("status = 'Stopped Early'", ""),
        ("started > today - 7d and started >= now-1h", "abcd"),
        ("started < yesterday", ""),
        ("started > 'today - 2 weeks'", "abcd"),
    ],
)
def test_a_filter_leaves_the_runs_it_says(reader: Reader, where: str, names: str) -> None:
    assert left(reader, where) == names


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("val_los < 1", "There is no field 'val_los': did you mean val_loss?"),
        ("share > 0.3", "There are metrics, params.NAME, tags.NAME, id, name, experiment, status,"),
        ("x < 1", "did you mean params.x or tags.x?"),
        ("status = 'finishd'", "No status is 'finishd': did you mean finished?"),
        ("status in ('lost', 'gone')", "No status is 'gone': there are running, finished,"),
        ("name = today", "name is not a time: write 'today'"),
        ("params.lrr < 1", "No run has params.lrr: did you mean lr?"),
        ("tags.teem = 'x'", "No run has tags.teem: did you mean team?"),
        ("max(val_lss) < 1", "There is no metric 'val_lss'"),
        ("status = finished", "text stands in quotes: 'finished'"),
        ("best < 1", "name the metric"),
        ("name < 3", "name is text: write '3'"),
        ("val_loss = 'x'", "val_loss is a number"),
        ("val_loss < nan", "is nan"),
        ("val_loss is nan", "last(val_loss) is nan"),
        ("val_loss like '3%'", "like is for text"),
        ("started > 3", "started is a time"),
        ("started > 'soon'", "'3 days ago'"),
        ("name > started", "cannot be compared"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_way_out(
    reader: Reader, where: str, said: str
) -> None:
    with pytest.raises(WhereError) as caught:
        left(reader, where)
    assert said in str(caught.value)
    assert str(caught.value).endswith("^")


def test_a_step_metric_is_filtered_as_one_of_epochs_is() -> None:
    for name, values in {"l": (3.0, 0.5), "h": (4.0, 2.0), "n": (math.nan,)}.items():
        with tracker.start_run(name=name) as run:
            for step, value in enumerate(values, start=7):
                run.log({"batch_loss": value}, step=step)
    with reading() as fresh:
        assert left(fresh, "batch_loss < 1") == "l"
        assert left(fresh, "max(batch_loss) >= 3") == "hl"
        assert left(fresh, "last(batch_loss) is nan") == "n"
        assert left(fresh, "batch_loss is null") == "n"
        assert left(fresh, "best_step(batch_loss) = 8 and last_step(batch_loss) < 9") == "hl"
        assert left(fresh, "min_epoch(batch_loss) is null") == "hln"
        assert left(fresh, "max_step(batch_loss) = 7") == "hl"


def test_a_filter_of_epochs_tells_a_step_metric_from_one_that_is_not_there() -> None:
    with tracker.start_run(name="steps") as run:
        run.log({"batch_loss": 1.0})
        run.log_epoch(0, {"loss": 1.0})
    with reading() as fresh:
        with pytest.raises(WhereError, match="batch_loss is a step metric: no epoch has it"):
            queries.epochs(fresh, where="batch_loss < 1")
        assert len(queries.epochs(fresh, where="run.batch_loss < 2").rows) == 1
        assert "batch_loss" not in sort_keys(fresh, "epochs")
        assert {"batch_loss", "loss"} <= set(sort_keys(fresh, "runs"))


def test_every_listing_knows_the_columns_of_the_run(reader: Reader) -> None:
    for query in (queries.epochs, queries.checkpoints, queries.decisions):
        query(
            reader, where="experiment = 'digits' and run.name = 'a' and lr < 1", order_by="status"
        )
    assert len(queries.epochs(reader, where="experiment = 'digits' and lr = 0.1").rows) == 2


def test_a_checkpoint_is_filtered_and_sorted_by_its_alias(folder: Path) -> None:
    with tracker.start_run(name="a") as run:
        for epoch, loss in enumerate([0.2, 0.1, 0.3]):
            (folder / f"{epoch}.pt").write_bytes(b"1")
            run.log_checkpoint(f"{epoch}.pt", epoch=epoch, monitor="val_loss", value=loss)
    with reading() as fresh:

        def epochs(where: str) -> list[int]:
            return queries.checkpoints(fresh, where=where).cells("epoch")

        assert epochs("alias = 'best'") == [1]
        assert epochs("alias != 'LAST'") == [0, 1]
        assert epochs("alias is null") == [0]
        (folder / "2.pt").unlink()
        assert epochs("alias = 'best' and alias = 'last'") == epochs("alias = 'best, last'") == [1]
        assert queries.checkpoints(fresh, order_by="alias").cells("epoch")[0] == 1
        with pytest.raises(WhereError, match="No alias is 'bets': did you mean best"):
            epochs("alias = 'bets'")


def test_a_run_that_does_not_exist_is_answered_with_the_nearest(reader: Reader) -> None:
    assert misspelt(reader, "name = 'a' or experiment in ('digts')") == [
        "No experiment is named 'digts': did you mean digits?"
    ]
    assert misspelt(reader, 'lr < 1 and "digit" = experiment') == [
        "No experiment is named 'digit': did you mean digits?"
    ]


def test_a_database_without_runs_takes_any_name() -> None:
    run = tracker.start_run(name="only")
    run.finish()
    edits.delete(locate(), [run.id])
    with reading() as reader:
        assert left(reader, "val_loss < 1 and params.lr > 0") == ""


def order(reader: Reader, keys: Any, limit: int | None = None) -> str:
    listing = queries.overview(reader, order_by=keys, limit=limit)
    return "".join(row["name"] for row in listing.dicts())


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (None, "dcba"),
        ("started", "abcd"),
        ("-started", "dcba"),
        ("val_loss", "cbad"),
        ("-val_loss", "abcd"),
        ("val_loss:asc", "cbad"),
        ("val_accuracy", "cbad"),
        ("-val_accuracy", "abcd"),
        ("val_accuracy:asc", "abcd"),
        ("val_accuracy:desc", "cbad"),
        ("params.lr", "cbad"),
        ("params.act,name", "bcad"),
        ("-experiment,name:desc", "dcba"),
        (["tags.team", "val_loss"], "cbad"),
        ("last(val_loss),name", "bcad"),
    ],
)
def test_sorted_is_best_first_and_what_has_no_value_last(
    reader: Reader, keys: object, names: str
) -> None:
    assert order(reader, keys) == names
    assert order(reader, keys, 2) == names[:2]
    assert order(reader, keys, 4) == names


def test_an_epoch_is_filtered_by_its_own_metrics_and_by_its_run(reader: Reader) -> None:
    where = "val_loss < 0.5 and params.lr < 1 and run.experiment = 'digits'"
    listing = queries.epochs(reader, where=where, order_by="val_loss")
    assert [(row["run"], row["val_loss"]) for row in listing.dicts()] == [("c", 0.1), ("b", 0.2)]
    assert len(queries.epochs(reader, where="val_loss is nan").rows) == 1
    assert len(queries.epochs(reader, where="best(val_loss) < 0.25").rows) == 4


HOSTILE = st.text() | st.sampled_from(
    [
        "1=1; DROP TABLE run", "name = 'x' OR 1=1 --", "name = '' UNION SELECT sql FROM sqlite_master",
        '__import__("os").system("x") > 0', "name = 'x\\'", "name like '%' escape '\\'",
        'params."x"") OR 1=1 --" > 0', "name = '\x00'", "name = '\ud800'", "name in ('" + "a" * 5000 + "')",
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(HOSTILE)
def test_no_text_does_anything_but_filter(reader: Reader, text: str) -> None:
    for ask in (
        lambda: queries.overview(reader, text),
        lambda: queries.overview(reader, None, text),
    ):
        try:
            assert len(ask().rows) <= 4
        except WhereError as error:
            assert "^" in str(error)
    assert left(reader, "epochs >= 0") == "abcd"


def test_every_value_is_bound(reader: Reader) -> None:
    seen: list[str] = []

    @event.listens_for(reader.connection, "before_cursor_execute")
    def keep(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    queries.overview(reader, "name = 'sentinel' or params.lr = 77.5 or tags.team like 'sentinel'")
    assert seen
    assert not any("sentinel" in one or "77.5" in one for one in seen)


def test_moments_are_dates_times_and_distances() -> None:
    day = 86_400_000_000
    assert moment("2026-03-01T00:00:00Z") == 1_772_323_200_000_000
    assert moment("2026-03-01T01:00:00+01:00") == 1_772_323_200_000_000
    today, yesterday = moment("today"), moment("yesterday")
    assert today is not None and yesterday is not None
    assert today - yesterday in {day, day - day // 24, day + day // 24}
    assert moment("2 hours ago") is not None
    assert moment("today-1d") == moment("yesterday")
    now = datetime(2026, 3, 4, 12, tzinfo=UTC)
    assert moment("now - 2h", now) == moment("2 hours ago", now) == moment("2h ago", now)
    for text in (
        "soon",
        "",
        "3 fortnights ago",
        "999999 weeks ago",
        "2026-13-01",
        "today - 3 moons",
    ):
        assert moment(text) is None


def test_a_parent_is_meant_by_its_name_or_its_id() -> None:
    with tracker.start_run("digits", "busy") as parent:
        for name in ("one", "two"):
            tracker.start_run("digits", name, parent=parent).finish()
    tracker.start_run("digits", "single").finish()
    with reading() as reader:
        for where in ("parent = 'busy'", f"parent = '{parent.id}'", "parent like 'bus%'"):
            assert left(reader, where) == "onetwo"
        assert left(reader, "parent != 'busy'") == "busysingle"
        assert left(reader, "parent = 'single'") == ""

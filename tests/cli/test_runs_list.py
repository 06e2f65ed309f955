"""``tracker runs list``: which columns it has, groups, and what is running."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

import tracker
from tracker.cli.format import age
from tracker.clock import now


def record(name: str, losses: list[float], **more: Any) -> tracker.Run:
    experiment = more.pop("experiment", "digits")
    with tracker.start_run(experiment, name, **more) as run:
        for epoch, loss in enumerate(losses):
            run.log_epoch(epoch, {"val_loss": loss, "accuracy": 1 - loss}, seconds=0.5)
    return run


@pytest.fixture
def sweep() -> None:
    """Record three runs of digits that differ in lr, seed and a tag, and one of wine."""
    for place, name in enumerate("abc"):
        params = {"lr": 0.1 if place < 2 else 0.01, "seed": place, "units": 8}
        record(name, [0.5 - place / 10], params=params, tags={"team": "x"} if place else None)
    record("w", [0.9], experiment="wine", params={"units": 8})


def table(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_params_and_tags_that_differ_have_columns(sweep: None, cli: Any) -> None:
    head, *rows = table(cli("runs", "list", "--where", "experiment = 'digits'").stdout)
    assert head[head.index("last") + 1 :][:3] == ["lr", "seed", "team"]
    assert "units" not in head
    assert rows[0][0] == "c"
    assert rows[0][rows[0].index("0.01") :][:3] == ["0.01", "2", "x"]


def test_what_runs_are_sorted_by_is_shown(sweep: None, cli: Any) -> None:
    head, *rows = table(cli("runs", "list", "--sort", "accuracy,-last(val_loss)").stdout)
    assert {"accuracy", "last(val_loss)"} <= set(head)
    assert [row[0] for row in rows] == ["c", "b", "a", "w"]
    # It is there already, as the best.
    assert cli("runs", "list", "--sort", "val_loss").stdout.split("\n")[0].count("val_loss") == 1


def test_columns_are_chosen(sweep: None, cli: Any) -> None:
    words = ("runs", "list", "--columns", "name,lr,last(val_loss),status", "--where", "seed < 2")
    assert table(cli(*words).stdout) == [
        ["name", "lr", "last(val_loss)", "status"],
        ["b", "0.1", "0.4", "finished"],
        ["a", "0.1", "0.5", "finished"],
    ]
    rows = json.loads(cli(*words, "--format", "json").stdout)
    assert rows[0] == {"name": "b", "lr": 0.1, "last(val_loss)": 0.4, "status": "finished"}
    ages = table(cli("runs", "list", "--columns", "name,age").stdout)[1:]
    assert [row[0] for row in ages] == ["w", "c", "b", "a"]
    assert all(re.fullmatch(r"\d+ (s|min)", " ".join(row[1:])) for row in ages)
    assert "did you mean val_loss?" in cli("runs", "list", "--columns", "val_los").stderr


def test_groups_have_count_best_mean_and_spread(sweep: None, cli: Any) -> None:
    head, wine, digits = cli("runs", "list", "--group-by", "experiment").stdout.splitlines()
    assert head.split()[:6] == ["experiment", "runs", "metric", "best", "best_run", "mean"]
    assert digits.split()[:8] == ["digits", "3", "val_loss", "0.3", "c", "0.4", "±", "0.1"]
    assert wine.split()[:6] == ["wine", "1", "val_loss", "0.9", "w", "0.9"]
    by_rate = (
        "--group-by",
        "experiment,lr",
        "--where",
        "experiment = 'digits'",
        "--format",
        "json",
    )
    rows = json.loads(cli("runs", "list", *by_rate).stdout)
    assert [(row["lr"], row["runs"], row["best_run"]) for row in rows] == [
        (0.01, 1, "c"),
        (0.1, 2, "b"),
    ]
    assert (rows[0]["std"], round(rows[1]["mean"], 6)) == (None, 0.45)
    assert cli("runs", "list", "--group-by", "lr", "--columns", "name").exit_code == 2


def test_a_group_is_judged_by_the_metric_that_most_of_it_monitors(cli: Any) -> None:
    for name, monitor, loss in (
        ("a", "accuracy", 0.2),
        ("b", "accuracy", 0.4),
        ("c", "val_loss", 0.1),
    ):
        record(name, [loss], monitor=monitor)
    (row,) = json.loads(cli("runs", "list", "--group-by", "experiment", "--format", "json").stdout)
    assert (row["metric"], row["best"], row["best_run"], row["runs"]) == ("accuracy", 0.8, "a", 3)


def test_only_what_runs_now(sweep: None, cli: Any) -> None:
    assert "No run is being recorded now." in cli("runs", "list", "--running").stderr
    run = tracker.start_run("digits", "live")
    assert [row[0] for row in table(cli("runs", "list", "--running").stdout)] == ["name", "live"]
    assert "No run that matches" in cli("runs", "list", "--running", "--where", "epochs > 3").stderr
    run.finish()


def test_many_params_are_counted_and_wide_shows_them(cli: Any) -> None:
    for place in range(2):
        record(str(place), [0.1], params={f"p{n}": place for n in range(9)})
    narrow = cli("runs", "list")
    assert "p5" in narrow.stdout
    assert "p6" not in narrow.stdout
    assert "3 more params and tags differ; --wide shows all." in narrow.stderr
    assert "p8" in cli("runs", "list", "--wide").stdout


def test_at_80_columns_name_status_age_and_the_best_stay(terminal: Callable[..., str]) -> None:
    for place, monitor in enumerate(("val_loss", "accuracy")):
        params = {f"long_parameter_{n}": place for n in range(3)}
        record(f"a-run-with-a-long-name-{place}", [0.123456], params=params, monitor=monitor)
    head, *rows = terminal(80, "runs", "list", NO_COLOR="1").splitlines()
    assert {"name", "status", "age", "monitor", "best"} <= set(head.split())
    assert "accuracy" in rows[0]
    assert "0.876544 @ 0" in rows[0]
    sorted_head = terminal(
        80, "runs", "list", "--sort", "long_parameter_1", NO_COLOR="1"
    ).splitlines()[0]
    assert {"name", "status", "age", "monitor", "best", "long_parameter_1"} <= set(
        sorted_head.split()
    )


def test_a_column_that_runs_are_sorted_by_is_never_left_out(terminal: Callable[..., str]) -> None:
    record("a-run-with-a-long-name", [0.123456, 0.2])
    record("another-run-with-a-long-name", [0.123456, 0.2])
    said = terminal(80, "runs", "list", "--sort", "-seconds", NO_COLOR="1")
    assert "seconds" in said.splitlines()[0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (61, "1 min"), (3600, "1 h"), (100_000, "27 h"), (200_000, "2 d")],
)
def test_an_age_is_written_in_its_largest_unit(seconds: int, text: str) -> None:
    assert age(now() - seconds * 1_000_000) == text

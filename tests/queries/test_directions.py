"""Which way is better: what is declared, else a callback's mode, else the name, else a guess."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.errors import BadValue
from tracker.queries import api as queries
from tracker.storage.database import reading


def record(
    name: str, scores: Any, metric: str = "score", declare: Any = None, **start: Any
) -> None:
    with tracker.start_run("e", name, **start) as run:
        if declare:
            declare(run)
        for epoch, score in enumerate(scores):
            run.log_epoch(epoch, {metric: score})


def by_callback(mode: str) -> Any:
    return lambda run: run.add_policy("EarlyStopping", monitor="q17", config={"mode": mode})


@pytest.mark.parametrize(
    ("good", "how"),
    [
        ([0.1, 0.5, 0.9], {"monitor": "q17", "mode": "max"}),
        ([0.1, 0.5, 0.9], {"declare": lambda run: run.define_metric("q17", mode="max")}),
        ([0.1, 0.5, 0.9], {"declare": by_callback("max")}),
        ([0.2, 0.1, 0.05], {"declare": by_callback("min")}),
    ],
)
def test_a_declared_mode_counts_everywhere(good: Any, how: Any, cli: Any) -> None:
    record("good", good, "q17", **how)
    record("bad", [0.1, 0.05, 0.2] if good[-1] == 0.9 else [0.1, 0.5, 0.9], "q17")
    best = max(good) if good[-1] == 0.9 else min(good)
    assert tracker.runs(order_by="q17")["name"].tolist() == ["good", "bad"]
    assert tracker.runs(order_by="q17")["q17"].tolist()[0] == best
    sign = ">" if good[-1] == 0.9 else "<"
    middle = 0.5 if good[-1] == 0.9 else 0.07
    assert tracker.runs(where=f"q17 {sign} {middle}")["name"].tolist() == ["good"]
    with reading() as reader:
        assert {row["name"]: row["best"] for row in queries.overview(reader).dicts()}[
            "good"
        ] == best
    assert (
        cli("epochs", "list", "--sort", "q17", "-n", 1, "--format", "json").output.count(str(best))
        == 1
    )
    shown = cli("runs", "compare", "good", "bad").output
    assert str(best) in shown


def save_each(run: Any, monitor: str, values: Any) -> None:
    for epoch, value in enumerate(values):
        Path(f"{epoch}.pt").write_text(str(epoch))
        run.log_checkpoint(f"{epoch}.pt", epoch=epoch, monitor=monitor, value=value)


@pytest.mark.parametrize(
    "declared",
    [
        {"monitor": "q17", "mode": "max"},
        {"declare": lambda run: run.define_metric("q17", mode="max")},
        {"declare": by_callback("max")},
    ],
    ids=["at the start", "defined", "by a callback"],
)
def test_the_best_checkpoint_is_the_best_by_the_declared_mode(declared: Any, cli: Any) -> None:
    """And so it is what pruning keeps, and what restores."""
    start = {name: value for name, value in declared.items() if name != "declare"}
    with tracker.start_run("e", "a", **start) as run:
        if "declare" in declared:
            declared["declare"](run)
        save_each(run, "q17", [0.1, 0.9, 0.5, 0.4])
    listed = cli("checkpoints", "list", "--where", "alias = 'best'", "--format", "json").stdout
    (best,) = json.loads(listed)
    assert best["epoch"] == 1
    assert cli("checkpoints", "prune", "a", "--keep", 0, "--yes").exit_code == 0
    assert [Path(f"{epoch}.pt").exists() for epoch in range(4)] == [False, True, False, True]


def test_what_a_user_declares_comes_before_a_callback(sql: Any) -> None:
    def both(run: Any) -> None:
        run.add_policy("EarlyStopping", monitor="q17", config={"mode": "min"})
        run.define_metric("q17", mode="max")
        run.add_policy("ModelCheckpoint", monitor="q17", config={"mode": "min"})

    record("a", [0.1, 0.9], "q17", declare=both)
    assert sql("SELECT mode, source FROM metric_definition") == [("max", "declared")]


def test_the_declared_monitor_is_the_headline() -> None:
    with tracker.start_run(monitor="f1", mode="max") as run:
        run.log_epoch(0, {"val_loss": 0.5, "f1": 0.2, "loss": 1.0})
        run.log_epoch(1, {"val_loss": 0.6, "f1": 0.7, "loss": 0.9})
    row = tracker.runs().iloc[0]
    assert (row["monitor"], row["best"], row["best_epoch"]) == ("f1", 0.7, 1)


@pytest.mark.parametrize(
    "name", ["dur", "learning_rate", "samples_per_second", "epoch_time", "global_step"]
)
def test_a_time_a_rate_and_a_counter_have_no_best(name: str) -> None:
    with tracker.start_run() as run:
        for epoch in range(3):
            run.log_epoch(epoch, {name: 3.0 - epoch, "zeta": float(epoch)})
    row = tracker.runs().iloc[0]
    assert row["monitor"] == "zeta" and row[name] == 1.0
    with reading() as reader:
        from tracker.queries.compare import compare

        compared = compare(reader, [row["id"]]).metrics[name][0]
    assert compared is not None
    assert (compared.best, compared.last) == (None, 1.0)


@pytest.mark.parametrize("name", ["eval_loss", "valid_loss", "val/loss", "test_loss", "loss_val"])
def test_a_validation_loss_of_any_spelling_comes_before_the_training_loss(name: str) -> None:
    with tracker.start_run() as run:
        run.log_epoch(0, {"loss": 0.1, "accuracy": 0.5, name: 0.3})
    assert tracker.runs()["monitor"].tolist() == [name]


def test_an_order_is_best_first_and_max_of_a_metric_highest_first() -> None:
    record("low", [0.1, 0.2])
    record("high", [0.3, 0.9])
    for key in ("score", "max(score)", "-min(score)", "last(score)"):
        assert tracker.runs(order_by=key)["name"].tolist()[0] == "high", key


def test_an_unknown_mode_is_refused_before_anything_is_recorded() -> None:
    with pytest.raises(BadValue, match="'min', 'max'"), tracker.start_run() as run:
        run.define_metric("x", mode="maximum")
    with pytest.raises(BadValue, match="of which metric"):
        tracker.start_run(mode="max")
    assert len(tracker.runs()) == 1

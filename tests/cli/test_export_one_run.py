"""``tracker export RUN --csv``: each name once, and nothing that nobody logged."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

import tracker


def record(fit: list[dict[str, float]]) -> None:
    with tracker.start_run(name="a") as run:
        for epoch, metrics in enumerate(fit):
            run.log_epoch(epoch, metrics)


@pytest.mark.parametrize(
    ("metrics", "header"),
    [
        ({"loss": 1, "acc": 0, "epoch": 7}, ["epoch", "acc", "metrics.epoch", "loss"]),
        ({"epoch": 7}, ["epoch", "metrics.epoch"]),
        ({"val_loss": 1, "loss": 0, "Epoch": 7}, ["epoch", "Epoch", "loss", "val_loss"]),
        ({"loss": 1}, ["epoch", "loss"]),
    ],
)
def test_names_stand_once_in_the_header_and_nobody_logged_is_not_there(
    metrics: dict[str, float], header: list[str], cli: Any
) -> None:
    record([metrics, {}])
    names, first, second = csv.reader(cli("export", "a").stdout.splitlines())
    assert names == header
    assert "7.0" in first or "epoch" not in str(metrics).lower()
    assert second == ["1", *["NA"] * (len(header) - 1)]


def test_only_a_run_that_keras_trained_has_its_empty_columns(cli: Any) -> None:
    record([{"loss": 1.0, "epoch": 3.0}])
    with tracker.start_run(name="fit") as run:
        run.capture(keras={"version": "3.15.1", "backend": "torch"}, fit={"epochs": 1})
        run.log_epoch(0, {"loss": 1.0, "epoch": 3.0})
    with tracker.start_run(name="torch") as run:
        run.capture(torch={"version": "2.13"}, fit={"keras": 1})
        run.log_epoch(0, {"loss": 1.0})
    heads = {name: cli("export", name).stdout.splitlines()[0] for name in ("a", "fit", "torch")}
    assert heads == {
        "a": "epoch,metrics.epoch,loss",
        "fit": "epoch,metrics.epoch,loss,val_epoch,val_loss",
        "torch": "epoch,loss",
    }


def test_a_terminal_gets_no_control_of_it(terminal: Any) -> None:
    with tracker.start_run("t", params={"x": "\x1b[31mred\x9b2J", "bell\x07": 1}) as run:
        run.log_epoch(0, {"loss": 1.0})
    for form in ("--csv", "--json"):
        said = terminal(200, "export", form)
        assert "red" in said
        assert not {"\x1b", "\x9b", "\x07"} & set(said)


@pytest.mark.parametrize("more", [(), ("--json",), ("--what", "runs")])
def test_a_dash_is_the_standard_output(folder: Path, cli: Any, more: tuple[str, ...]) -> None:
    record([{"loss": 1.0}])
    assert cli("export", "a", "-o", "-", *more).stdout == cli("export", "a", *more).stdout
    assert not (folder / "-").exists()
    assert cli("export", "a", "--parquet", "-o", "-").exit_code == 2


@pytest.mark.parametrize("name", ["a.xlsx", "a.csv.gz", "a.TSV", "a.jsonl"])
def test_csv_is_not_put_into_a_file_that_is_named_after_another_format(
    folder: Path, cli: Any, name: str
) -> None:
    record([{"loss": 1.0}])
    said = cli("export", "a", "-o", name)
    assert said.exit_code == 2
    assert f"-o {name}: {Path(name).suffix.lower()} files are not written" in said.stderr
    assert not (folder / name).exists()
    cli("export", "a", "--csv", "-o", name)
    assert (folder / name).read_text().startswith("epoch,loss")
    cli("export", "a", "-o", "digits-0.5")
    assert (folder / "digits-0.5").exists()

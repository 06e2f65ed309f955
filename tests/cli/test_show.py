"""``tracker runs show``: what later attempts and step metrics add."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import tracker


def test_arguments_that_a_resume_changed_are_told(cli: Any) -> None:
    for patience in (3, 5):
        with tracker.start_run("digits", "a", resume="auto") as run:
            run.add_policy("EarlyStopping", monitor="loss", config={"patience": 1})
            for place in range(2):
                config = {"patience": patience + place, "mode": ("auto", "min")[patience == 5]}
                run.add_policy("EarlyStopping", monitor="val_loss", config=config)
            run.finish("interrupted")
    said = cli("runs", "show").stdout
    assert "patience=5 (was 3), mode=min\n" in said
    assert "patience=6 (was 4)" in said
    assert "patience=1\n" in said
    found = json.loads(cli("runs", "show", "--format", "json").stdout)
    assert [one["was"] for one in found["policies"]] == [{}, {"patience": 3}, {"patience": 4}]


def test_step_metrics_show_their_last_value(cli: Any, sql: Any) -> None:
    for last in (0.5, 0.25):
        with tracker.start_run("digits", "a", resume="auto") as run:
            for step in range(9000):
                run.log({"batch_loss": last if step == 8999 else 9.0})
            run.log({"seldom": 1 / last})
            run.finish("interrupted")
    assert sql("SELECT count(*) > 2 FROM block") == [(1,)]
    rows = [line.split() for line in cli("runs", "show").stdout.splitlines()]
    assert ["batch_loss", "18000", "0.25"] in rows
    assert ["seldom", "2", "4"] in rows


def test_times_and_a_nan_in_json_are_as_in_listings(cli: Any) -> None:
    Path("a.pt").write_bytes(b"a")
    with tracker.start_run("digits", "a") as run:
        run.log_epoch(0, {"loss": float("nan")})
        run.log_checkpoint("a.pt", epoch=0)
        stopping = run.add_policy("EarlyStopping", monitor="loss", config={"patience": 1})
        stopping.decide("stopped", epoch=0, reason="loss is NaN", value=float("nan"))
        run.note_stop("loss is NaN")
    found = json.loads(cli("runs", "show", "--format", "json").stdout)
    (listed,) = json.loads(cli("runs", "list", "--format", "json").stdout)
    (saved,) = json.loads(cli("checkpoints", "list", "--format", "json").stdout)
    (decision,) = json.loads(cli("decisions", "list", "--format", "json").stdout)
    assert {name: listed[name] for name in found["run"]} == found["run"]
    assert found["checkpoints"] == [saved]
    assert found["stop"] == decision
    (attempt,) = found["attempts"]
    for name in ("started", "heartbeat", "ended"):
        assert datetime.fromisoformat(attempt[name]).tzinfo is not None


def test_checkpoints_without_a_file_are_counted_by_what_became_of_them(cli: Any) -> None:
    with tracker.start_run("digits", "a") as run:
        for epoch in range(4):
            Path("best.pt").write_bytes(bytes(epoch))
            run.log_checkpoint("best.pt", epoch=epoch, monitor="loss", value=1 - epoch / 10)
        Path("old.pt").write_bytes(b"1")
        old = run.log_checkpoint("old.pt", epoch=0)
        Path("last.pt").write_bytes(b"1")
        run.log_checkpoint("last.pt", epoch=4)
        run.prune_checkpoints([old])
    said = cli("runs", "show").stdout
    assert said.count("best.pt") == 1
    assert "… and 3 overwritten, 1 pruned: --all" in said
    assert cli("runs", "show", "--all").stdout.count("best.pt") == 4
    states = tracker.checkpoints()["state"].tolist()
    assert states == ["overwritten"] * 3 + ["available", "pruned", "available"]
    asked = ("checkpoints", "list", "--where", "state = 'overwritten'", "--format", "json")
    assert [row["epoch"] for row in json.loads(cli(*asked).stdout)] == [0, 1, 2]


def test_attempts_are_shown_where_there_are_several(cli: Any) -> None:
    shown = []
    for _ in range(2):
        with tracker.start_run("digits", "a", resume="auto") as run:
            run.finish("interrupted")
        shown.append("\nattempts\n" in cli("runs", "show").stdout)
    assert shown == [False, True]
    assert "\nattempts\n" in cli("runs", "show", "--all").stdout

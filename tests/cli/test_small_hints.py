"""What people type that means nothing here is answered with what they may have meant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracker


def record(name: str, *losses: float) -> str:
    with tracker.start_run("e", name=name) as run:
        for epoch, loss in enumerate(losses):
            run.log_epoch(epoch, {"loss": loss})
    return run.id


@pytest.mark.parametrize(
    ("where", "hint"),
    [
        ("status = 'FINISHD'", "did you mean finished?"),
        ("status != 'Faild'", "did you mean failed?"),
        ("status in ('finished', 'finshed')", "No status is 'finshed': did you mean finished"),
        (
            "status = 'done'",
            "there are running, finished, stopped_early, failed, interrupted, lost.",
        ),
        ("status = 3", "No status is 3: there are running"),
    ],
)
def test_a_status_that_no_run_has(where: str, hint: str, cli: Any) -> None:
    record("a", 1.0)
    result = cli("runs", "list", "--where", where)
    assert result.exit_code == 2 and hint in result.stderr


def test_case_does_not_matter_in_a_status(cli: Any) -> None:
    record("a", 1.0)
    assert cli("runs", "list", "--where", "status = 'FINISHED' and status != 'Failed'").stdout


def test_a_metric_and_a_tag_of_that_name_take_any_word(cli: Any) -> None:
    with tracker.start_run(name="a", tags={"status": "FINISHED"}):
        pass
    assert "a" in cli("runs", "list", "--where", "tags.status = 'FINISHED'").stdout
    assert "a" in cli("runs", "list", "--where", "status = 'finished'").stdout


def test_a_name_that_other_runs_have(cli: Any) -> None:
    for name in ("pk", "never", "once"):
        record(name, 1.0)
    renamed = cli("runs", "rename", "pk", "never")
    assert renamed.exit_code == 0 and "1 other run had the name never already" in renamed.stderr
    assert cli("runs", "rename", "once", "twice").stderr == ""


def test_what_was_wasted_by_runs_of_one_name(cli: Any) -> None:
    ids = [record("same", 1.0, 2.0, 3.0), record("same", 1.0, 2.0)]
    shown = cli("decisions", "waste").stdout
    assert all(f"same@{one[:4]}" in shown for one in ids)


@pytest.mark.parametrize("step", [True, False, np.bool_(True)])
@pytest.mark.parametrize("recording", [True, False])
def test_a_flag_is_not_a_step(step: Any, recording: bool) -> None:
    with (
        tracker.start_run(recording=recording) as run,
        pytest.raises(tracker.BadValue, match="must be an integer"),
    ):
        run.log({"x": 1.0}, step=step)


def test_a_bare_name_that_a_metric_and_a_param_have_means_the_metric_and_says_so(
    cli: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with tracker.start_run("e", name="given", params={"rate_of_both": 0.1}):
        pass
    with tracker.start_run("e", name="logged") as run:
        run.log_epoch(0, {"rate_of_both": 0.5})
    said = "rate_of_both means the metric of that name; write params.rate_of_both for the param."
    result = cli("runs", "list", "--where", "rate_of_both = 0.1")
    assert "matches the filter" in result.stderr
    assert [message for message in caplog.messages if said in message]
    caplog.clear()
    result = cli("runs", "list", "--where", "params.rate_of_both = 0.1")
    assert "given" in result.stdout and not caplog.messages


def test_a_column_that_is_asked_for_is_there_also_where_no_run_has_a_value(cli: Any) -> None:
    with tracker.start_run("e", name="a", params={"lr": 0.1}) as run:
        run.log_epoch(0, {"loss": 1.0})
    record("b", 1.0)
    listed = cli("runs", "list", "--columns", "name,lr", "--where", "name = 'b'").stdout
    assert [line.split() for line in listed.splitlines()] == [["name", "lr"], ["b", "-"]]
    groups = cli("runs", "list", "--group-by", "lr", "--where", "name = 'b'").stdout.splitlines()
    assert groups[0].split()[0] == "lr" and groups[1].split()[0] == "-"

"""What a resume changes is said, and what an attempt had is kept."""

from __future__ import annotations

from typing import Any

import pytest

import tracker


def attempt(caplog: Any, logged: Any = None, captured: Any = None, **start: Any) -> str:
    """Record an epoch with these params, fail, and return what was logged."""
    caplog.clear()
    with pytest.raises(ZeroDivisionError), tracker.start_run("s", resume="auto", **start) as run:
        if logged is not None:
            run.log_params(logged)
        if captured:
            run.capture(**captured)
        run.log_epoch(run.first_epoch, {"loss": 1.0})
        raise ZeroDivisionError
    return str(caplog.text)


def test_a_changed_param_is_said_and_the_earlier_one_kept_with_its_attempt(
    caplog: Any, sql: Any
) -> None:
    assert attempt(caplog, {"lr": 10.0, "depth": 3}) == ""
    said = attempt(caplog, {"lr": 0.1, "depth": 3, "new": 1})
    assert "run s-1 resumes with params.lr=0.1 (it had 10.0)" in said and "depth" not in said
    assert "new" not in said
    assert attempt(caplog, {"lr": 0.1}) == ""
    assert "params.lr='auto' (it had 0.1)" in attempt(caplog, {"lr": "auto"})
    assert sql("SELECT name, text FROM param ORDER BY name") == [
        ("depth", "3"), ("lr", "auto"), ("new", "1"),
    ]  # fmt: skip
    assert sql("SELECT attempt, name, kind, text FROM former_param ORDER BY attempt, name") == [
        (1, "lr", "float", "10.0"), (1, "new", "absent", ""), (3, "lr", "float", "0.1"),
    ]  # fmt: skip


def test_a_new_param_that_changes_twice_was_absent_before(caplog: Any, sql: Any) -> None:
    attempt(caplog, {"lr": 1.0})
    with tracker.start_run("s", resume="auto") as run:
        for depth in (3, 4, 5):
            run.log_params({"depth": depth})
    assert sql("SELECT attempt, name, kind, text FROM former_param") == [(1, "depth", "absent", "")]


def test_an_object_that_is_elsewhere_in_memory_has_not_changed(caplog: Any) -> None:
    def given() -> dict[str, Any]:
        return {"act": lambda x: x, "obj": object(), "layers": {"b", "a"}, "relu": abs}

    attempt(caplog, given())
    kept = [given() for _ in range(3)]
    assert attempt(caplog, kept[-1]) == ""


def test_params_given_at_the_start_are_compared_too(caplog: Any) -> None:
    attempt(caplog, None, params={"opt": {"lr": 1.0, "betas": [0.9, 0.99]}, "clip": float("nan")})
    said = attempt(
        caplog, None, params={"opt": {"lr": 1.0, "betas": [0.9, 0.999]}, "clip": float("nan")}
    )
    assert "params.opt.betas=[0.9, 0.999] (it had [0.9, 0.99])" in said
    assert "opt.lr" not in said and "clip" not in said


def test_captured_facts_that_matter_are_compared_and_others_not(caplog: Any) -> None:
    attempt(caplog, None, {"fit": {"batch_size": 16}, "loop": {"kind": "x"}, "device": "cpu"})
    said = attempt(
        caplog, None, {"fit": {"batch_size": 64}, "loop": {"kind": "x"}, "device": "gpu"}
    )
    assert "fit.batch_size=64 (it had 16)" in said and "device" not in said and "loop" not in said


def test_a_run_of_its_own_says_nothing(caplog: Any) -> None:
    for lr in (1, 2):
        with tracker.start_run("s", params={"lr": lr}) as run:
            run.log_params({"lr": lr + 1})
    assert caplog.text == ""

"""``tracker runs compare`` on a terminal that is too narrow."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import tracker


@pytest.mark.parametrize("wide", [60, 120])
def test_runs_that_do_not_fit_side_by_side_stand_below_each_other(
    terminal: Callable[..., str], wide: int
) -> None:
    names = [f"learning_rate_sweep_{place}" for place in range(5)]
    for place, name in enumerate(names):
        with tracker.start_run("digits", name, {"lr": 0.1 + place}) as run:
            run.log_epoch(0, {"val_loss": 0.123456 + place})
            run.capture(fit={"batch_size": 16 * place})
    said = terminal(wide, "runs", "compare", *names, NO_COLOR="1")
    assert max(map(len, said.splitlines())) <= wide
    tables = said.split("\n\n")
    for table in tables:
        head, *rows = table.splitlines()
        assert head.split()[0] == ("val_loss" if "best" in head else "run")
        assert [row.split()[0] for row in rows] == names
    assert {"params.lr", "captured.fit.batch_size"} <= {
        word for table in tables for word in table.splitlines()[0].split()
    }
    for place in range(5):
        assert f"{0.123456 + place:.6g} @ 0" in said


def test_where_they_fit_a_run_is_a_column(terminal: Callable[..., str]) -> None:
    for name in "ab":
        tracker.start_run("digits", name).finish()
    assert terminal(60, "runs", "compare", "a", "b", NO_COLOR="1").split()[:3] == [
        "field",
        "a",
        "b",
    ]

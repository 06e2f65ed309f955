"""``tracker plot``: on a terminal, in a pipe, and as a picture."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.cli.plot import smoothed
from tracker.queries.lines import lines
from tracker.storage.database import reading


@pytest.fixture(autouse=True)
def runs(folder: Path) -> None:
    """Record a, which stops early and saves a file, and b, which diverges; both log steps as well."""
    for name, losses in {"a": (0.4, 0.2, 0.3), "b": (0.5, math.nan, 0.1)}.items():
        with tracker.start_run("digits", name, monitor="val_loss") as run:
            stopping = run.add_policy("EarlyStopping", monitor="val_loss", config={"patience": 1})
            for epoch, loss in enumerate(losses):
                for step in range(10):
                    run.log({"batch_loss": loss + step}, step=10 * epoch + step)
                run.log_epoch(epoch, {"val_loss": loss}, seconds=2.0)
            if name == "a":
                stopping.decide("stopped", epoch=2, reason="r")
                stopping.decide("restored", epoch=2, reason="r", best_epoch=1)
                (folder / "a.pt").write_bytes(b"1")
                run.log_checkpoint("a.pt", epoch=1, monitor="val_loss", value=0.2)


def test_lines_have_decisions_and_checkpoints_where_they_happened(cli: Any) -> None:
    with reading() as reader:
        ids = [tracker.runs(f"name = '{name}'")["id"][0] for name in "ab"]
        found = lines(reader, ids, "val_loss")
        a, b = found.lines
        assert (found.over, a.run, a.x, a.y) == ("epoch", "a", [0, 1, 2], [0.4, 0.2, 0.3])
        assert {(mark.what, mark.x) for mark in a.marks} == {
            ("stopped", 2), ("restored", 1), ("saved", 1),
        }  # fmt: skip
        assert b.marks == []
        assert math.isnan(b.y[1])
        steps = lines(reader, ids, "batch_loss")
        assert (steps.over, len(steps.lines[0].x), steps.lines[0].x[-1]) == ("step", 30, 29)
        seconds = lines(reader, ids, "val_loss", "time").lines[0].x
        assert seconds == sorted(seconds)


def test_a_pipe_gets_a_chart_without_colours(cli: Any) -> None:
    pytest.importorskip("plotext")
    said = cli("plot", "a", "b").stdout
    assert "val_loss" in said
    assert "epoch" in said
    assert "\x1b" not in said
    # There is no epoch 0.5.
    assert said.splitlines()[-2].split() == ["0", "1", "2"]
    charts = cli("plot", "a", "--metric", "val_loss", "--metric", "batch_loss", "--log").stdout
    assert "batch_loss" in charts
    assert "step" in charts


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_picture_is_written(cli: Any, folder: Path, ending: str) -> None:
    pytest.importorskip("matplotlib")
    result = cli("plot", "a", "b", "--smooth", "0.5", "-o", f"curves.{ending}")
    assert result.stderr == f"Written: curves.{ending}\n"
    picture = (folder / f"curves.{ending}").read_bytes()
    assert picture.startswith(b"\x89PNG" if ending == "png" else b"<?xml")


def test_the_picture_names_runs_metric_and_marks(cli: Any, folder: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    # Letters as text, not as outlines.
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        cli("plot", "a", "b", "-o", "curves.svg")
    text = (folder / "curves.svg").read_text()
    for word in ("val_loss", "epoch", ">a<", ">b<", "checkpoint", "stopped"):
        assert word in text, word


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["a", "--metric", "val_los"], 2, "did you mean val_loss?"),
        (["a", "--metric", "batch_loss", "--x", "epoch"], 2, "draw it over step or time"),
        (["a", "--x", "step"], 2, "No step was counted"),
        (["a", "-o", "curves.nothing"], 1, "cannot be written"),
        (["a", "--smooth", "1"], 2, "--smooth"),
    ],
)
def test_what_cannot_be_drawn_is_refused(cli: Any, words: list[str], code: int, said: str) -> None:
    pytest.importorskip("matplotlib")
    result = cli("plot", *words)
    assert (result.exit_code, said in result.stderr) == (code, True), result.stderr


def test_without_plotext_the_error_says_what_to_install(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotext", None)
    result = cli("plot", "a")
    assert result.exit_code == 1
    assert "pip install 'local-tracker[plot]'" in result.stderr


def test_smoothing_begins_at_the_first_value_and_keeps_a_nan() -> None:
    assert smoothed([1.0, 1.0, 1.0], 0.9) == pytest.approx([1.0, 1.0, 1.0])
    first, odd, last = smoothed([2.0, math.nan, 4.0], 0.5)
    assert (first, math.isnan(odd)) == (2.0, True)
    assert last == pytest.approx((0.5 * 1.0 + 0.5 * 4.0) / 0.75)

"""``tracker plot``: on a terminal, in a pipe, and as a picture."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.cli.measure import cells_wide
from tracker.exports.picture import in_time_units, x_label
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
            ("best", 1), ("stopped", 2), ("restored", 1), ("saved", 1),
        }  # fmt: skip
        assert [(mark.what, mark.x, mark.value) for mark in b.marks] == [("best", 2, 0.1)]
        assert math.isnan(b.y[1])
        steps = lines(reader, ids, "batch_loss")
        assert (steps.over, len(steps.lines[0].x), steps.lines[0].x[-1]) == ("step", 30, 29)
        seconds = lines(reader, ids, "val_loss", "time").lines[0].x
        assert seconds == sorted(seconds)


def test_a_pipe_gets_a_chart_without_colours(cli: Any) -> None:
    said = cli("plot", "a", "b").stdout
    title, *_, numbers, a, b, key = said.splitlines()
    assert title == "val_loss by epoch"
    assert "\x1b" not in said
    # There is no epoch 0.5.
    assert numbers.split() == ["0", "1", "2"]
    assert a == "• a  best 0.2 @ 1  last 0.3"
    assert b == "+ b  best 0.1 @ 2  last 0.1  1 value not finite"
    assert key == "* best  R weights restored  X stopped"
    charts = cli("plot", "a", "--metric", "val_loss", "--metric", "batch_loss", "--log").stdout
    assert "\nbatch_loss by step\n" in charts
    assert "o checkpoint" in charts


def test_a_narrow_terminal_gets_no_wider_line(terminal: Any) -> None:
    for wide in (40, 100):
        lines = terminal(wide, "plot", "a", "b", NO_COLOR="1").splitlines()
        assert max(map(cells_wide, lines)) <= wide
    assert "\x1b[36m" in terminal(100, "plot", "a", "b")


def test_time_is_in_the_unit_that_it_takes() -> None:
    with tracker.start_run("digits", "long") as run:
        for epoch in range(3):
            run.log_epoch(epoch, {"loss": 1.0}, seconds=3600.0 * (epoch + 1))
    with reading() as reader:
        chart = in_time_units(lines(reader, [run.id], "loss", "time"))
    assert chart.lines[0].x == pytest.approx([1, 2, 3], abs=0.1)
    assert x_label(chart) == "time since the start of the run, h"


@pytest.mark.parametrize(
    ("ending", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("html", b"<!doctype html>")]
)
def test_a_picture_is_written(cli: Any, folder: Path, ending: str, begin: bytes) -> None:
    pytest.importorskip("matplotlib")
    result = cli("plot", "a", "b", "--smooth", "0.5", "-o", f"curves.{ending}")
    assert result.stderr == f"Written: curves.{ending}\n"
    picture = (folder / f"curves.{ending}").read_bytes()
    assert picture.startswith(begin)


def test_the_picture_names_runs_metric_and_marks(cli: Any, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    cli("plot", "a", "b", "-o", "curves.svg")
    text = (folder / "curves.svg").read_text()
    marks = ("checkpoint", "stopped", "weights restored from here", ">best<", "NaN or infinite")
    for word in ("val_loss", "epoch", ">a  (best 0.2)<", ">b  (best 0.1)<", *marks):
        assert word in text, word


def test_the_same_chart_is_the_same_file(cli: Any, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("one.svg", "other.svg"):
        cli("plot", "a", "-o", name)
    assert (folder / "one.svg").read_bytes() == (folder / "other.svg").read_bytes()


def test_names_are_shown_letter_by_letter(cli: Any, folder: Path) -> None:
    """Matplotlib takes dollars for formulas, and hides what begins with an underscore."""
    pytest.importorskip("matplotlib")
    for name in ("_hidden", "$x_1$ & <b>", "模型"):
        with tracker.start_run("digits", name) as run:
            run.log_epoch(0, {"$m$": 0.5})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = cli("plot", "_hidden", "$x_1$ & <b>", "模型", "-o", "odd.html")
    assert result.stderr == "Written: odd.html\n"
    text = (folder / "odd.html").read_text(encoding="utf-8")
    for name in ("_hidden", "$x_1$ &amp; &lt;b&gt;", "模型", "$m$"):
        assert name in text[: text.index("<table>")], name
        assert name in text[text.index("<table>") :], name


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


def test_a_logarithmic_axis_shows_nothing_of_a_line_below_zero(cli: Any, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    with tracker.start_run("digits", "low") as run:
        for epoch in range(3):
            run.log_epoch(epoch, {"reward": -1.0})
    assert cli("plot", "low", "--log").exit_code == 0
    assert cli("plot", "low", "--log", "-o", "low.svg").exit_code == 0


def test_show_has_the_curve_on_a_terminal_only(cli: Any, terminal: Any) -> None:
    said = terminal(80, "runs", "show", "a", NO_COLOR="1")
    assert "\nval_loss by epoch\n" in said
    assert "* best  R weights restored  X stopped  o checkpoint\n" in said
    assert said.index("Stopped early" if "Stopped early" in said else "Finished") < said.index("*")
    assert "val_loss by epoch" not in cli("runs", "show", "a").stdout


def test_a_picture_is_written_to_the_file_that_is_named(cli: Any, folder: Path) -> None:
    result = cli("plot", "a", "-o", "curves")
    assert (result.exit_code, result.stderr) == (0, "Written: curves\n")
    assert (folder / "curves").read_bytes().startswith(b"\x89PNG")
    assert not (folder / "curves.png").exists()
    result = cli("plot", "a", "-o", "curves.bmp")
    assert result.exit_code == 1 and not (folder / "curves.bmp").exists()

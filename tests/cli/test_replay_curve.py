"""``tracker decisions replay --curve``: what each patience saves and costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracker


def test_the_curve_is_drawn_on_a_terminal_and_into_a_file(
    cli: Any, terminal: Any, folder: Path
) -> None:
    pytest.importorskip("matplotlib")
    with tracker.start_run("digits", "a", monitor="loss") as run:
        losses = (0.9, 0.5, 0.6, 0.31, 0.6, 0.7, 0.305, 0.6, 0.7, 0.8, 0.3, 0.3)
        for epoch, loss in enumerate(losses):
            run.log_epoch(epoch, {"loss": loss}, seconds=1.0)
    words = ("decisions", "replay", "--monitor", "loss", "--curve")
    assert cli(*words, "--png", "curve.png").stderr == "Written: curve.png\n"
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    said = terminal(80, *words, NO_COLOR="1")
    assert "loss given up, mean of the runs, by epochs saved, % of all" in said
    assert "K knee: patience 2" in said


def test_a_curve_of_no_runs_says_so(cli: Any) -> None:
    with tracker.start_run("e", name="without-epochs"):
        pass
    result = cli("decisions", "replay", "--curve")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No runs with epochs.\n")

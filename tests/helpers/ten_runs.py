"""What ten runs of a script leave behind: the best of the ten can be restored, and two files take room."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tracker

LOSSES = (0.5, 0.3, 0.6, 0.2, 0.7, 0.25, 0.9, 0.4, 0.8, 0.6)
"""Of the last epoch of each run; the best one is neither the first nor the last."""


def check_ten_runs(run: Callable[[float], None], path: Path, cli: Callable[..., Any]) -> None:
    """Run ten times what saves its best epoch as ``path``, and look.

    Args:
        run: one run of the script in the experiment "ten", whose best val_loss is the one that it is given.
        path: what each of them saves.
        cli: calls the command line.
    """
    saved = []
    for loss in LOSSES:
        run(loss)
        saved.append(path.read_bytes())
    best = LOSSES.index(min(LOSSES))
    assert path.read_bytes() == saved[-1]
    found = tracker.best("ten")
    assert (found.best.best, found.among, found.has_its_file) == (min(LOSSES), 10, True)
    back = path.with_name(f"back-{path.name}")
    told = cli("checkpoints", "restore", found.run["id"], "best", "-o", back)
    assert told.exit_code == 0, told.output
    assert back.read_bytes() == saved[best]
    kept = set(Path(".tracker/checkpoints").iterdir())
    assert bytes_on_disk({path, *kept}) <= 2 * max(map(len, saved))
    (status,) = json.loads(cli("db", "status", "--format", "json").stdout)
    assert (status["kept_files"], status["kept_size"]) == (1, len(saved[best]))
    assert cli("checkpoints", "verify").exit_code == 0


def bytes_on_disk(files: set[Path]) -> int:
    """Return how many bytes files have, one with several names once."""
    return sum(
        {(file.stat().st_dev, file.stat().st_ino): file.stat().st_size for file in files}.values()
    )

"""What starting costs: ``import tracker``, and ``tracker runs list`` on a database of 1 000 runs.

Whole processes in pairs, one after the other, so that the ratio holds when the machine's speed drifts.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import page

ROUNDS = 15
RUNS = 1000


def seconds(command: list[str], folder: Path) -> float:
    """Return the wall time of one process."""
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def pair(
    ours: list[str], theirs: list[str], folder: Path, rounds: int = ROUNDS
) -> tuple[float, float, float]:
    """Return the median seconds of both, and the median ratio, after one warm-up."""
    times = [(seconds(ours, folder), seconds(theirs, folder)) for _ in range(rounds + 1)][1:]
    ratio = statistics.median(a / b for a, b in times)
    return statistics.median(a for a, _ in times), statistics.median(b for _, b in times), ratio


def fill(folder: Path, runs: int = RUNS) -> None:
    """Record runs of five epochs, with parameters and two metrics each."""
    import random

    import tracker

    draw = random.Random(7)
    for _ in range(runs):
        params = {"lr": draw.choice([1e-2, 1e-3, 1e-4]), "width": draw.choice([32, 64, 128])}
        with tracker.start_run(
            "sweep", params=params, database=folder / ".tracker" / "tracker.db"
        ) as run:
            for epoch in range(5):
                run.log_epoch(
                    epoch, {"loss": draw.random() / (epoch + 1), "val_loss": draw.random()}
                )


def measure(rounds: int = ROUNDS, runs: int = RUNS) -> list[tuple[str, str, str, str]]:
    """Return the table's rows: what, its median, the other's median, and the ratio or difference."""
    python, command = sys.executable, str(Path(sys.executable).with_name("tracker"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare = pair([python, "-c", "import tracker"], [python, "-c", "pass"], folder, rounds)
        fill(folder, runs)
        listing = pair([command, "runs", "list"], [python, "-c", "import sqlmodel"], folder, rounds)
    return [
        (
            "import tracker, over a bare interpreter",
            _ms(bare[0]),
            _ms(bare[1]),
            f"+{_ms(bare[0] - bare[1])}",
        ),
        (
            f"tracker runs list, {runs} runs, over import sqlmodel",
            _ms(listing[0]),
            _ms(listing[1]),
            f"{listing[2]:.2f} ×",
        ),
    ]


def _ms(value: float) -> str:
    return f"{value * 1e3:.0f} ms"


def main() -> None:
    """Print the table and write it into docs/benchmarks.md."""
    rows = measure()
    head = ("Whole processes, median of pairs", "this", "compared with", "difference or ratio")
    text = f"## Start-up\n\n{page.machine()}.\n\n{page.table(head, rows)}"
    print(text)
    page.write("startup", text)


if __name__ == "__main__":
    main()

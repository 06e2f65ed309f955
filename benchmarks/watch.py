"""What ``tracker runs watch`` costs while a run logs, of one core.

One process records a run of a million step points, and goes on logging; another watches it. The first seconds, in
which it starts, do not count.

    python -m benchmarks.watch [--points 1000000] [--seconds 30] [--quick]
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks import page

STARTING = 5.0
RATE = 1000

RECORDER = """
import sys, time, tracker
points, seconds, rate = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
with tracker.start_run("watched", "long", {"epochs": 1000}, monitor="val_loss", database=sys.argv[4]) as run:
    stopping = run.add_policy("EarlyStopping", monitor="val_loss", config={"patience": 50, "mode": "min"})
    for step in range(points):
        run.log({"loss": 1 / (step + 1)}, step=step)
    for epoch in range(100):
        run.log_epoch(epoch, {"loss": 1.0, "val_loss": 1 / (epoch + 1)}, seconds=1.0)
        stopping.decide("improved", epoch=epoch, reason="r", value=1.0, best=1.0, best_epoch=epoch, wait=0)
    print("ready", flush=True)
    started = time.monotonic()
    for number in range(int(seconds * rate)):
        run.log({"loss": 1 / (number + 1)}, step=points + number)
        time.sleep(max(0.0, started + number / rate - time.monotonic()))
        if number % rate == 0:
            run.log_epoch(100 + number // rate, {"loss": 1.0, "val_loss": 1.0}, seconds=1.0)
"""


def watched(database: Path, seconds: float, *, on_terminal: bool) -> float:
    """Watch for so many seconds after the start; returns the share of a core that it took then."""
    command = str(Path(sys.executable).with_name("tracker"))
    words = [command, "runs", "watch", "--database", str(database)]
    ours, theirs = os.openpty() if on_terminal else os.pipe()
    child = psutil.Popen(words, stdout=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    os.set_blocking(ours, False)
    _drain(ours, STARTING)
    began, before = time.monotonic(), child.cpu_times()
    _drain(ours, seconds)
    took, after = time.monotonic() - began, child.cpu_times()
    child.send_signal(signal.SIGINT)
    while child.poll() is None:
        _drain(ours, 0.05)
    os.close(ours)
    return float(after.user + after.system - before.user - before.system) / took


def _drain(pipe: int, seconds: float) -> None:
    """Read what comes, so that the watcher never waits."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(min(0.2, seconds))
        with suppress(OSError):
            while os.read(pipe, 65536):
                pass


def measure(points: int, seconds: float, *, on_terminal: bool) -> float:
    """Return the share of a core that watching takes."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "tracker.db")
        lasting = 2 * STARTING + seconds
        words = [
            sys.executable,
            "-c",
            RECORDER,
            str(points),
            str(lasting),
            str(RATE),
            str(database),
        ]
        recorder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert recorder.stdout is not None
        assert recorder.stdout.readline() == "ready\n"
        try:
            return watched(database, seconds, on_terminal=on_terminal)
        finally:
            recorder.kill()
            recorder.wait()


def main() -> None:
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--quick", action="store_true", help="prints only")
    chosen = parser.parse_args()
    rows = []
    for where, on_terminal in (("a terminal", True), ("a pipe", False)):
        share = measure(chosen.points, chosen.seconds, on_terminal=on_terminal)
        rows.append([f"tracker runs watch, in {where}", f"{share:.2%}"])
        print(*rows[-1], flush=True)
    text = (
        f"## Watching a run\n\n{page.machine()}. A run of {chosen.points:,} step points and 100 epochs that logs "
        f"{RATE:,} more steps and one epoch a second, looked at every second: processor time of the watcher "
        f"per second.\n\n"
        f"{page.table(['', 'of a core'], rows)}"
    )
    if not chosen.quick:
        page.write("watch", text)


if __name__ == "__main__":
    main()

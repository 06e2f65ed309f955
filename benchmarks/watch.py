"""What ``tracker runs watch`` costs while a run logs, of one core.

One process records a run of a million step points, and goes on logging; another watches it, once for some seconds and
once for longer. What the longer one took more of the processor, by the seconds that it took longer, is the cost of
watching; that of starting is in both.

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
from pathlib import Path

from benchmarks import page

SHORT = 5.0
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
    """Watch for so many seconds; returns the processor seconds that it took."""
    command = str(Path(sys.executable).with_name("tracker"))
    words = [command, "runs", "watch", "--database", str(database)]
    ours, theirs = os.openpty() if on_terminal else os.pipe()
    child = subprocess.Popen(words, stdout=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    os.set_blocking(ours, False)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.2)
        _drain(ours)
    child.send_signal(signal.SIGINT)
    while True:
        _drain(ours)
        done, status, used = os.wait4(child.pid, os.WNOHANG)
        if done:
            child.returncode = os.waitstatus_to_exitcode(status)
            os.close(ours)
            return used.ru_utime + used.ru_stime
        time.sleep(0.05)


def _drain(pipe: int) -> None:
    try:
        while os.read(pipe, 65536):
            pass
    except (BlockingIOError, OSError):
        return


def measure(points: int, seconds: float, *, on_terminal: bool) -> float:
    """Return the share of a core that watching takes."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "tracker.db")
        lasting = 3 * SHORT + 2 * seconds
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
            short = watched(database, SHORT, on_terminal=on_terminal)
            long = watched(database, SHORT + seconds, on_terminal=on_terminal)
        finally:
            recorder.kill()
            recorder.wait()
    return (long - short) / seconds


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

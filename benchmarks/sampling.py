"""What measuring the machine costs a training run: the same fit with and without it, in pairs.

A PyTorch loop and a Keras ``fit`` on digits, recorded both times; only ``TRACKER_SYSTEM`` differs. The two of a pair
take turns in who is first, so that a drift of the machine's speed is in no median. A fit lasts some seconds, and is
measured more often than by default. Two fits differ by some percent even where nothing else runs: what the thread of
the writer needs, which measures and records, is counted by the kernel, and much more exact.

    python -m benchmarks.sampling [--pairs 200] [--seconds 8] [--every 5] [--only torch] [--quick]

200 pairs of both take about two hours.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import page
from tracker.recording.system_metrics import EVERY_SECONDS

BATCH = 64
RESAMPLED = 2000
SWITCH = "TRACKER_SYSTEM"

Fit = Callable[[int], float]
"""Trains for so many epochs, recorded; returns the processor seconds of the writer's thread."""


class Cost(NamedTuple):
    """What one fit took, in seconds: in all, of the processor, and of that for the writer's thread."""

    wall: float
    processor: float
    writer: float


def writer_seconds() -> float:
    """Return the processor seconds of the newest writer's thread so far; Linux counts them in ns."""
    newest = [thread for thread in threading.enumerate() if thread.name == "tracker-writer"][-1]
    counts = Path(f"/proc/self/task/{newest.native_id}/schedstat").read_text()
    return int(counts.split()[0]) / 1e9


def torch_fit() -> Fit:
    """Return a PyTorch loop on one model, which logs in every batch."""
    import torch

    from benchmarks.torch_loop import Loop, convolutional, data
    from tracker_torch import Training

    torch.set_num_threads(1)
    loop = Loop(convolutional, data())

    def fit(epochs: int) -> float:
        with Training(
            loop.model, loop.optimizer, epochs, experiment="sampling", progress=False
        ) as training:
            for _ in training.epochs():
                for x, y in training.batches(loop.batches):
                    training.log(loss=loop.step(x, y))
            return writer_seconds()

    return fit


def keras_fit() -> Fit:
    """Return Keras' ``fit`` on one model."""
    import keras
    from sklearn.datasets import load_digits

    from benchmarks.keras_epoch import build
    from tracker_keras import TrackerCallback

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32").reshape(-1, 8, 8, 1)
    model = build()

    def fit(epochs: int) -> float:
        recorder, spent = TrackerCallback("sampling", verbose=0), []
        last = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: spent.append(writer_seconds())
        )
        model.fit(x, y, BATCH, epochs, verbose=0, shuffle=False, callbacks=[recorder, last])
        return spent[-1]

    return fit


FITS: dict[str, Callable[[], Fit]] = {"torch": torch_fit, "keras": keras_fit}


def timed(fit: Fit, epochs: int, setting: str) -> Cost:
    """Train once; ``setting`` is the value of the switch."""
    os.environ[SWITCH] = setting
    wall, processor = time.perf_counter(), time.process_time()
    writer = fit(epochs)
    return Cost(time.perf_counter() - wall, time.process_time() - processor, writer)


def epochs_in(fit: Fit, seconds: float) -> int:
    """Return how many epochs take so long; the first fit, which compiles, does not count."""
    fit(1)
    tried = 2
    while True:
        took = timed(fit, tried, "off").wall
        if took >= seconds / 4:
            return max(1, round(tried * seconds / took))
        tried *= 2


def pairs(fit: Fit, epochs: int, number: int, every: float) -> list[tuple[Cost, Cost]]:
    """Return what each pair took, with and without being measured."""
    found = []
    for pair in range(number):
        settings = [f"{every:g}", "off"]
        first, second = settings if pair % 2 else settings[::-1]
        took = {setting: timed(fit, epochs, setting) for setting in (first, second)}
        found.append((took[settings[0]], took["off"]))
        _report(found, pair + 1 == number)
    return found


def _report(found: Sequence[tuple[Cost, Cost]], is_last: bool) -> None:
    if is_last or len(found) % 10 == 0:
        middle, low, high = median_ratio([on.processor / off.processor for on, off in found])
        print(f"  {len(found)} pairs: {middle:+.2%} ({low:+.2%} … {high:+.2%})", flush=True)


def median_ratio(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Return the median of ratios less one, and the ends of its 95 % interval by the bootstrap."""
    draw = random.Random(0)
    medians = sorted(
        statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(RESAMPLED)
    )
    ends = medians[round(0.025 * RESAMPLED)], medians[round(0.975 * RESAMPLED) - 1]
    return statistics.median(ratios) - 1, ends[0] - 1, ends[1] - 1


def _shown(ratios: Sequence[float], share: float = 1.0) -> str:
    middle, low, high = (share * found for found in median_ratio(ratios))
    return f"{middle:+.2%} ({low:+.2%} … {high:+.2%})"


def measure(name: str, chosen: Any) -> list[list[str]]:
    """Return the rows of the table: as measured, and what that makes by default, as each sample costs the same."""
    fit = FITS[name]()
    epochs = epochs_in(fit, chosen.seconds)
    print(f"{name}: {epochs} epochs a fit", flush=True)
    found = pairs(fit, epochs, chosen.pairs, chosen.every)
    off = statistics.median(cost.wall for _, cost in found)
    columns = [
        [on.processor / without.processor for on, without in found],
        [on.wall / without.wall for on, without in found],
        [1 + (on.writer - without.writer) / without.processor for on, without in found],
    ]
    share = chosen.every / EVERY_SECONDS
    return [
        [name, f"{len(found)}", f"{off:.1f} s", *map(_shown, columns)],
        ["by default, so", "", "", *(_shown(column, share) for column in columns)],
    ]


def main() -> None:
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=8.0, help="how long a fit lasts")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between measurements")
    parser.add_argument("--only", choices=sorted(FITS), help="one of the two")
    parser.add_argument("--quick", action="store_true", help="prints only")
    chosen = parser.parse_args()
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        chosen_fits = [name for name in FITS if chosen.only in (None, name)]
        rows = [row for name in chosen_fits for row in measure(name, chosen)]
        os.chdir(before)
    head = ["", "pairs", "a fit", "processor time", "wall time", "writer's thread"]
    text = (
        f"## Measuring the machine\n\n{page.machine()}. A fit that is measured every {chosen.every:g} seconds "
        f"(by default it is every {EVERY_SECONDS:g}) against the same fit that is not; both are recorded. "
        f"Medians of the ratios of pairs, with their 95 % intervals. "
        f"The writer's thread: what it needs more, of the fit's processor time.\n\n"
        f"{page.table(head, rows)}"
    )
    print(text)
    if not chosen.quick:
        page.write("sampling", text)


if __name__ == "__main__":
    main()

"""What the stream benchmark says of this project alone: real curves, many runs, a training loop."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks import curves, page

T = TypeVar("T")
Spent = tuple[float, float]
RUNS, POINTS = 100, 10_000
ROUNDS, STEPS = 200, 250
KERAS_ROUNDS, KERAS_STEPS = 200, 400


def sections(*, quick: bool) -> str:
    """Return the Markdown of all four."""
    return "\n".join(
        [real_curves(), many_runs(), many_names(quick=quick), training_loops(quick=quick)]
    )


def real_curves() -> str:
    """Bytes a point of each curve of a real training: values of one block, and the shared clock."""
    from tracker.series.codec import encode_clock, encode_values

    found = curves.real()
    times = found.pop("time")
    clock = len(encode_clock(np.arange(len(times)), times)) / len(times)
    sizes = {name: len(encode_values(values)) / len(times) for name, values in found.items()}
    smooth = np.convolve(found["loss"], np.ones(500) / 500, "valid").astype(np.float32)
    sizes["loss, mean of 500 steps"] = len(encode_values(smooth.astype(float))) / len(smooth)
    mean = sum(list(sizes.values())[:4]) / 4 + clock / 4
    rows = [[name, f"{size:.2f}"] for name, size in sizes.items()]
    rows.append(["steps and wall times, once a call", f"{clock:.2f}"])
    rows.append(["**a point, all four and their clock**", f"**{mean:.2f}**"])
    return (
        "\n### Bytes a point in a real training\n\n"
        f"A small network on digits, batches of 32, {len(times)} steps; values come back bit for bit. "
        "A single-precision value that is all noise cannot take less than about 3 bytes.\n\n"
        + page.table(["", "bytes"], rows)
    )


def many_runs() -> str:
    """Time reading one metric of a hundred runs."""
    import tracker

    calls = curves.calls(4)
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "tracker.db"
        for _ in range(RUNS):
            with tracker.start_run("many", database=database) as run:
                for step in range(POINTS):
                    run.log(calls[step], step)
        took = [_seconds(lambda: tracker.metrics(names="loss", database=database)) for _ in "12345"]
    return (
        "\n### One metric of a hundred runs\n\n"
        f'{RUNS} runs of {POINTS:,} steps and four metrics; `tracker.metrics(names="loss")`: '
        f"{min(took):.3f} s at best, {statistics.median(took):.3f} s as a rule.\n"
    )


NAMES = 10_000
"""Of the calls that have ever other names."""


def many_names(*, quick: bool) -> str:
    """Record thousands of names of which each call has a few, and read them back."""
    calls = 300_000 if quick else 3_000_000
    rows = [_of_many_names(width, calls // width) for width in (1, 100)]
    head = [
        "names a call",
        "points",
        "dropped",
        "points/s until durable",
        "bytes/point",
        "points/s back",
    ]
    return (
        f"\n### {NAMES:,} names, a few a call\n\n"
        "Round robin in a tight loop, values in single precision with 1 % noise; as above. What the writer could "
        "not take in time was dropped, and is counted.\n\n" + page.table(head, rows)
    )


def _of_many_names(width: int, calls: int) -> list[str]:
    import tracker

    logged = _scattered(width)
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "tracker.db"
        run = tracker.start_run("names", database=database)
        started = time.perf_counter()
        for step in range(calls):
            run.log(logged[step % len(logged)], step)
        run.finish()
        took = time.perf_counter() - started
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        back = min(_seconds(lambda: tracker.metrics(database=database)) for _ in "123")
        recorded = len(tracker.metrics(database=database))
    return [
        f"{width}",
        f"{recorded:,}",
        f"{calls * width - recorded:,}",
        f"{recorded / took / 1e6:.2f} million",
        f"{size / recorded:.2f}",
        f"{recorded / back / 1e6:.1f} million",
    ]


def _scattered(width: int) -> list[dict[str, float]]:
    """Return the calls of four rounds over all names."""
    dice = np.random.default_rng(0)
    names = [f"layer/{place}/norm" for place in range(NAMES)]
    levels = np.exp(dice.normal(size=NAMES))
    noisy = levels * (1 + 0.01 * dice.normal(size=(4, NAMES)))
    values = noisy.astype(np.float32).reshape(-1, width).tolist()
    shared = [names[at : at + width] for at in range(0, NAMES, width)] * 4
    return [dict(zip(some, row, strict=True)) for some, row in zip(shared, values, strict=True)]


def training_loops(*, quick: bool) -> str:
    """Compare loops with and without `log` at every step, turn by turn."""
    import tracker

    with tempfile.TemporaryDirectory() as folder:
        with tracker.start_run("loop", database=Path(folder) / "tracker.db") as run:
            torch = _pairs(*_torch_loops(run.log), 10 if quick else ROUNDS)
        keras = _pairs(*_keras_fits(Path(folder)), 4 if quick else KERAS_ROUNDS)
    batches, epochs = zip(*(zip(bare, logged, strict=True) for bare, logged in keras), strict=True)
    return (
        "\n### A training that logs at every step\n\n"
        "On digits; the median of pairs, with and without, in alternating order, on one model.\n\n"
        f"- PyTorch, one thread, a loss tensor and three floats a step: {_slower(torch)}.\n"
        f"- Keras, `TrackerCallback(log_every=1)` against no callback: {_slower(batches)}. With the "
        f"epoch's end, a commit on the disk, in an epoch of {KERAS_STEPS} steps: {_slower(epochs)}.\n"
    )


def _pairs(bare: Callable[[], T], logged: Callable[[], T], rounds: int) -> list[tuple[T, T]]:
    """Return what both return, turn by turn; the first few turns are for warming up."""
    pairs = []
    for turn in range(rounds + 2):
        order = (bare, logged) if turn % 2 else (logged, bare)
        found = {work: work() for work in order}
        pairs.append((found[bare], found[logged]))
    return pairs[2:]


def _slower(pairs: Sequence[tuple[float, float]]) -> str:
    ratio = statistics.median(logged / bare for bare, logged in pairs)
    each = statistics.median(bare for bare, _ in pairs) * 1e3
    return f"{ratio - 1:+.1%} ({len(pairs)} pairs, {each:.2f} ms a step)"


def _torch_loops(log: Callable[..., None]) -> tuple[Callable[[], float], Callable[[], float]]:
    """Return two trainings of one model, without and with ``log``, that return the seconds a step took."""
    import torch
    from sklearn.datasets import load_digits

    torch.set_num_threads(1)  # with all cores the scheduler is what gets measured
    data = load_digits(return_X_y=True)
    x, y = torch.tensor(data[0], dtype=torch.float32) / 16, torch.tensor(data[1])
    # One model for both: of two that are built alike, one may well be some percent slower for good.
    model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters())

    def loop(log: Callable[..., None] | None) -> float:
        started = time.perf_counter()
        for _ in range(STEPS):
            rows = torch.randint(0, len(x), (64,))
            loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if log is not None:
                log({"loss": loss, "lr": 1e-3, "beta": 0.9, "size": 64.0})
        return (time.perf_counter() - started) / STEPS

    return lambda: loop(None), lambda: loop(log)


def _keras_fits(folder: Path) -> tuple[Callable[[], Spent], Callable[[], Spent]]:
    """Return two trainings of one model, without and with us, for an epoch.

    Each returns the seconds a step took: the batches alone, and with what the epoch's end took.
    """
    import keras
    from sklearn.datasets import load_digits

    from tracker_keras import TrackerCallback

    data = load_digits(return_X_y=True)
    again = KERAS_STEPS * 32 // len(data[1]) + 1
    x, y = np.tile(data[0] / 16, (again, 1)), np.tile(data[1], again)
    x, y = x[: KERAS_STEPS * 32], y[: KERAS_STEPS * 32]
    model = keras.Sequential([keras.layers.Dense(128, "relu"), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])

    def fit(*callbacks: keras.callbacks.Callback) -> Spent:
        ticks: list[float] = []

        def tick(*_: Any) -> None:
            ticks.append(time.perf_counter())

        first = keras.callbacks.LambdaCallback(on_epoch_begin=tick, on_epoch_end=tick)
        last = keras.callbacks.LambdaCallback(on_epoch_end=tick)
        model.fit(x, y, 32, verbose=0, shuffle=False, callbacks=[first, *callbacks, last])
        began, batches, epoch = ticks
        return (batches - began) / KERAS_STEPS, (epoch - began) / KERAS_STEPS

    return fit, lambda: fit(TrackerCallback(log_every=1, database=folder / "k.db"))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

"""What `tracker_torch.Training` costs a loop that logs in every batch.

The same training on digits with and without us, in pairs: the two take turns, so that the ratio
holds when the machine's speed drifts. That both come to the same weights is seen first.

    python -m benchmarks.torch_loop [--quick]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn

from benchmarks import page
from tracker_torch import EarlyStopping, Training

BATCH = 64


def small() -> nn.Module:
    """A net as small as examples have: the worst case."""
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def convolutional() -> nn.Module:
    """A net as people train it."""
    layers = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()]
    more = [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()]
    return nn.Sequential(*layers, *more, nn.Linear(512, 10))


def data() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Digits in batches, so that loading takes no time."""
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
    return list(zip(x.split(BATCH), y.split(BATCH), strict=True))[:-1]


class Loop:
    """One of the two trainings, an epoch at a time."""

    def __init__(self, make: Callable[[], nn.Module], batches: list[Any]) -> None:
        torch.manual_seed(0)
        self.model = make()
        self.optimizer = torch.optim.Adam(self.model.parameters(), 1e-3)
        self.batches = batches

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Train on one batch, as everybody does."""
        loss = nn.functional.cross_entropy(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def bare(self, passes: int) -> Iterator[float]:
        """Yield the seconds of a pass over the data; the loss is summed, as a loop without us would."""
        began, total = time.perf_counter(), 0.0
        for number, (x, y) in enumerate(self.batches * passes, 1):
            total += self.step(x, y).item() * len(x)
            if number % len(self.batches) == 0:
                yield time.perf_counter() - began
                began = time.perf_counter()

    def recorded(self, passes: int) -> Iterator[float]:
        """The same through `Training`: one long epoch, so that nothing but the loop is measured."""
        callbacks = [EarlyStopping("loss", patience=3)]
        with Training(self.model, self.optimizer, 1, callbacks=callbacks) as training:
            for _ in training.epochs():
                began = time.perf_counter()
                for number, (x, y) in enumerate(training.batches(self.batches * passes), 1):
                    training.log(loss=self.step(x, y), batch_size=len(x))
                    if number % len(self.batches) == 0:
                        yield time.perf_counter() - began
                        began = time.perf_counter()


def compare(make: Callable[[], nn.Module], passes: int) -> tuple[float, float, float]:
    """Return the median µs of a step, bare and recorded, and the median of the ratios less one.

    Both train one model: of two that are made alike, one may well be a percent slower for good.
    """
    batches = data()
    loop = Loop(make, batches)
    bare, recorded = loop.bare(passes), loop.recorded(passes)
    pairs = []
    for number in range(passes):
        if number % 2:
            pairs.append((next(bare), next(recorded)))
        else:
            pairs.append((next(recorded), next(bare))[::-1])
    next(recorded, None)
    ratio = statistics.median(b / a for a, b in pairs[2:]) - 1
    without, through = zip(*pairs[2:], strict=True)
    return (
        statistics.median(without) / len(batches) * 1e6,
        statistics.median(through) / len(batches) * 1e6,
        ratio,
    )


def check(make: Callable[[], nn.Module], passes: int = 5) -> None:
    """See that a recorded training ends with the weights of a bare one, bit for bit."""
    one, other = Loop(make, data()), Loop(make, data())
    for _ in zip(one.bare(passes), other.recorded(passes), strict=True):
        pass
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(a, b), "recording changed the training"


def alone(calls: int = 20_000) -> tuple[float, float]:
    """Return the µs of one `Training.log` of a tensor, and of one empty batch."""
    loss, model = torch.ones((), requires_grad=True) * 2, nn.Linear(1, 1)
    with Training(model, None, 1) as training:
        for _ in training.epochs():
            began = time.perf_counter()
            for _ in training.batches(range(calls)):
                pass
            middle = time.perf_counter()
            for _ in range(calls):
                training.log(loss=loss)
            ended = time.perf_counter()
    return (ended - middle) / calls * 1e6, (middle - began) / calls * 1e6


def main() -> None:
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--rounds", type=int, default=300, help="passes over the data of each training"
    )
    parser.add_argument("--quick", action="store_true", help="prints only")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        nets = {"64–64–10 net": small, "two convolutions": convolutional}
        for make in nets.values():
            check(make)
        found = {title: compare(make, chosen.rounds) for title, make in nets.items()}
        log, batch = alone()
        os.chdir(before)
    rows = [
        [title, f"{bare:.0f}", f"{recorded:.0f}", f"{ratio:+.1%}"]
        for title, (bare, recorded, ratio) in found.items()
    ]
    text = "\n\n".join(
        [
            "## A PyTorch loop",
            f"{page.machine()}. Digits in batches of {BATCH}, Adam, one thread, `training.log(loss=loss, "
            f"batch_size=…)` in every batch, against the same loop that sums its loss by itself; "
            f"both come to the same weights, bit for bit. {chosen.rounds} passes over the data, taking turns; medians.",
            page.table(["", "bare, µs a step", "recorded", "overhead"], rows),
            f"By itself, `log` of one tensor costs {log:.1f} µs and `batches` {batch:.1f} µs a batch.",
        ]
    )
    print(text)
    if not chosen.quick:
        page.write("torch_loop", text)


if __name__ == "__main__":
    main()

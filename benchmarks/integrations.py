"""What recording costs a step of Lightning and of the Trainer of Transformers, beside other loggers.

One training for each logger, of the same model, all in one process: they take turns of a few steps, in a random order
each round, while the others stand still, so that what a round says holds when the machine's speed drifts. Every step
is logged. What a logger does before the first step and after the last one is not timed.

    python -m benchmarks.integrations [--minutes 8] [--quick] [lightning] [transformers]

It needs `make test-neighbours`' environment, and there ``pip install wandb mlflow trackio``; what is not installed is
left out.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import random
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.update(
    WANDB_MODE="offline", WANDB_SILENT="true", MLFLOW_DISABLE_TELEMETRY="true",
    HF_HUB_OFFLINE="1", TRACKER_LIGHTNING="off",
)  # fmt: skip

import torch
from torch import nn

from benchmarks import page
from benchmarks.sampling import median_ratio

BLOCK, WARM_UP, FEWEST = 10, 2, 4
"""Steps of a turn; turns that are not counted; rounds that are counted at least."""
WIDTH, BATCH = 512, 128
Took = dict[str, list[int]]
"""The nanoseconds of each call, by the name of the method."""


class Net(nn.Module):
    """A net whose step takes some milliseconds, as those of small real trainings do."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(WIDTH, WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, 10),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scores of ten classes."""
        found: torch.Tensor = self.layers(x)
        return found


def rows() -> list[dict[str, torch.Tensor]]:
    """Return the rows of an epoch that does not end while it is measured: noise, as fast to train on as anything."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH * 8, WIDTH, generator=generator)
    y = torch.randint(0, 10, (BATCH * 8,), generator=generator)
    return [{"x": one, "labels": label} for one, label in zip(x, y, strict=True)] * 1000


@dataclass(frozen=True)
class Cost:
    """The mean seconds of a step: those that passed, and those that a core was busy for the training's thread."""

    wall: float
    cpu: float

    @classmethod
    def so_far(cls) -> Cost:
        """Return what this thread has cost until now."""
        return cls(time.perf_counter(), time.thread_time())

    def since(self, earlier: Cost) -> Cost:
        """Return what each step of a turn has cost."""
        return Cost((self.wall - earlier.wall) / BLOCK, (self.cpu - earlier.cpu) / BLOCK)


class Turns:
    """The turns of one training, which waits between them; its steps call `tick`, who lets it train calls `take`."""

    def __init__(self) -> None:
        self.costs: list[Cost] = []
        self.is_over = False
        self.paused = threading.Semaphore(0)
        self._may_train = threading.Semaphore(0)
        self._steps = 0
        self._began = Cost(0.0, 0.0)

    def tick(self) -> bool:
        """Begin a step, when it is this training's turn; say whether it is the last one."""
        if self._steps % BLOCK == 0 and not self.is_over:
            if self._steps:
                self.costs.append(Cost.so_far().since(self._began))
            self.paused.release()
            self._may_train.acquire()
            self._began = Cost.so_far()
        self._steps += 1
        return self.is_over

    def take(self) -> None:
        """Let the training have its turn, and wait until it is over."""
        self._may_train.release()
        self.paused.acquire()

    def end(self) -> None:
        """Let the training end."""
        self.is_over = True
        self._may_train.release()


# Lightning


def lightning_ways() -> dict[str, Callable[[], Any]]:
    """Return the loggers of a Lightning Trainer, by what they are called in the table."""
    from lightning.pytorch import loggers

    from tracker_integrations.lightning import TrackerLogger

    ways: dict[str, Callable[[], Any]] = {
        "no logger": lambda: False,
        "CSVLogger": lambda: loggers.CSVLogger("csv"),
        "TrackerLogger": lambda: TrackerLogger("bench"),
    }
    if find_spec("wandb"):
        ways["WandbLogger, offline"] = lambda: loggers.WandbLogger(project="bench", save_dir=".")
    if find_spec("mlflow"):
        ways["MLFlowLogger, SQLite"] = lambda: loggers.MLFlowLogger(
            "bench", tracking_uri="sqlite:///mlflow.db"
        )
    return ways


def train_lightning(logger: Any, tick: Callable[[], bool], took: Took | None = None) -> None:
    """Train by Lightning until a tick says so; ``took`` gets what the logger's own calls take."""
    from lightning.pytorch import Callback, LightningModule, Trainer
    from torch.utils.data import DataLoader

    from tracker_integrations.lightning import TrackerLogger
    from tracker_integrations.lightning_parts.callback import CallbackParts

    class Module(LightningModule):  # type: ignore[misc]  # its base has no types here
        def __init__(self) -> None:
            super().__init__()
            self.net = Net()

        def training_step(self, batch: Any, at: int) -> Any:
            loss = nn.functional.cross_entropy(self.net(batch["x"]), batch["labels"])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 1e-3)

    class Clock(Callback):  # type: ignore[misc]  # its base has no types here
        def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
            trainer.should_stop = tick()

    trainer = Trainer(
        accelerator="cpu", logger=logger, callbacks=[Clock()], log_every_n_steps=1, min_epochs=0, max_epochs=1,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    ours = [one for one in trainer.callbacks if isinstance(one, CallbackParts)]
    if not isinstance(logger, TrackerLogger):
        # Who has no local-tracker has no callback of it.
        trainer.callbacks = [one for one in trainer.callbacks if one not in ours]
    if took is not None:
        timed(logger, ("log_metrics", "save"), took)
        for callback in ours:
            timed(callback, ("on_train_batch_start", "on_train_batch_end"), took)
    trainer.fit(Module(), DataLoader(rows(), batch_size=BATCH))


def timed(thing: Any, names: Iterable[str], took: Took) -> None:
    """Have an object take the time of calls of its methods."""
    for name in names:
        method, calls = getattr(thing, name), took.setdefault(name, [])

        def call(*args: Any, method: Any = method, calls: list[int] = calls, **kwargs: Any) -> Any:
            began = time.perf_counter_ns()
            found = method(*args, **kwargs)
            calls.append(time.perf_counter_ns() - began)
            return found

        setattr(thing, name, call)


# Transformers

EVENTS = "on_step_begin", "on_pre_optimizer_step", "on_optimizer_step", "on_step_end", "on_log"
"""What happens in each step."""


def transformers_ways() -> dict[str, Callable[[], Any]]:
    """Return what a Trainer of Transformers reports to, by what it is called in the table."""
    import tracker_integrations.transformers  # noqa: F401  # report_to finds it then

    ways = {"no callback": "none", "TrackerCallback": "tracker"}
    titles = {"wandb": "W&B, offline", "mlflow": "MLflow, SQLite", "trackio": "Trackio"}
    ways.update({title: name for name, title in titles.items() if find_spec(name)})
    return {title: partial(str, name) for title, name in ways.items()}


def train_transformers(report_to: str, tick: Callable[[], bool], took: Took | None = None) -> None:
    """Train by the Trainer until a tick says so; ``took`` gets what the callback's own calls take."""
    from transformers import Trainer, TrainerCallback, TrainingArguments
    from transformers.trainer_callback import PrinterCallback

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Net()

        def forward(self, x: Any, labels: Any) -> Any:
            return {"loss": nn.functional.cross_entropy(self.net(x), labels)}

    class Clock(TrainerCallback):  # type: ignore[misc]  # its base has no types here
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = tick()

    arguments = TrainingArguments(
        output_dir="out", num_train_epochs=1, per_device_train_batch_size=BATCH, logging_steps=1,
        save_strategy="no", report_to=report_to, disable_tqdm=True, use_cpu=True, run_name="bench",
    )  # fmt: skip
    trainer = Trainer(Model(), arguments, train_dataset=rows(), callbacks=[Clock()])
    trainer.pop_callback(PrinterCallback)
    if took is not None:
        reporter = trainer.callback_handler.callbacks[1]
        timed(reporter, [name for name in EVENTS if hasattr(reporter, name)], took)
    trainer.train()


def finish(*names: str) -> None:
    """End the runs that other loggers leave open: MLflow and Trackio keep one per thread, W&B one for all."""
    for name in names:
        if find_spec(name):
            with contextlib.suppress(Exception):  # each says in its own way that none is open
                getattr(__import__(name), "end_run" if name == "mlflow" else "finish")()


# Both


@dataclass(frozen=True)
class Loop:
    """Somebody else's training loop: its name, its loggers, and a training with one of them."""

    title: str
    ways: Callable[[], dict[str, Callable[[], Any]]]
    train: Callable[..., None]

    def run(self, way: Callable[[], Any], turns: Turns, took: Took | None = None) -> None:
        """Train in turns."""
        torch.set_num_threads(1)  # each thread has its own
        try:
            self.train(way(), turns.tick, took)
            finish("mlflow", "trackio")
        finally:
            turns.paused.release()


LOOPS = {
    "lightning": Loop("Lightning", lightning_ways, train_lightning),
    "transformers": Loop("The Trainer of Transformers", transformers_ways, train_transformers),
}


def section(loop: Loop, seconds: float) -> str:
    """Measure the loggers of a loop for so long; returns what the page says of them."""
    ways = loop.ways()
    silence()
    costs = measure(loop, ways, seconds)
    own = {name: own_calls(loop, way) for name, way in list(ways.items())[1:]}
    told = ", ".join(f"{name} {micros:.0f} µs" for name, micros in own.items())
    rounds = len(next(iter(costs.values())))
    return (
        f"### {loop.title}\n\n{table(costs)}\n\n{rounds} rounds. By themselves, the calls of a step take, by the "
        f"median of each: {told}."
    )


def measure(
    loop: Loop, ways: dict[str, Callable[[], Any]], seconds: float
) -> dict[str, list[Cost]]:
    """Return what a step cost, per way, a value per round."""
    turns = {name: Turns() for name in ways}
    with ThreadPoolExecutor(len(ways)) as pool:
        trainings: dict[str, Future[None]] = {}
        try:
            for name, way in ways.items():
                trainings[name] = pool.submit(Context().run, loop.run, way, turns[name])
                turns[name].paused.acquire()
            until, rounds = time.monotonic() + seconds, 0
            while rounds < WARM_UP + FEWEST or time.monotonic() < until:
                for name in random.sample(list(ways), len(ways)):
                    turns[name].take()
                    if trainings[name].done():
                        trainings[name].result()
                rounds += 1
        finally:
            for one in turns.values():
                one.end()
    for training in trainings.values():
        training.result()
    finish("wandb")
    return {name: one.costs[WARM_UP:] for name, one in turns.items()}


def own_calls(loop: Loop, way: Callable[[], Any]) -> float:
    """Return the µs of the calls of a logger that are made in each step: the median of each, added up."""
    turns, took = Turns(), Took()
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(Context().run, loop.run, way, turns, took)
        turns.paused.acquire()
        for _ in range(20):
            turns.take()
        turns.end()
    training.result()
    finish("wandb")
    each_step = [calls for calls in took.values() if len(calls) > 10 * BLOCK]
    return sum(map(statistics.median, each_step)) / 1e3


def table(costs: dict[str, list[Cost]]) -> str:
    """Return the table: a step, and what it costs more than that of the first way in the same round."""
    bare = next(iter(costs.values()))
    lines = []
    for name, found in costs.items():
        wall = [one.wall / base.wall for one, base in zip(found, bare, strict=True)]
        cpu = [one.cpu / base.cpu for one, base in zip(found, bare, strict=True)]
        step = statistics.median(one.wall for one in found)
        more = ["", ""] if found is bare else [_more(wall), _more(cpu)]
        lines.append([name, f"{step * 1e3:.2f} ms", *more])
    return page.table(["", "a step", "more time", "more CPU time"], lines)


def _more(ratios: list[float]) -> str:
    middle, low, high = median_ratio(ratios)
    return f"{middle:+.1%} ({low:+.1%} … {high:+.1%})"


def silence() -> None:
    """Have the libraries that are imported by now say nothing but errors."""
    warnings.simplefilter("ignore")
    for noisy in ("lightning", "lightning.pytorch", "transformers", "mlflow", "alembic", "httpx"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def versions() -> str:
    """Return the releases that are measured, in a sentence."""
    names = "lightning", "transformers", "wandb", "mlflow", "trackio"
    return ", ".join(f"{name} {version(name)}" for name in names if find_spec(name))


def main() -> None:
    """Measure, print and write the page's section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="for how long, in all")
    parser.add_argument("--quick", action="store_true", help=f"{FEWEST} rounds, and no page")
    parser.add_argument("which", nargs="*", default=list(LOOPS), help=", ".join(LOOPS))
    asked = parser.parse_args()
    seconds = 0.0 if asked.quick else asked.minutes * 60 / len(asked.which)
    parts = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ.update(
            MLFLOW_TRACKING_URI="sqlite:///mlflow.db", TRACKIO_DIR=str(Path("trackio").absolute()),
            WANDB_DIR=str(Path(folder)),
        )  # fmt: skip
        for name in asked.which:
            parts.append(section(LOOPS[name], seconds))
            print(parts[-1], flush=True)
    head = (
        f"## A step of other people's training loops\n\n{page.machine()}. {versions()}. Each step is "
        f"logged; a net of three layers of {WIDTH}, {BATCH} rows per step, one thread. In each round every training "
        f"has a turn of {BLOCK} steps, in a random order; what they cost more than the first line's is told within a "
        "round: the median of the rounds, with its 95 % interval. CPU time is that of the training's own thread: "
        "what others write in threads and processes of theirs is not counted, nor is what ours does."
    )
    if not asked.quick:
        page.write("integrations", "\n\n".join([head, *parts]))


if __name__ == "__main__":
    main()

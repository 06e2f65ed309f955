"""What recording costs a step of Lightning and of the Trainer of Transformers, beside other loggers.

One model, trained anew for each; the loggers take turns in a random order each round, so that the ratio of a round
holds when the machine's speed drifts. Every step is logged. Only steps are timed: what a logger does before the first
and after the last one is not.

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
import time
import warnings
from collections.abc import Callable, Iterable
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

STEPS, WARM_UP, FEWEST = 240, 20, 3
WIDTH, BATCH = 512, 128


class Net(nn.Module):
    """A net whose step takes a few milliseconds, as those of small real trainings do."""

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
    """Return the rows of all steps: noise, which is as fast to train on as anything."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH * 8, WIDTH, generator=generator)
    y = torch.randint(0, 10, (BATCH * 8,), generator=generator)
    return [{"x": one, "labels": label} for one, label in zip(x, y, strict=True)]


@dataclass(frozen=True)
class Cost:
    """The mean seconds of a step: those that passed, and those that a core was busy for this process."""

    wall: float
    cpu: float


class Ticks:
    """Takes the time at each step."""

    def __init__(self) -> None:
        self.at: list[Cost] = []

    def tick(self) -> None:
        """Note that a step begins."""
        self.at.append(Cost(time.perf_counter(), time.process_time()))

    def step(self) -> Cost:
        """Return what a step cost, without the first ones."""
        first, last, count = self.at[WARM_UP], self.at[-1], len(self.at) - WARM_UP - 1
        return Cost((last.wall - first.wall) / count, (last.cpu - first.cpu) / count)


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


def lightning_step(logger: Any, *callbacks: Any) -> Cost:
    """Train by Lightning; returns what a step cost."""
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
        def on_train_batch_start(self, *_: Any) -> None:
            ticks.tick()

    ticks = Ticks()
    trainer = Trainer(
        accelerator="cpu", max_steps=STEPS, logger=logger, callbacks=[Clock(), *callbacks], log_every_n_steps=1,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    if not isinstance(logger, TrackerLogger):
        # Who has no local-tracker has no callback of it.
        trainer.callbacks = [one for one in trainer.callbacks if not isinstance(one, CallbackParts)]
    trainer.fit(Module(), DataLoader(rows() * (STEPS // 8 + 1), batch_size=BATCH))
    finish_others()
    return ticks.step()


def timed(thing: Any, names: Iterable[str], took: dict[str, list[int]]) -> None:
    """Have an object take the nanoseconds of calls of its methods."""
    for name in names:
        method, calls = getattr(thing, name), took.setdefault(name, [])

        def call(*args: Any, method: Any = method, calls: list[int] = calls, **kwargs: Any) -> Any:
            began = time.perf_counter_ns()
            found = method(*args, **kwargs)
            calls.append(time.perf_counter_ns() - began)
            return found

        setattr(thing, name, call)


def lightning_calls(logger: Any) -> float:
    """Return the µs that a logger's own calls take in a step of a training."""
    from tracker_integrations.lightning import TrackerCallback

    took: dict[str, list[int]] = {}
    timed(logger, ("log_metrics", "save"), took)
    callback = TrackerCallback()
    timed(callback, ("on_train_batch_start", "on_train_batch_end"), took)
    lightning_step(logger, callback)
    return per_step(took)


def per_step(took: dict[str, list[int]]) -> float:
    """Return the µs of the calls that are made in each step: the median of each, added up."""
    return sum(statistics.median(calls) for calls in took.values() if len(calls) > STEPS / 2) / 1e3


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


def transformers_step(report_to: str, took: dict[str, list[int]] | None = None) -> Cost:
    """Train by the Trainer; returns what a step cost, and puts what the callback's calls took into ``took``."""
    from transformers import Trainer, TrainerCallback, TrainingArguments
    from transformers.trainer_callback import PrinterCallback

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Net()

        def forward(self, x: Any, labels: Any) -> Any:
            return {"loss": nn.functional.cross_entropy(self.net(x), labels)}

    class Clock(TrainerCallback):  # type: ignore[misc]  # its base has no types here
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            ticks.tick()

    ticks = Ticks()
    arguments = TrainingArguments(
        output_dir="out", max_steps=STEPS, per_device_train_batch_size=BATCH, logging_steps=1,
        save_strategy="no", report_to=report_to, disable_tqdm=True, use_cpu=True, run_name="bench",
    )  # fmt: skip
    trainer = Trainer(Model(), arguments, train_dataset=rows(), callbacks=[Clock()])
    trainer.pop_callback(PrinterCallback)
    if took is not None:
        reporter = trainer.callback_handler.callbacks[1]
        timed(reporter, [name for name in EVENTS if hasattr(reporter, name)], took)
    trainer.train()
    finish_others()
    return ticks.step()


def transformers_calls(report_to: str) -> float:
    """Return the µs that a callback's own calls take in a step of a training."""
    took: dict[str, list[int]] = {}
    transformers_step(report_to, took)
    return per_step(took)


def finish_others() -> None:
    """End the runs that the other loggers leave open."""
    for name, end in (("wandb", "finish"), ("mlflow", "end_run"), ("trackio", "finish")):
        if find_spec(name):
            with contextlib.suppress(Exception):  # each says in its own way that none is open
                getattr(__import__(name), end)()


# Both


@dataclass(frozen=True)
class Loop:
    """Somebody else's training loop: its name, its loggers, a training with one, and what one's calls take."""

    title: str
    ways: Callable[[], dict[str, Callable[[], Any]]]
    step: Callable[[Any], Cost]
    calls: Callable[[Any], float]


LOOPS = {
    "lightning": Loop("Lightning", lightning_ways, lightning_step, lightning_calls),
    "transformers": Loop(
        "The Trainer of Transformers", transformers_ways, transformers_step, transformers_calls
    ),
}


def section(loop: Loop, seconds: float) -> str:
    """Measure the loggers of a loop for so long; returns what the page says of them."""
    ways = loop.ways()
    silence()
    took = measure(ways, loop.step, seconds)
    rounds = len(next(iter(took.values())))
    own = {name: loop.calls(way()) for name, way in list(ways.items())[1:]}
    told = ", ".join(f"{name} {micros:.0f} µs" for name, micros in own.items())
    return (
        f"### {loop.title}\n\n{table(took)}\n\n{rounds} rounds. By themselves, the calls of a step take, by the "
        f"median of each: {told}."
    )


def measure(
    ways: dict[str, Callable[[], Any]], step: Callable[[Any], Cost], seconds: float
) -> dict[str, list[Cost]]:
    """Return what a step cost, per way, a value per round."""
    took: dict[str, list[Cost]] = {name: [] for name in ways}
    for way in ways.values():
        step(way())  # warms up
    until, rounds = time.monotonic() + seconds, 0
    while rounds < FEWEST or time.monotonic() < until:
        for name in random.sample(list(ways), len(ways)):
            took[name].append(step(ways[name]()))
        rounds += 1
    return took


def table(took: dict[str, list[Cost]]) -> str:
    """Return the table: a step, and what it costs more than that of the first way in the same round."""
    bare = next(iter(took.values()))
    lines = []
    for name, costs in took.items():
        wall = [one.wall / base.wall for one, base in zip(costs, bare, strict=True)]
        cpu = [one.cpu / base.cpu for one, base in zip(costs, bare, strict=True)]
        step = statistics.median(one.wall for one in costs)
        more = ["", ""] if costs is bare else [_more(wall), _more(cpu)]
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
    torch.set_num_threads(1)
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
        f"logged; a net of three layers of {WIDTH}, {BATCH} rows per step, one thread. In each round every logger "
        f"trains {STEPS} steps once, in a random order; what it costs more than the first line is told within a round: "
        "the median of the rounds, with its 95 % interval. CPU time is that of the training process: W&B writes in "
        "another one, whose time is not counted."
    )
    if not asked.quick:
        page.write("integrations", "\n\n".join([head, *parts]))


if __name__ == "__main__":
    main()

"""``tracker runs watch``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click

from tracker import queries
from tracker.cli.format import duration, local, visible
from tracker.cli.options import database_option, run_argument
from tracker.errors import BadValue
from tracker.queries.details import Details, details
from tracker.queries.latest_step import LatestStep, latest_step
from tracker.queries.new_epochs import NewEpoch, new_epochs
from tracker.queries.progress import Progress, progress_of
from tracker.queries.resolve import named_or_newest
from tracker.queries.run_sentences import ending
from tracker.storage.database import reading

_DAY = 86400
_AVERAGED = 5
"""The last epochs, whose mean duration the remaining time is estimated from."""


@click.command()
@run_argument(required=False)
@click.option("--every", default=1.0, show_default=True, help="Polling interval in seconds.")
@database_option
def watch(name: str | None, every: float, database: str | None) -> None:
    """Print the epochs of a run as they are recorded, until it ends or you press Ctrl-C.

    Without RUN, the newest run is watched. The best epoch so far is marked; of a run that is being recorded, the
    waits of early stopping that are used up, steps per second and the remaining time are told where they are
    known. Of a run without epochs, the latest step is printed.

    \b
    Example:
      tracker runs watch digits-3
    """
    # NaN is neither.
    if not 0 < every <= _DAY:
        raise BadValue(f"--every is {every:g}: it must be more than 0 seconds and at most {_DAY}.")
    watched = _Watched(name, database)
    try:
        while not watched.look():
            sys.stdout.flush()
            time.sleep(max(0.05, every))
    except KeyboardInterrupt:
        # The terminal shows ^C in that line.
        click.echo()
    click.echo(watched.said_last())


@dataclass
class _Watched:
    """What was printed so far of a run."""

    name: str | None
    database: str | None
    run: str | None = None
    last: NewEpoch | None = None
    step: LatestStep | None = None
    step_time: float | None = None
    was_lost: bool = False
    seconds: list[float] = field(default_factory=list)

    def look(self) -> bool:
        """Print what is new; returns whether the run has ended."""
        with reading(self.database) as reader:
            self.run = run = self.run or named_or_newest(reader, self.name)
            fresh = new_epochs(reader, run, after=self.last)
            step = latest_step(reader, run)
            (row,) = queries.overview(reader, ids=[run]).dicts()
            progress = progress_of(reader, run)
        for epoch in fresh:
            click.echo("  ".join(self._epoch_parts(epoch, row, progress, epoch is fresh[-1])))
            self.last = epoch
        if self.last is None and step is not None and step != self.step:
            click.echo("  ".join(self._step_parts(step)))
            self.step, self.step_time = step, time.monotonic()
        # Epochs may have been recorded between the two reads: a run must be lost twice in a row.
        is_lost = row["status"] == "lost"
        goes_on = row["status"] == "running" or (is_lost and not self.was_lost)
        self.was_lost = is_lost
        return not goes_on

    def said_last(self) -> str:
        """Return the sentence on how the run ended, or how far it has come."""
        with reading(self.database) as reader:
            run = self.run or named_or_newest(reader, self.name)
            found: Details = details(reader, run)
        return ending(found, visible, local)

    def _epoch_parts(
        self, epoch: NewEpoch, row: dict[str, Any], progress: Progress, is_newest: bool
    ) -> Iterator[str]:
        yield f"epoch {epoch.epoch:>4}"
        yield f"{duration(epoch.seconds):>8}"
        yield from (f"{visible(name)} {value:.6g}" for name, value in epoch.metrics.items())
        if epoch.epoch == row["best_epoch"]:
            yield "best"
        if (speed := steps_per_second(self.last, epoch)) is not None:
            yield f"{speed:.3g} steps/s"
        self.seconds = [*self.seconds, epoch.seconds][-_AVERAGED:]
        if not is_newest or row["status"] != "running":
            return
        if progress.wait is not None and progress.patience is not None:
            yield f"wait {progress.wait}/{progress.patience}"
        left = (progress.planned or 0) - epoch.epoch - 1
        if left > 0:
            yield f"ETA {duration(left * sum(self.seconds) / len(self.seconds))}"

    def _step_parts(self, step: LatestStep) -> Iterator[str]:
        yield f"step {step.step:>5}"
        yield from (f"{visible(name)} {value:.6g}" for name, value in step.metrics.items())
        if self.step is not None and self.step_time is not None and step.step > self.step.step:
            speed = (step.step - self.step.step) / max(1e-3, time.monotonic() - self.step_time)
            yield f"{speed:.3g} steps/s"


def steps_per_second(before: NewEpoch | None, epoch: NewEpoch) -> float | None:
    """Return how many training batches an epoch did per second; None where it was not counted."""
    if epoch.step is None or epoch.seconds <= 0:
        return None
    if before is None:
        return epoch.step / epoch.seconds if epoch.epoch == 0 else None
    steps = epoch.step - (before.step or 0)
    follows = before.attempt == epoch.attempt and before.epoch + 1 == epoch.epoch
    return steps / epoch.seconds if follows and before.step is not None and steps > 0 else None

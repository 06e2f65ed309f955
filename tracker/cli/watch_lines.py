"""What ``tracker runs watch`` prints of a run: a line per epoch, and what is known of its newest one in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from tracker.cli.format import duration, measure, visible
from tracker.queries.follow import Followed, Waiting, steps_per_second
from tracker.queries.latest_step import LatestStep
from tracker.queries.new_epochs import NewEpoch
from tracker.states import VerdictWord
from tracker.system_names import PREFIX

_TOLD = (VerdictWord.REDUCED, VerdictWord.STOPPED, VerdictWord.RESTORED)
"""Verdicts that get a line of their own."""


class LineView:
    """Prints lines, each once: what a pipe gets.

    Args:
        several: whether each line begins with the run's name.
    """

    def __init__(self, *, several: bool) -> None:
        self._several = several
        self._seen: dict[str, tuple[NewEpoch | None, LatestStep | None]] = {}

    def show(self, runs: Sequence[Followed]) -> None:
        """Print what is new."""
        for run in runs:
            name = f"{visible(run.row['name'])}  " if self._several else ""
            for line in self.lines(run):
                click.echo(f"{name}{line}")

    def lines(self, run: Followed, *, with_state: bool = True) -> Iterator[str]:
        """Yield the new lines of a run; ``with_state``: with waits, remaining time and memory in the newest."""
        last, step = self._seen.get(run.row["id"], (None, None))
        self._seen[run.row["id"]] = run.epoch, run.latest
        for epoch in run.fresh:
            is_newest = epoch is run.fresh[-1] and run.is_running and with_state
            parts = [*_epoch_parts(run, last, epoch), *(_state_parts(run) if is_newest else ())]
            yield "  ".join(parts)
            last = epoch
        if run.latest is not None and run.latest != step:
            yield "  ".join(_step_parts(run, run.latest))
        for decision in run.decisions:
            if decision.verdict in _TOLD:
                reason = visible(decision.reason).rstrip(".")
                yield f"{decision.verdict} at epoch {decision.epoch}: {reason} ({visible(decision.policy)})"

    def close(self) -> None:
        """Leave what was printed."""


def _epoch_parts(run: Followed, last: NewEpoch | None, epoch: NewEpoch) -> Iterator[str]:
    yield f"epoch {epoch.epoch:>4}"
    yield f"{duration(epoch.seconds):>8}"
    yield from (f"{visible(name)} {value:.6g}" for name, value in epoch.metrics.items())
    if epoch.epoch == run.row["best_epoch"]:
        yield "best"
    if (speed := steps_per_second(last, epoch)) is not None:
        yield f"{speed:.3g} steps/s"


def _step_parts(run: Followed, step: LatestStep) -> Iterator[str]:
    yield f"step {step.step:>5}"
    yield from (f"{visible(name)} {value:.6g}" for name, value in step.metrics.items())
    if run.speed is not None:
        yield f"{run.speed:.3g} steps/s"
    yield from machine_parts(run)


def _state_parts(run: Followed) -> Iterator[str]:
    if run.waiting is not None and run.waiting.wait is not None:
        yield f"wait {waits(run.waiting)}"
    if run.left is not None:
        yield f"ETA {duration(run.left)}"
    yield from machine_parts(run)


def waits(waiting: Waiting) -> str:
    """Write the waits that are used up, and what would beat the best: ``2/5 (better: < 0.31)``."""
    used = f"{waiting.wait}" + ("" if waiting.patience is None else f"/{waiting.patience}")
    if waiting.beats is None:
        return used
    return f"{used} (better: {'<' if waiting.better == 'min' else '>'} {waiting.beats:.6g})"


def machine_parts(run: Followed) -> Iterator[str]:
    """Yield what the machine does: ``memory 1.3 GB``, ``gpu0 83 % 10.2 GB``."""
    measured = {name.removeprefix(PREFIX): value for name, value in run.system.items()}
    if (memory := measured.get("memory_bytes")) is not None:
        yield f"memory {measure('memory_bytes', memory)}"
    cards = sorted({name.partition("/")[0] for name in measured if name.startswith("gpu")})
    for card in cards:
        shown = [
            measure(name, measured[f"{card}/{name}"])
            for name in ("utilization_percent", "memory_bytes")
            if f"{card}/{name}" in measured
        ]
        yield " ".join([card, *shown])

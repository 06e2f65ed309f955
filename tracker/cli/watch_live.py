"""Runs that are watched on a terminal: a state that is drawn anew at each look."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Literal

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from tracker.cli.format import age, at_epoch, duration, visible
from tracker.cli.output import is_coloured, terminal_width
from tracker.cli.table import Table
from tracker.cli.terminal import draw
from tracker.cli.watch_lines import LineView, machine_parts, waits
from tracker.queries.follow import Followed
from tracker.queries.result import Column, Listing

_COLUMNS = (
    Column("name", "text"), Column("status", "text"), Column("epochs", "text"), Column("step", "optional"),
    Column("steps/s", "number"), Column("ETA", "text"), Column("metric", "text"), Column("best", "text"),
    Column("last", "text"), Column("wait", "text"), Column("decision", "text"), Column("machine", "text"),
)  # fmt: skip
_SPARE = ("step", "decision", "steps/s", "last", "machine", "metric", "ETA")


class LiveView:
    """Draws the state of the runs; of a single one, its epochs are printed above, line by line.

    Args:
        several: whether there is more than one run.
    """

    def __init__(self, *, several: bool) -> None:
        self._lines = None if several else LineView(several=False)
        color_system: Literal["auto"] | None = "auto" if is_coloured() else None
        self._console = Console(width=terminal_width(), color_system=color_system, highlight=False)
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop"
        )
        self._live.start()

    def show(self, runs: Sequence[Followed]) -> None:
        """Draw the state anew."""
        if self._lines is None:
            lines, _ = draw(state_table(runs), self._console.width, coloured=is_coloured())
            text = Text.from_ansi("\n".join(lines), no_wrap=True, overflow="crop")
            self._live.update(text, refresh=True)
            return
        for run in runs:
            for line in self._lines.lines(run, with_state=False):
                self._console.print(Text(line))
            state = [
                Text(line, "bold" if not place else "")
                for place, line in enumerate(state_lines(run))
            ]
            self._live.update(Group("", *state), refresh=True)

    def close(self) -> None:
        """Remove the state; what was printed above it stays."""
        self._live.stop()


def state_lines(run: Followed) -> Iterator[str]:
    """Yield what is known of one run, a line per subject."""
    row = run.row
    yield "  ".join(_progress_parts(run))
    if row["monitor"] is not None:
        values = [f"{visible(row['monitor'])}"]
        for name in ("best", "last"):
            value = at_epoch(row[name], row[f"{name}_epoch"], row[f"{name}_step"])
            values += [] if value is None else [f"{name} {value}"]
        if run.waiting is not None and run.waiting.wait is not None:
            values.append(f"wait {waits(run.waiting)}")
        yield "  ".join(values)
    if run.event is not None:
        reason = visible(run.event.reason).rstrip(".")
        yield f"{run.event.verdict} at epoch {run.event.epoch}: {reason} ({visible(run.event.policy)})"
    if machine := list(machine_parts(run)):
        yield "  ".join(machine)


def _progress_parts(run: Followed) -> Iterator[str]:
    row = run.row
    yield visible(row["name"])
    yield (
        f"{row['status'].replace('_', ' ')} for {age(row['started'])}"
        if run.is_running
        else row["status"]
    )
    if (epochs := _epochs(run)) is not None:
        yield f"{epochs} {'epoch' if epochs == '1' else 'epochs'}"
    if run.step is not None:
        yield f"step {run.step:,}"
    if run.speed is not None:
        yield f"{run.speed:,.3g} steps/s"
    if (left := _left(run)) is not None:
        yield f"ETA {left}"


def _epochs(run: Followed) -> str | None:
    """Write how many epochs there are, and how many there will be: ``8``, ``8/50``."""
    if run.epoch is None:
        return None
    done = run.epoch.epoch + 1
    return f"{done}" if run.planned is None else f"{done}/{run.planned}"


def _left(run: Followed) -> str | None:
    """Write the remaining time as it is now, between two epochs."""
    if run.left is None or run.epoch is None:
        return None
    since = time.time() - run.epoch.ended / 1e6
    return duration(float(round(max(0.0, run.left - max(0.0, since)))))


def state_table(runs: Sequence[Followed]) -> Table:
    """Return the state of several runs, a row each."""
    rows = [
        [
            run.row["name"],
            run.row["status"],
            _epochs(run),
            run.step,
            None if run.speed is None else float(f"{run.speed:.3g}"),
            _left(run),
            run.row["monitor"],
            at_epoch(run.row["best"], run.row["best_epoch"], run.row["best_step"]),
            at_epoch(run.row["last"], run.row["last_epoch"], run.row["last_step"]),
            None if run.waiting is None or run.waiting.wait is None else waits(run.waiting),
            None if run.event is None else f"{run.event.verdict} @ {run.event.epoch}",
            "  ".join(machine_parts(run)) or None,
        ]
        for run in runs
    ]
    return Table(Listing(_COLUMNS, rows), spare=_SPARE)

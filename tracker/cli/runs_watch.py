"""``tracker runs watch``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Protocol

import click

from tracker.cli.format import local, visible
from tracker.cli.options import database_option, runs_argument
from tracker.cli.output import on_terminal
from tracker.cli.watch_lines import LineView
from tracker.errors import BadValue
from tracker.queries import api as queries
from tracker.queries.details import details
from tracker.queries.follow import Followed, Follower
from tracker.queries.resolve import newest_run
from tracker.queries.run_sentences import ending
from tracker.queries.status import running_runs
from tracker.states import RunStatus
from tracker.storage.database import reading

_DAY = 86400


class View(Protocol):
    """What shows the runs that are watched."""

    def show(self, runs: Sequence[Followed]) -> None:
        """Show what a look has found, each run in its place."""

    def close(self) -> None:
        """Leave the screen to what comes after."""


@click.command()
@runs_argument()
@click.option("--running", is_flag=True, help="All runs that are being recorded now.")
@click.option("--every", default=1.0, show_default=True, help="Polling interval in seconds.")
@database_option
def watch(names: tuple[str, ...], running: bool, every: float, database: str | None) -> None:
    """Follow runs while they are recorded, until they end or you press Ctrl-C.

    Without RUN, the newest run is watched. Its epochs are printed as they come, the best one so far marked; below
    them stand, where they are known, epochs and steps per second, the remaining time, the waits of early stopping
    that are used up and what would beat the best, the last decision, memory and GPU. Several runs are a table, a
    row each. In a pipe, each epoch is a line. Of a run without epochs, the latest step is shown.

    \b
    Example:
      tracker runs watch digits-3
      tracker runs watch --running
    """
    # NaN is neither.
    if not 0 < every <= _DAY:
        raise BadValue(f"--every is {every:g}: it must be more than 0 seconds and at most {_DAY}.")
    if names and running:
        raise BadValue("Name the runs, or give --running for those that are being recorded now.")
    ids = _watched(names, running, database)
    if not ids:
        click.echo("No run is being recorded now.", err=True)
        return
    view = _view(several=len(ids) > 1)
    try:
        _follow(ids, every, database, view)
    except KeyboardInterrupt:
        view.close()
        # The terminal shows ^C in that line.
        click.echo()
    finally:
        view.close()
    _print_endings(ids, database)


def _watched(names: Sequence[str], running: bool, database: str | None) -> list[str]:
    with reading(database) as reader:
        if running:
            return running_runs(reader)
        return queries.find_runs(reader, names) if names else [newest_run(reader)]


def _view(*, several: bool) -> View:
    if not on_terminal() or os.environ.get("TERM") == "dumb":
        return LineView(several=several)
    # It loads rich: only a terminal pays for it.
    from tracker.cli.watch_live import LiveView

    return LiveView(several=several)


def _follow(ids: Sequence[str], every: float, database: str | None, view: View) -> None:
    """Show the runs until none is recorded any more."""
    followers = [Follower(run) for run in ids]
    # Epochs may have been recorded between two reads: a run must be lost twice in a row.
    lost: set[str] = set()
    while True:
        with reading(database) as reader:
            found = [follower.look(reader) for follower in followers]
        view.show(found)
        now_lost = {run.row["id"] for run in found if run.row["status"] == RunStatus.LOST}
        if not any(run.is_running for run in found) and now_lost <= lost:
            return
        lost = now_lost
        sys.stdout.flush()
        time.sleep(max(0.05, every))


def _print_endings(ids: Sequence[str], database: str | None) -> None:
    """Say of each run how it ended, or how far it has come."""
    with reading(database) as reader:
        for run in ids:
            found = details(reader, run)
            name = f"{visible(found.run['name'])}: " if len(ids) > 1 else ""
            click.echo(f"{name}{ending(found, visible, local)}")

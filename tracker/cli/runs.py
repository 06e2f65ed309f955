"""``tracker runs``: list, show, compare, watch. The commands that change runs are in `tracker.cli.runs_edit`."""

from __future__ import annotations

import sys
import time

import click

from tracker import queries
from tracker.cli.format import at_epoch, duration, visible
from tracker.cli.options import (
    database_option,
    format_option,
    run_argument,
    runs_argument,
)
from tracker.cli.program import Group
from tracker.cli.render import print_data, print_table
from tracker.cli.runs_best import best
from tracker.cli.runs_edit import delete, note, reap, rename, tag
from tracker.cli.runs_list import list_
from tracker.cli.table import Table
from tracker.errors import BadValue, UnknownMetric, nearest
from tracker.queries.latest_step import LatestStep, latest_step
from tracker.queries.new_epochs import NewEpoch, new_epochs
from tracker.queries.resolve import named_or_newest
from tracker.storage.database import reading
from tracker.values import brief

_DAY = 86400


@click.group(cls=Group)
def runs() -> None:
    """List, show, compare and edit runs.

    \b
    Example:
      tracker runs list --sort val_loss -n 10
    """


@runs.command("show")
@run_argument(required=False)
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True,
    help="table is for people; json is one object with everything, and exact values.",
)  # fmt: skip
@click.option(
    "--all", "everything", is_flag=True,
    help="Also attempts, overwritten and pruned checkpoints, and all that was captured of machine and packages.",
)  # fmt: skip
@database_option
def show_(name: str | None, form: str, everything: bool, database: str | None) -> None:
    """Show one run: why it ended, which weights it holds, params, metrics, files.

    Without RUN, the newest run is shown.

    \b
    Example:
      tracker runs show digits-3
      tracker runs show digits-3 --all
    """
    from tracker.cli.details import print_details, print_json
    from tracker.queries.details import details

    with reading(database) as reader:
        run = details(reader, named_or_newest(reader, name))
    if form == "json":
        print_json(run)
    else:
        print_details(run, everything=everything)


@runs.command()
@runs_argument(required=True)
@click.option("--metric", "metrics", multiple=True, help="Only this metric; can be repeated.")
@click.option("--all", "everything", is_flag=True, help="Also params that do not differ.")
@format_option
@database_option
def compare(
    names: tuple[str, ...],
    metrics: tuple[str, ...],
    everything: bool,
    form: str,
    database: str | None,
) -> None:
    """Compare runs: params that differ, and the best, restored and last value of each metric.

    \b
    Example:
      tracker runs compare digits-1 digits-3 --metric val_loss
    """
    from tracker.queries import compare as comparing

    with reading(database) as reader:
        ids = queries.find_runs(reader, names)
        if len(ids) < 2:
            raise BadValue("A single run cannot be compared: name two or more.")
        comparison = comparing.compare(reader, ids)
    for name in metrics:
        if name not in comparison.metrics:
            hint = nearest(name, comparison.metrics, most=20)
            raise UnknownMetric(f"None of these runs has a metric {brief(name)}: {hint}")
    shown = list(metrics) or list(comparison.metrics)
    if form == "table":
        print_table(Table(comparing.listing(comparison, shown, everything, together=at_epoch)))
    else:
        print_data(comparing.listing(comparison, shown, everything), form)


@runs.command()
@run_argument(required=False)
@click.option("--every", default=1.0, show_default=True, help="Polling interval in seconds.")
@database_option
def watch(name: str | None, every: float, database: str | None) -> None:
    """Print the epochs of a run as they are recorded, until it ends.

    Without RUN, the newest run is watched. Of a run without epochs, the latest step is printed.

    \b
    Example:
      tracker runs watch digits-3
    """
    from tracker.cli.run_sentences import ending
    from tracker.queries.details import details

    # NaN is neither.
    if not 0 < every <= _DAY:
        raise BadValue(f"--every is {every:g}: it must be more than 0 seconds and at most {_DAY}.")
    run: str | None = None
    last: NewEpoch | None = None
    last_step: LatestStep | None = None
    was_lost = False
    while True:
        with reading(database) as reader:
            run = run or named_or_newest(reader, name)
            fresh = new_epochs(reader, run, after=last)
            step = latest_step(reader, run)
            (row,) = queries.overview(reader, ids=[run]).dicts()
            # Epochs may have been recorded between the two reads: a run must be lost twice in a row.
            is_lost = row["status"] == "lost"
            goes_on = row["status"] == "running" or (is_lost and not was_lost)
            ended = None if goes_on else details(reader, run)
        for epoch in fresh:
            click.echo(_epoch_line(epoch))
            last = epoch
        if last is None and step is not None and step != last_step:
            click.echo(_step_line(step))
            last_step = step
        if ended is not None:
            click.echo(ending(ended))
            return
        was_lost = is_lost
        sys.stdout.flush()
        time.sleep(max(0.05, every))


def _epoch_line(epoch: NewEpoch) -> str:
    metrics = [f"{visible(name)} {value:.6g}" for name, value in epoch.metrics.items()]
    return "  ".join([f"epoch {epoch.epoch:>4}", f"{duration(epoch.seconds):>8}", *metrics])


def _step_line(step: LatestStep) -> str:
    metrics = [f"{visible(name)} {value:.6g}" for name, value in step.metrics.items()]
    return "  ".join([f"step {step.step:>5}", *metrics])


for _command in (best, list_, tag, note, rename, delete, reap):
    runs.add_command(_command)

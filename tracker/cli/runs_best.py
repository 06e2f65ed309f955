"""``tracker runs best``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tracker.cli.format import at_epoch, size, visible
from tracker.cli.options import (
    complete_experiments,
    complete_metrics,
    database_option,
    format_option,
    where_option,
)
from tracker.cli.output import say
from tracker.cli.render import print_data
from tracker.errors import CheckpointError, counted
from tracker.queries.best_run import BestRun, best_run
from tracker.queries.result import Column, Listing
from tracker.storage.database import reading

_COLUMNS = (
    Column("run", "text"), Column("id", "text"), Column("experiment", "text"), Column("status", "text"),
    Column("metric", "text"), Column("value", "number"), Column("epoch", "optional"),
    Column("step", "optional"), Column("among", "integer"), Column("checkpoint", "text"),
    Column("checkpoint_epoch", "optional"), Column("file", "text"), Column("remote", "text"),
)  # fmt: skip


@click.command()
@click.argument("experiment", shell_complete=complete_experiments)
@click.option(
    "--metric",
    shell_complete=complete_metrics,
    help="The best by this metric, not by the one that was monitored.",
)
@where_option("Only runs that match this filter.")
@click.option("--path", "only_path", is_flag=True, help="Print only the path of its file.")
@format_option
@database_option
def best(
    experiment: str,
    metric: str | None,
    where: str | None,
    only_path: bool,
    form: str,
    database: str | None,
) -> None:
    """Show the best run of an experiment: its value, its epoch and the file that holds its weights.

    \b
    Example:
      tracker runs best digits --metric val_accuracy
      cp "$(tracker runs best digits --path)" best.keras
    """
    with reading(database) as reader:
        found = best_run(reader, experiment, metric=metric, where=where)
    if only_path:
        if found.checkpoint is None:
            raise CheckpointError(_no_file(found))
        if not found.is_here:
            raise CheckpointError(f"{_copy(found.checkpoint)} first.")
        click.echo(found.checkpoint["file"])
    elif form != "table":
        print_data(Listing.from_dicts(_COLUMNS, [_row(found)]), form)
    else:
        for line in _sentences(found):
            say(line)


def _sentences(found: BestRun) -> list[str]:
    run, best = found.run, found.best
    value = at_epoch(best.best, best.best_epoch, best.best_step)
    name = f"{visible(run['name'])}  {run['id']}"
    among = f"the best of {counted(found.among, 'run')} of {visible(run['experiment'])}"
    lines = [name, f"{visible(found.metric)} {value}, {among}; {run['status'].replace('_', ' ')}."]
    file = found.checkpoint
    if file is None:
        return [*lines, _no_file(found)]
    note = "" if found.has_its_file else f", of epoch {file['epoch']}: the best that was saved"
    there = file["file"] if found.is_here else file["remote"]
    lines.append(f"{visible(there)} ({size(file['bytes'])}{note})")
    return lines if found.is_here else [*lines, f"{_copy(file)}."]


def _copy(file: dict[str, Any]) -> str:
    """Say that a file is not here, and what fetches it."""
    name = visible(Path(file["path"]).name)
    return f"Only its copy is there: tracker checkpoints restore {file['id']} -o {name} fetches it"


def _no_file(found: BestRun) -> str:
    name = visible(found.run["name"])
    return (
        f"No available checkpoint of {name} holds its best epoch: tracker checkpoints list {name} "
        f"shows what was saved."
    )


def _row(found: BestRun) -> dict[str, Any]:
    file: dict[str, Any] = found.checkpoint or {}
    return {
        "run": found.run["name"],
        "id": found.run["id"],
        "experiment": found.run["experiment"],
        "status": found.run["status"],
        "metric": found.metric,
        "value": found.best.best,
        "epoch": found.best.best_epoch,
        "step": found.best.best_step,
        "among": found.among,
        "checkpoint": file.get("id"),
        "checkpoint_epoch": file.get("epoch"),
        "file": file.get("file") if found.is_here else None,
        "remote": file.get("remote"),
    }

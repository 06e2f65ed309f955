"""``tracker runs show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tracker.cli.options import database_option, run_argument
from tracker.cli.output import on_terminal
from tracker.queries.resolve import named_or_newest
from tracker.storage.database import Reader, reading

if TYPE_CHECKING:
    from tracker.queries.details import Details

_FEWEST_EPOCHS = 3
_ROWS = 10


@click.command("show")
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
def show(name: str | None, form: str, everything: bool, database: str | None) -> None:
    """Show one run: why it ended, which weights it holds, params, metrics, files.

    Without RUN, the newest run is shown. A terminal also gets the curve of the monitored metric.

    \b
    Example:
      tracker runs show digits-3
      tracker runs show digits-3 --all
    """
    from tracker.cli.details import print_details, print_json
    from tracker.queries.details import details

    with reading(database) as reader:
        run = details(reader, named_or_newest(reader, name))
        curve = _curve(reader, run) if form == "table" and on_terminal() else []
    if form == "json":
        print_json(run)
    else:
        print_details(run, curve=curve, everything=everything)


def _curve(reader: Reader, run: Details) -> list[str]:
    """Return the metric that the run is judged by as a curve, where it has some epochs."""
    from tracker.cli.curves import chart_lines
    from tracker.queries.lines import lines

    if run.run["best_epoch"] is None or run.run["epochs"] < _FEWEST_EPOCHS:
        return []
    return chart_lines(lines(reader, [run.run["id"]], run.run["monitor"]), most_rows=_ROWS)

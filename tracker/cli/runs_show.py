"""``tracker runs show``."""

from __future__ import annotations

import click

from tracker.cli.options import database_option, run_argument
from tracker.queries.resolve import named_or_newest
from tracker.storage.database import reading


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

"""``tracker metrics``."""

from __future__ import annotations

import click

from tracker.cli.options import names_options, runs_argument
from tracker.cli.program import Group
from tracker.cli.render import print_listing
from tracker.queries.names_in_use import metrics_in_use
from tracker.queries.resolve import select_runs
from tracker.storage.database import reading


@click.group(cls=Group)
def metrics() -> None:
    """List the metrics that were logged.

    \b
    Example:
      tracker metrics list digits-3
    """


@metrics.command("list")
@runs_argument()
@names_options
def list_(
    names: tuple[str, ...],
    where: str | None,
    sort: str | None,
    limit: int | None,
    form: str,
    database: str | None,
) -> None:
    """List metrics: per epoch or step, which way is better, how many runs have them, which run is best.

    Without RUN, the metrics of all runs are listed.

    \b
    Example:
      tracker metrics list --where "experiment = 'digits'" --sort -runs
    """
    with reading(database) as reader:
        ids = select_runs(reader, names, where) if names or where else None
        listing = metrics_in_use(reader, ids, order_by=sort, limit=limit or None)
    print_listing(listing, form, "metrics", spare=("max", "min", "logged"))

"""``tracker params``."""

from __future__ import annotations

import click

from tracker.cli.options import names_options, runs_argument
from tracker.cli.program import Group
from tracker.cli.render import print_listing
from tracker.queries.names_in_use import params_in_use
from tracker.queries.resolve import select_runs
from tracker.storage.database import reading


@click.group(cls=Group)
def params() -> None:
    """List the params of runs, and their values.

    \b
    Example:
      tracker params list --where "experiment = 'digits'"
    """


@params.command("list")
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
    """List params: how many runs have them, and which values.

    Without RUN, the params of all runs are listed. Of many values the most frequent are shown.

    \b
    Example:
      tracker params list --where "experiment = 'digits'" --sort -different
    """
    with reading(database) as reader:
        ids = select_runs(reader, names, where) if names or where else None
        listing = params_in_use(reader, ids, order_by=sort, limit=limit or None)
    print_listing(listing, form, "params", spare=("max", "min"))

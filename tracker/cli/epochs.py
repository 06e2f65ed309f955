"""``tracker epochs``."""

from __future__ import annotations

import click

from tracker.cli.options import listing_options, runs_argument
from tracker.cli.program import Group
from tracker.cli.render import print_listing
from tracker.queries import api as queries
from tracker.storage.database import reading


@click.group(cls=Group)
def epochs() -> None:
    """List epochs and their metrics.

    \b
    Example:
      tracker epochs list digits-3
    """


@epochs.command("list")
@runs_argument()
@click.option("--superseded", is_flag=True, help="Also epochs that a later attempt repeated.")
@listing_options
def list_(
    names: tuple[str, ...],
    superseded: bool,
    where: str | None,
    sort: str | None,
    limit: int | None,
    form: str,
    database: str | None,
) -> None:
    """List epochs, one column per metric.

    Without RUN, epochs of all runs are listed. In --where and --sort, a metric is that of the epoch;
    run.NAME is a column of its run, params.NAME and tags.NAME are its params and tags.

    \b
    Example:
      tracker epochs list digits-3 --where "val_loss < 0.3" --sort val_loss -n 5
    """
    with reading(database) as reader:
        ids = queries.runs_or_all(reader, names)
        listing = queries.epochs(
            reader, ids, superseded=superseded, where=where, order_by=sort, limit=limit or None
        )
    hidden = {"run"} if ids is not None and len(ids) == 1 else set()
    if len(set(listing.cells("attempt"))) == 1:
        hidden.add("attempt")
    print_listing(listing, form, "epochs", hidden=hidden)

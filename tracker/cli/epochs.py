"""``tracker epochs``."""

from __future__ import annotations

import click

from tracker import queries
from tracker.cli.options import listing_options, runs_argument
from tracker.cli.program import Group
from tracker.cli.render import print_listing
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
    """List the epochs of runs, a column a metric; without RUN those of all.

    A filter leaves epochs: in it, and in a sort key, a metric is that of the epoch; run.NAME is a column
    of the run, params.NAME and tags.NAME are its params and tags.

    \b
    Example:
      tracker epochs list digits-3 --where "val_loss < 0.3" --sort val_loss -n 5
    """
    with reading(database) as reader:
        ids = queries.find_runs(reader, names) if names else None
        listing = queries.epochs(
            reader, ids, superseded=superseded, where=where, order_by=sort, limit=limit or None
        )
    print_listing(listing, form, "epochs", hidden=_constant(listing, len(ids or ())))


def _constant(listing: queries.Listing, named: int) -> set[str]:
    """Leave out, of a table, the run's name when one was named, and the attempt when there is but one."""
    place = listing.names.index("attempt")
    one_attempt = len({row[place] for row in listing.rows}) == 1
    return ({"run"} if named == 1 else set()) | ({"attempt"} if one_attempt else set())

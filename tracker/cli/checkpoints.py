"""``tracker checkpoints``."""

from __future__ import annotations

import click

from tracker import queries
from tracker.cli.listing import print_listing
from tracker.cli.options import listing_options, runs_argument
from tracker.cli.program import Group
from tracker.database import reading

_HIDDEN = ("file", "attempt")
_SPARE = ("sha256", "policy", "created", "step", "monitor", "bytes")


@click.group(cls=Group)
def checkpoints() -> None:
    """List, verify, restore, pin and prune saved files.

    \b
    Example:
      tracker checkpoints list digits-3
    """


@checkpoints.command("list")
@runs_argument()
@listing_options
def list_(
    names: tuple[str, ...],
    where: str | None,
    sort: str | None,
    limit: int | None,
    form: str,
    database: str | None,
) -> None:
    """List checkpoints: which is the best and the last, what it was saved for, and where it is.

    \b
    Example:
      tracker checkpoints list digits-3 --where "state = 'available'" --sort value
    """
    with reading(database) as reader:
        ids = queries.find_runs(reader, names) if names else None
        listing = queries.checkpoints(reader, ids, where=where, order_by=sort, limit=limit or None)
    hidden = {*_HIDDEN, *(("run",) if ids is not None and len(ids) == 1 else ())}
    print_listing(listing, form, "checkpoints", hidden=hidden, spare=_SPARE)

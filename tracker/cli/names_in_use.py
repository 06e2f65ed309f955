"""The command ``list`` of names that runs have: ``tracker metrics list`` and ``tracker params list``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from tracker.cli.options import names_options, runs_argument
from tracker.cli.render import print_listing
from tracker.queries.resolve import select_runs
from tracker.queries.result import Listing
from tracker.storage.database import reading


def names_command(
    what: str,
    help: str,
    query: Callable[..., Listing],
    *,
    for_people: Callable[[Listing], Listing] = lambda listing: listing,
    spare: Sequence[str] = (),
) -> click.Command:
    """Return the command.

    Args:
        what: what is listed, in the plural.
        help: its help, with an "Example:" block.
        query: takes a reader, runs or None for all, ``order_by`` and ``limit``.
        for_people: what a table shows in place of the listing.
        spare: columns that a narrow table goes without, the first one first.
    """

    @click.command("list", help=help)
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
        with reading(database) as reader:
            ids = select_runs(reader, names, where) if names or where else None
            listing = query(reader, ids, order_by=sort, limit=limit or None)
        shown = for_people(listing) if form == "table" else listing
        print_listing(shown, form, what, spare=spare)

    return list_

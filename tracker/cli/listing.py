"""How the shorter listings are printed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import click

from tracker.cli.render import Table, show
from tracker.queries import Listing


def print_listing(
    listing: Listing,
    form: str,
    what: str,
    *,
    hidden: Collection[str] = (),
    spare: Sequence[str] = ("experiment", "monitor"),
) -> None:
    """Print a listing; of a table without the columns in ``hidden``. Says so when there are no rows."""
    show(listing, form, Table(without(listing, hidden), spare=spare))
    if form == "table" and not listing.rows:
        click.echo(f"No {what}.", err=True)


def without(listing: Listing, hidden: Collection[str]) -> Listing:
    """Return a listing without some of its columns."""
    places = [place for place, name in enumerate(listing.names) if name not in hidden]
    return Listing(
        tuple(listing.columns[place] for place in places),
        [[row[place] for place in places] for row in listing.rows],
    )

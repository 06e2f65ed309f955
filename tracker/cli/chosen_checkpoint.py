"""Which checkpoint a command is about: an id, or a run and which of its files."""

from __future__ import annotations

from typing import TypedDict

import click

from tracker.cli.options import complete_runs
from tracker.errors import BadValue

# The id of a checkpoint, or the run whose best or last one is meant.
WHICH = click.argument("which", metavar="CHECKPOINT|RUN", shell_complete=complete_runs)
ALIAS = click.option(
    "--alias", type=click.Choice(["best", "last"]),
    help="For a RUN: which of its available checkpoints; by default the best, or the last if none was "
    "saved with a metric.",
)  # fmt: skip
EPOCH = click.option("--epoch", type=int, metavar="N", help="For a RUN: the checkpoint of epoch N.")


PLACE = click.argument("place", metavar="[best|last|EPOCH]", required=False)


class Chosen(TypedDict):
    """Which checkpoint of a run is meant."""

    alias: str | None
    epoch: int | None


def chosen(place: str | None, alias: str | None, epoch: int | None) -> Chosen:
    """Return which checkpoint of a run is meant: "best", "last" or the number of an epoch.

    Raises:
        BadValue: for another word, or where an option says it as well.
    """
    if place is None:
        return {"alias": alias, "epoch": epoch}
    if alias is not None or epoch is not None:
        raise BadValue(f"{place!r} says which checkpoint: leave out --alias and --epoch.")
    if place in ("best", "last"):
        return {"alias": place, "epoch": None}
    if not place.isdecimal():
        raise BadValue(
            f"{place!r} is not a checkpoint of a run: possible are best, last and the number of an epoch."
        )
    return {"alias": None, "epoch": int(place)}

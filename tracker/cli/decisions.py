"""``tracker decisions``."""

from __future__ import annotations

import click

from tracker.cli.options import complete_policies, listing_options, runs_argument
from tracker.cli.program import Group
from tracker.cli.render import print_listing
from tracker.cli.replay import replay, waste
from tracker.queries import api as queries
from tracker.storage.database import reading

_HIDDEN = ("step", "path", "attempt", "decided")
_SPARE = ("monitor", "lr_before", "lr_after", "best_epoch", "patience", "best", "wait")


@click.group(cls=Group)
def decisions() -> None:
    """List what callbacks decided, and why; replay them.

    \b
    Example:
      tracker decisions list digits-3 --policy EarlyStopping
    """


@decisions.command("list")
@runs_argument()
@click.option(
    "--policy", metavar="CLASS", shell_complete=complete_policies,
    help="Only decisions of this callback, such as EarlyStopping.",
)  # fmt: skip
@click.option("--superseded", is_flag=True, help="Also of epochs that a later attempt repeated.")
@listing_options
def list_(
    names: tuple[str, ...],
    policy: str | None,
    superseded: bool,
    where: str | None,
    sort: str | None,
    limit: int | None,
    form: str,
    database: str | None,
) -> None:
    """List decisions: value, best, wait, patience, verdict and reason.

    Without RUN, decisions of all runs are listed.

    \b
    Example:
      tracker decisions list digits-3 --policy EarlyStopping --where "verdict != 'waited'"
    """
    with reading(database) as reader:
        ids = queries.runs_or_all(reader, names)
        listing = queries.decisions(
            reader, ids, policy=policy, superseded=superseded, where=where, order_by=sort,
            limit=limit or None,
        )  # fmt: skip
    hidden = {*_HIDDEN, *(("run",) if ids is not None and len(ids) == 1 else ())}
    print_listing(listing, form, "decisions", hidden=hidden, spare=_SPARE)


decisions.add_command(replay)
decisions.add_command(waste)

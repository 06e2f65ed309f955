"""What a later attempt of a run repeats: it supersedes what earlier attempts have recorded of these epochs."""

from __future__ import annotations

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    func,
    not_,
    or_,
    select,
    update,
)

from tracker.models import ATTEMPT, DECISION, EPOCH, RUN
from tracker.storage.entries import Kept
from tracker.storage.statements import Prepared

LATER_ATTEMPTS = select(func.count()).where(
    ATTEMPT.c.run_id == bindparam("run"),
    ATTEMPT.c.number > bindparam("attempt"),
    ATTEMPT.c.first_epoch <= bindparam("epoch"),
)
"""How many attempts after this one have begun at this epoch or before it."""
_IS_OVERTAKEN = Prepared(LATER_ATTEMPTS)


def is_overtaken(connection: Connection, run: str, attempt: int, epoch: int) -> bool:
    """Say whether a later attempt has repeated this epoch: then what comes late is superseded."""
    key = {"run": run, "attempt": attempt, "epoch": epoch}
    return bool(_IS_OVERTAKEN.first(connection, key)[0])


def hold(connection: Connection, run: str) -> None:
    """On a server, wait for others that hold this run, and hold it until the transaction ends.

    What an import brings late and what an attempt supersedes would not see each other otherwise; in SQLite they
    follow each other anyway.
    """
    connection.execute(select(RUN.c.id).where(RUN.c.id == run).with_for_update())


def supersede(
    connection: Connection,
    run: str,
    attempt: int,
    epoch: int,
    *,
    kept: Kept | None = None,
    lower: bool = False,
) -> bool:
    """Note an attempt's first epoch, and mark what earlier attempts recorded from it on; returns whether it was new.

    ``kept``: what they had decided of this epoch stays. ``lower``: also one below the first one so far, as threads
    log them that take turns.
    """
    if attempt == 1:
        return False
    unclaimed: ColumnElement[bool] = ATTEMPT.c.first_epoch.is_(None)
    if lower:
        unclaimed = or_(unclaimed, ATTEMPT.c.first_epoch > epoch)
    first = update(ATTEMPT).where(ATTEMPT.c.run_id == run, ATTEMPT.c.number == attempt, unclaimed)
    if connection.execute(first.values(first_epoch=epoch)).rowcount == 0:
        return False
    hold(connection, run)
    for old in (EPOCH, DECISION):
        repeated = update(old).where(
            old.c.run_id == run, old.c.attempt < attempt, old.c.epoch >= epoch
        )
        if kept is not None and old is DECISION:
            repeated = repeated.where(not_(_stays(epoch, kept)))
        connection.execute(repeated.values(superseded=True))
    effective = select(func.count()).where(EPOCH.c.run_id == run, EPOCH.c.superseded.is_(False))
    connection.execute(
        update(RUN).where(RUN.c.id == run).values(epochs=effective.scalar_subquery())
    )
    return True


def _stays(epoch: int, kept: Kept) -> ColumnElement[bool]:
    """Tell decisions of an epoch that were taken before a backup in its middle, by whichever attempt."""
    by_then = or_(
        DECISION.c.attempt < kept["attempt"],
        and_(DECISION.c.attempt == kept["attempt"], DECISION.c.number < kept["decisions"]),
    )
    # Of attempts before the one that made the backup, also what that one has repeated.
    return and_(
        DECISION.c.epoch == epoch, by_then, func.coalesce(DECISION.c.step, -1) <= kept["step"]
    )

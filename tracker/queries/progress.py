"""How far a run that is being recorded has come: epochs that are planned, waits of early stopping."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from tracker.models import DECISION, FACT, PARAM, POLICY
from tracker.queries.decisions import patience
from tracker.storage.database import Reader

_PLANNED_FACT = "fit.epochs"
_PLANNED_PARAMS = ("epochs", "num_epochs", "max_epochs", "n_epochs", "num_train_epochs")
_JUDGE = "EarlyStopping"


@dataclass(frozen=True)
class Progress:
    """What is known of a run's end; None for what is not.

    Attributes:
        planned: epochs that it will have at most: those given to ``fit``, else a param such as ``epochs``.
        wait, patience: of the early stopping that decided last.
    """

    planned: int | None = None
    wait: int | None = None
    patience: int | None = None


def progress_of(reader: Reader, run: str) -> Progress:
    """Return how far a run has come."""
    if reader.empty:
        return Progress()
    decision = DECISION.c
    newest = (
        select(decision.wait, POLICY.c.config)
        .join_from(DECISION, POLICY, decision.policy_id == POLICY.c.id)
        .where(decision.run_id == run, POLICY.c.kind == _JUDGE, decision.superseded.is_(False))
        .order_by(decision.attempt.desc(), decision.number.desc())
        .limit(1)
    )
    judged = reader.connection.execute(newest).first()
    planned = _planned(reader, run)
    if judged is None:
        return Progress(planned)
    return Progress(planned, judged.wait, patience(judged.config))


def _planned(reader: Reader, run: str) -> int | None:
    for table, names in ((FACT, (_PLANNED_FACT,)), (PARAM, _PLANNED_PARAMS)):
        statement = select(table.c.number).where(table.c.run_id == run, table.c.name.in_(names))
        number = reader.connection.execute(statement.limit(1)).scalar()
        if number is not None and number > 0:
            return int(number)
    return None

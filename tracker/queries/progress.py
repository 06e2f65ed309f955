"""How many epochs a run that is being recorded will have at most, where it says so."""

from __future__ import annotations

from sqlalchemy import select

from tracker.models import FACT, PARAM
from tracker.storage.database import Reader

_PLANNED_FACT = "fit.epochs"
_PLANNED_PARAMS = ("epochs", "num_epochs", "max_epochs", "n_epochs", "num_train_epochs")


def planned(reader: Reader, run: str) -> int | None:
    """Return how many epochs a run will have at most: those given to ``fit``, else a param such as ``epochs``."""
    if reader.empty:
        return None
    for table, names in ((FACT, (_PLANNED_FACT,)), (PARAM, _PLANNED_PARAMS)):
        statement = select(table.c.number).where(table.c.run_id == run, table.c.name.in_(names))
        number = reader.connection.execute(statement.limit(1)).scalar()
        if number is not None and number > 0:
            return int(number)
    return None

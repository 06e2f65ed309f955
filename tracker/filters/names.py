"""The names that a database knows: for completion, for the columns of an export, and for a misspelt one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import select

from tracker.errors import nearest
from tracker.filters.fields import (
    CheckpointFields,
    DecisionFields,
    EpochFields,
    Fields,
    names_by_index,
    values_by_index,
)
from tracker.filters.parser import parse
from tracker.filters.tree import All, Comparison, Either, Field, In, Literal, Tree
from tracker.models import OF_STEPS, POLICY, RUN, SUMMARY
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader

_FIELDS: dict[str, type[Fields]] = {
    "epochs": EpochFields,
    "checkpoints": CheckpointFields,
    "decisions": DecisionFields,
}


_MOST_NAMES = 1000
_NAMED = {"name": RUN.c.name, "experiment": RUN.c.experiment}
"""Fields whose values are worth a hint."""


def metric_names(reader: Reader, ids: Sequence[str] | None) -> list[str]:
    """Return the names of the runs' metrics of epochs, sorted."""
    if reader.empty:
        return []
    statement = select(SUMMARY.c.name).where(~OF_STEPS).distinct()
    rows = in_chunks(reader.connection, statement, SUMMARY.c.run_id, ids)
    return sorted({row.name for row in rows})


def all_metric_names(reader: Reader) -> list[str]:
    """Return the names of all metrics, of epochs and of steps, sorted; for completion."""
    if reader.empty:
        return []
    return list(reader.connection.scalars(names_by_index(SUMMARY).limit(_MOST_NAMES)))


def run_names(reader: Reader) -> list[str]:
    """Return the names of the newest runs; for completion."""
    if reader.empty:
        return []
    newest = select(RUN.c.name).order_by(RUN.c.started.desc(), RUN.c.id).limit(_MOST_NAMES)
    return list(dict.fromkeys(reader.connection.scalars(newest)))


def misspelt(reader: Reader, where: str) -> list[str]:
    """Return a sentence for each run and experiment that a filter asks for and that does not exist."""
    sentences = []
    for field, value in _equalities(parse(where)):
        column = _NAMED.get(field.name) if field.scope in {None, "run"} else None
        if column is None or field.function is not None:
            continue
        names = list(reader.connection.scalars(values_by_index(column).limit(_MOST_NAMES)))
        if value not in names:
            hint = nearest(value, names)
            sentences.append(
                f"No {'run' if column is RUN.c.name else 'experiment'} is named {value!r}: {hint}"
            )
    return sentences


def _equalities(tree: Tree) -> Iterator[tuple[Field, str]]:
    """Give the texts that a filter wants a field to be equal to."""
    if isinstance(tree, Either | All):
        for term in tree.terms:
            yield from _equalities(term)
    elif isinstance(tree, In):
        texts = (one.value for one in tree.values)
        yield from ((tree.field, text) for text in texts if isinstance(text, str))
    elif isinstance(tree, Comparison) and tree.sign == "=":
        for field, value in ((tree.left, tree.right), (tree.right, tree.left)):
            if isinstance(field, Field) and isinstance(value, Literal):
                if isinstance(value.value, str):
                    yield field, value.value
            elif isinstance(field, Field) and isinstance(value, Field) and value.quoted:
                yield field, value.name


def sort_keys(reader: Reader, what: str) -> list[str]:
    """Return what a listing of "runs", "epochs", "checkpoints" or "decisions" can be sorted by; for completion."""
    if reader.empty:
        return []
    return _FIELDS.get(what, Fields)(reader.connection, RUN.c.status).names()


def experiments(reader: Reader) -> list[str]:
    """Return the names of experiments, sorted; for completion."""
    if reader.empty:
        return []
    names = values_by_index(RUN.c.experiment)
    return list(reader.connection.execute(names.limit(_MOST_NAMES)).scalars())


def policy_kinds(reader: Reader) -> list[str]:
    """Return the class names of recorded callbacks, sorted; for completion."""
    if reader.empty:
        return []
    kinds = select(POLICY.c.kind).distinct().order_by(POLICY.c.kind)
    return list(reader.connection.execute(kinds).scalars())

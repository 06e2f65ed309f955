"""The tables, one class each.

Times are whole microseconds since 1970-01-01 UTC; durations are seconds. A value that may be NaN
or infinite is two columns, ``value`` and ``value_kind`` (see `tracker.values`): SQLite stores NaN
as NULL and drops the sign of -0.0. "None yet" is NULL in both columns, never 0.
"""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy
from sqlalchemy import BigInteger, Boolean, Float, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import registry
from sqlmodel import AutoString, Field, SQLModel


class Moment(BigInteger):
    """A point in time: microseconds since 1970-01-01 UTC. A type of its own tells listings and filters so."""


class Table(SQLModel, registry=registry()):
    """Base of our tables; a registry of its own keeps them apart from a user's SQLModel tables."""

    # Rows are built by the ORM, which validates nothing: validators are made when somebody asks for one.
    model_config = {"defer_build": True}


_BY_KEY = {"sqlite_with_rowid": False}
"""Of runs, and of small rows that are looked up by what they belong to and a name: SQLite keeps them in that order.

With row numbers, each would be an entry of an index besides, and be looked up twice. What belongs to many runs is
found page by page, as the runs themselves are.
"""


class Run(Table, table=True):
    """One training, from start to an honest status; ``cause`` is the code of ``reason``.

    ``price_per_hour`` is what an hour of its machine costs, where somebody says so. ``judged_min`` and ``judged_max``
    are copies of the `Summary` of ``judged_by`` over its epochs, NULL where there is none. They spare a
    listing of many runs from looking each one up in another table.
    """

    __table_args__ = (Index("ix_run_experiment_started", "experiment", "started"), _BY_KEY)

    id: str = Field(primary_key=True)
    name: str = Field(index=True)
    experiment: str
    status: str = Field(index=True)
    reason: str | None = None
    error: str | None = None
    started: int = Field(sa_type=Moment, index=True)
    ended: int | None = Field(default=None, sa_type=Moment)
    seconds: float = 0.0
    epochs: int = 0
    parent_id: str | None = Field(default=None, foreign_key="run.id", index=True)
    note: str | None = None
    cause: str | None = None
    price_per_hour: float | None = None
    judged_by: str = Field(default="val_loss", sa_column_kwargs={"server_default": "val_loss"})
    judged_min: float | None = None
    judged_max: float | None = None


class Attempt(Table, table=True):
    """One process's share of a run; a resumed run has several.

    ``heartbeat`` is by its machine's clock. On a server, ``heard`` is the same moment by the server's clock, which
    says whether a process on another machine lives; in an SQLite file it is NULL.
    """

    __table_args__ = (UniqueConstraint("run_id", "number"),)

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE")
    number: int
    status: str = Field(index=True)
    reason: str | None = None
    error: str | None = None
    started: int = Field(sa_type=Moment)
    heartbeat: int = Field(sa_type=Moment)
    ended: int | None = Field(default=None, sa_type=Moment)
    first_epoch: int | None = None
    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    process_started: float
    captured: str = "{}"
    spooled: int = 0
    dropped: int = 0
    waited: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    cause: str | None = None
    heard: int | None = Field(default=None, sa_type=Moment)


class Param(Table, table=True):
    """One hyperparameter. ``kind`` says how ``text`` is read back; ``number`` is for filters."""

    __table_args__ = (Index("ix_param_name_number", "name", "number", "kind"), _BY_KEY)

    run_id: str = Field(foreign_key="run.id", primary_key=True, ondelete="CASCADE")
    name: str = Field(primary_key=True)
    kind: str
    text: str
    number: float | None = None


class Tag(Table, table=True):
    """One label of a run."""

    # On PostgreSQL by the name alone: a value may be longer than an index takes there.
    __table_args__ = (Index("ix_tag_name_value", "name", "value"), _BY_KEY)

    run_id: str = Field(foreign_key="run.id", primary_key=True, ondelete="CASCADE")
    name: str = Field(primary_key=True)
    value: str


class Epoch(Table, table=True):
    """One pass over the data. ``epoch`` is 0-based, as Keras hands it over.

    ``learning_rate`` is the one that the epoch was trained with, that of the first parameter group;
    ``learning_rates`` is JSON, by group, the first and the last of the epoch. ``step`` is how many
    training batches the run had done at its end. ``checksum`` is over the row and its metrics (see
    `tracker.storage.checksums`); NULL of epochs that were recorded before schema 0007, or were damaged.
    """

    __table_args__ = (UniqueConstraint("run_id", "attempt", "epoch"),)

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE")
    attempt: int
    epoch: int
    started: int = Field(sa_type=Moment)
    seconds: float
    learning_rate: float | None = None
    superseded: bool = False
    step: int | None = Field(default=None, sa_type=BigInteger)
    learning_rates: str | None = None
    checksum: int | None = Field(default=None, sa_type=BigInteger)


class Metric(Table, table=True):
    """One named value of one epoch."""

    __table_args__ = _BY_KEY

    epoch_id: int = Field(foreign_key="epoch.id", primary_key=True, ondelete="CASCADE")
    name: str = Field(primary_key=True)
    position: int
    value: float | None = None
    value_kind: str


class Summary(Table, table=True):
    """Last, lowest and highest of one metric of one run; NaN counts only as last.

    Over its effective epochs; of a metric that no epoch has, over its step metrics: the epochs are
    NULL then, and the steps are not.
    """

    __table_args__ = (
        Index("ix_summary_name_min", "name", "min"),
        Index("ix_summary_name_max", "name", "max"),
        Index("ix_summary_name_last", "name", "last"),
        _BY_KEY,
    )

    run_id: str = Field(foreign_key="run.id", primary_key=True, ondelete="CASCADE")
    name: str = Field(primary_key=True)
    last: float | None = None
    last_kind: str
    last_epoch: int | None = None
    min: float | None = None
    min_epoch: int | None = None
    max: float | None = None
    max_epoch: int | None = None
    last_step: int | None = Field(default=None, sa_type=BigInteger)
    min_step: int | None = Field(default=None, sa_type=BigInteger)
    max_step: int | None = Field(default=None, sa_type=BigInteger)


class Series(Table, table=True):
    """The step metrics of one name."""

    __table_args__ = (UniqueConstraint("run_id", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE")
    name: str


class Clock(Table, table=True):
    """When up to 8192 calls of ``log`` came: their steps and times, as compressed columns (`tracker.series.codec`).

    ``number`` counts the blocks of an attempt from 0; samples of the machine (``system/``) have negative ones,
    and for steps the whole seconds since the run began.
    """

    run_id: str = Field(foreign_key="run.id", primary_key=True, ondelete="CASCADE")
    attempt: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    calls: int
    first_step: int = Field(sa_type=BigInteger)
    last_step: int = Field(sa_type=BigInteger)
    started: int = Field(sa_type=Moment)
    final: bool
    payload: bytes


class Block(Table, table=True):
    """The values of one series in one block of calls; (attempt, number) name the clock of the same run."""

    series_id: int = Field(foreign_key="series.id", primary_key=True, ondelete="CASCADE")
    attempt: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    points: int
    first_step: int = Field(sa_type=BigInteger)
    last_step: int = Field(sa_type=BigInteger)
    payload: bytes


class SparseBlock(Table, table=True):
    """The values of all series that few calls of a block had; (attempt, number) name the clock of the same run.

    ``members`` says which series those are, and how many points each has in ``payload``, in this order.
    """

    __tablename__ = "sparse_block"

    run_id: str = Field(foreign_key="run.id", primary_key=True, ondelete="CASCADE")
    attempt: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    points: int
    first_step: int = Field(sa_type=BigInteger)
    last_step: int = Field(sa_type=BigInteger)
    members: bytes
    payload: bytes


class SparseSpan(Table, table=True):
    """The lowest and the highest step that a series has in the sparse blocks of an attempt."""

    __tablename__ = "sparse_span"
    __table_args__ = _BY_KEY

    series_id: int = Field(foreign_key="series.id", primary_key=True, ondelete="CASCADE")
    attempt: int = Field(primary_key=True)
    first_step: int = Field(sa_type=BigInteger)
    last_step: int = Field(sa_type=BigInteger)


class Policy(Table, table=True):
    """One callback's configuration in one attempt. ``mode`` is the one in it, where that is "min" or "max": a copy."""

    __table_args__ = (Index("ix_policy_monitor", "monitor", "mode"),)

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="run.id", index=True, ondelete="CASCADE")
    attempt: int
    number: int
    kind: str
    monitor: str | None = None
    rules: str | None = None
    config: str = "{}"
    mode: str | None = None


class Checkpoint(Table, table=True):
    """One saved file. ``available`` means: complete, and with this size and hash.

    ``path`` is where the bytes are. When a later run has taken that name and the bytes are in the
    store, ``original_path`` is the name they were saved under, and ``kept`` the rule that keeps them.
    """

    __table_args__ = (
        # Every start asks for them. On PostgreSQL by its migration, as `ix_decision_restored`.
        Index("ix_checkpoint_pending", "run_id", sqlite_where=text("pending IS 1")),
    )

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="run.id", index=True, ondelete="CASCADE")
    attempt: int
    policy_id: str | None = Field(default=None, foreign_key="policy.id")
    path: str = Field(index=True)
    bytes: int = Field(sa_type=BigInteger)
    sha256: str
    epoch: int | None = None
    step: int | None = Field(default=None, sa_type=BigInteger)
    monitor: str | None = None
    value: float | None = None
    value_kind: str | None = None
    metrics: str = "{}"
    state: str
    pending: bool = False
    pinned: bool = False
    created: int = Field(sa_type=Moment)
    original_path: str | None = Field(default=None, index=True)
    kept: str | None = None


class RemoteCopy(Table, table=True):
    """A copy of a checkpoint, which was read back from ``url`` and had its hash; ``state`` is as of ``verified``."""

    __tablename__ = "remote_copy"

    checkpoint_id: str = Field(foreign_key="checkpoint.id", primary_key=True, ondelete="CASCADE")
    url: str = Field(primary_key=True)
    bytes: int = Field(sa_type=BigInteger)
    sha256: str
    state: str
    uploaded: int = Field(sa_type=Moment)
    verified: int = Field(sa_type=Moment)


class Decision(Table, table=True):
    """One verdict of one policy."""

    __table_args__ = (
        UniqueConstraint("run_id", "attempt", "number"),
        Index("ix_decision_policy", "policy_id", "epoch"),
        # On PostgreSQL it has the same condition, by its migration: to name postgresql_where here would load
        # that dialect, and asyncio with it, in every command.
        Index("ix_decision_restored", "run_id", sqlite_where=text("verdict = 'restored'")),
    )

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE")
    attempt: int
    number: int
    policy_id: str = Field(foreign_key="policy.id")
    epoch: int
    step: int | None = Field(default=None, sa_type=BigInteger)
    monitor: str | None = None
    value: float | None = None
    value_kind: str | None = None
    best: float | None = None
    best_kind: str | None = None
    best_epoch: int | None = None
    wait: int | None = None
    verdict: str
    reason: str
    lr_before: float | None = None
    lr_after: float | None = None
    path: str | None = None
    state: str | None = None
    decided: int = Field(sa_type=Moment)
    superseded: bool = False
    cause: str | None = None


class MetricDefinition(Table, table=True):
    """Which way is better for one metric of one run (``mode``: min, max; NULL: neither), where somebody says so.

    ``source`` is "declared" for `start_run(mode=)` and `define_metric`, "callback" for a callback's mode.
    ``monitor``: whether it is the metric that the run is judged by.
    """

    __tablename__ = "metric_definition"
    __table_args__ = (
        Index("ix_metric_definition_said", "name", "source", "mode"),
        # On PostgreSQL by its migration, as `ix_decision_restored`.
        Index("ix_metric_definition_monitor", "name", "mode", sqlite_where=text("monitor IS 1")),
        _BY_KEY,
    )

    run_id: str = Field(foreign_key="run.id", primary_key=True, ondelete="CASCADE")
    name: str = Field(primary_key=True)
    mode: str | None = None
    source: str
    monitor: bool = False


class Fact(Table, table=True):
    """One captured fact about the newest attempt of a run, named by its path: ``fit.batch_size``."""

    __table_args__ = _BY_KEY

    run_id: str = Field(foreign_key="run.id", primary_key=True, ondelete="CASCADE")
    name: str = Field(primary_key=True, index=True)
    kind: str
    text: str
    number: float | None = None


class FormerParam(Table, table=True):
    """A hyperparameter as an attempt had it before a resume changed it; kind ``absent`` if it had none."""

    __tablename__ = "former_param"
    __table_args__ = _BY_KEY

    run_id: str = Field(foreign_key="run.id", primary_key=True, ondelete="CASCADE")
    attempt: int = Field(primary_key=True)
    name: str = Field(primary_key=True)
    kind: str
    text: str
    number: float | None = None


ColumnKind = Literal["text", "integer", "number", "time", "flag"]
_KINDS: tuple[tuple[type, ColumnKind], ...] = (
    (AutoString, "text"),  # what SQLModel makes of str
    (Moment, "time"),  # before Integer, which it is, too
    (Integer, "integer"),
    (Float, "number"),
    (Boolean, "flag"),
)


def column_kind(column: sqlalchemy.Column[Any]) -> ColumnKind:
    """Return what a column holds, as listings and filters name it."""
    return next(kind for known, kind in _KINDS if isinstance(column.type, known))


def _table(model: type[Table]) -> sqlalchemy.Table:
    return Table.metadata.tables[str(model.__tablename__)]


# What statements name: `RUN.c.status` is a column to mypy, `Run.status` a str.
RUN = _table(Run)
ATTEMPT = _table(Attempt)
PARAM = _table(Param)
TAG = _table(Tag)
EPOCH = _table(Epoch)
METRIC = _table(Metric)
SUMMARY = _table(Summary)
SERIES = _table(Series)
CLOCK = _table(Clock)
BLOCK = _table(Block)
SPARSE_BLOCK = _table(SparseBlock)
SPARSE_SPAN = _table(SparseSpan)
POLICY = _table(Policy)
CHECKPOINT = _table(Checkpoint)
REMOTE_COPY = _table(RemoteCopy)
DECISION = _table(Decision)
METRIC_DEFINITION = _table(MetricDefinition)
FACT = _table(Fact)
FORMER_PARAM = _table(FormerParam)

OF_STEPS = SUMMARY.c.last_epoch.is_(None)
"""Whether a row of ``summary`` is about steps: no epoch has its metric."""

ALL = tuple(Table.metadata.tables.values())
"""Parents before their children."""

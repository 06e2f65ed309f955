"""What step-based runs, resumed runs and filters need.

- summary: step metrics have a last, lowest and highest value, too, with their steps; the epochs are then NULL
- epoch.step, epoch.learning_rates: how many batches were done at its end; the rates it began and ended with
- cause: a code beside the reason of a run, an attempt, a decision
- metric_definition: which way is better, where a user or a callback says so
- fact: what was captured about the newest attempt, one row per leaf, for filters and comparisons
- former_param: the value a parameter had in an earlier attempt
"""

import json
import math
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import bindparam

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BATCH = 500


def upgrade() -> None:
    with op.batch_alter_table("summary") as summary:
        summary.alter_column("last_epoch", existing_type=sa.Integer(), nullable=True)
        for column in ("last_step", "min_step", "max_step"):
            summary.add_column(sa.Column(column, sa.BigInteger(), nullable=True))
    op.add_column("epoch", sa.Column("step", sa.BigInteger(), nullable=True))
    op.add_column("epoch", sa.Column("learning_rates", sa.String(), nullable=True))
    for table in ("run", "attempt", "decision"):
        op.add_column(table, sa.Column("cause", sa.String(), nullable=True))
    op.create_table(
        "metric_definition",
        _run_id(),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("monitor", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "name"),
    )
    op.create_index("ix_metric_definition_said", "metric_definition", ["name", "source", "mode"])
    op.create_table(
        "fact",
        _run_id(),
        sa.Column("name", sa.String(), nullable=False),
        *_value_columns(),
        sa.PrimaryKeyConstraint("run_id", "name"),
    )
    op.create_index("ix_fact_name", "fact", ["name"])
    op.create_table(
        "former_param",
        _run_id(),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        *_value_columns(),
        sa.PrimaryKeyConstraint("run_id", "attempt", "name"),
    )
    _define_monitored_metrics()
    _flatten_captured()


def _run_id() -> sa.Column[str]:
    return sa.Column(
        "run_id", sa.String(), sa.ForeignKey("run.id", ondelete="CASCADE"), nullable=False
    )


def _value_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("number", sa.Float(), nullable=True),
    ]


def _define_monitored_metrics() -> None:
    """Take the mode that a callback was given for what every run's callbacks monitored."""
    policies = op.get_bind().execute(
        sa.text(
            "SELECT run_id, monitor, config FROM policy WHERE monitor IS NOT NULL ORDER BY attempt, number"
        )
    )
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for policy in policies:
        mode = (json.loads(policy.config) or {}).get("mode")
        if mode in ("min", "max"):
            rows[policy.run_id, policy.monitor] = {
                "run_id": policy.run_id, "name": policy.monitor, "mode": mode,
                "source": "callback", "monitor": False,
            }  # fmt: skip
    _insert("metric_definition", list(rows.values()))


def _flatten_captured() -> None:
    attempts = op.get_bind().execute(
        sa.text("SELECT run_id, captured FROM attempt ORDER BY run_id, number")
    )
    newest = {attempt.run_id: attempt.captured for attempt in attempts}
    rows = [
        {"run_id": run, "name": name, "kind": kind, "text": text, "number": number}
        for run, captured in newest.items()
        for name, kind, text, number in _leaves("", json.loads(captured or "{}"))
    ]
    _insert("fact", rows)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str, str, float | None]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}" if name else key, inner)
    elif isinstance(value, bool):
        yield name, "bool", str(value).lower(), float(value)
    elif isinstance(value, int):
        yield name, "int", str(value), _as_float(value)
    elif isinstance(value, float):
        yield name, "float", repr(value), None if math.isnan(value) else value
    elif value is None:
        yield name, "none", "", None
    elif isinstance(value, str):
        yield name, "str", value, None
    else:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        yield name, "json", text, None


def _as_float(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def _insert(table: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    names = list(rows[0])
    columns, marks = ", ".join(names), ", ".join(f":{name}" for name in names)
    statement = sa.text(f"INSERT INTO {table} ({columns}) VALUES ({marks})").bindparams(
        *(bindparam(name) for name in names)
    )
    for start in range(0, len(rows), BATCH):
        op.get_bind().execute(statement, rows[start : start + BATCH])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that `tracker db upgrade` made")

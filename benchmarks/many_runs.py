"""A database with many runs, laid down by a few statements: ``python -m benchmarks.many_runs RUNS DATABASE``.

Each run has 20 params, 2 tags, 5 epochs with 10 metrics, 2 callbacks with 5 decisions between them, and a
checkpoint. The statements are the same on SQLite and PostgreSQL.
"""

from __future__ import annotations

import sys

from sqlalchemy import Connection, text, update

from tracker.models import RUN
from tracker.storage.database import Database, Location, locate
from tracker.storage.prepare import prepare
from tracker.storage.summaries import JUDGED

PARAMS, EPOCHS, METRICS, DECISIONS = 20, 5, 10, 5
_START = 1_750_000_000_000_000
_PATIENCE = 600.0
_ID = "'r' || ((CAST(runs.i AS BIGINT) * 618033988749) % 100000000000)"
"""A run's id: as long as a real one, and in no order, as real ones are."""

_STATEMENTS = (
    """INSERT INTO run (id, name, experiment, status, started, ended, seconds, epochs)
    SELECT {id}, 'run-' || i, 'sweep-' || (i % 20), CASE i % 10 WHEN 0 THEN 'failed' ELSE 'finished' END,
           :start + i * 1000000, :start + i * 1000000 + 900000, i % 97, :epochs
    FROM ({runs}) AS runs""",
    """INSERT INTO attempt (id, run_id, number, status, started, heartbeat, host, boot_id, pid_namespace, pid,
                         process_started, captured, spooled, dropped)
    SELECT 'a' || id, id, 1, status, started, started, 'host', 'boot', 'namespace', 1, 0, '{{}}', 0, 0 FROM run""",
    """INSERT INTO param (run_id, name, kind, text, number)
    SELECT {id}, CASE k WHEN 0 THEN 'lr' ELSE 'p' || k END, 'float',
           CAST(((runs.i * 7919 + k * 31) % 10007) / 10007.0 AS TEXT), ((runs.i * 7919 + k * 31) % 10007) / 10007.0
    FROM ({runs}) AS runs, (SELECT i AS k FROM ({params}) AS names) AS each""",
    """INSERT INTO tag (run_id, name, value)
    SELECT {id}, 'tag' || k, 'value ' || ((runs.i * 31 + k) % 101)
    FROM ({runs}) AS runs, (SELECT i AS k FROM ({tags}) AS names) AS each""",
    """INSERT INTO epoch (id, run_id, attempt, epoch, started, seconds, superseded)
    SELECT runs.i * :epochs + k + 1, {id}, 1, k, :start + runs.i * 1000000 + k * 1000, 0.5 + k, {false}
    FROM ({runs}) AS runs, (SELECT i AS k FROM ({epochs}) AS numbers) AS each""",
    """INSERT INTO metric (epoch_id, name, position, value, value_kind)
    SELECT epoch.id, CASE k WHEN 0 THEN 'val_loss' ELSE 'm' || k END, k,
           ((CAST(epoch.id AS BIGINT) * 7919 + k) % 99991) / 99991.0, 'finite'
    FROM epoch, (SELECT i AS k FROM ({metrics}) AS names) AS each""",
    """INSERT INTO summary (run_id, name, last, last_kind, last_epoch, min, min_epoch, max, max_epoch)
    SELECT epoch.run_id, metric.name, MAX(CASE WHEN epoch.epoch = :epochs - 1 THEN metric.value END), 'finite',
           :epochs - 1, MIN(metric.value), 0, MAX(metric.value), 1
    FROM epoch JOIN metric ON metric.epoch_id = epoch.id GROUP BY epoch.run_id, metric.name""",
    """INSERT INTO policy (id, run_id, attempt, number, kind, monitor, rules, config, mode)
    SELECT 'p' || runs.i || '-' || k, {id}, 1, k,
           CASE k WHEN 0 THEN 'EarlyStopping' ELSE 'ModelCheckpoint' END, 'val_loss', 'tracker-1',
           '{{"patience": 3, "mode": "min"}}', 'min'
    FROM ({runs}) AS runs, (SELECT i AS k FROM ({tags}) AS numbers) AS each""",
    """INSERT INTO decision (id, run_id, attempt, number, policy_id, epoch, verdict, reason, decided, superseded)
    SELECT runs.i * :decisions + k + 1, {id}, 1, k, 'p' || runs.i || '-' || (k % 2), k,
           CASE k WHEN 0 THEN 'improved' ELSE 'waited' END, 'because', :start + runs.i * 1000000 + k, {false}
    FROM ({runs}) AS runs, (SELECT i AS k FROM ({decisions}) AS numbers) AS each""",
    """INSERT INTO checkpoint (id, run_id, attempt, policy_id, path, bytes, sha256, epoch, metrics, state, pending,
                            pinned, created)
    SELECT 'c' || i, {id}, 1, 'p' || i || '-1', '/nowhere/' || i || '.pt', 1000, 'sha', 1, '{{}}', 'missing',
           {false}, {false}, :start + i
    FROM ({runs}) AS runs""",
)  # fmt: skip


def build(location: Location, runs: int) -> None:
    """Create the database and fill it; about 11 kB and 0.2 ms per run on SQLite."""
    prepare(location)
    database = Database(location, patience=_PATIENCE)
    with database.transaction() as connection:
        for statement in _STATEMENTS:
            connection.execute(text(_filled(connection, statement, runs)), _bound(statement))
        connection.execute(update(RUN).values(**JUDGED))
    database.close()


def _filled(connection: Connection, statement: str, runs: int) -> str:
    false = "false" if connection.dialect.name == "postgresql" else "0"
    numbers = {
        "runs": runs, "params": PARAMS, "tags": 2, "epochs": EPOCHS, "metrics": METRICS, "decisions": DECISIONS,
    }  # fmt: skip
    return statement.format(
        false=false, id=_ID, **{name: _up_to(most) for name, most in numbers.items()}
    )


def _bound(statement: str) -> dict[str, int]:
    values = {"start": _START, "epochs": EPOCHS, "decisions": DECISIONS}
    return {name: value for name, value in values.items() if f":{name}" in statement}


def _up_to(most: int) -> str:
    """Return a query of the numbers below ``most``, as ``i``."""
    return (
        f"WITH RECURSIVE numbers(i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM numbers "
        f"WHERE i + 1 < {most}) SELECT i FROM numbers"
    )


if __name__ == "__main__":
    build(locate(sys.argv[2]), int(sys.argv[1]))

"""What keeps listings fast with many runs.

- policy.mode, a copy of the mode in its configuration, with policy(monitor, mode): what runs are judged by is found
  without a look at each callback
- metric_definition(name, mode) of those that a run is declared to be judged by, for the same
- run(experiment, started) in place of run(experiment): the runs of an experiment in the order of their start
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

AT_ONCE = 5000


def upgrade() -> None:
    op.add_column("policy", sa.Column("mode", sa.String()))
    copy_modes(op.get_bind())
    op.create_index("ix_policy_monitor", "policy", ["monitor", "mode"])
    op.create_index(
        "ix_metric_definition_monitor",
        "metric_definition",
        ["name", "mode"],
        sqlite_where=sa.text("monitor IS 1"),
        postgresql_where=sa.text("monitor IS true"),
    )
    op.create_index("ix_run_experiment_started", "run", ["experiment", "started"])
    op.drop_index("ix_run_experiment", "run")


def copy_modes(connection: sa.Connection) -> None:
    """Copy the mode of each configuration that has one."""
    configurations = connection.execute(sa.text("SELECT id, config FROM policy")).all()
    modes = [{"id": id, "mode": mode} for id, config in configurations if (mode := mode_in(config))]
    update = sa.text("UPDATE policy SET mode = :mode WHERE id = :id")
    for start in range(0, len(modes), AT_ONCE):
        connection.execute(update, modes[start : start + AT_ONCE])


def mode_in(config: str) -> str | None:
    try:
        mode = json.loads(config).get("mode")
    except (ValueError, AttributeError):
        return None
    return mode if mode in ("min", "max") else None


def downgrade() -> None:
    raise NotImplementedError("restore the backup that `tracker db upgrade` made")

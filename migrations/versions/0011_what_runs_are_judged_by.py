"""A run's row has the lowest and the highest value of the metric that the run is judged by.

In an SQLite file, runs are kept in the order of their ids, as what belongs to them is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

JUDGED_BY = """UPDATE run SET judged_by = coalesce(
    (SELECT monitor FROM policy WHERE policy.run_id = run.id AND monitor IS NOT NULL
     ORDER BY attempt DESC, number DESC LIMIT 1),
    (SELECT name FROM metric_definition WHERE metric_definition.run_id = run.id AND monitor ORDER BY name LIMIT 1),
    'val_loss')"""
COPIES = """UPDATE run SET
    judged_min = (SELECT min FROM summary
                  WHERE summary.run_id = run.id AND summary.name = run.judged_by AND last_epoch IS NOT NULL),
    judged_max = (SELECT max FROM summary
                  WHERE summary.run_id = run.id AND summary.name = run.judged_by AND last_epoch IS NOT NULL)"""


def upgrade() -> None:
    is_file = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table(
        "run",
        recreate="always" if is_file else "never",
        table_kwargs={"sqlite_with_rowid": False},
    ) as run:
        run.add_column(
            sa.Column("judged_by", sa.String(), nullable=False, server_default="val_loss")
        )
        run.add_column(sa.Column("judged_min", sa.Float()))
        run.add_column(sa.Column("judged_max", sa.Float()))
    op.execute(JUDGED_BY)
    op.execute(COPIES)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that `tracker db upgrade` made")

"""Small rows are kept in the order of their keys, without row numbers: half of the steps to look one up.

In an SQLite file only; a server keeps its rows as before.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = ("param", "tag", "metric", "summary", "metric_definition", "fact", "former_param")


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    for table in TABLES:
        with op.batch_alter_table(
            table, recreate="always", table_kwargs={"sqlite_with_rowid": False}
        ):
            pass


def downgrade() -> None:
    raise NotImplementedError("restore the backup that `tracker db upgrade` made")

"""What keeps listings and starts fast with many runs: indexes.

- param(name, number) in place of param(name); summary(name, last): to sort by a param, by a last value
- checkpoint where it is pending: every start asks for those
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_param_name_number", "param", ["name", "number"])
    op.drop_index("ix_param_name", "param")
    op.create_index("ix_summary_name_last", "summary", ["name", "last"])
    op.create_index(
        "ix_checkpoint_pending",
        "checkpoint",
        ["run_id"],
        sqlite_where=sa.text("pending IS 1"),
        postgresql_where=sa.text("pending IS true"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that `tracker db upgrade` made")

"""How long calls of ``log`` waited for the disk: attempt.waited, in seconds."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "attempt", sa.Column("waited", sa.Float(), nullable=False, server_default="0")
    )  # the default is for processes of the release before, which go on recording


def downgrade() -> None:
    raise NotImplementedError("restore the backup that `tracker db upgrade` made")  # counts go

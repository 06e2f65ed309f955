"""What an hour of a run's machine costs, so that runs have a cost."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("price_per_hour", sa.Float(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that `tracker db upgrade` made")

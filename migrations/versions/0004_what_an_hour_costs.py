"""What an hour of a run's machine costs, so that runs have a cost."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("price_per_hour", sa.Float(), nullable=True))

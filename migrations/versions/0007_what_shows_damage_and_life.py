"""What shows that a value was damaged on the disk, and that a run on another machine lives.

- epoch.checksum: of its row and its metrics; NULL where an earlier release has recorded it
- attempt.heard: when a server last heard of it, by the server's own clock; NULL in an SQLite file
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("epoch", sa.Column("checksum", sa.BigInteger(), nullable=True))
    op.add_column("attempt", sa.Column("heard", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that `tracker db upgrade` made")

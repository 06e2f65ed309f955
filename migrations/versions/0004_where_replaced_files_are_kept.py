"""Where the bytes of a checkpoint are whose name a later run has taken.

- checkpoint.original_path: the name it was saved under; ``path`` is then its place in the store
- checkpoint.kept: the rule that keeps it there: best, run or none (it was pinned)
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checkpoint", sa.Column("original_path", sa.String(), nullable=True))
    op.add_column("checkpoint", sa.Column("kept", sa.String(), nullable=True))
    op.create_index("ix_checkpoint_original_path", "checkpoint", ["original_path"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that `tracker db upgrade` made")

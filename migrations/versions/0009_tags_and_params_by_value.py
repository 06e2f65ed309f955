"""What keeps listings fast with many runs: indexes.

- tag(name, value) in place of tag(name): to sort by a tag. In an SQLite file only: on a server a value may be longer
  than an index takes, and tags are sorted there in a tenth of the time
- param(name, number, kind) in place of param(name, number): to count the values of params without a look at each row
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_param_name_number", "param")
    op.create_index("ix_param_name_number", "param", ["name", "number", "kind"])
    if op.get_bind().dialect.name == "sqlite":
        op.create_index("ix_tag_name_value", "tag", ["name", "value"])
        op.drop_index("ix_tag_name", "tag")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that `tracker db upgrade` made")

"""What Alembic runs. Uses the connection, and the transaction, that it is handed."""

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("Run `tracker db upgrade`: migrations use the connection it hands them.")

context.configure(
    connection=connection,
    target_metadata=context.config.attributes.get("metadata"),
    version_table="tracker_schema_version",
    transactional_ddl=True,
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()

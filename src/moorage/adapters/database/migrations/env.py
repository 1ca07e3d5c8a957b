"""Run by Alembic for each command: on the connection that migrating.py hands over, in its transaction."""

from alembic import context

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=attributes["metadata"],
    render_as_batch=attributes["connection"].dialect.name == "sqlite",  # which alters a table by making it anew
)
with context.begin_transaction():
    context.run_migrations()

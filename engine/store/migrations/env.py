"""Alembic's own door. We always hand it a connection: see engine/store/connect.py."""

from alembic import context

from engine.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()

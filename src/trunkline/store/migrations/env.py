"""Alembic runs this file; `store.upgrade` hands it a connection with an open transaction."""

from __future__ import annotations

from alembic import context

from trunkline.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes a table by copying it.
    render_as_batch=True,
)
context.run_migrations()

"""The way from every earlier form of the tables to `schema.HEAD`, one revision a step (Alembic)."""

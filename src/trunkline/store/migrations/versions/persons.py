"""Whom a key was issued to, and whose attempt it is: for budgets and limits on persons."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both columns, and an index over the attempts that have a person."""
    op.add_column("keys", sa.Column("person", sa.Text))
    op.add_column("attempts", sa.Column("person", sa.Text))
    named = sa.text("person IS NOT NULL")
    op.create_index("attempts_of_persons", "attempts", ["person", "at"], sqlite_where=named, postgresql_where=named)

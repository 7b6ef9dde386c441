"""Which trial an attempt belongs to: a split's arm, or a shadow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and an index over the few that have one."""
    op.add_column("attempts", sa.Column("trial", sa.Text))
    some = sa.text("trial IS NOT NULL")
    op.create_index("attempts_trial", "attempts", ["trial", "at"], sqlite_where=some, postgresql_where=some)

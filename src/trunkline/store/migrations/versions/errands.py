"""Answers that are worked on without their callers, and the events of their streams."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

UNDER_WAY = sa.text("status = 'in_progress'")


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("turns", sa.Column("status", sa.Text, nullable=False, server_default=""))
    op.add_column("turns", sa.Column("worker", sa.Text, nullable=False, server_default=""))
    op.add_column("turns", sa.Column("alive_until", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("turns", sa.Column("streams", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_index("turns_under_way", "turns", ["worker"], sqlite_where=UNDER_WAY, postgresql_where=UNDER_WAY)
    op.create_table(
        "errand_events",
        sa.Column("turn", sa.Text, sa.ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("first", sa.BigInteger, primary_key=True),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )

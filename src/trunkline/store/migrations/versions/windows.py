"""What exchanges have been given of limits, window by window."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add their table."""
    op.create_table(
        "windows",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("starts", sa.BigInteger, primary_key=True),
        sa.Column("ends", sa.BigInteger, nullable=False),
        sa.Column("granted", sa.BigInteger, nullable=False),
    )

"""Attempts of an end customer are found without reading all: for budgets that begin in the middle of a period."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    named = sa.text("end_customer IS NOT NULL")
    columns = ["end_customer", "at"]
    op.create_index("attempts_of_customers", "attempts", columns, sqlite_where=named, postgresql_where=named)

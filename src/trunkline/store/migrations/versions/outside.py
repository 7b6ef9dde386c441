"""What counts in an allowance outside its leases, and what was settled when somebody looked after its end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what was declared before counts as it did."""
    for name, kind in (("counts_until", sa.BigInteger), ("covers", sa.Text), ("seen", sa.BigInteger)):
        op.add_column("allowances", sa.Column(name, kind))
    late = sa.text("counts_until IS NOT NULL")
    op.create_index("allowances_late", "allowances", ["counts_until"], sqlite_where=late, postgresql_where=late)

"""Which units wait for slots at which worker, so that workers of several exchanges share them fairly."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("slots", sa.Column("waiting", sa.Text))

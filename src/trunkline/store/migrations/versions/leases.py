"""Allowances, the leases that workers have of them, and temporary increases."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add their tables, and to the attempts which leases they were held in."""
    op.add_column("attempts", sa.Column("leases", sa.Text))
    op.create_table(
        "allowances",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("starts", sa.BigInteger, primary_key=True),
        *_required("ends limit", sa.BigInteger()),
        *_required("hard", sa.Boolean()),
        *_required("declared_at settled leased short_at", sa.BigInteger()),
        *_required("warned", sa.Integer()),
    )
    op.create_table(
        "leases",
        sa.Column("id", sa.Text, primary_key=True),
        *_required("allowance", sa.Text()),
        *_required("starts", sa.BigInteger()),
        *_required("journal", sa.Text()),
        *_required("version amount settled ahead expires", sa.BigInteger()),
        *_required("ended known", sa.Boolean()),
        *_required("resolved", sa.Text()),
    )
    op.create_index("ix_leases_journal", "leases", ["journal"])
    op.create_index("leases_of", "leases", ["allowance", "starts"])
    op.create_table(
        "raises",
        sa.Column("id", sa.Text, primary_key=True),
        *_required("allowance", sa.Text()),
        *_required("amount starts ends", sa.BigInteger()),
        *_required("reason approver", sa.Text()),
        *_required("made_at", sa.BigInteger()),
    )
    op.create_index("ix_raises_allowance", "raises", ["allowance"])


def _required(names: str, kind: Any) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names.split()]

"""The ledger's attempts, the journals' positions, keys."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "attempts",
        sa.Column("request", sa.Text, primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        *_required("at", sa.BigInteger),
        *_required("key unit cost_centre use_case", sa.Text),
        sa.Column("end_customer", sa.Text),
        *_required("deployment boundary pattern operation model_asked model_sent", sa.Text),
        *_required("stream", sa.Boolean),
        *_required("data_class decision price_version currency", sa.Text),
        *_required("hold", sa.BigInteger),
        *_required("journal", sa.Text),
        *_required("sequence", sa.BigInteger),
        *_required("status", sa.Text),
        sa.Column("settled_at", sa.BigInteger),
        *_required("http_status", sa.Integer),
        *_required("tokens_input tokens_cached tokens_cache_write tokens_output tokens_reasoning", sa.BigInteger),
        *_required("estimated", sa.Boolean),
        *_required("cost", sa.BigInteger),
        *_required("model_served", sa.Text),
        sa.Column("first_byte", sa.BigInteger),
        sa.Column("latency", sa.BigInteger),
        *_required("error", sa.Text),
    )
    op.create_index("attempts_at", "attempts", ["at"])
    still_open = sa.text("settled_at IS NULL")
    op.create_index("attempts_open", "attempts", ["journal"], sqlite_where=still_open, postgresql_where=still_open)
    op.create_table(
        "strays",
        sa.Column("request", sa.Text, primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        *_required("settlement", sa.LargeBinary),
    )
    op.create_table("drained", sa.Column("journal", sa.Text, primary_key=True), *_required("position", sa.BigInteger))
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, primary_key=True),
        *_required("prefix", sa.Text),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        *_required("unit", sa.Text),
        *_required("created_at", sa.BigInteger),
        *_required("use_cases networks", sa.Text),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("successor", sa.Text),
        *_required("label", sa.Text),
    )
    op.create_table("counters", sa.Column("name", sa.Text, primary_key=True), *_required("value", sa.BigInteger))
    op.create_table("about", sa.Column("name", sa.Text, primary_key=True), *_required("value", sa.Text))


def _required(names: str, kind: Any) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names.split()]

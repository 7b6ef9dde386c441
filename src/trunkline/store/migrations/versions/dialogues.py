"""Conversations with ids of their own, and turns that are found by the ids of their items."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add their tables."""
    op.add_column("turns", sa.Column("dialogue", sa.Text))
    op.create_table(
        "turn_items",
        sa.Column("turn", sa.Text, sa.ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
    )
    op.create_index("turn_items_by_id", "turn_items", ["id"])
    op.create_table(
        "dialogues",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("use_case", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("end_customer", sa.Text),
        sa.Column("data_class", sa.Text, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("metadata", sa.LargeBinary, nullable=False),
    )
    op.create_index("dialogues_expire", "dialogues", ["expires_at"])
    op.create_index("dialogues_of", "dialogues", ["unit", "use_case"])
    op.create_table(
        "dialogue_items",
        sa.Column("dialogue", sa.Text, sa.ForeignKey("dialogues.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("place", sa.BigInteger, primary_key=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("end_customer", sa.Text),
        sa.Column("data_class", sa.Text, nullable=False),
        sa.Column("deployment", sa.Text, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("dialogue", "id"),
    )
    op.create_index("dialogue_items_by_id", "dialogue_items", ["id"])

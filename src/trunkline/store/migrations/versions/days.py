"""Roll-ups by the day without the key, made from those by the hour."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CELL = "unit cost_centre use_case deployment boundary pattern model currency"
SUMS = "attempts estimated cost tokens_input tokens_cached tokens_cache_write tokens_output tokens_reasoning"


def upgrade() -> None:
    """Add the tables, and fill them from the hours."""
    op.create_table(
        "day_cells",
        sa.Column("id", sa.Integer, primary_key=True),
        *_required(CELL, sa.Text),
        sa.UniqueConstraint(*CELL.split()),
    )
    op.create_table(
        "days",
        sa.Column("day", sa.Integer, primary_key=True),
        sa.Column("cell", sa.Integer, primary_key=True),
        *_required(SUMS, sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.execute(_CELLS)
    if op.get_bind().dialect.name == "postgresql":
        # Joined by so many names, Postgres takes cells and days for one row, and would read all hours for each.
        op.execute("SET LOCAL enable_nestloop = off")
        op.execute("ANALYZE rollups, cells, day_cells")
    op.execute(_DAYS)


def _required(names: str, kind: Any) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names.split()]


_NAMES = ", ".join(CELL.split())
_CELLS = f"INSERT INTO day_cells ({_NAMES}) SELECT DISTINCT {_NAMES} FROM cells ORDER BY {_NAMES}"  # noqa: S608 - names
_DAYS = (
    f"INSERT INTO days (day, cell, {', '.join(SUMS.split())}) "  # noqa: S608 - names of columns
    f"SELECT r.hour / 24, d.id, {', '.join(f'SUM(r.{name})' for name in SUMS.split())} FROM rollups r "
    "JOIN cells c ON c.id = r.cell "
    f"JOIN day_cells d ON {' AND '.join(f'd.{name} = c.{name}' for name in CELL.split())} GROUP BY 1, 2"
)

"""Roll-ups by the month, and the finer ones in two sorts: with the key by the day, without it by the hour."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

CELL = "unit cost_centre use_case deployment boundary pattern model currency"
SUMS = "attempts estimated cost tokens_input tokens_cached tokens_cache_write tokens_output tokens_reasoning"
TABLES = (("hours", "hour"), ("months", "month"), ("key_days", "day"), ("key_months", "month"))
EPOCH = date(1970, 1, 1).toordinal()


def upgrade() -> None:
    """Make the new roll-ups out of those by the hour and key, month by month, and drop these."""
    op.rename_table("cells", "key_cells")
    op.rename_table("day_cells", "cells")
    if op.get_bind().dialect.name == "postgresql":
        _name_anew()
    for name, bucket in TABLES:
        op.create_table(
            name,
            sa.Column(bucket, sa.Integer, primary_key=True),
            sa.Column("cell", sa.Integer, primary_key=True),
            *(sa.Column(one, sa.BigInteger, nullable=False) for one in SUMS.split()),
            sqlite_with_rowid=False,
        )
    if op.get_bind().dialect.name == "postgresql":
        # Joined by so many names, Postgres takes the cells for one row, and would read all the rest for each.
        op.execute("SET LOCAL enable_nestloop = off")
        op.execute("ANALYZE cells, key_cells")
    op.execute(_KEYLESS)
    days = op.get_bind().execute(sa.text("SELECT DISTINCT day FROM days ORDER BY day")).scalars().all()
    config = op.get_context().config
    share = config.attributes.get("share") if config else None
    for month, first, last in _months(days):
        if share is not None:
            share(max(first - days[0], 0) / (days[-1] - days[0] + 1))
        for statement in _FILL:
            op.execute(statement.format(month=month, first=first, last=last))
    op.drop_table("keyless")
    op.drop_table("rollups")


def _name_anew() -> None:
    """Have Postgres name the tables' constraints as it would in a new store: by the tables' names of now."""
    found = sa.inspect(op.get_bind())
    unique = {table: found.get_unique_constraints(table)[0] for table in ("cells", "key_cells")}
    for table, constraint in unique.items():
        op.drop_constraint(str(constraint["name"]), table)
    for table, constraint in unique.items():
        op.execute(f"ALTER TABLE {table} ADD UNIQUE ({', '.join(constraint['column_names'])})")


def _months(days: Any) -> Iterator[tuple[int, int, int]]:
    """The months that days are in: each since 1970, its first day and the first of the next."""
    for year, month in sorted({(then.year, then.month) for then in (date.fromordinal(EPOCH + day) for day in days)}):
        following = date(year + month // 12, month % 12 + 1, 1)
        yield (year - 1970) * 12 + month - 1, date(year, month, 1).toordinal() - EPOCH, following.toordinal() - EPOCH


_NAMES = " AND ".join(f"k.{name} = c.{name}" for name in CELL.split())
_KEYLESS = (
    "CREATE TABLE keyless AS SELECT k.id AS key_cell, c.id AS cell "  # noqa: S608 - names of columns
    f"FROM key_cells k JOIN cells c ON {_NAMES}"
)
_ADDED = ", ".join(f"SUM(r.{name})" for name in SUMS.split())
_OF_HOURS = "r.hour >= {first} * 24 AND r.hour < {last} * 24"
_OF_DAYS = "r.day >= {first} AND r.day < {last}"


def _fill(table: str, bucket: str, number: str, source: str) -> str:
    columns = f"{bucket}, cell, {', '.join(SUMS.split())}"
    cell = "k.cell" if "keyless" in source else "r.cell"
    return (
        f"INSERT INTO {table} ({columns}) "  # noqa: S608 - names of columns and tables
        f"SELECT {number}, {cell}, {_ADDED} FROM {source} GROUP BY 1, 2"
    )


_FILL = (
    _fill("hours", "hour", "r.hour", f"rollups r JOIN keyless k ON k.key_cell = r.cell WHERE {_OF_HOURS}"),
    _fill("key_days", "day", "r.hour / 24", f"rollups r WHERE {_OF_HOURS}"),
    _fill("key_months", "month", "{month}", f"key_days r WHERE {_OF_DAYS}"),
    _fill("months", "month", "{month}", f"days r WHERE {_OF_DAYS}"),
)

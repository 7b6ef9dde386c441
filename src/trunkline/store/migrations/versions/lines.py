"""Double-entry lines with their accounts, and roll-ups; both made for the attempts that are there already."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CELL = "unit cost_centre use_case deployment boundary pattern model key currency"
SUMS = "attempts estimated cost tokens_input tokens_cached tokens_cache_write tokens_output tokens_reasoning"


def upgrade() -> None:
    """Add the tables, and fill them from the attempts."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.Integer, primary_key=True),
        *_required("name currency", sa.Text),
        *_required("balance", sa.BigInteger),
        sa.UniqueConstraint("name", "currency"),
    )
    op.create_table(
        "prices",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("version", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "cells",
        sa.Column("id", sa.Integer, primary_key=True),
        *_required(CELL, sa.Text),
        sa.UniqueConstraint(*CELL.split()),
    )
    op.create_table(
        "lines",
        sa.Column("request", sa.Text, primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        *_required("at", sa.BigInteger),
        *_required("kind", sa.SmallInteger),
        *_required("debit credit", sa.Integer),
        *_required("amount", sa.BigInteger),
        *_required("price", sa.Integer),
        *_required("reason", sa.Text),
        sa.Column("by", sa.Text),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rollups",
        sa.Column("hour", sa.Integer, primary_key=True),
        sa.Column("cell", sa.Integer, primary_key=True),
        *_required(SUMS, sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "repeats",
        sa.Column("request", sa.Text, primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        *_required("at", sa.BigInteger),
        *_required("cell", sa.Integer),
        sqlite_with_rowid=False,
    )
    for dialect, statement in _STAY:
        if dialect == op.get_bind().dialect.name:
            op.execute(statement)
    if op.get_bind().dialect.name == "postgresql":
        # Joined by so many names, Postgres takes attempts and cells for one row, and would read all the rest for each.
        op.execute("SET LOCAL enable_nestloop = off")
    for statement in _FILL:
        if statement != _ANALYZE or op.get_bind().dialect.name == "postgresql":
            op.execute(statement)


def _required(names: str, kind: Any) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names.split()]


# Lines are only ever added, whoever tries otherwise.
_MESSAGE = "lines are only ever added"
_TRIGGER = "CREATE TRIGGER lines_stay{} BEFORE {} ON lines {}"
_ABORT = f"BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END"
_RAISE = f"BEGIN RAISE EXCEPTION ''{_MESSAGE}''; END"
_STAY = (
    ("sqlite", _TRIGGER.format("_as_they_are", "UPDATE", _ABORT)),
    ("sqlite", _TRIGGER.format("_for_ever", "DELETE", _ABORT)),
    ("postgresql", f"CREATE FUNCTION lines_stay() RETURNS trigger LANGUAGE plpgsql AS '{_RAISE}'"),
    ("postgresql", _TRIGGER.format("", "UPDATE OR DELETE", "FOR EACH ROW EXECUTE FUNCTION lines_stay()")),
)

_BY_CELL = " AND ".join(f"c.{name} = a.{'model_sent' if name == 'model' else name}" for name in CELL.split())
_SIDES = {"cost": ("cost", "owed"), "held": ("held", "reserved")}


def _line(kind: int, sides: str, amount: str, *more: str) -> str:
    taker, giver = _SIDES[sides]
    at, reason, where = more
    return (
        "INSERT INTO lines (request, attempt, number, at, kind, debit, credit, amount, price, reason) "  # noqa: S608
        f"SELECT a.request, a.attempt, {kind}, {at}, {kind}, d.id, c.id, {amount}, p.id, {reason} FROM attempts a "
        f"JOIN accounts d ON d.name = '{taker}:' || a.cost_centre || '/' || a.unit AND d.currency = a.currency "
        f"JOIN accounts c ON c.name = '{giver}:' || a.boundary AND c.currency = a.currency "
        f"JOIN prices p ON p.version = a.price_version WHERE {where}"
    )


def _account(prefix: str, name: str, where: str) -> str:
    return (
        "INSERT INTO accounts (name, currency, balance) "  # noqa: S608
        f"SELECT DISTINCT '{prefix}:' || {name}, currency, 0 FROM attempts WHERE {where} ORDER BY 1, 2"
    )


_PAYER = "cost_centre || '/' || unit"
_OPEN, _SETTLED = "settled_at IS NULL", "settled_at IS NOT NULL"
_CELLS = """
    INSERT INTO cells (unit, cost_centre, use_case, deployment, boundary, pattern, model, key, currency)
    SELECT DISTINCT unit, cost_centre, use_case, deployment, boundary, pattern, model_sent, key, currency
    FROM attempts ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9
"""
_BALANCES = """
    UPDATE accounts SET balance =
    COALESCE((SELECT SUM(amount) FROM lines WHERE debit = accounts.id), 0) -
    COALESCE((SELECT SUM(amount) FROM lines WHERE credit = accounts.id), 0)
"""
_ROLLUPS = f"""
    INSERT INTO rollups (hour, cell, attempts, estimated, cost, tokens_input, tokens_cached, tokens_cache_write,
    tokens_output, tokens_reasoning)
    SELECT a.at / 3600000000000, c.id, COUNT(*), SUM(CASE WHEN a.estimated THEN 1 ELSE 0 END), SUM(a.cost),
    SUM(a.tokens_input), SUM(a.tokens_cached), SUM(a.tokens_cache_write), SUM(a.tokens_output), SUM(a.tokens_reasoning)
    FROM attempts a JOIN cells c ON {_BY_CELL} GROUP BY 1, 2
"""  # noqa: S608 - names of columns
_REPEATS = f"""
    INSERT INTO repeats (request, attempt, at, cell)
    SELECT a.request, a.attempt, a.at, c.id FROM attempts a JOIN cells c ON {_BY_CELL}
    WHERE a.request IN (SELECT request FROM attempts GROUP BY request HAVING COUNT(*) > 1)
"""  # noqa: S608 - the same
# Nobody else counts what this transaction made: Postgres would take it for next to nothing, and plan by that.
_ANALYZE = "ANALYZE attempts, accounts, prices, cells"
_UP_TO_HOLD = "CASE WHEN a.cost > a.hold THEN a.hold ELSE a.cost END"
_FILL = (
    _account("cost", _PAYER, _SETTLED),
    _account("owed", "boundary", _SETTLED),
    _account("held", _PAYER, _OPEN),
    _account("reserved", "boundary", _OPEN),
    "INSERT INTO prices (version) SELECT DISTINCT price_version FROM attempts ORDER BY 1",
    _CELLS,
    _ANALYZE,
    _line(1, "held", "a.hold", "a.at", "'open'", f"a.{_OPEN}"),
    _line(3, "cost", _UP_TO_HOLD, "a.settled_at", "a.status", f"a.{_SETTLED}"),
    _line(4, "cost", "a.cost - a.hold", "a.settled_at", "a.status", f"a.{_SETTLED} AND a.cost > a.hold"),
    _BALANCES,
    _ROLLUPS,
    _REPEATS,
)

"""Fills a store with calls of a year, day by day, by statements over whole days: attempts, lines, roll-ups, balances.

As the store itself books them: `trunkline ledger verify` finds no difference. 50 units, 100 use cases of which each key
uses ten, 12 deployments in 4 boundaries; one call in fifty has a second attempt.
"""

# ruff: noqa: S608 - statements are put together from constants of this module

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, create_engine, event, text

from trunkline.store.levels import KEYLESS, LADDERS
from trunkline.store.open import open_store, store_url
from trunkline.store.schema import SUMMED

SECOND = 1_000_000_000
DAY = 24 * 3600 * SECOND
DAYS = 360
START = 1_790_000_000 * SECOND // DAY * DAY
UNITS, USE_CASES, DEPLOYMENTS = 50, 100, 12
PRICE = "list 2026-11"

SERIES = {
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n + 1 < {last}) "
    "SELECT n FROM s)",
    "postgresql": "(SELECT n FROM generate_series(CAST({first} AS bigint), {last} - 1) AS s(n))",
}
HEX = {"sqlite": "printf('%030x', n)", "postgresql": "lpad(to_hex(n), 30, '0')"}
# Calls spread over keys and times as by chance, yet the same each time: the high bits of a linear congruence.
CHANCE = "((n * 1103515245 + 12345) % 2147483648 / 4096)"

_COLUMNS = "n, attempt, request, at, key, unit, use_case, deployment, cost, input, output"
_CALLS = f"""
INSERT INTO calls ({_COLUMNS})
SELECT n, attempt, 'req_' || {{hex}}, {START} + n * {{step}} + attempt, key, key % {UNITS}, use_case,
(use_case + attempt + n % 10 / 9) % {DEPLOYMENTS}, 600000 + n % 100000, 400 + n % 300, 120 + n % 90
FROM (SELECT n, {CHANCE} % {{keys}} AS key, ({CHANCE} % 50 * 2 + n / 7 % 10) % {USE_CASES} AS use_case
      FROM {{series}} AS numbers) AS called
JOIN (SELECT 1 AS attempt UNION ALL SELECT 2) AS tries ON attempt = 1 OR n % 50 = 0
"""
_KEY_CELL = f"(key * {USE_CASES} + use_case) * {DEPLOYMENTS} + deployment + 1"
_CELL = f"(unit * {USE_CASES} + use_case) * {DEPLOYMENTS} + deployment + 1"
_NAMES = (
    "'unit-' || unit, 'CC-' || unit, 'use-case-' || use_case, 'deployment-' || deployment, "
    "'boundary-' || (deployment % 4), 'saas', 'vendor/model-' || deployment"
)
_SUMS = "COUNT(*), 0, SUM(cost), SUM(input), 0, 0, SUM(output), 0"
_OF_DAY = (
    f"""
INSERT INTO attempts SELECT request, attempt, at, 'key_' || key, 'unit-' || unit, 'CC-' || unit,
'use-case-' || use_case, NULL, 'deployment-' || deployment, 'boundary-' || (deployment % 4), 'saas', 'chat',
'use-case-' || use_case, 'vendor/model-' || deployment, 1 = 1, 'internal',
'use-case-7 as internal: 3 allowed, 1 refused; first of its tier', '{PRICE}', 'EUR', 9000000,
'0123456789abcdef01234567', 2 * n + attempt, 'ok', at + 900000000, 200, input, 0, 0, output, 0, 1 = 0, cost,
'model-2026-10-01', 200000000, 900000000, '', NULL, NULL, NULL FROM calls ORDER BY request, attempt""",
    f"""
INSERT INTO lines SELECT request, attempt, 3, at + 900000000, 3, unit + 1, {UNITS} + deployment % 4 + 1, cost, 1, 'ok',
NULL FROM calls ORDER BY request, attempt""",
    f"""
INSERT INTO key_cells SELECT DISTINCT {_KEY_CELL}, {_NAMES}, 'key_' || key, 'EUR' FROM calls WHERE 1 = 1
ON CONFLICT DO NOTHING""",
    f"INSERT INTO cells SELECT DISTINCT {_CELL}, {_NAMES}, 'EUR' FROM calls WHERE 1 = 1 ON CONFLICT DO NOTHING",
    f"INSERT INTO hours SELECT at / {DAY // 24}, {_CELL}, {_SUMS} FROM calls GROUP BY 1, 2",
    f"INSERT INTO days SELECT at / {DAY}, {_CELL}, {_SUMS} FROM calls GROUP BY 1, 2",
    f"INSERT INTO key_days SELECT at / {DAY}, {_KEY_CELL}, {_SUMS} FROM calls GROUP BY 1, 2",
    f"INSERT INTO repeats SELECT request, attempt, at, {_KEY_CELL} FROM calls WHERE n % 50 = 0",
)
_ACCOUNTS = (
    """
INSERT INTO accounts SELECT n + 1, 'cost:CC-' || n || '/unit-' || n, 'EUR', 0
FROM {units} AS numbers""",
    f"INSERT INTO accounts SELECT {UNITS} + n + 1, 'owed:boundary-' || n, 'EUR', 0 FROM {{boundaries}} AS numbers",
    f"INSERT INTO prices VALUES (1, '{PRICE}')",
)
_BALANCES = """
UPDATE accounts SET balance = COALESCE(
(SELECT SUM(d.cost) FROM days d JOIN cells c ON c.id = d.cell
 WHERE 'cost:' || c.cost_centre || '/' || c.unit = accounts.name),
(SELECT -SUM(d.cost) FROM days d JOIN cells c ON c.id = d.cell WHERE 'owed:' || c.boundary = accounts.name), 0)
"""
_OF_MONTH = """
INSERT INTO {months} SELECT {month}, cell, {sums} FROM {days} WHERE day >= {first} AND day < {last} GROUP BY cell"""
_NEXT = "SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT MAX(id) FROM {table}))"
_QUICK = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -400000")


def fill(place: str, count: int, *, keys: int) -> None:
    """Put so many settled calls into a store that is empty; its tables are made if they are not there."""
    open_store(place).close()
    engine = create_engine(store_url(place))
    name = engine.dialect.name
    if name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: [connection.execute(pragma) for pragma in _QUICK])
    with engine.connect() as connection:
        connection.execute(text(f"CREATE TEMPORARY TABLE calls ({_typed()})"))
        _accounts(connection)
        connection.commit()
        for first, last, step in _by_day(count):
            connection.execute(text("DELETE FROM calls" if name == "sqlite" else "TRUNCATE calls"))
            series = SERIES[name].format(first=first, last=last)
            connection.exec_driver_sql(
                _escaped(name, _CALLS.format(hex=HEX[name], step=step, keys=keys, series=series))
            )
            for statement in _OF_DAY:
                connection.exec_driver_sql(_escaped(name, statement))
            connection.commit()
        _months(connection)
        connection.exec_driver_sql(_escaped(name, _BALANCES))
        if name == "postgresql":
            for table in ("accounts", "prices", "cells", "key_cells"):
                connection.execute(text(_NEXT.format(table=table)))
        connection.commit()
    engine.dispose()


def _typed() -> str:
    return ", ".join(f"{column} {'TEXT' if column == 'request' else 'BIGINT'}" for column in _COLUMNS.split(", "))


def _accounts(connection: Connection) -> None:
    name = connection.dialect.name
    units, boundaries = (SERIES[name].format(first=0, last=last) for last in (UNITS, 4))
    for statement in _ACCOUNTS:
        connection.exec_driver_sql(statement.format(units=units, boundaries=boundaries))


def _months(connection: Connection) -> None:
    sums = ", ".join(f"SUM({name})" for name in SUMMED)
    for months, days in ((level.table.name, ladder[1].table.name) for ladder in LADDERS for level in ladder[:1]):
        level = KEYLESS[0]
        for month in range(level.number(START), level.number(START + DAYS * DAY) + 1):
            first, last = (level.begins(one) // DAY for one in (month, month + 1))
            statement = _OF_MONTH.format(months=months, month=month, sums=sums, days=days, first=first, last=last)
            connection.exec_driver_sql(statement)


def _by_day(count: int) -> Iterator[tuple[int, int, int]]:
    """Return the first call of each day and the first of the next, and the nanoseconds between calls."""
    step = DAYS * DAY // count
    for day in range(DAYS):
        first, last = (-(-one * DAY // step) for one in (day, day + 1))
        if first < min(last, count):
            yield first, min(last, count), step


def _escaped(name: str, statement: str) -> str:
    return statement.replace("%", "%%") if name == "postgresql" else statement

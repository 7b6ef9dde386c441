"""Measures the ledger at size: `PYTHONPATH=src:. python bench/ledger.py [--calls 10000000] [--postgres] [--upgrade]`.

Makes that many settled calls over twelve months (5,000 keys of 50 units, 100 use cases, ten of them in each unit, 12
deployments; one call in fifty has a second attempt) in a store of the version before there were lines, by statements
over whole tables; brings it up to date, and times what is asked of it then. Prints the store's size per call, and how
many calls a second are drained into it afterwards. `--upgrade` brings it up to date as an exchange would at its start;
otherwise SQLite keeps no log of that, which is quicker.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import create_engine, event, func, select, text
from tests.metering.made import intent, settlement
from tests.postgres.server import Server

from trunkline.ids import JournalId, RequestIds
from trunkline.metering.ports import Span
from trunkline.metering.records import Entry
from trunkline.store.open import Store, open_store, store_url
from trunkline.store.schema import metadata
from trunkline.store.sessions import waiting_for_ever
from trunkline.store.upgrade import upgrade

SECOND = 1_000_000_000
MONTH = 30 * 24 * 3600 * SECOND
START = 1_790_000_000 * SECOND // (3600 * SECOND) * (3600 * SECOND)
MILLION = 1_000_000
BATCH = 450
"""Calls in one batch, as many as a drain takes at once from a busy journal."""

SERIES = {
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n + 1 < {count}) SELECT n FROM s)",
    "postgresql": "(SELECT n FROM generate_series(CAST(0 AS bigint), {count} - 1) AS s(n))",
}
HEX = {"sqlite": "printf('%030x', {n})", "postgresql": "lpad(to_hex({n}), 30, '0')"}
# Calls spread over keys and times as by chance, yet the same each time: the high bits of a linear congruence.
CHANCE = "((n * 1103515245 + 12345) % 2147483648 / 4096)"
KEY, USE_CASE = f"({CHANCE} % 5000)", f"({CHANCE} % 50 * 2 + n / 7 % 10) % 100"
DEPLOYMENT = f"(({USE_CASE}) + {{attempt}} + (n % 10) / 9) % 12"
ROWS = f"""
INSERT INTO attempts SELECT 'req_' || {{hex}}, {{attempt}}, {{start}} + n * {{step}} + {{attempt}},
'key_' || {KEY}, 'unit-' || ({KEY} % 50), 'CC-' || ({KEY} % 50),
'use-case-' || ({USE_CASE}), NULL,
'deployment-' || ({DEPLOYMENT}), 'boundary-' || (({DEPLOYMENT}) % 4), 'saas', 'chat', 'use-case-' ||
({USE_CASE}), 'vendor/model-' || ({DEPLOYMENT}), {{true}}, 'internal',
'use-case-7 as internal: 3 allowed, 1 refused; first of its tier', 'list 2026-11', 'EUR', 9000000,
'0123456789abcdef01234567', n * 2, 'ok', {{start}} + n * {{step}} + 900000000, 200, 400 + n % 300, 0, 0, 120 + n % 90,
0, {{false}}, 600000 + n % 100000, 'model-2026-10-01', 200000000, 900000000, '', NULL
FROM {{series}} AS s WHERE {{where}}
"""  # noqa: S608 - constants
QUICK = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -1000000")


def fill(place: str, count: int, *, to: str | None) -> None:
    """Make the attempts in a store of the revision before lines; bring it to another revision then."""
    engine = create_engine(store_url(place))
    name = engine.dialect.name
    if name == "sqlite":
        event.listen(engine, "connect", _hurry)
    booleans = {"true": "TRUE", "false": "FALSE"} if name == "postgresql" else {"true": "1", "false": "0"}
    with engine.begin() as connection:
        upgrade(connection, "0003")
        for attempt, where in ((1, "TRUE"), (2, "n % 50 = 0")):
            rows = ROWS.format(
                hex=HEX[name].format(n="n"),
                attempt=attempt,
                start=START,
                step=12 * MONTH // count,
                series=SERIES[name].format(count=count),
                where=where,
                **booleans,
            )
            connection.exec_driver_sql(rows.replace("%", "%%") if name == "postgresql" else rows)
    if to is not None:
        began = time.perf_counter()
        with engine.begin() as connection:
            upgrade(connection, to)
        print(f"brought up to date in {time.perf_counter() - began:,.0f} s", flush=True)
    engine.dispose()


def _hurry(connection: Any, _: object) -> None:
    for pragma in QUICK:
        connection.execute(pragma)


def timed(what: str, do: Callable[[], object]) -> None:
    """Say how long something takes: the first time, and once it is warm."""
    took = []
    for _ in range(2):
        began = time.perf_counter()
        do()
        took.append(time.perf_counter() - began)
    print(f"  {what:58} {took[0]:8.2f} s {took[1]:8.2f} s", flush=True)


def size(store: Store, place: str) -> int:
    """Return how many bytes the store takes on disk."""
    engine = store._sessions.engine  # noqa: SLF001 - nobody else measures it
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return Path(place).stat().st_size
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


def tidy(store: Store) -> None:
    """Do what Postgres does by itself after a while."""
    engine = store._sessions.engine.execution_options(isolation_level="AUTOCOMMIT")  # noqa: SLF001 - the same
    with engine.connect() as connection, waiting_for_ever(connection):
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM ANALYZE"))


def drain(store: Store, calls: int) -> float:
    """Book so many calls in batches as a drain does; return calls a second."""
    ids, journal, now = RequestIds(), JournalId("f" * 24), time.time_ns()
    batches = []
    for start in range(0, calls, BATCH):
        batch = []
        for number in range(start, min(start + BATCH, calls)):
            request = ids.mint()
            of = msgspec.structs.replace(
                intent(2 * number + 1, request), at=now, key=f"key_{number % 1000}", unit=f"unit-{number % 20}"
            )
            batch += [Entry(journal, of), Entry(journal, settlement(2 * number + 2, request))]
        batches.append(batch)
    began = time.perf_counter()
    for number, batch in enumerate(batches, 1):
        store.book(batch, {journal: number})
    return calls / (time.perf_counter() - began)


def measure(place: str) -> None:
    """Measure a store that holds nothing yet."""
    with open_store(place) as store:
        print(f"{store._sessions.engine.dialect.name}: drained into an empty store", flush=True)  # noqa: SLF001 - the same
        before = size(store, place)
        print(f"  {drain(store, 20_000):,.0f} calls a second", flush=True)
        print(f"  {(size(store, place) - before) / 20_000:,.0f} bytes per call", flush=True)


def measure_full(place: str, count: int, *, as_at_a_start: bool) -> None:
    """Measure a store that holds so many calls."""
    began = time.perf_counter()
    fill(place, count, to=None if as_at_a_start else "head")
    print(f"filled in {time.perf_counter() - began:,.0f} s", flush=True)
    began = time.perf_counter()
    with open_store(place) as store:
        print(f"opened in {time.perf_counter() - began:,.0f} s", flush=True)
        if store.shared:
            tidy(store)
        each = size(store, place) / count
        print(f"{count / MILLION:g} million calls, {each:,.0f} bytes per call", flush=True)
        for table in ("lines", "rollups", "days"):
            (counted,) = store._sessions.rows(select(func.count()).select_from(metadata.tables[table]))  # noqa: SLF001
            print(f"  {table}: {counted[0]:,}", flush=True)
        month = Span(START, START + MONTH)
        odd = Span(START + 123 * SECOND, START + MONTH + 456 * SECOND)
        timed("by unit, use case, one month", lambda: store.sums(["unit", "use_case"], month))
        timed("by unit, use case, a month that begins within an hour", lambda: store.sums(["unit", "use_case"], odd))
        timed("by unit, use case, all twelve months", lambda: store.sums(["unit", "use_case"], Span()))
        timed("by key, one month", lambda: store.sums(["key"], month))
        timed("by key, all twelve months", lambda: store.sums(["key"], Span()))
        print(f"  drained beside them: {drain(store, 20_000):,.0f} calls a second", flush=True)
        began = time.perf_counter()
        found = store.verify()
        took = time.perf_counter() - began
        print(f"  verified {found.lines:,} lines in {took:,.0f} s: {len(found.differences)} differences", flush=True)


def main() -> None:
    """Read the options, and measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--calls", type=int, default=10 * MILLION)
    options.add_argument("--postgres", action="store_true")
    options.add_argument("--empty-only", action="store_true", help="leave out the large store")
    options.add_argument("--upgrade", action="store_true", help="bring the large store up to date as a start would")
    options.add_argument("--in", dest="folder", help="where to make a large file; else where temporary ones are")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        if asked.postgres:
            with Server.make(shared_buffers="512MB", max_wal_size="4GB", work_mem="64MB") as server:
                with server.connect() as connection:
                    connection.execute("CREATE DATABASE empty")
                    connection.execute("CREATE DATABASE filled")
                measure(server.url("empty"))
                if not asked.empty_only:
                    measure_full(server.url("filled"), asked.calls, as_at_a_start=asked.upgrade)
        else:
            measure(str(Path(folder) / "empty.db"))
            if not asked.empty_only:
                measure_full(str(Path(folder) / "full.db"), asked.calls, as_at_a_start=asked.upgrade)


if __name__ == "__main__":
    main()

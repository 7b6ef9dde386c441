"""Measures the ledger at size: `PYTHONPATH=src:. python bench/ledger.py [--calls 10000000] [--postgres]`.

Makes that many settled calls over three months (1,000 keys of 20 units, 30 use cases, 12 deployments; one call in fifty
has a second attempt) in a store of the version before there were lines, upgrades it, and times what is asked of it
then. Prints the store's size per call, and how many calls a second are drained into it afterwards.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from sqlalchemy import create_engine, text
from tests.metering.made import intent, settlement
from tests.postgres.server import Server

from trunkline.ids import JournalId, RequestIds
from trunkline.metering.ports import Span
from trunkline.metering.records import Entry
from trunkline.store.open import Store, open_store, store_url
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
ROWS = """
INSERT INTO attempts SELECT 'req_' || {hex}, {attempt}, {start} + n * {step} + {attempt},
'key_' || (n * 7919 % 1000), 'unit-' || (n * 7919 % 1000 % 20), 'CC-' || (n * 7919 % 1000 % 20),
'use-case-' || (n * 104729 % 30), NULL,
'deployment-' || ((n + {attempt}) % 12), 'boundary-' || ((n + {attempt}) % 4), 'saas', 'chat', 'use-case-' ||
(n * 104729 % 30), 'vendor/model-' || ((n + {attempt}) % 12), {true}, 'internal',
'use-case-7 as internal: 3 allowed, 1 refused; first of its tier', 'list 2026-11', 'EUR', 9000000,
'0123456789abcdef01234567', n * 2, 'ok', {start} + n * {step} + 900000000, 200, 400 + n % 300, 0, 0, 120 + n % 90, 0,
{false}, 600000 + n % 100000, 'model-2026-10-01', 200000000, 900000000, '', NULL FROM {series} AS s WHERE {where}
"""


def fill(place: str, count: int) -> None:
    """Make the attempts in a store of the revision before lines."""
    engine = create_engine(store_url(place))
    with engine.begin() as connection:
        upgrade(connection, "0003")
        name = engine.dialect.name
        booleans = {"true": "TRUE", "false": "FALSE"} if name == "postgresql" else {"true": "1", "false": "0"}
        for attempt, where in ((1, "TRUE"), (2, "n % 50 = 0")):
            connection.execute(
                text(
                    ROWS.format(
                        hex=HEX[name].format(n="n"),
                        attempt=attempt,
                        start=START,
                        step=3 * MONTH // count,
                        series=SERIES[name].format(count=count),
                        where=where,
                        **booleans,
                    )
                )
            )
    engine.dispose()


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


def measure_full(place: str, count: int) -> None:
    """Measure a store that holds so many calls."""
    began = time.perf_counter()
    fill(place, count)
    print(f"filled in {time.perf_counter() - began:,.0f} s", flush=True)
    began = time.perf_counter()
    with open_store(place) as store:
        print(f"upgraded in {time.perf_counter() - began:,.0f} s", flush=True)
        if store.shared:
            tidy(store)
        each = size(store, place) / count
        print(f"{count / MILLION:g} million calls, {each:,.0f} bytes per call", flush=True)
        month = Span(START, START + MONTH)
        odd = Span(START + 123 * SECOND, START + MONTH + 456 * SECOND)
        timed("by unit, use case, one month", lambda: store.sums(["unit", "use_case"], month))
        timed("by unit, use case, a month that begins within an hour", lambda: store.sums(["unit", "use_case"], odd))
        timed("by unit, use case, all three months", lambda: store.sums(["unit", "use_case"], Span()))
        timed("by key, all three months", lambda: store.sums(["key"], Span()))
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
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.postgres:
            with Server.make(shared_buffers="512MB", max_wal_size="4GB", work_mem="64MB") as server:
                with server.connect() as connection:
                    connection.execute("CREATE DATABASE empty")
                    connection.execute("CREATE DATABASE filled")
                measure(server.url("empty"))
                if not asked.empty_only:
                    measure_full(server.url("filled"), asked.calls)
        else:
            measure(str(Path(folder) / "empty.db"))
            if not asked.empty_only:
                measure_full(str(Path(folder) / "full.db"), asked.calls)


if __name__ == "__main__":
    main()

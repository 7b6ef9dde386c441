"""Measures the ledger at size: `PYTHONPATH=src:. python bench/ledger.py [--calls 10000000] [--postgres] [--upgrade]`.

Fills a store with that many settled calls of twelve months, times what is asked of it then, and says how many bytes a
call takes, how many calls a second are drained into it, and how much CPU each of them costs. With `--upgrade` it is
filled as the version before there were lines would have left it, and brought up to date as by an exchange's start.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from bench.filling import CHANCE, DAY, HEX, SECOND, SERIES, START, fill
from sqlalchemy import create_engine, func, select, text
from tests.metering.made import intent, settlement
from tests.postgres.server import Server

from trunkline.ids import JournalId, RequestIds
from trunkline.metering.ports import Span
from trunkline.metering.records import Entry
from trunkline.store.open import Store, open_store, store_url
from trunkline.store.schema import metadata
from trunkline.store.sessions import waiting_for_ever
from trunkline.store.telling import Stderr
from trunkline.store.upgrade import upgrade

MONTH = 30 * DAY
MILLION = 1_000_000
BATCH = 1_000
"""Calls in one batch, of which a drain takes some 1,400 at most from a busy journal."""

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


def fill_before_lines(place: str, count: int) -> None:
    """Make the attempts in a store of the revision before lines."""
    engine = create_engine(store_url(place))
    name = engine.dialect.name
    booleans = {"true": "TRUE", "false": "FALSE"} if name == "postgresql" else {"true": "1", "false": "0"}
    with engine.begin() as connection:
        upgrade(connection, "0003")
        for attempt, where in ((1, "TRUE"), (2, "n % 50 = 0")):
            rows = ROWS.format(
                hex=HEX[name],
                attempt=attempt,
                start=START,
                step=12 * MONTH // count,
                series=SERIES[name].format(first=0, last=count),
                where=where,
                **booleans,
            )
            connection.exec_driver_sql(rows.replace("%", "%%") if name == "postgresql" else rows)
    engine.dispose()


def timed(what: str, do: Callable[[], object]) -> None:
    """Say how long something takes: the first time, and once it is warm."""
    took = []
    for _ in range(2):
        began = time.perf_counter()
        do()
        took.append(time.perf_counter() - began)
    print(f"  {what:62} {took[0]:8.2f} s {took[1]:8.2f} s", flush=True)


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


def drain(store: Store, calls: int) -> str:
    """Book so many calls in batches as a drain does; say how quickly, and how much CPU each took."""
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
    began, spent = time.perf_counter(), time.thread_time()
    for number, batch in enumerate(batches, 1):
        store.book(batch, {journal: number})
    each = (time.thread_time() - spent) / calls * MILLION
    return f"{calls / (time.perf_counter() - began):,.0f} calls a second, {each:.0f} us of CPU each"


def measure(place: str) -> None:
    """Measure a store that holds nothing yet."""
    with open_store(place) as store:
        print(f"{store._sessions.engine.dialect.name}: drained into an empty store", flush=True)  # noqa: SLF001 - the same
        before = size(store, place)
        print(f"  {drain(store, 20_000)}", flush=True)
        print(f"  {(size(store, place) - before) / 20_000:,.0f} bytes per call", flush=True)


def measure_full(place: str, asked: argparse.Namespace) -> None:
    """Measure a store that holds so many calls."""
    began, count = time.perf_counter(), asked.calls
    if asked.upgrade:
        fill_before_lines(place, count)
    else:
        fill(place, count, keys=asked.keys)
    print(f"filled in {time.perf_counter() - began:,.0f} s", flush=True)
    began = time.perf_counter()
    with open_store(place) as store:
        print(f"opened in {time.perf_counter() - began:,.0f} s", flush=True)
        if store.shared:
            tidy(store)
        each = size(store, place) / count
        print(f"{count / MILLION:g} million calls, {each:,.0f} bytes per call", flush=True)
        for table in ("lines", "hours", "days", "months", "key_days", "key_months"):
            (counted,) = store._sessions.rows(select(func.count()).select_from(metadata.tables[table]))  # noqa: SLF001
            print(f"  {table}: {counted[0]:,}", flush=True)
        month = Span(START, START + MONTH)
        odd = Span(START + 123 * SECOND, START + MONTH + 456 * SECOND)
        timed("by unit, use case, one month", lambda: store.sums(["unit", "use_case"], month))
        timed("by unit, use case, a month that begins within an hour", lambda: store.sums(["unit", "use_case"], odd))
        timed("by unit, use case, all twelve months", lambda: store.sums(["unit", "use_case"], Span()))
        four = ["unit", "use_case", "deployment", "pattern"]
        timed("by unit, use case, deployment, pattern, one month", lambda: store.sums(four, month))
        timed("by unit, use case, deployment, pattern, all twelve months", lambda: store.sums(four, Span()))
        charged = ["cost_centre", "unit", "boundary", "deployment", "model"]
        timed("by cost centre, unit, boundary, deployment, model, one month", lambda: store.sums(charged, month))
        timed("the newest 20 attempts", lambda: store.tail(20))
        (newest,) = store.tail(1)
        timed("one call with its lines", lambda: (store.attempts(newest.request), store.lines(newest.request)))
        timed("by key, one month", lambda: store.sums(["key"], month))
        timed("by key, all twelve months", lambda: store.sums(["key"], Span()))
        print(f"  drained beside them: {drain(store, 20_000)}", flush=True)
        began = time.perf_counter()
        found = store.verify(Stderr())
        took = time.perf_counter() - began
        print(f"  verified {found.lines:,} lines in {took:,.0f} s: {len(found.differences)} differences", flush=True)
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"  at most {most:,.0f} MiB of memory in all this", flush=True)


def main() -> None:
    """Read the options, and measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--calls", type=int, default=10 * MILLION)
    options.add_argument("--keys", type=int, default=5_000)
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
                    measure_full(server.url("filled"), asked)
        else:
            measure(str(Path(folder) / "empty.db"))
            if not asked.empty_only:
                measure_full(str(Path(folder) / "full.db"), asked)


if __name__ == "__main__":
    main()

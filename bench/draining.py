"""Measures what it costs to book calls: `PYTHONPATH=src:. python bench/draining.py [--store URL]`.

Writes a journal as a busy exchange does, several calls under way at once, each held in three leases, and drains it into
an empty store in batches of several sizes. Prints microseconds of CPU per call of the thread that drains, medians of
several runs, and of which reading the journal alone.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import msgspec
from tests.metering.made import intent, settlement

from trunkline.ids import JournalId, RequestIds, mint_journal_id
from trunkline.metering.frames import SUFFIX, frame, header, read
from trunkline.metering.leases import mint_lease_id
from trunkline.metering.records import Entry, Intent, Settlement
from trunkline.store.open import open_store

UNDER_WAY = 32
"""Calls that have begun and not ended yet, at any moment."""

BYTES_PER_CALL = 600
MICRO = 1_000


def written(folder: Path, calls: int, *, keys: int) -> Path:
    """Write a journal of so many calls, each one's settlement behind the intents of those that began after it."""
    journal, ids, now = mint_journal_id(), RequestIds(), time.time_ns()
    leases = tuple(mint_lease_id(name, 0) for name in ("team", "company", "use case"))
    path = folder / f"{journal}{SUFFIX}"
    with path.open("wb") as file:
        file.write(header(journal))
        begun: list[Intent] = []
        for number in range(calls + UNDER_WAY):
            if number < calls:
                one = msgspec.structs.replace(
                    intent(2 * number + 1, ids.mint(), hold=9_000_000),
                    at=now + number * 500_000,
                    leases=leases,
                    key=f"key_{number % keys:012x}",
                    unit=f"unit-{number % keys % 20}",
                )
                begun.append(one)
                file.write(frame(one))
            if number >= UNDER_WAY:
                file.write(frame(_ended(begun[number - UNDER_WAY])))
    return path


def _ended(one: Intent) -> Settlement:
    ended = settlement(one.sequence + 1, one.request, cost=600_000)
    return msgspec.structs.replace(ended, at=one.at + 16_000_000, first_byte=8_000_000, latency=16_000_000)


def reading_alone(path: Path, most: int) -> int:
    """Read a journal and return the CPU time, in nanoseconds."""
    began, offset = time.thread_time_ns(), 0
    while (found := read(path, offset, most=most)).next_offset != offset:
        offset = found.next_offset
    return time.thread_time_ns() - began


def drained(path: Path, place: str | Path, most: int) -> int:
    """Drain a journal into a store, and return the CPU time, in nanoseconds."""
    journal = JournalId(path.name.removesuffix(SUFFIX))
    with open_store(place) as store:
        began, offset = time.thread_time_ns(), 0
        while (found := read(path, offset, most=most)).next_offset != offset:
            offset = found.next_offset
            store.book([Entry(journal, record) for record in found.records], {journal: offset})
        return time.thread_time_ns() - began


def main() -> None:
    """Read the options, and measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--calls", type=int, default=20_000)
    options.add_argument("--keys", type=int, default=10, help="that take turns")
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--store", help="a store's URL; else a file that is made for it")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="trunkline-draining-") as name:
        folder = Path(name)
        path = written(folder, asked.calls, keys=asked.keys)
        print(f"{path.stat().st_size / asked.calls:,.0f} bytes of journal per call")
        for batch in (10, 100, 450, 2_000):
            most = batch * BYTES_PER_CALL
            whole, alone = [], []
            for run in range(asked.runs):
                whole.append(drained(path, asked.store or folder / f"{batch}-{run}.db", most))
                alone.append(reading_alone(path, most))
            each = [statistics.median(times) / asked.calls / MICRO for times in (whole, alone)]
            print(f"batches of {batch:5,}: {each[0]:6.1f} us per call, of which reading {each[1]:.1f}", flush=True)


if __name__ == "__main__":
    main()

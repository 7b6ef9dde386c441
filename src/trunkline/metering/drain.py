from __future__ import annotations

import logging
import threading
from collections import deque
from pathlib import Path

import msgspec

from trunkline import errors
from trunkline.clock import NANOS_PER_SECOND, Clock
from trunkline.ids import JournalId
from trunkline.metering.frames import read
from trunkline.metering.journal import Journal, Part
from trunkline.metering.ports import LedgerStore
from trunkline.metering.records import Entry
from trunkline.metering.recover import BATCH, Recovery, note_damage, recover, report

log = logging.getLogger(__name__)

GATHER = 0.4
LONGEST_WAIT = 5.0


class Lag(msgspec.Struct, frozen=True):
    """How far the store is behind the journal. `seconds` is an upper bound of the oldest record's age."""

    records: int
    bytes: int
    seconds: float


class Drainer:
    """Moves a worker's journal into the store, in a thread of its own that does all of the store's work for it.

    It sleeps until the journal gains something, lets records gather for GATHER seconds, and books them in batches.
    While the store is away it tries again with growing pauses up to LONGEST_WAIT seconds; nothing is lost meanwhile.

    Attributes:
        healthy: whether the last try succeeded.
        fault: what the last failed try said; empty when healthy.
    """

    def __init__(self, journal: Journal, store: LedgerStore, clock: Clock, *, gather: float = GATHER) -> None:
        self._journal = journal
        self._store = store
        self._clock = clock
        self._gather = gather
        self._offsets: dict[JournalId, int] = {}
        self._damaged: set[JournalId] = set()
        self._booked = 0
        self._all_booked_at = clock.ticks()
        self._hurry = threading.Event()
        self._waiting: deque[threading.Event] = deque()
        self._draining = threading.Lock()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.healthy = True
        self.fault = ""

    def recover(self, folder: Path) -> Recovery:
        """Book what workers that are gone left in a journal folder. Before `start`, with the folder held."""
        living = frozenset(part.journal for part in self._journal.parts())
        return recover(folder, self._store, self._clock.now(), living=living)

    @property
    def booked(self) -> int:
        """How many records this drainer has booked."""
        return self._booked

    def start(self) -> None:
        """Begin to drain."""
        self._thread = threading.Thread(target=self._run, name="trunkline-drain", daemon=True)
        self._thread.start()

    def flush(self, timeout: float = 10.0) -> bool:
        """Book all that was appended before this call; return whether that was done in `timeout` seconds."""
        if self._thread is None or not self._thread.is_alive():
            return self._try()
        done = threading.Event()
        self._waiting.append(done)
        self._hurry.set()
        self._journal.gained.set()
        return done.wait(timeout)

    def stop(self, timeout: float = 10.0) -> bool:
        """Close the journal, book all of it and end the thread; return whether everything is in the store.

        What is not stays in the journal's files, for the next start.
        """
        try:
            self._journal.close()
        except errors.JournalFailed as fault:
            log.error("settlements that could not be written: %d; %s", self._journal.owed, fault.inside)  # noqa: TRY400
        done = self.flush(timeout)
        self._stopping = True
        self._hurry.set()
        self._journal.gained.set()
        if self._thread is not None:
            self._thread.join(timeout)
        return done

    @property
    def lag(self) -> Lag:
        """How far the store is behind at this moment."""
        behind = sum(part.size - self._offsets.get(part.journal, 0) for part in self._journal.parts())
        records = self._journal.appended - self._booked + self._journal.owed
        if not records:
            return Lag(0, 0, 0.0)
        return Lag(records, behind, (self._clock.ticks() - self._all_booked_at) / NANOS_PER_SECOND)

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping:
            self._journal.gained.wait()
            self._hurry.wait(pause or self._gather)
            self._hurry.clear()
            self._journal.gained.clear()
            waiting = len(self._waiting)
            if self._try():
                pause = 0.0
                for _ in range(waiting):
                    self._waiting.popleft().set()
            else:
                pause = min(max(2 * pause, self._gather), LONGEST_WAIT)
                self._journal.gained.set()

    def _try(self) -> bool:
        started = self._clock.ticks()
        try:
            with self._draining:
                self._drain_all()
        except Exception as fault:  # noqa: BLE001 - the thread's border: the store may raise anything while it is away
            if self.healthy:
                reason = fault.inside if isinstance(fault, errors.TrunklineError) else fault
                log.warning("the ledger's store takes nothing; calls go on and the journal keeps them: %s", reason)
            self.healthy, self.fault = False, str(fault)
            return False
        if not self.healthy:
            log.warning("the ledger's store takes records again")
        self.healthy, self.fault = True, ""
        self._all_booked_at = started
        return True

    def _drain_all(self) -> None:
        try:
            self._journal.pay()
        finally:
            parts = self._journal.parts()
            for part in parts:
                self._drain(part)
            for part in parts:
                self._discard(part)

    def _drain(self, part: Part) -> None:
        journal = part.journal
        offset = self._offsets.get(journal, 0)
        while offset < part.size:
            reading = read(part.path, offset, end=part.size, most=BATCH)
            report(part.path, reading.damage)
            if reading.damage:
                note_damage(part.path)
                self._damaged.add(part.journal)
            if reading.next_offset == offset:
                break
            self._store.book([Entry(journal, record) for record in reading.records], {journal: reading.next_offset})
            self._booked += len(reading.records)
            offset = self._offsets[journal] = reading.next_offset

    def _discard(self, part: Part) -> None:
        """Delete a file that is wholly booked, its attempts all settled; a damaged one waits for the next start."""
        if part.journal in self._damaged:
            return
        if part.sealed and self._offsets.get(part.journal) == part.size and not self._store.open_attempts(part.journal):
            self._store.close_leases(part.journal)
            self._journal.discard(part)
            del self._offsets[part.journal]
            self._store.forget(part.journal)

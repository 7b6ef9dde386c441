"""The journal: one appended file per worker, written before the upstream is called and after it answered.

A settlement may stand in a later file than its intent, after a rotation: the two are joined by (request, attempt),
which is minted once. A lease is used by the calls of one file alone, so a file that is read whole tells all that was
used up of its leases. Sequence numbers go on over rotations, so (journal, sequence) names a record for ever.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Self

import msgspec

from trunkline import errors
from trunkline.ids import JournalId, mint_journal_id
from trunkline.metering.frames import SUFFIX, Record, frame, header
from trunkline.metering.records import Settlement

ROTATE_AT = 64 << 20
MOST_OWED = 100_000


class Part(msgspec.Struct, frozen=True):
    """One file of a journal. `size` is where its whole frames end; a sealed one grows no more."""

    journal: JournalId
    path: Path
    size: int
    sealed: bool


class Journal:
    """Appends records; safe to use from the event loop and the draining thread at once.

    Attributes:
        gained: set when there is something to drain.
        appended: how many records were appended so far.
        rouse: has `flush` called in a moment and returns True, or returns False: then nobody will.
    """

    def __init__(self, folder: Path, journal_id: JournalId, *, rotate_at: int = ROTATE_AT) -> None:
        self._folder = folder
        self._rotate_at = rotate_at
        self._lock = threading.Lock()
        self._count = itertools.count(1)
        self._sealed: list[Part] = []
        self._owed: deque[Settlement] = deque()
        self._gathered: list[tuple[Settlement, bytes]] = []
        self._closed = False
        self._fd = -1
        self.id = journal_id
        self.gained = threading.Event()
        self.appended = 0
        self.rouse: Callable[[], bool] = lambda: False
        self._begin(journal_id)

    @classmethod
    def open(cls, folder: Path, journal_id: JournalId, *, rotate_at: int = ROTATE_AT) -> Self:
        """Begin a journal in a folder, with a fresh id; the folder is made if it is not there.

        Raises:
            errors.JournalFailed: the file cannot be created or written.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as fault:
            raise _failed(folder, fault) from fault
        return cls(folder, journal_id, rotate_at=rotate_at)

    def next_sequence(self) -> int:
        """Return the number that the next record is to carry."""
        return next(self._count)

    def append(self, record: Record, within: JournalId | None = None) -> None:
        """Append a record with one `write`: once this returns, it survives the death of the process.

        Args:
            record: what is to be written.
            within: the only file that it may stand in, if it matters: one whose leases it is held in.

        Raises:
            errors.JournalFailed: nothing of the record is in the file; the file stays readable.
        """
        try:
            data = frame(record)
        except (OverflowError, ValueError, TypeError) as fault:
            raise _unwritable(record, fault) from fault
        with self._lock:
            if self._gathered:
                self._write(b"".join([*(early for _, early in self._gathered), data]), within, len(self._gathered) + 1)
                self._gathered.clear()
            else:
                self._write(data, within)
            if self._size >= self._rotate_at:
                self._rotate()
        if not self.gained.is_set():
            self.gained.set()

    def gather(self, settlement: Settlement) -> None:
        """Write a settlement down with the next record or at the next `flush`, at once if none is to come.

        A process that dies before that leaves the attempt open: it counts at its hold.

        Raises:
            errors.JournalFailed: as `append`.
        """
        if not self.rouse():
            self.append(settlement)
            return
        try:
            self._gathered.append((settlement, frame(settlement)))
        except (OverflowError, ValueError, TypeError) as fault:
            raise _unwritable(settlement, fault) from fault

    def flush(self) -> None:
        """Write down what was gathered, with one `write`; what the disk does not take is owed."""
        if not self._gathered:
            return
        with self._lock:
            gathered = self._gathered.copy()
            self._gathered.clear()
            try:
                self._write(b"".join([data for _, data in gathered]), records=len(gathered))
            except errors.JournalFailed:
                failed = gathered
            else:
                failed = []
                if self._size >= self._rotate_at:
                    self._rotate()
        for settlement, _ in failed:
            self.owe(settlement)
        if not self.gained.is_set():
            self.gained.set()

    def owe(self, settlement: Settlement) -> None:
        """Keep a settlement that could not be written; `pay` writes it once the disk takes it.

        Beyond MOST_OWED the oldest is let go: its intent stands in the journal, so it counts at its hold.
        """
        with self._lock:
            if len(self._owed) >= MOST_OWED:
                self._owed.popleft()
            self._owed.append(settlement)
        self.gained.set()

    @property
    def owed(self) -> int:
        """How many settlements wait in memory for the disk."""
        return len(self._owed)

    def pay(self) -> None:
        """Write the settlements that are owed.

        Raises:
            errors.JournalFailed: the disk still does not take them; they stay owed.
        """
        with self._lock:
            while self._owed:
                self._write(frame(self._owed[0]))
                self._owed.popleft()

    def parts(self) -> tuple[Part, ...]:
        """The files that hold this journal, oldest first, less those that were discarded."""
        with self._lock:
            if self._fd < 0:
                return tuple(self._sealed)
            return (*self._sealed, self._part(sealed=False))

    def discard(self, part: Part) -> None:
        """Delete a sealed file: all of it is booked."""
        with self._lock:
            self._sealed.remove(part)
        part.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Write what is owed, if the disk takes it, and append no more. The files stay, to be drained."""
        self.flush()
        try:
            self.pay()
        finally:
            with self._lock:
                self._closed = True
                self._seal()

    def _write(self, data: bytes, within: JournalId | None = None, records: int = 1) -> None:
        if self._closed:
            raise errors.JournalFailed("the exchange is shutting down", inside=f"journal {self.id} is closed")
        if self._fd < 0:
            self._rotate()
        if within is not None and within != self.id:
            raise errors.JournalFailed(_SAFE, inside=f"{self._path} was begun after the call was held")
        try:
            written = os.write(self._fd, data)
        except OSError as fault:
            self._cut_back()
            raise _failed(self._path, fault) from fault
        if written != len(data):
            self._cut_back()
            reason = f"only {written} of {len(data)} bytes could be written"
            raise errors.JournalFailed(_SAFE, inside=f"{self._path}: {reason}: is the disk full?")
        self._size += written
        self.appended += records

    def _begin(self, journal_id: JournalId) -> None:
        path = self._folder / f"{journal_id}{SUFFIX}"
        head = header(journal_id)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise _failed(path, fault) from fault
        try:
            written = os.write(fd, head)
        except OSError:
            written = 0
        if written != len(head):
            os.close(fd)
            path.unlink(missing_ok=True)
            raise errors.JournalFailed(_SAFE, inside=f"{path}: no room for its header: is the disk full?")
        self.id, self._path, self._fd, self._size = journal_id, path, fd, len(head)

    def _rotate(self) -> None:
        old = self._fd
        part = self._part(sealed=True)
        try:
            self._begin(mint_journal_id())
        except errors.JournalFailed:
            if old < 0:
                raise
            return  # The old file still takes records.
        if old >= 0:
            os.close(old)
            self._sealed.append(part)

    def _cut_back(self) -> None:
        """Take back a partial write; a file that cannot be cut is left with its torn tail and written no more."""
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            self._seal()

    def _seal(self) -> None:
        if self._fd >= 0:
            self._sealed.append(self._part(sealed=True))
            os.close(self._fd)
            self._fd = -1

    def _part(self, *, sealed: bool) -> Part:
        return Part(self.id, self._path, self._size, sealed)


def _unwritable(record: Record, fault: Exception) -> errors.JournalFailed:
    return errors.JournalFailed("the record cannot be written down", inside=f"{record!r}: {fault}")


_SAFE = "the call could not be written to the journal, so it was not sent"


def _failed(path: Path, fault: OSError) -> errors.JournalFailed:
    return errors.JournalFailed(_SAFE, inside=f"{path}: {fault.strerror or fault}")

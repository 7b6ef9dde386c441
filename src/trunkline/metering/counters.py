"""What is counted against limits, in memory that all workers of an exchange share: a file that each maps.

A file of 64-bit words: rows of them, one row for each limit, found by a digest of its name. A row holds the window that
it counts in, what was used in it, and for each worker how many calls it has under way. So a limit holds for all workers
together, and a restart goes on counting where the one before ended.

Who changes a row holds the file's lock; the kernel frees it with the process. A worker's calls at once stand in a lane
of its own, which it holds by a lock of its own: when it is gone, whoever finds the lane free sets it to nothing.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from pathlib import Path

from trunkline.errors import DataFolderUnusable, Unstartable
from trunkline.metering.limits import MINUTE, Rate

LANES = 128
ROWS = 8_192
MOST_LIMITS = ROWS // 4
"""What an estate may have of them: there is room for those of some estates before."""
STARTS, ENDS, USED, GRANTED, REFUSED, AHEAD = range(2, 8)
FIRST_LANE = 8
WIDTH = FIRST_LANE + LANES
WORD = 8
FORMAT = 0x7472_6174_6501
"""The first word of the file: what it is, and the version of its layout."""


class Page:
    """The shared counts of one exchange.

    Args:
        folder: where the file and the lanes' locks are; made where it is missing.
        alone: no other process counts there while this one does, so that no lock is needed.

    Raises:
        DataFolderUnusable: the folder cannot be written, or has no lane free.
    """

    def __init__(self, folder: Path, *, alone: bool = False) -> None:
        self._folder = folder
        self._rows: dict[str, int] = {}
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self._file = os.open(folder / "counts", os.O_RDWR | os.O_CREAT, 0o600)
            size = (ROWS + 1) * WIDTH * WORD
            if os.fstat(self._file).st_size != size:
                os.ftruncate(self._file, 0)
                os.ftruncate(self._file, size)
            self._map = mmap.mmap(self._file, size)
        except OSError as fault:
            raise DataFolderUnusable(f"{folder} cannot keep counts: {fault.strerror or fault}") from fault
        self._lock = nullcontext() if alone else _Lock(self._file)
        self.words = memoryview(self._map).cast("q")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            self._lane, self._lane_lock = self._take_lane()
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    @property
    def lane(self) -> int:
        """This worker's lane."""
        return self._lane

    def locked(self) -> AbstractContextManager[None]:
        """Have the counts to oneself, for some microseconds: others wait."""
        return self._lock

    def row(self, name: str) -> int:
        """Return where the row of a limit begins, made where there is none. Only while locked.

        Raises:
            Unstartable: there are more limits than rows.
        """
        found = self._rows.get(name)
        if found is not None:
            return found
        digest = blake2b(name.encode(), digest_size=16).digest()
        high, low = (int.from_bytes(part, "little", signed=True) for part in (digest[:8], digest[8:]))
        words = self.words
        for step in range(ROWS):
            base = (1 + (high + step) % ROWS) * WIDTH
            if words[base] == high and words[base + 1] == low:
                break
            if words[base] == 0 and words[base + 1] == 0:
                words[base], words[base + 1] = high, low
                break
        else:
            raise Unstartable(f"an exchange counts against {ROWS} limits and no more; take some out of the estate")
        self._rows[name] = base
        return base

    def free_lanes(self) -> None:
        """Set to nothing what workers had under way that are gone. Only while locked."""
        for lane, lock in self._others():
            self._clear(lane)
            os.close(lock)

    def close(self) -> None:
        """Give up the lane, and the file."""
        with self.locked():
            self._clear(self._lane)
        self.words.release()
        self._map.close()
        os.close(self._lane_lock)
        os.close(self._file)

    def _take_lane(self) -> tuple[int, int]:
        words = self.words
        if words[0] != FORMAT:
            words[0] = FORMAT
        for lane in range(LANES):
            lock = _lock(self._lane_path(lane))
            if lock is not None:
                if lane == 0 and self._is_first():
                    self._forget_the_old()
                self._clear(lane)
                return lane, lock
        raise DataFolderUnusable(f"{self._folder} has no more than {LANES} workers' counts")

    def _lane_path(self, lane: int) -> Path:
        return self._folder / f"lane-{lane}"

    def _others(self) -> Iterator[tuple[int, int]]:
        """Lanes that were used and belong to nobody, each with a lock on it."""
        for lane in range(LANES):
            if lane == self._lane or not (path := self._lane_path(lane)).exists():
                continue
            lock = _lock(path)
            if lock is not None:
                yield lane, lock

    def _is_first(self) -> bool:
        """Whether nobody else counts here."""
        for lane in range(1, LANES):
            if (path := self._lane_path(lane)).exists():
                lock = _lock(path)
                if lock is None:
                    return False
                os.close(lock)
        return True

    def _forget_the_old(self) -> None:
        """Drop all rows where they crowd: those of limits that are gone are never asked for again."""
        words = self.words
        used = sum(1 for row in range(1, ROWS + 1) if words[row * WIDTH] or words[row * WIDTH + 1])
        if used > ROWS // 2:
            os.ftruncate(self._file, 0)
            os.ftruncate(self._file, len(words) * WORD)
            words[0] = FORMAT

    def _clear(self, lane: int) -> None:
        words = self.words
        for row in range(1, ROWS + 1):
            base = row * WIDTH
            if words[base] and words[base + FIRST_LANE + lane]:
                words[base + FIRST_LANE + lane] = 0


class _Lock:
    """Holds the lock of a file within a `with` block."""

    __slots__ = ("_file",)

    def __init__(self, file: int) -> None:
        self._file = file

    def __enter__(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)


def _lock(path: Path) -> int | None:
    """Lock a file and return its descriptor; None where somebody else has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


class Counter:
    """One limit's row, as a worker counts in it. Everything here only while the page is locked.

    Attributes:
        most: what this worker counted last.
        windowed: whether it counts in windows: neither what drains by itself nor calls at once.
    """

    __slots__ = ("_base", "_ends", "_page", "_starts", "_words", "most", "rate", "windowed")

    def __init__(self, page: Page, rate: Rate) -> None:
        self.rate = rate
        self.windowed = bool(rate.per) and not rate.drains
        self._page = page
        self._words = page.words
        self._base = page.row(rate.name)
        self._starts = self._ends = 0
        self.most = 0

    def used(self, now: int) -> int:
        """What is used in the window of this moment, how many calls are under way, or how full units are."""
        words, base = self._words, self._base
        if self.windowed:
            if not (self._starts <= now < self._ends and words[base + STARTS] == self._starts):
                self._turn(now)
            return words[base + USED]
        if self.rate.drains:
            self._ebb(now)
            return words[base + USED]
        return sum(words[base + FIRST_LANE : base + WIDTH])

    def has_room(self, now: int, most: float) -> bool:
        """Whether a bucket holds less than so much at this moment."""
        words, base = self._words, self._base
        if words[base + USED] == 0:
            words[base + STARTS] = max(words[base + STARTS], now)
            return most > 0
        self._ebb(now)
        return words[base + USED] < most

    @property
    def mine(self) -> int:
        """How many calls of this worker are under way."""
        return self._words[self._base + FIRST_LANE + self._page.lane]

    def ends(self, now: int) -> int:
        """When the window ends in which is counted, or units have room again."""
        if self.rate.drains:
            over = max(0, self.used(now) - self.rate.limit + 1)
            return now + over * MINUTE // self.rate.drains
        self._turn(now)
        return self._words[self._base + ENDS]

    def take(self, amount: int) -> int:
        """Count an amount in the window that was looked at last; return when that began, for `give`."""
        words, base = self._words, self._base
        if self.windowed:
            words[base + USED] += amount
            self.most = amount
            return words[base + STARTS]
        words[base + USED if self.rate.drains else base + FIRST_LANE + self._page.lane] += amount
        return 0

    def give(self, amount: int, starts: int) -> None:
        """Take back what was counted in the window that began then; a window that is over stays as it was."""
        words, base = self._words, self._base
        if not self.windowed and not self.rate.drains:
            words[base + FIRST_LANE + self._page.lane] -= amount
        elif not self.windowed or words[base + STARTS] == starts:
            words[base + USED] = max(0, words[base + USED] - amount)

    def refuse(self) -> None:
        """Count a refusal."""
        self._words[self._base + REFUSED] += 1

    @property
    def starts(self) -> int:
        """When the window began in which is counted."""
        return self._words[self._base + STARTS]

    @property
    def granted(self) -> int:
        """What this exchange was given of the window, where several share the limit."""
        return self._words[self._base + GRANTED]

    @property
    def ahead(self) -> int:
        """What this exchange was given of the next window."""
        return self._words[self._base + AHEAD]

    def receive(self, amount: int, starts: int) -> None:
        """Take what the exchange was given of the window that begins then; of one that is over it is nothing."""
        words, base = self._words, self._base
        if words[base + STARTS] == starts:
            words[base + GRANTED] += amount
        elif words[base + ENDS] == starts:
            words[base + AHEAD] += amount

    @property
    def refused(self) -> int:
        """How many were refused since the file was made."""
        return self._words[self._base + REFUSED]

    def _ebb(self, now: int) -> None:
        """Let what units have worked off meanwhile ebb away. What is less than a token waits for the next look."""
        words, base = self._words, self._base
        past = now - words[base + STARTS]
        if past <= 0:  # Or the clock was set back: then nothing ebbs away until it has caught up.
            return
        gone = past * self.rate.drains // MINUTE
        if gone >= words[base + USED]:
            words[base + USED], words[base + STARTS] = 0, now
        elif gone:
            words[base + USED] -= gone
            words[base + STARTS] += gone * MINUTE // self.rate.drains

    def _turn(self, now: int) -> None:
        """Begin a new window where the one before is over."""
        if not self._starts <= now < self._ends:
            window = self.rate.window(now)
            self._starts, self._ends = window.starts, window.ends
        words, base = self._words, self._base
        starts = words[base + STARTS]
        # A clock that was set back a little goes on in the window that has begun: nobody gets it twice.
        if self._starts <= starts <= self._ends:
            return
        words[base + GRANTED] = words[base + AHEAD] if words[base + ENDS] == self._starts else 0
        words[base + STARTS], words[base + ENDS] = self._starts, self._ends
        words[base + USED] = words[base + AHEAD] = 0

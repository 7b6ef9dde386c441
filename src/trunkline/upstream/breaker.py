"""When a deployment is left alone, and how it comes back: closed, open, half-open with one probe at a time, closed.

After it closes, its share of calls grows from a tenth to the whole within SLOW_START. All times are monotonic
nanoseconds.
"""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Final

from trunkline.clock import NANOS_PER_SECOND
from trunkline.estate.deployments import Tolerance

FIRST_WAIT: Final = NANOS_PER_SECOND
"""How long it stays open at first; each probe that fails doubles it, up to the limit."""
HALF_LIFE: Final = 10 * NANOS_PER_SECOND
"""Counts of calls and failures are halved so often."""
FEWEST: Final = 20
"""Calls within the window below which a share of failures says nothing."""
SHAKY: Final = 0.2
"""The share of failures from which a deployment is an outlier among those that fail less."""
SLOW_START: Final = 10 * NANOS_PER_SECOND
FIRST_SHARE: Final = 0.1
PROBE_WITHIN: Final = 15 * NANOS_PER_SECOND
"""A probe without an outcome for so long makes way for another one."""
FORGIVEN: Final = 60 * NANOS_PER_SECOND
"""Closed for so long, it begins again with the first wait."""
JITTER: Final = 0.15
"""Waits are shortened by up to this share, so that exchanges do not probe in step."""


class State(StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Counts outcomes and says when to stop, when to try, and how much to send after that.

    Attributes:
        flaps: of one that is open, whether some of the calls still went well before: it did not fail in a row.
    """

    __slots__ = (
        "_calls",
        "_closed_at",
        "_failures",
        "_halve_at",
        "_probe",
        "_probe_at",
        "_row",
        "_streak",
        "flaps",
        "state",
        "tolerance",
        "until",
    )

    def __init__(self, tolerance: Tolerance) -> None:
        self.tolerance = tolerance
        self.state = State.CLOSED
        self.until = 0
        self.flaps = False
        self._calls = 0
        self._failures = 0
        self._row = 0
        self._halve_at = 0
        self._streak = 0
        self._closed_at: int | None = None
        self._probe: object = None
        self._probe_at = 0

    @property
    def steady(self) -> bool:
        """Whether it is closed, not on its way back, and has not failed lately."""
        return self.state is State.CLOSED and self._closed_at is None and not self._failures

    def admits(self, now: int) -> bool:
        """Whether a call may go through now; while it is not closed, as its one probe."""
        if self.state is State.CLOSED:
            return True
        if self.state is State.OPEN:
            return now >= self.until
        return self._probe is None or now >= self._probe_at + PROBE_WITHIN

    def probe(self, call: object, now: int) -> bool:
        """Note that a call begins; return whether it is a probe, on whose outcome the breaker closes or opens."""
        if self.state is State.CLOSED or not self.admits(now):
            return False
        self.state = State.HALF_OPEN
        self._probe = call
        self._probe_at = now
        return True

    def share(self, now: int) -> float:
        """The share of calls that it may have: less than 1 only for a while after it has closed."""
        if self._closed_at is None:
            return 1.0
        past = now - self._closed_at
        if past >= FORGIVEN:
            self._closed_at = None
            self._streak = 0
        return 1.0 if past >= SLOW_START else FIRST_SHARE + (1.0 - FIRST_SHARE) * past / SLOW_START

    def shaky(self, now: int) -> bool:
        """Whether it fails so often that others are better, though not often enough to be left alone."""
        self._decay(now)
        return self._calls >= FEWEST and self._failures > SHAKY * self._calls and self.tolerance.share < 1

    def succeed(self, call: object, now: int) -> bool:
        """Count a call that went well; return whether the breaker has closed by it."""
        if self.state is State.CLOSED:
            self._row = 0
            self._calls += 1
            if now >= self._halve_at:
                self._decay(now)
            return False
        if call is not self._probe or self.state is not State.HALF_OPEN:
            return False
        self.close(now)
        return True

    def fail(self, call: object, now: int) -> bool:
        """Count a call that failed; return whether the breaker has opened by it."""
        if self.state is State.CLOSED:
            self._decay(now)
            self._row += 1
            self._calls += 1
            self._failures += 1
            often = self._calls >= FEWEST and self._failures > self.tolerance.share * self._calls
            in_a_row = self._row >= self.tolerance.failures
            if not in_a_row and not often:
                return False
            self.flaps = not in_a_row
        elif call is not self._probe or self.state is not State.HALF_OPEN:
            return False
        self._open(now)
        return True

    def forgo(self, call: object) -> None:
        """Note that a call ended without telling anything; if it was the probe, another one may follow."""
        if call is self._probe:
            self._probe = None

    def hold_open(self, until: int, *, flaps: bool = False) -> None:
        """Open, because another process has found the deployment failing; it probes first, until then."""
        self.flaps = flaps
        self.state = State.OPEN
        self.until = until
        self._probe = None

    def close(self, now: int) -> None:
        """Close, and let the share of calls grow."""
        self.state = State.CLOSED
        self._closed_at = now
        self._probe = None
        self._row = self._calls = self._failures = 0

    def _open(self, now: int) -> None:
        if self._closed_at is not None and now - self._closed_at >= FORGIVEN:
            self._streak = 0
        longest = int(self.tolerance.wait * NANOS_PER_SECOND)
        wait = min(FIRST_WAIT << min(self._streak, 10), longest)
        self._streak += 1
        self.state = State.OPEN
        self.until = now + int(wait * (1.0 - JITTER * random.random()))  # noqa: S311 - spreads probes, keeps no secret
        self._probe = None

    def _decay(self, now: int) -> None:
        if now < self._halve_at:
            return
        halvings = min((now - self._halve_at) // HALF_LIFE + 1, 62) if self._halve_at else 0
        self._calls >>= halvings
        self._failures >>= halvings
        self._halve_at = now + HALF_LIFE

"""What is known of one deployment at the moment: its breaker, what is under way there, how fast and how full it is."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from trunkline.clock import NANOS_PER_SECOND
from trunkline.estate.deployments import Tolerance
from trunkline.upstream.breaker import Breaker, State
from trunkline.upstream.throttle import Throttle
from trunkline.upstream.turns import Turns

FADE: Final = 30 * NANOS_PER_SECOND
"""After so long without an answer, a deployment counts as twice as fast: or it would never be tried again."""
SMOOTH: Final = 0.2
UNKNOWN: Final = 0.05
"""The seconds to the first byte that are supposed of a deployment that has not answered yet, so that it is tried."""
MOST_CREDIT: Final = 20.0
RETRY_SHARE: Final = 0.2
"""Of the calls at a deployment, how many may be repeated there."""
RETRIES_PER_SECOND: Final = 0.5
"""How many may be repeated where there are few calls."""
FIRST_CREDIT: Final = 3.0
FIRST_PAUSE: Final = NANOS_PER_SECOND // 4
"""How long a deployment is spared that says 429 without saying how long; each further time twice as long."""
LONGEST_PAUSE: Final = 15 * NANOS_PER_SECOND
NEVER: Final = -(1 << 62)
LONGEST_ASKED: Final = 600 * NANOS_PER_SECOND
"""The longest that a deployment can ask to be spared; then it is asked again."""


class Standing(IntEnum):
    """How a deployment stands, the best first. Those of one standing go by tier; good and shaky ones do together."""

    GOOD = 0
    SHAKY = 1  # fails more often than it should: the last of its tier
    EASING_IN = 2  # back after a break, and this call is not of the share that it gets
    SPENT = 3  # what its provider says is left would not do for this call
    OPEN = 4  # its breaker is open
    PAUSED = 5  # it asked to be spared for a while
    CROWDED = 6  # as many calls are under way as it bears, or others wait for it already


class Gauge:
    """One deployment's. Changed by its own event loop alone.

    Attributes:
        calm: nothing speaks against it, so that a call need not look any further.
        calls: how many attempts are under way.
        tokens: the most that they can use together.
        paused_until: when it may be called again, in monotonic nanoseconds.
        unheard: how many knocks in a row were not answered.
        well_at: when a call there went well last.
        throttle: how many calls at once it bears.
        turns: who waits for it; None where nobody ever did.
    """

    __slots__ = (
        "_credit",
        "_credit_at",
        "_fast",
        "_fast_at",
        "_pauses",
        "breaker",
        "calls",
        "calm",
        "paused_until",
        "quotas",
        "throttle",
        "tokens",
        "turns",
        "unheard",
        "well_at",
    )

    def __init__(self, tolerance: Tolerance) -> None:
        self.breaker = Breaker(tolerance)
        self.calm = True
        self.calls = 0
        self.tokens = 0
        self.paused_until = 0
        self.unheard = 0
        self.well_at = NEVER
        self.quotas: dict[str, tuple[int, int]] = {}
        self.throttle = Throttle()
        self.turns: Turns | None = None
        self._pauses = 0
        self._fast = [0.0, 0.0]
        self._fast_at = [0, 0]
        self._credit = FIRST_CREDIT
        self._credit_at = 0

    def standing(self, now: int, draw: float, tokens: int) -> Standing:
        """How it stands for a call.

        Args:
            now: monotonic nanoseconds.
            draw: the call's number between 0 and 1, by which it is of a share or not.
            tokens: what the call may use, in the upstream's count, more or less.
        """
        breaker = self.breaker
        if now < self.paused_until:
            return Standing.PAUSED
        if not breaker.admits(now):
            return Standing.OPEN
        if self.crowded:
            return Standing.CROWDED
        if self.quotas and self._spent(now, tokens):
            return Standing.SPENT
        if breaker.state is not State.CLOSED:
            return Standing.GOOD  # Its turn to be probed: this call is the probe.
        standing = Standing.EASING_IN if draw > breaker.share(now) else Standing.GOOD
        if standing is Standing.GOOD and breaker.shaky(now):
            standing = Standing.SHAKY
        if breaker.steady and not self.quotas and self.throttle.limit is None:
            self.calm = True
        return standing

    @property
    def crowded(self) -> bool:
        """Whether a newcomer must wait: as many calls are under way as it bears, or others wait already."""
        return self._is_full or (self.turns is not None and self.turns.length > 0)

    def has_room(self, now: int) -> bool:
        """Whether the next that waits may have its turn."""
        return now >= self.paused_until and not self._is_full

    @property
    def _is_full(self) -> bool:
        limit = self.throttle.limit
        return limit is not None and self.calls >= limit

    def work(self, now: int, tokens: int, *, stream: bool) -> float:
        """What one more call would wait for: the tokens under way, by how long the first byte has taken lately."""
        return (self.tokens + tokens) * (self.first_byte(now, stream=stream) or UNKNOWN)

    def first_byte(self, now: int, *, stream: bool) -> float:
        """The decayed time to the first byte, in seconds; 0 where none is known."""
        fast = self._fast[stream]
        if not fast:
            return 0.0
        past = now - self._fast_at[stream]
        return fast if past < FADE else fast * 0.5 ** (past / FADE)

    def hear_first_byte(self, nanos: int, now: int, *, stream: bool) -> None:
        """Take an answer's time to its first byte."""
        seconds = nanos / NANOS_PER_SECOND
        before = self.first_byte(now, stream=stream)
        self._fast[stream] = seconds if not before else before + (seconds - before) * SMOOTH
        self._fast_at[stream] = now

    def pause(self, now: int, seconds: float | None) -> int:
        """Spare it for so many seconds, or for longer and longer where nobody says how long; return until when."""
        if seconds is None:
            wait = min(FIRST_PAUSE << min(self._pauses, 10), LONGEST_PAUSE)
            self._pauses += 1
        else:
            wait = min(int(seconds * NANOS_PER_SECOND), LONGEST_ASKED)
        if wait > 0:
            self.paused_until = max(self.paused_until, now + wait)
            self.calm = False
        return self.paused_until

    def hear_quota(self, of: str, left: int, resets: int) -> None:
        """Take what its provider says is left of a quota until it resets (monotonic nanoseconds)."""
        self.quotas[of] = (left, resets)
        self.calm = False

    def well(self, now: int) -> None:
        """Note an answer that went well: the next pause is a short one again."""
        self._pauses = 0
        self.well_at = now

    def earn(self) -> None:
        """Note a call that is no retry: it pays for a part of one."""
        self._credit = min(MOST_CREDIT, self._credit + RETRY_SHARE)

    def grant_retry(self, now: int) -> bool:
        """Take one retry out of the budget, where there is one in it."""
        if self._credit_at:
            earned = (now - self._credit_at) / NANOS_PER_SECOND * RETRIES_PER_SECOND
            self._credit = max(self._credit, min(self._credit + earned, FIRST_CREDIT))
        self._credit_at = now
        if self._credit < 1:
            return False
        self._credit -= 1
        return True

    def reset(self) -> None:
        """Forget what was known of it, but not what is under way there."""
        self.breaker = Breaker(self.breaker.tolerance)
        self.paused_until = 0
        self.unheard = 0
        self.well_at = NEVER
        self.quotas.clear()
        self.throttle = Throttle()
        self._pauses = 0
        self._fast = [0.0, 0.0]
        self.calm = True

    def _spent(self, now: int, tokens: int) -> bool:
        for of, (left, resets) in tuple(self.quotas.items()):
            if now >= resets:
                del self.quotas[of]
            elif left < (1 if of == "requests" else tokens):
                return True
        return False

"""What one call counts against the limits above it."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from trunkline.errors import RatesLeft
from trunkline.estate.stages import Attempt
from trunkline.metering.hold import Hold
from trunkline.metering.shares import Scarce
from trunkline.metering.turnstile import Taken, Turnstile


class Visit:
    """What one call counts, from its first attempt to its end; leaving its `with` block releases what must not stay.

    A call counts once against its caller's limits, and each attempt against those of its deployment and boundary.
    Tokens are held at the most that an attempt can use, and corrected as soon as more is known.

    Attributes:
        hold: of the attempt that was written last; None until there is one.
        told: whether the caller was told what is left of its limits.
    """

    __slots__ = ("_buckets", "_call", "_entered", "_ongoing", "_requests", "_tokens", "_turnstile", "hold", "told")

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile
        self._entered = False
        self._call: list[Taken] = []
        self._requests: list[Taken] = []
        self._tokens: list[Taken] = []
        self._buckets: list[Taken] = []
        self._ongoing: list[Taken] = []
        self.hold: Hold | None = None
        self.told = False

    def left(self, attempt: Attempt) -> RatesLeft:
        """Return what the caller has left of its own limits."""
        return self._turnstile.left(attempt)

    async def admit(self, attempt: Attempt) -> None:
        """Count an attempt, and with the first one the call.

        Raises:
            Full: a limit leaves no room; nothing is counted.
            Unavailable: the store does not say whether there is more.
        """
        turnstile = self._turnstile
        if self._entered:
            self._end_attempt()
        toll = turnstile.toll(attempt, again=self._entered)
        wanted = [*toll.singles]
        if toll.tokens:
            tokens = attempt.bound.input + attempt.bound.output
            wanted += [(one, tokens) for one in toll.tokens]
        if toll.buckets:
            wanted += [(one, turnstile.foresee(attempt, one.rate)) for one in toll.buckets]
        if not wanted:
            return
        while True:
            try:
                taken = turnstile.take(wanted)
                break
            except Scarce as scarce:
                await turnstile.more(scarce, attempt.permitted.caller.unit)
        if not self._entered:
            self._entered = True
            self._call = taken[: toll.callers]
        singles, buckets = len(toll.singles), len(taken) - len(toll.buckets)
        self._ongoing = taken[toll.entering : toll.ongoing]
        self._requests = taken[toll.ongoing : singles]
        self._tokens = taken[singles:buckets]
        self._buckets = taken[buckets:]

    def _end_attempt(self, *, last: bool = False) -> None:
        """Release what an attempt had under way, and correct what it held."""
        given = self._ongoing
        settlement = None if self.hold is None else self.hold.settlement
        if settlement is not None:
            usage = settlement.usage
            used = usage.input + usage.output
            given = given + [(counter, held - used, starts) for counter, held, starts in self._tokens]
            if self._buckets:
                given = given + self._turnstile.learn(self._buckets, settlement)
        elif self.hold is None:
            given = given + self._tokens + self._requests + self._buckets
        if last:
            given = given + self._call
        if given:
            self._turnstile.give(given)
        self._ongoing, self._tokens, self._requests, self._buckets, self.hold = [], [], [], [], None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_attempt(last=True)

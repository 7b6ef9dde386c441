"""How all deployments fare, as this process has seen it and as others have told it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, StrEnum
from typing import Final

import msgspec

from trunkline.clock import NANOS_PER_SECOND, Clock
from trunkline.errors import Declined, Slow, UpstreamFault
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.stages import Attempt
from trunkline.observability.metrics import UpstreamLoad
from trunkline.upstream.breaker import State
from trunkline.upstream.gauge import Gauge
from trunkline.upstream.signals import read_left

THROTTLED: Final = 429
OVERLOADED: Final = frozenset({429, 503, 529})
OWN_PROBE_FIRST: Final = 2.0
"""Seconds by which the others wait longer to probe than the process that found a deployment failing."""

LONGEST_OPEN: Final = 15.0
UNHEARD: Final = 2
"""Knocks in a row without an answer after which a deployment counts as down."""
OWN_WORD: Final = 5 * NANOS_PER_SECOND
"""For so long an answer of one's own outweighs what another exchange says of a deployment."""
FEW: Final = {"tokens": 200_000, "requests": 20}
"""With this much left of a rate or more, no single call can use it up."""
LONGEST_RESET: Final = 600.0


class Outcome(Enum):
    """What the end of an attempt tells of its deployment."""

    WELL = "well"
    FAILED = "failed"
    UNTOLD = "untold"  # nothing: the caller left early, or the upstream was busy


class Event(StrEnum):
    """What happens to a deployment, counted."""

    OPENED = "opened"  # its breaker opened
    PROBED = "probed"  # a call was let through to see whether it is back
    CLOSED = "closed"  # its breaker closed
    PAUSED = "paused"  # it asked to be spared
    HEARD = "heard"  # another exchange told how it fares
    EJECTED = "ejected"  # it is left out after an incident
    COPIED = "copied"  # it was sent the copy of a call
    NOT_COPIED = "not_copied"  # a copy was left out: too many at once, no money or room, or policy refused it
    FAILED_OVER = "failed_over"  # a call that failed there went on elsewhere
    RETRIED = "retried"  # a call was repeated there
    NOT_RETRIED = "not_retried"  # a call was not, because the budget for it was spent
    THROTTLED = "throttled"  # it told of overload, so that fewer calls at once go there for a while


class Mark(msgspec.Struct, frozen=True, tag=True):
    """What one process tells the others of a deployment.

    Attributes:
        event: `opened`, `closed`, `paused` or `ejected`.
        seconds: for how long from now.
        flaps: of one that opened, whether some of its calls still went well.
    """

    deployment: str
    event: Event
    seconds: float = 0.0
    flaps: bool = False


class Health:
    """All gauges, by deployment.

    Attributes:
        gauges: made when the first call goes to a deployment.
        freed: those where an attempt has ended while others wait; whoever gives out turns empties it.
        count: told of every event, for the metrics.
        tell: told what the other processes of the exchange should know.
    """

    __slots__ = ("_clock", "count", "freed", "gauges", "tell")

    def __init__(
        self,
        clock: Clock,
        *,
        count: Callable[[str, str], None] | None = None,
        tell: Callable[[Mark], None] | None = None,
    ) -> None:
        self._clock = clock
        self.gauges: dict[str, Gauge] = {}
        self.freed: list[Gauge] = []
        self.count = count if count is not None else _nothing
        self.tell = tell if tell is not None else _nobody

    def now(self) -> int:
        """Return monotonic nanoseconds."""
        return self._clock.ticks()

    def gauge(self, endpoint: Endpoint) -> Gauge:
        """Return a deployment's gauge."""
        gauge = self.gauges.get(endpoint.deployment)
        if gauge is None:
            gauge = self.gauges[endpoint.deployment] = Gauge(endpoint.tolerance)
        return gauge

    def begin(self, attempt: Attempt) -> None:
        """Note that an attempt is held and about to be sent; `settle` must follow."""
        endpoint = attempt.endpoint
        gauge = self.gauge(endpoint)
        gauge.calls += 1
        if gauge.calls > gauge.throttle.peak or gauge.calls == 1:
            gauge.throttle.peak = gauge.calls
        gauge.tokens += attempt.bound.input + attempt.bound.output
        if gauge.turns is not None:
            gauge.turns.begin(attempt, self._clock.ticks())
        if gauge.calm:
            gauge.earn()
        elif gauge.breaker.probe(attempt, self._clock.ticks()):
            self.count(Event.PROBED, endpoint.deployment)
        elif not attempt.wait:
            gauge.earn()

    def settle(self, attempt: Attempt, outcome: Outcome, first_byte: int | None, used: int = 0) -> None:
        """Take how an attempt that began has ended: nanoseconds to its first byte, and the tokens that it used."""
        endpoint = attempt.endpoint
        gauge = self.gauge(endpoint)
        gauge.calls -= 1
        gauge.tokens -= attempt.bound.input + attempt.bound.output
        now = self._clock.ticks()
        if gauge.turns is not None:
            gauge.turns.settle(attempt, used)
            if gauge.turns.length:
                self.freed.append(gauge)
        if first_byte is not None:
            gauge.hear_first_byte(first_byte, now, stream=attempt.permitted.asked.stream)
        breaker = gauge.breaker
        if outcome is Outcome.WELL:
            gauge.well(now)
            if gauge.throttle.limit is not None:
                gauge.throttle.answered(gauge.calls + 1, now)
            if breaker.succeed(attempt, now):
                self.count(Event.CLOSED, endpoint.deployment)
                self.tell(Mark(endpoint.deployment, Event.CLOSED))
        elif outcome is Outcome.UNTOLD:
            breaker.forgo(attempt)
        else:
            gauge.calm = False
            if breaker.fail(attempt, now):
                self.count(Event.OPENED, endpoint.deployment)
                seconds = (breaker.until - now) / NANOS_PER_SECOND
                self.tell(Mark(endpoint.deployment, Event.OPENED, seconds, breaker.flaps))

    def is_crowded(self, endpoint: Endpoint) -> bool:
        """Whether a newcomer at a deployment must wait behind others."""
        gauge = self.gauges.get(endpoint.deployment)
        return gauge is not None and gauge.crowded

    def listen(self, endpoint: Endpoint, headers: Mapping[bytes, bytes]) -> None:
        """Take what an answer's headers say is left of its rates; only what is little is kept."""
        if not endpoint.signals.rates:
            return
        gauge, now = self.gauge(endpoint), self._clock.ticks()
        for left in read_left(endpoint.signals, headers, self._clock.now()):
            if left.left < FEW[left.of] and left.resets is not None:
                gauge.hear_quota(left.of, left.left, now + int(min(left.resets, LONGEST_RESET) * NANOS_PER_SECOND))
            else:
                gauge.quotas.pop(left.of, None)

    def hear_first_byte(self, attempt: Attempt, nanos: int) -> None:
        """Take how long a stream took to begin, where that tells of overload."""
        gauge, now = self.gauge(attempt.endpoint), self._clock.ticks()
        if gauge.throttle.hear(nanos, attempt.bound.input, gauge.calls, now):
            self._throttle(attempt.endpoint.deployment, gauge)

    def _throttle(self, deployment: str, gauge: Gauge) -> None:
        gauge.calm = False
        self.count(Event.THROTTLED, deployment)

    def hear(self, attempt: Attempt, fault: UpstreamFault) -> None:
        """Take what a deployment that failed says of itself: that it has too much to do, and when to come back."""
        endpoint = attempt.endpoint
        if endpoint.throttle != "off" and _is_overload(fault):
            gauge = self.gauge(endpoint)
            if gauge.throttle.refused(gauge.calls + 1, self._clock.ticks()):
                self._throttle(endpoint.deployment, gauge)
        if not isinstance(fault, Declined) or (fault.status != THROTTLED and fault.retry_after is None):
            return
        now = self._clock.ticks()
        until = self.gauge(endpoint).pause(now, fault.retry_after)
        if until > now:
            self.count(Event.PAUSED, endpoint.deployment)
            self.tell(Mark(endpoint.deployment, Event.PAUSED, (until - now) / NANOS_PER_SECOND))

    def take(self, mark: Mark, endpoint: Endpoint | None) -> None:
        """Take what another process has found; it may know a deployment that is not in force here yet."""
        if endpoint is None:
            return
        gauge, now = self.gauge(endpoint), self._clock.ticks()
        match mark.event:
            case Event.OPENED:
                if gauge.breaker.state is State.CLOSED:
                    wait = min(mark.seconds + OWN_PROBE_FIRST, LONGEST_OPEN)
                    gauge.breaker.hold_open(now + int(wait * NANOS_PER_SECOND), flaps=mark.flaps)
                    gauge.calm = False
            case Event.CLOSED:
                if gauge.breaker.state is not State.CLOSED:
                    gauge.breaker.close(now)
            case Event.PAUSED:
                gauge.pause(now, mark.seconds)
            case _:
                return

    def take_from_afar(self, mark: Mark, endpoint: Endpoint | None) -> None:
        """Take what another exchange has found, as far as one's own calls do not say otherwise.

        Its network and its keys are not these: a deployment that answered here just now goes on.
        """
        if endpoint is None:
            return
        gauge = self.gauge(endpoint)
        if mark.event is Event.OPENED and self._clock.ticks() - gauge.well_at < OWN_WORD:
            return
        self.count(Event.HEARD, mark.deployment)
        self.take(mark, endpoint)

    def found(self, endpoint: Endpoint, *, answers: bool) -> None:
        """Take whether a deployment answered a knock that cost nothing.

        Two in a row that it did not, and it is left alone for as long as it stays so; once it does again, the next call
        sees whether it is back. What answers knocks and fails calls waits as its breaker says.
        """
        gauge, now = self.gauge(endpoint), self._clock.ticks()
        breaker = gauge.breaker
        if answers:
            if gauge.unheard >= UNHEARD and breaker.state is State.OPEN:
                breaker.until = now
            gauge.unheard = 0
            return
        gauge.unheard += 1
        if gauge.unheard < UNHEARD or breaker.state is State.HALF_OPEN:
            return
        was_closed = breaker.state is State.CLOSED
        gauge.calm = False
        breaker.hold_open(now + int(LONGEST_OPEN * NANOS_PER_SECOND))
        if was_closed:
            self.count(Event.OPENED, endpoint.deployment)
            self.tell(Mark(endpoint.deployment, Event.OPENED, LONGEST_OPEN))

    def renew(self, before: Mapping[str, Endpoint], after: Mapping[str, Endpoint]) -> None:
        """Forget what was known of deployments that stand elsewhere now, such as an engine that is ready again."""
        for name, gauge in self.gauges.items():
            old, new = before.get(name), after.get(name)
            if new is None or old is None or old is new:
                continue
            gauge.breaker.tolerance = new.tolerance
            if (old.origin, old.base_path, old.headers, old.upstream_model, old.missing) != (
                new.origin,
                new.base_path,
                new.headers,
                new.upstream_model,
                new.missing,
            ):
                gauge.reset()

    def loads(self) -> tuple[UpstreamLoad, ...]:
        """Return what is under way at each deployment that was called, and whether it is left out here."""
        now = self._clock.ticks()
        return tuple(
            UpstreamLoad(
                name,
                gauge.calls,
                gauge.tokens,
                {
                    State.OPEN.value: int(gauge.breaker.state is State.OPEN),
                    State.HALF_OPEN.value: int(gauge.breaker.state is State.HALF_OPEN),
                    Event.PAUSED.value: int(now < gauge.paused_until),
                },
                0 if gauge.turns is None else gauge.turns.length,
                gauge.throttle.limit or 0,
            )
            for name, gauge in tuple(self.gauges.items())
        )


def _is_overload(fault: UpstreamFault) -> bool:
    """Whether a deployment has too much to do: it says so, or does not answer in time."""
    return isinstance(fault, Slow) or (isinstance(fault, Declined) and fault.status in OVERLOADED)


def _nothing(_event: str, _deployment: str) -> None:
    """Count nothing."""


def _nobody(_mark: Mark) -> None:
    """Tell nobody."""

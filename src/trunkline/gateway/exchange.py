from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from typing import Final

import msgspec

from trunkline.clock import NANOS_PER_SECOND, Clock
from trunkline.conversations.conversations import Conversations
from trunkline.errors import Declined, Unattested, UpstreamFault
from trunkline.estate.snapshot import Snapshot
from trunkline.estate.stages import Attempt
from trunkline.gateway.admit import Gate
from trunkline.gateway.ports import Caster, Sender
from trunkline.ids import RequestId, RequestIds
from trunkline.messages import SHADOW
from trunkline.metering.book import Book
from trunkline.metering.cashier import Cashier
from trunkline.metering.hold import Hold
from trunkline.metering.records import Settlement, Status
from trunkline.metering.turnstile import Turnstile
from trunkline.metering.visit import Visit
from trunkline.money import bare
from trunkline.observability.metrics import Metrics
from trunkline.observability.scrape import render
from trunkline.tenancy.ring import KeyRing
from trunkline.upstream.course import Course
from trunkline.upstream.ejections import Ejections
from trunkline.upstream.health import Event, Health, Mark, Outcome
from trunkline.upstream.waiting import Waiting
from trunkline.wire.client import Pool

log = logging.getLogger("trunkline.gateway")


UNBROKEN: Final = frozenset({400, 409, 413, 415, 422})
"""What a deployment in good health says of a request that is at fault."""
BUSY: Final = 429
GIVEN_UP: Final = 10 * NANOS_PER_SECOND
"""A caller that leaves after so long without a first byte has seen the deployment fail."""
UNCOUNTED: Final[AbstractContextManager[None]] = nullcontext()


class Readiness(msgspec.Struct, frozen=True):
    """Whether the exchange can do its work; `waiting` says what it still waits for, `notes` what else is amiss."""

    ready: bool
    waiting: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


async def _nothing_changed() -> bool:
    return False


def _told_nobody(_attempt: Attempt, _settlement: Settlement) -> None:
    pass


Scrape = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Renders the counts of the whole exchange for what an `Accept` header asks; gives the text and its content type."""


class Exchange:
    """All that the path looks things up in. The snapshot and the ring are facts: replaced whole, never changed.

    Attributes:
        cashier: holds attempts in the budgets above them; None where nobody keeps budgets.
        conversations: keeps answers that callers go on from; None where nobody does.
        errands: works on calls without their callers; None where nobody does.
        keys_changed: looks whether keys were made or changed since the last look; then the ring is a new one.
        overran: told of attempts that cost more than could be held; must not wait.
        scrape: renders the metrics; of this process alone unless replaced.
        shadows: copies calls that are answered; None where nobody does.
        turnstile: counts calls against the limits above them; None where nobody counts.
        waiting: who waits for room, and whose turn it is.
    """

    __slots__ = (
        "_compile",
        "_snapshot",
        "book",
        "cashier",
        "clock",
        "conversations",
        "ejections",
        "errands",
        "gate",
        "health",
        "ids",
        "keys_changed",
        "metrics",
        "overran",
        "readiness",
        "ring",
        "scrape",
        "shadows",
        "turnstile",
        "upstreams",
        "waiting",
    )

    def __init__(
        self,
        *,
        compile_snapshot: Callable[[], Snapshot],
        ring: KeyRing,
        book: Book,
        upstreams: Pool,
        metrics: Metrics,
        clock: Clock,
        readiness: Callable[[], Readiness],
    ) -> None:
        self._compile = compile_snapshot
        self._snapshot = compile_snapshot()
        self.ring = ring
        self.book = book
        self.upstreams = upstreams
        self.metrics = metrics
        self.clock = clock
        self.readiness = readiness
        self.keys_changed = _nothing_changed
        self.scrape: Scrape = self._scrape_own
        self.overran: Callable[[Attempt, Settlement], None] = _told_nobody
        self.cashier: Cashier | None = None
        self.conversations: Conversations | None = None
        self.errands: Sender | None = None
        self.turnstile: Turnstile | None = None
        self.shadows: Caster | None = None
        self.ids = RequestIds()
        self.ejections = Ejections()
        self.health = Health(clock, count=metrics.upstream_event)
        self.waiting = Waiting(self.health, clock, count=metrics.waited)
        self.gate = Gate(metrics, self.waiting)

    async def _scrape_own(self, accept: str) -> tuple[bytes, str]:
        return await asyncio.to_thread(render, self.metrics, accept)

    @property
    def snapshot(self) -> Snapshot:
        """The compiled estate of this moment: compiled again when the first of its claims has expired."""
        if self.clock.now() >= self._snapshot.good_until:
            self.refresh()
        return self._snapshot

    def refresh(self) -> None:
        """Compile the estate again: an engine came or went, a claim expired."""
        self._put_in_force(self._compile())

    def adopt(self, compile_snapshot: Callable[[], Snapshot], snapshot: Snapshot) -> None:
        """Go on with another estate, compiled once already. Calls under way keep the snapshot they began with."""
        self._compile = compile_snapshot
        self._put_in_force(snapshot)

    def _put_in_force(self, snapshot: Snapshot) -> None:
        self.health.renew(self._snapshot.endpoints, snapshot.endpoints)
        self._snapshot = snapshot

    def visit(self) -> AbstractContextManager[Visit | None]:
        """Return what a call counts against limits; nothing where there are none."""
        turnstile = self.turnstile
        return Visit(turnstile) if turnstile is not None and turnstile.in_force else UNCOUNTED

    def is_ejected(self, attempt: Attempt) -> bool:
        """Whether the attempt's deployment is left out after an incident."""
        return bool(self.ejections) and self.ejections.out(attempt.endpoint.deployment, self.clock.ticks())

    def begin(self, attempt: Attempt, course: Course, hold: Hold, visit: Visit | None) -> None:
        """Note that an attempt is held and about to be sent."""
        if visit is not None:
            visit.hold = hold
        self.health.begin(attempt)
        if course.turn is not None:
            self.waiting.use(attempt.permitted, course)

    def heed(self, attempt: Attempt, request_id: RequestId, fault: UpstreamFault) -> None:
        """Take what a failed attempt tells of its deployment."""
        self.health.hear(attempt, fault)
        if isinstance(fault, Declined) and fault.status == BUSY and self.turnstile is not None:
            self.turnstile.found_full(attempt.endpoint.deployment)
        if isinstance(fault, Unattested):
            self._report(attempt, request_id, fault)

    def _report(self, attempt: Attempt, request_id: RequestId, fault: Unattested) -> None:
        """Report an answer that was not attested as an incident, and leave its deployment out for a while."""
        deployment = attempt.endpoint.deployment
        self.ejections.eject(deployment, self.clock.ticks())
        self.health.tell(Mark(deployment, Event.EJECTED))
        self.metrics.upstream_event(Event.EJECTED, deployment)
        self.metrics.incident("unattested", deployment)
        log.error(
            "incident: an answer was not attested; it was not passed on, and the deployment is out for a while",
            extra={
                "request_id": request_id,
                "deployment": deployment,
                "control": fault.control,
                "inside": fault.inside,
            },
        )

    def hear(self, mark: Mark) -> None:
        """Take what another process of this exchange has found out about a deployment."""
        if mark.event is Event.EJECTED:
            self.ejections.eject(mark.deployment, self.clock.ticks())
        else:
            self.health.take(mark, self._snapshot.endpoints.get(mark.deployment))

    def hear_from_afar(self, mark: Mark) -> None:
        """Take what another exchange has found out about a deployment that stands at the same place."""
        if mark.event is Event.EJECTED:
            self.hear(mark)
        else:
            self.health.take_from_afar(mark, self._snapshot.endpoints.get(mark.deployment))

    def place_of(self, deployment: str) -> str | None:
        """Where a deployment stands, without what is secret; None where it is not in force or not configured."""
        endpoint = self._snapshot.endpoints.get(deployment)
        if endpoint is None or endpoint.missing:
            return None
        where = f"{endpoint.origin.authority} {endpoint.base_path} {endpoint.boundary} {endpoint.upstream_model}"
        return blake2b(where.encode(), digest_size=8).hexdigest()

    def began(self, attempt: Attempt, nanos: int) -> None:
        """Take when an answer has begun: how long a stream takes to, tells whether its deployment has much to do."""
        if attempt.endpoint.throttle == "latency" and attempt.permitted.asked.stream:
            self.health.hear_first_byte(attempt, nanos)

    def settled(self, attempt: Attempt, settlement: Settlement) -> None:
        """Take how an attempt has ended: for the metrics, and for the health of its deployment."""
        self.count_attempt(attempt, settlement)
        usage = settlement.usage
        self.health.settle(attempt, _outcome(settlement), settlement.first_byte, usage.input + usage.output)

    def count_attempt(self, attempt: Attempt, settlement: Settlement) -> None:
        """Count a settled attempt in the metrics; one that cost more than could be held is an incident."""
        permitted, endpoint = attempt.permitted, attempt.endpoint
        if settlement.cost > attempt.hold:
            self.metrics.incident("overrun", endpoint.deployment)
            log.error(
                "incident: a deployment billed more than its call could use; it is booked in full, beyond the budgets",
                extra={
                    "request_id": settlement.request,
                    "deployment": endpoint.deployment,
                    "held": bare(attempt.hold),
                    "cost": bare(settlement.cost),
                },
            )
            self.overran(attempt, settlement)
        asked, decision = permitted.asked, permitted.decision
        use_case = decision.use_case
        if decision.trial.startswith(SHADOW):
            use_case = f"{use_case} {decision.trial}"  # Copies are no calls of the use case.
        series = self.metrics.series(
            permitted.caller.unit,
            use_case,
            endpoint.deployment,
            endpoint.pattern,
            asked.operation,
            asked.stream,
        )
        series.attempt(
            settlement.status,
            settlement.http_status,
            settlement.usage,
            settlement.cost,
            settlement.latency,
            settlement.first_byte,
        )


def _outcome(settlement: Settlement) -> Outcome:
    """Read the end of an attempt as what it tells of its deployment."""
    status = settlement.status
    if status is Status.OK or status is Status.REJECTED:
        return Outcome.WELL
    if status is Status.LEFT:
        if settlement.first_byte is not None:
            return Outcome.WELL
        return Outcome.FAILED if settlement.latency >= GIVEN_UP else Outcome.UNTOLD
    if settlement.http_status == BUSY:
        return Outcome.UNTOLD
    return Outcome.WELL if settlement.http_status in UNBROKEN else Outcome.FAILED

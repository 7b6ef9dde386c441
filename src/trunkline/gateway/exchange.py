from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from trunkline.clock import Clock
from trunkline.errors import Unattested
from trunkline.estate.stages import Attempt, Snapshot
from trunkline.gateway.admit import Gate
from trunkline.ids import RequestId, RequestIds
from trunkline.metering.book import Book
from trunkline.metering.cashier import Cashier
from trunkline.metering.records import Settlement
from trunkline.money import bare
from trunkline.observability.metrics import Metrics
from trunkline.observability.scrape import render
from trunkline.tenancy.ring import KeyRing
from trunkline.upstream.ejections import Ejections
from trunkline.wire.client import Pool

log = logging.getLogger("trunkline.gateway")


class Readiness(msgspec.Struct, frozen=True):
    """Whether the exchange can do its work; `waiting` says what it still waits for, `notes` what else is amiss."""

    ready: bool
    waiting: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


async def _nothing_changed() -> bool:
    return False


Scrape = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Renders the counts of the whole exchange for what an `Accept` header asks; gives the text and its content type."""


class Exchange:
    """All that the path looks things up in. The snapshot and the ring are facts: replaced whole, never changed.

    Attributes:
        cashier: holds attempts in the budgets above them; None where nobody keeps budgets.
        keys_changed: looks whether keys were made or changed since the last look; then the ring is a new one.
        scrape: renders the metrics; of this process alone unless replaced.
    """

    __slots__ = (
        "_compile",
        "_snapshot",
        "book",
        "cashier",
        "clock",
        "ejections",
        "gate",
        "ids",
        "keys_changed",
        "metrics",
        "readiness",
        "ring",
        "scrape",
        "upstreams",
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
        self.cashier: Cashier | None = None
        self.gate = Gate(metrics)
        self.ids = RequestIds()
        self.ejections = Ejections()

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
        self._snapshot = self._compile()

    def adopt(self, compile_snapshot: Callable[[], Snapshot], snapshot: Snapshot) -> None:
        """Go on with another estate, compiled once already. Calls under way keep the snapshot they began with."""
        self._compile = compile_snapshot
        self._snapshot = snapshot

    def is_ejected(self, attempt: Attempt) -> bool:
        """Whether the attempt's deployment is left out after an incident."""
        return bool(self.ejections) and self.ejections.out(attempt.endpoint.deployment, self.clock.ticks())

    def report(self, attempt: Attempt, request_id: RequestId, fault: Unattested) -> None:
        """Report an answer that was not attested as an incident, and leave its deployment out for a while."""
        deployment = attempt.endpoint.deployment
        self.ejections.eject(deployment, self.clock.ticks())
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
        asked = permitted.asked
        series = self.metrics.series(
            permitted.caller.unit,
            permitted.decision.use_case,
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

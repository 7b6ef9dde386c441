from __future__ import annotations

from collections.abc import Callable, Collection

from trunkline.clock import Clock
from trunkline.estate.stages import Attempt
from trunkline.metering.journal import Journal
from trunkline.metering.records import Settlement


class Book:
    """What an attempt needs to be held and settled.

    Attributes:
        currency: the estate's; replaced with it.
        settled: told of every settlement, right after it was written; for counting.
        began: told when the answer to an attempt begins, with the nanoseconds that it took.
        held: the attempts that are held and not settled yet, by a number of their own.
    """

    __slots__ = ("began", "clock", "currency", "held", "journal", "settled")

    def __init__(
        self,
        journal: Journal,
        *,
        clock: Clock,
        currency: str,
        settled: Callable[[Attempt, Settlement], None] | None = None,
    ) -> None:
        self.journal = journal
        self.clock = clock
        self.currency = currency
        self.settled = settled
        self.began: Callable[[Attempt, int], None] | None = None
        self.held: dict[int, Attempt] = {}

    @property
    def in_flight(self) -> int:
        """How many attempts are held and not settled yet."""
        return len(self.held)

    def busy(self, deployments: Collection[str]) -> bool:
        """Whether an attempt at one of these deployments is held and not settled yet."""
        return any(attempt.endpoint.deployment in deployments for attempt in self.held.values())

from __future__ import annotations

from collections.abc import Callable

from trunkline.clock import Clock
from trunkline.estate.stages import Attempt
from trunkline.metering.journal import Journal
from trunkline.metering.records import Settlement


class Book:
    """What an attempt needs to be held and settled.

    Attributes:
        currency: the estate's; replaced with it.
        settled: told of every settlement, right after it was written; for counting.
        in_flight: attempts that are held and not settled yet.
    """

    __slots__ = ("clock", "currency", "in_flight", "journal", "settled")

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
        self.in_flight = 0

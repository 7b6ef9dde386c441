from __future__ import annotations

from collections.abc import Callable

from trunkline.clock import Clock
from trunkline.estate.stages import UnitPrice
from trunkline.messages import Usage
from trunkline.metering.journal import Journal
from trunkline.money import Nano


class Book:
    """What an attempt needs to be held and settled: the journal, the price function, the clock.

    Attributes:
        cost: what usage costs at a price (`metering.price_call.cost`).
        currency: the estate's; replaced with it.
        in_flight: attempts that are held and not settled yet.
    """

    __slots__ = ("clock", "cost", "currency", "in_flight", "journal")

    def __init__(
        self, journal: Journal, *, cost: Callable[[Usage, UnitPrice], Nano], clock: Clock, currency: str
    ) -> None:
        self.journal = journal
        self.cost = cost
        self.clock = clock
        self.currency = currency
        self.in_flight = 0

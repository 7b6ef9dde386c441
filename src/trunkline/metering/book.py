from __future__ import annotations

from collections.abc import Callable

from trunkline.clock import Clock
from trunkline.estate.stages import Attempt
from trunkline.metering.journal import Journal
from trunkline.metering.records import Settlement

Settled = Callable[[Attempt, Settlement], None]


def _tell_nobody(attempt: Attempt, settlement: Settlement) -> None:
    """Do nothing."""


class Book:
    """What an attempt needs to be held and settled: the journal, the clock, the currency.

    Attributes:
        currency: the estate's; replaced with it.
        in_flight: attempts that are held and not settled yet.
    """

    __slots__ = ("clock", "currency", "in_flight", "journal", "settled")

    def __init__(self, journal: Journal, *, clock: Clock, currency: str, settled: Settled = _tell_nobody) -> None:
        """Take over a journal; `settled` is told of every attempt once its settlement is written."""
        self.journal = journal
        self.clock = clock
        self.currency = currency
        self.settled = settled
        self.in_flight = 0

"""Exchange rates as they are written: `{USD: {EUR: 0.87, from: 2026-11-01}}`, or a list of such for several days."""

from __future__ import annotations

from datetime import datetime, time, tzinfo
from decimal import Decimal

from trunkline.config.document import Entry, Mapping, Node, Scalar, Sequence, kind_of
from trunkline.config.faults import Faults
from trunkline.config.scalars import Misread, is_bare_date, read_decimal, read_moment
from trunkline.estate.estate import ExchangeRate


class RateReader:
    """Reads exchange rates into the estate's currency. A bare date counts from the start of that day in `zone`."""

    def __init__(self, currency: str, zone: tzinfo, faults: Faults) -> None:
        self._currency = currency
        self._zone = zone
        self._faults = faults

    def read(self, section: Mapping) -> tuple[ExchangeRate, ...]:
        """Return the rates of a section that could be read."""
        rates: list[ExchangeRate] = []
        for foreign, entry in section.entries.items():
            if foreign == self._currency:
                self._faults.add(entry.place, f"{foreign} is the estate's own currency; it needs no exchange rate")
            for node in entry.value.items if isinstance(entry.value, Sequence) else (entry.value,):
                rates.extend(self._rate(foreign, node))
        return tuple(rates)

    def _rate(self, foreign: str, node: Node) -> tuple[ExchangeRate, ...]:
        if not isinstance(node, Mapping):
            example = f"{{{self._currency}: 0.87, from: 2026-11-01}}"
            self._faults.add(node.place, f"an exchange rate is written as {example}; this is {kind_of(node)}")
            return ()
        amount: Decimal | None = None
        since: datetime | None = None
        for name, entry in node.entries.items():
            if name == "from":
                since = self._since(entry)
            elif name == self._currency:
                amount = self._amount(name, entry)
            else:
                message = f'"{name}" is neither `from` nor the estate\'s currency, {self._currency}'
                self._faults.add(entry.place, message)
        if self._currency not in node.entries:
            self._faults.add(node.place, f"the exchange rate of {foreign} lacks {self._currency}")
        return () if amount is None else (ExchangeRate(foreign, amount, since),)

    def _amount(self, name: str, entry: Entry) -> Decimal | None:
        try:
            amount = read_decimal(_single(entry.value))
        except Misread as problem:
            self._faults.add(entry.value.place, f"{name} {problem}")
            return None
        if amount <= 0:
            self._faults.add(entry.value.place, f"{name} is {amount}; it must be more than 0")
            return None
        return amount

    def _since(self, entry: Entry) -> datetime | None:
        try:
            node = _single(entry.value)
            moment = read_moment(node, self._zone)
        except Misread as problem:
            self._faults.add(entry.value.place, f"from {problem}")
            return None
        return datetime.combine(moment.date(), time.min, self._zone) if is_bare_date(node) else moment


def _single(node: Node) -> Scalar:
    if not isinstance(node, Scalar):
        raise Misread(f"wants a single value; this is {kind_of(node)}")
    return node

"""List prices of the providers: the table that comes inside the `genai-prices` package, read offline.

Importing that package costs about 0.15 s and some 20 MB, because it also brings a client to update itself. So it is
loaded when the first price is looked up, and an exchange whose deployments all have prices of their own never pays.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time
from decimal import Decimal
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final, Protocol

import msgspec

RATES: Final = (
    "input_mtok",
    "output_mtok",
    "cache_read_mtok",
    "cache_write_mtok",
    "cache_write_1h_mtok",
    "input_audio_mtok",
    "output_audio_mtok",
    "cache_audio_read_mtok",
    "input_image_mtok",
    "output_image_mtok",
    "cache_image_read_mtok",
)
EVERY_PROMPT: Final = -1
DAY: Final = 86_400


class Rates(msgspec.Struct, frozen=True):
    """Prices per million tokens by kind, all in one currency; None where nothing is said."""

    input_mtok: Decimal | None = None
    output_mtok: Decimal | None = None
    cache_read_mtok: Decimal | None = None
    cache_write_mtok: Decimal | None = None
    cache_write_1h_mtok: Decimal | None = None
    input_audio_mtok: Decimal | None = None
    output_audio_mtok: Decimal | None = None
    cache_audio_read_mtok: Decimal | None = None
    input_image_mtok: Decimal | None = None
    output_image_mtok: Decimal | None = None
    cache_image_read_mtok: Decimal | None = None


class ListVariant(msgspec.Struct, frozen=True):
    """Other prices of the same model: for prompts of more than `above` tokens, or at some hours of the day.

    `begins` and `ends` are seconds of the day in UTC; None for all hours. All of a call's tokens cost so.
    """

    rates: Rates
    above: int = EVERY_PROMPT
    begins: int | None = None
    ends: int = 0


class ListPrice(Rates, frozen=True, kw_only=True):
    """A provider's price per million tokens, in US dollars, and where it stands.

    `version` names the table's release, the provider and the model in it. Of the variants that hold for a call, the
    last counts. `until` is when the table has another price, None where it knows of none.
    """

    version: str
    variants: tuple[ListVariant, ...] = ()
    until: datetime | None = None


class ListPrices(Protocol):
    """A table of list prices."""

    def find(self, provider: str, names: Iterable[str], at: datetime) -> ListPrice | None:
        """Return the price of the first of these model names that the provider has, as of `at`."""
        ...


class BundledPrices:
    """The table inside the installed `genai-prices`."""

    def find(self, provider: str, names: Iterable[str], at: datetime) -> ListPrice | None:
        """Return the price of the first of these model names that the provider has, as of `at`; None when unknown."""
        providers = import_module("genai_prices.data").providers
        listed = next((one for one in providers if one.id == provider), None)
        if listed is None:
            return None
        found = (listed.find_model(name, all_providers=providers) for name in names)
        model = next((one for one in found if one is not None), None)
        if model is None:
            return None
        return _list_price(f"genai-prices {version('genai-prices')} {provider}/{model.id}", model.prices, at)


def _list_price(name: str, prices: Any, at: datetime) -> ListPrice:
    """Turn the table's entries into one price: the last whose start has come, then long prompts, then hours."""
    entries: list[Any] = prices if isinstance(prices, list) else []
    chosen = entries[0].prices if entries else prices
    by_hour, later = [], []
    for entry in entries:
        constraint = entry.constraint
        if constraint is None:
            chosen = entry.prices
        elif not hasattr(constraint, "start_date"):
            by_hour.append(entry)
        elif constraint.active(at):
            chosen = entry.prices
        else:
            later.append(datetime.combine(constraint.start_date, time(), UTC))
    variants = _long_prompts(chosen, None)
    for entry in by_hour:
        hours = (_second(entry.constraint.start_time), _second(entry.constraint.end_time))
        variants += [ListVariant(_rates(entry.prices), EVERY_PROMPT, *hours), *_long_prompts(entry.prices, hours)]
    base = msgspec.structs.asdict(_rates(chosen))
    return ListPrice(version=name, **base, variants=tuple(variants), until=min(later, default=None))


def _rates(prices: Any, above: int = EVERY_PROMPT) -> Rates:
    """The price of each kind of token, for prompts of more than so many tokens."""
    found: list[Decimal | None] = []
    for field in RATES:
        amount = getattr(prices, field, None)
        if amount is not None and not isinstance(amount, Decimal):
            reached = [tier.price for tier in amount.tiers if tier.start <= above]
            amount = reached[-1] if reached else amount.base
        found.append(amount)
    return Rates(*found)


def _long_prompts(prices: Any, hours: tuple[int, int] | None) -> list[ListVariant]:
    amounts = (getattr(prices, field, None) for field in RATES)
    starts = sorted({tier.start for amount in amounts for tier in getattr(amount, "tiers", ())})
    begins, ends = hours if hours is not None else (None, 0)
    return [ListVariant(_rates(prices, start), start, begins, ends) for start in starts]


def _second(moment: time) -> int:
    """The second of the day in UTC; a time without a zone is in UTC."""
    offset = moment.utcoffset()
    second = moment.hour * 3600 + moment.minute * 60 + moment.second
    return (second - (int(offset.total_seconds()) if offset is not None else 0)) % DAY

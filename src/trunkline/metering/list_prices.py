"""List prices of the providers: the table that comes inside the `genai-prices` package, read offline.

Importing that package costs about 0.15 s and some 20 MB, because it also brings a client to update itself. So it is
loaded when the first price is looked up, and an exchange whose deployments all have prices of their own never pays.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from importlib import import_module
from importlib.metadata import version
from typing import Any, Protocol

import msgspec


class ListPrice(msgspec.Struct, frozen=True):
    """A provider's price per million tokens, in US dollars, and where it stands.

    `version` names the table's release, the provider and the model in it, and says where a dearer price for long
    prompts or other hours of the day was left out.
    """

    version: str
    input_mtok: Decimal | None = None
    output_mtok: Decimal | None = None
    cache_read_mtok: Decimal | None = None
    cache_write_mtok: Decimal | None = None
    cache_write_1h_mtok: Decimal | None = None


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
    prices, conditional = _in_force(prices, at)
    amounts: dict[str, Decimal | None] = {}
    tiered = False
    for field in ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok"):
        amount = getattr(prices, field, None)
        if amount is not None and not isinstance(amount, Decimal):
            amount, tiered = amount.base, True
        amounts[field] = amount
    notes = (", base tier" if tiered else "") + (", at any hour" if conditional else "")
    return ListPrice(version=name + notes, **amounts)


def _in_force(prices: Any, at: datetime) -> tuple[Any, bool]:
    """Return the prices in force at `at`, and whether the table has others for some hours of the day.

    The last entry whose start date has come counts; entries for hours of the day are left out.
    """
    if not isinstance(prices, list):
        return prices, False
    chosen = prices[0].prices
    by_hour = False
    for entry in prices:
        constraint = entry.constraint
        if constraint is None:
            chosen = entry.prices
        elif not hasattr(constraint, "start_date"):
            by_hour = True
        elif constraint.active(at):
            chosen = entry.prices
    return chosen, by_hour

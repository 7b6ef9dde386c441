"""What a token costs at each deployment: the estate's own price over the provider's list price."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from decimal import Decimal

import msgspec

from trunkline.catalog.vendor import WEEKDAYS, Vendor
from trunkline.clock import as_datetime, as_nanos
from trunkline.estate.deployments import Deployment, InternalRate, Price
from trunkline.estate.estate import Estate
from trunkline.estate.unit_prices import MediaPrice, Stated, UnitPrice, Variant
from trunkline.metering.list_prices import RATES, BundledPrices, ListPrice, ListPrices, Rates
from trunkline.money import price_per_mtok

LIST_CURRENCY = "USD"
LONG_TO_SHORT = Decimal("1.6")
"""How much more a write to the cache costs that is kept for an hour: 2 times the input's price instead of 1.25 times.

Source: Claude platform documentation, "Prompt caching", section "Pricing".
"""
EPOCH = date(1970, 1, 1)
NOT_CONFIGURED = UnitPrice(version="unknown: not looked up, the deployment is not configured", known=False)
BUNDLED = BundledPrices()


class NoPrice(Exception):
    """Why a deployment has no price; never leaves this module."""


def price_deployments(
    estate: Estate,
    vendors: dict[str, Vendor],
    now: int,
    *,
    only: Collection[str] | None = None,
    table: ListPrices = BUNDLED,
) -> dict[str, UnitPrice]:
    """Return what one token of each kind costs at each deployment, in the estate's currency.

    The estate's own price counts first: `internal_rate` where the price is fixed, else the prices per million tokens.
    Where it names only one of input and output, the provider's list price fills in the other. Without cache prices,
    cached tokens cost what plain input costs. A fixed price without `internal_rate` counts as zero per token: it is
    known, but charged back by other means.

    Args:
        estate: the checked estate.
        vendors: of the catalogue, by id: they say under which name the table lists them.
        now: nanoseconds since 1970; exchange rates and list prices are taken as of then.
        only: the deployments whose list price is worth a look-up (those that can be called), or None for all.
        table: the list prices; loaded when first asked.
    """
    pricing = _Pricing(estate, vendors, now, only, table)
    return {name: pricing.price(name, deployment) for name, deployment in estate.deployments.items()}


class _Pricing:
    """One run over the deployments of an estate."""

    def __init__(
        self, estate: Estate, vendors: dict[str, Vendor], now: int, only: Collection[str] | None, table: ListPrices
    ) -> None:
        self._estate = estate
        self._vendors = vendors
        self._now = now
        self._only = only
        self._table = table
        self._own = f"estate:{estate.version}" if estate.version else "estate"

    def price(self, name: str, deployment: Deployment) -> UnitPrice:
        own = deployment.price
        try:
            if own is not None and own.internal_rate is not None:
                return self._own_price(own.internal_rate, own.currency, "internal rate")
            if own is not None and own.input_mtok is not None and own.output_mtok is not None:
                return self._own_price(own, own.currency, "")
            if own is not None and _is_fixed(own):
                return UnitPrice(version=f"{self._own} fixed price without internal_rate")
            if self._only is not None and name not in self._only and self._listed_as(deployment) is not None:
                return NOT_CONFIGURED
            return self._list_price(deployment, own)
        except NoPrice as why:
            return self._as_stated(deployment, UnitPrice(version=f"unknown: {why}", known=False))

    def _own_price(self, rates: Price | InternalRate, currency: str | None, what: str) -> UnitPrice:
        currency = currency or self._estate.currency
        price = _unit_price(self._convert(rates, currency), f"{self._own} {what}".rstrip())
        return msgspec.structs.replace(price, until=self._next_rate(currency))

    def _list_price(self, deployment: Deployment, own: Price | None) -> UnitPrice:
        """The list price, with what the estate says of it laid over."""
        partly = own is not None and (own.input_mtok is not None or own.output_mtok is not None)
        listed = self._find(deployment)
        if own is not None and partly:
            if listed is None:
                return self._own_price(own, own.currency, "")
            said = self._convert(own, own.currency or self._estate.currency)
            return self._listed(deployment, listed, f"{self._own} over {listed.version}", said)
        if listed is None:
            boundary = self._estate.boundaries[deployment.boundary]
            raise NoPrice(f"no list price of {deployment.model} at {boundary.provider}; give the deployment a `price`")
        if listed.input_mtok is None and listed.output_mtok is None:
            raise NoPrice(f"{listed.version} has no price per token; give the deployment a `price`")
        return self._as_stated(deployment, self._listed(deployment, listed, listed.version))

    def _as_stated(self, deployment: Deployment, price: UnitPrice) -> UnitPrice:
        """The price, under what the provider's answers state where it bills that."""
        vendor = self._vendors.get(self._estate.boundaries[deployment.boundary].provider)
        stating = vendor.stating if vendor is not None and deployment.engine is None else None
        if stating is None:
            return price
        try:
            worth = self._factor(stating.currency)
        except NoPrice:
            return price
        stated = Stated(tuple(stating.field.split(".")), worth)
        return msgspec.structs.replace(price, stated=stated, version=f"{stating.field} as stated, else {price.version}")

    def _listed(self, deployment: Deployment, listed: ListPrice, version: str, said: Rates | None = None) -> UnitPrice:
        """The list price with its variants, each under what the estate says."""
        vendor = self._vendors.get(self._estate.boundaries[deployment.boundary].provider)
        days = vendor.priced_days if vendor is not None else None
        weekdays = None if days is None else frozenset(map(WEEKDAYS.index, days.weekdays))
        free = frozenset() if days is None else frozenset((day - EPOCH).days for day in days.free)

        def unit_price(rates: Rates) -> UnitPrice:
            found = self._convert(rates, LIST_CURRENCY)
            return _unit_price(found if said is None else _lay_over(said, found), version)

        variants = tuple(
            Variant(unit_price(one.rates), one.above, one.begins, one.ends)
            if one.begins is None
            else Variant(unit_price(one.rates), one.above, one.begins, one.ends, weekdays, free)
            for one in listed.variants
        )
        changes = [0 if listed.until is None else as_nanos(listed.until), self._next_rate(LIST_CURRENCY)]
        until = min((one for one in changes if one), default=0)
        return msgspec.structs.replace(unit_price(listed), variants=variants, until=until)

    def _find(self, deployment: Deployment) -> ListPrice | None:
        provider = self._listed_as(deployment)
        if provider is None:
            return None
        # The model's own name goes first: what is sent upstream may be a name that the customer made up.
        names = [deployment.model.partition("/")[2] or deployment.model]
        if deployment.upstream_model is not None:
            names.append(deployment.upstream_model)
        return self._table.find(provider, names, as_datetime(self._now))

    def _listed_as(self, deployment: Deployment) -> str | None:
        """The provider's name in the table; None for engines and providers that it does not list."""
        vendor = self._vendors.get(self._estate.boundaries[deployment.boundary].provider)
        return vendor.prices if vendor is not None and deployment.engine is None else None

    def _convert(self, rates: Price | InternalRate | Rates, currency: str) -> Rates:
        factor = self._factor(currency)
        return Rates(*(_times(getattr(rates, field), factor) for field in RATES))

    def _factor(self, currency: str) -> Decimal:
        """How much of the estate's currency one unit of another is worth: the latest rate that has begun."""
        if currency == self._estate.currency:
            return Decimal(1)
        begun = [
            (as_nanos(rate.since) if rate.since is not None else 0, rate.rate)
            for rate in self._estate.exchange_rates
            if rate.currency == currency and (rate.since is None or as_nanos(rate.since) <= self._now)
        ]
        if not begun:
            raise NoPrice(
                f"no exchange rate from {currency} to {self._estate.currency} is in force; add one to `exchange_rates`"
            )
        return max(begun, key=lambda pair: pair[0])[1]

    def _next_rate(self, currency: str) -> int:
        """When the next exchange rate of a currency begins; 0 where none is declared."""
        coming = [
            since
            for rate in self._estate.exchange_rates
            if rate.currency == currency and rate.since is not None and (since := as_nanos(rate.since)) > self._now
        ]
        return min(coming, default=0) if currency != self._estate.currency else 0


def _is_fixed(price: Price) -> bool:
    told = price.input_mtok is not None or price.output_mtok is not None
    return not told and (price.per_hour is not None or price.people_per_month is not None)


def _lay_over(said: Rates, listed: Rates) -> Rates:
    """What is said counts; the list fills in input and output only, for cache prices belong to the input's price."""
    if said.input_mtok is None:
        theirs, ours = listed, said
    else:
        theirs, ours = said, listed
    output = {field: getattr(ours, field) for field in RATES if field.startswith("output_")}
    return msgspec.structs.replace(theirs, **output)


def _times(amount: Decimal | None, factor: Decimal) -> Decimal | None:
    return None if amount is None else amount * factor


def _unit_price(rates: Rates, version: str) -> UnitPrice:
    plain = rates.input_mtok or Decimal(0)
    read, write = rates.cache_read_mtok, rates.cache_write_mtok
    short = plain if write is None else write
    long = rates.cache_write_1h_mtok
    if long is None:
        long = short if write is None else write * LONG_TO_SHORT
    return UnitPrice(
        input=price_per_mtok(plain),
        output=price_per_mtok(rates.output_mtok or Decimal(0)),
        cache_read=price_per_mtok(plain if read is None else read),
        cache_write=price_per_mtok(short),
        cache_write_long=price_per_mtok(long),
        version=version,
        media=_media_price(rates, plain, plain if read is None else read),
    )


def _media_price(rates: Rates, plain: Decimal, read: Decimal) -> MediaPrice | None:
    """What sound and pictures cost; None where they cost what text does."""
    output = rates.output_mtok or Decimal(0)
    amounts = (
        (rates.input_audio_mtok, plain),
        (rates.input_image_mtok, plain),
        (rates.cache_audio_read_mtok, read),
        (rates.cache_image_read_mtok, read),
        (rates.output_audio_mtok, output),
        (rates.output_image_mtok, output),
    )
    if all(own is None for own, _ in amounts):
        return None
    return MediaPrice(*(price_per_mtok(text if own is None else own) for own, text in amounts))

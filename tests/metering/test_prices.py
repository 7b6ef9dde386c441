from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from importlib.metadata import version

import msgspec
import pytest
from genai_prices.types import (
    ConditionalPrice,
    ModelPrice,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from trunkline.catalog.vendor import Vendor
from trunkline.clock import as_nanos
from trunkline.estate.boundaries import Boundary
from trunkline.estate.deployments import Deployment, Engine, InternalRate, Pattern, Price
from trunkline.estate.estate import Estate, ExchangeRate
from trunkline.estate.unit_prices import UnitPrice
from trunkline.estate.units import Unit
from trunkline.metering.list_prices import BundledPrices, ListPrice, _list_price
from trunkline.metering.prices import price_deployments

TODAY = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOW = as_nanos(TODAY)
RATE = ExchangeRate(currency="USD", rate=Decimal("0.87"), since=datetime(2026, 11, 1, tzinfo=UTC))
VENDORS = {
    "listed": Vendor(id="listed", name="Listed", prices="listed"),
    "house": Vendor(id="house", name="House"),
}
MINI = ListPrice(
    version="table 1 listed/mini",
    input_mtok=Decimal("0.40"),
    output_mtok=Decimal("1.60"),
    cache_read_mtok=Decimal("0.10"),
)


class Table:
    """A price list of one model that notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def find(self, provider: str, names: Iterable[str], at: datetime) -> ListPrice | None:
        self.asked.append((provider, tuple(names)))
        return MINI if "mini" in names else None


def estate(*rates: ExchangeRate, boundary: str = "listed", **fields: object) -> Estate:
    deployment = Deployment(**{"model": "v/mini", "pattern": Pattern.SAAS, "boundary": boundary, **fields})  # type: ignore[arg-type]
    return Estate(
        name="e",
        currency="EUR",
        time_zone="UTC",
        units={"root": Unit("1")},
        data_classes={},
        boundaries={name: Boundary(provider=name, owner="root") for name in (*VENDORS, "newcomer")},
        deployments={"d": deployment},
        pools={},
        use_cases={},
        exchange_rates=rates,
        version="1a2b",
    )


def price(one: Estate, table: Table | None = None) -> UnitPrice:
    return price_deployments(one, VENDORS, NOW, table=table or Table())["d"]


def numbers(found: UnitPrice) -> tuple[int, int, int, int]:
    return found.input, found.output, found.cache_read, found.cache_write


def test_a_list_price_is_converted_and_names_its_source() -> None:
    found = price(estate(RATE))
    assert numbers(found) == (348_000, 1_392_000, 87_000, 348_000)
    assert (found.version, found.known) == ("table 1 listed/mini", True)


def test_the_estates_own_price_goes_before_the_list() -> None:
    table = Table()
    own = Price(input_mtok=Decimal("0.3"), output_mtok=Decimal(1), cache_write_mtok=Decimal("0.35"))
    found = price(estate(price=own), table)
    assert numbers(found) == (300_000, 1_000_000, 300_000, 350_000)
    assert (found.version, table.asked) == ("estate:1a2b", [])


def test_an_own_price_in_another_currency_is_converted() -> None:
    own = Price(input_mtok=Decimal(1), output_mtok=Decimal(2), currency="USD")
    assert numbers(price(estate(RATE, price=own))) == (870_000, 1_740_000, 870_000, 870_000)


def test_what_a_fixed_price_deployment_charges_is_its_internal_rate() -> None:
    rate = InternalRate(input_mtok=Decimal("0.40"), output_mtok=Decimal("1.60"))
    found = price(estate(price=Price(per_hour=Decimal(46), internal_rate=rate)))
    assert numbers(found) == (400_000, 1_600_000, 400_000, 400_000)
    assert found.version == "estate:1a2b internal rate"


def test_a_fixed_price_without_an_internal_rate_is_known_and_counts_as_zero() -> None:
    table = Table()
    found = price(estate(price=Price(per_hour=Decimal("2.10"), people_per_month=Decimal(1800))), table)
    assert (numbers(found), found.known, table.asked) == ((0, 0, 0, 0), True, [])
    assert found.version == "estate:1a2b fixed price without internal_rate"


def test_half_an_own_price_is_filled_in_from_the_list() -> None:
    found = price(estate(RATE, price=Price(input_mtok=Decimal("0.3"))))
    assert numbers(found) == (300_000, 1_392_000, 300_000, 300_000)
    assert found.version == "estate:1a2b over table 1 listed/mini"
    found = price(estate(RATE, price=Price(output_mtok=Decimal(1))))
    assert numbers(found) == (348_000, 1_000_000, 87_000, 348_000)


def test_half_an_own_price_of_an_engine_is_all_there_is() -> None:
    found = price(estate(boundary="house", engine=Engine(), price=Price(input_mtok=Decimal(2))))
    assert (numbers(found), found.version) == ((2_000_000, 0, 2_000_000, 2_000_000), "estate:1a2b")


def test_without_an_exchange_rate_the_price_is_unknown_and_says_why() -> None:
    found = price(estate())
    assert (numbers(found), found.known) == ((0, 0, 0, 0), False)
    assert found.version == ("unknown: no exchange rate from USD to EUR is in force; add one to `exchange_rates`")


def test_the_latest_rate_that_has_begun_counts() -> None:
    older = ExchangeRate(currency="USD", rate=Decimal("0.5"), since=datetime(2026, 1, 1, tzinfo=UTC))
    coming = ExchangeRate(currency="USD", rate=Decimal(2), since=datetime(2026, 12, 1, tzinfo=UTC))
    other = ExchangeRate(currency="GBP", rate=Decimal(3))
    assert price(estate(older, coming, RATE, other)).input == 348_000
    assert not price(estate(coming)).known


@pytest.mark.parametrize("boundary", ["listed", "house", "newcomer"])
def test_without_any_price_it_is_unknown_and_says_where(boundary: str) -> None:
    found = price(estate(RATE, boundary=boundary, model="v/other"))
    assert not found.known
    assert found.version == f"unknown: no list price of v/other at {boundary}; give the deployment a `price`"


def test_the_models_own_name_is_looked_up_before_the_name_sent_upstream() -> None:
    table = Table()
    price(estate(RATE, upstream_model="acme-reserved"), table)
    assert table.asked == [("listed", ("mini", "acme-reserved"))]


def test_a_deployment_that_cannot_be_called_is_not_looked_up() -> None:
    table = Table()
    found = price_deployments(estate(RATE), VENDORS, NOW, only=(), table=table)["d"]
    assert (found.known, table.asked) == (False, [])
    assert found.version == "unknown: not looked up, the deployment is not configured"


@pytest.mark.parametrize(("provider", "model", "expected"), [
    ("openai", "gpt-4.1-mini", ("0.4", "1.6", "0.1", None)),
    ("azure", "gpt-4.1-mini", ("0.4", "1.6", "0.1", None)),
    ("google", "gemini-2.5-pro", ("1.25", "10", "0.125", None)),
])  # fmt: skip
def test_the_bundled_table_answers_offline(
    provider: str, model: str, expected: tuple[str, str, str, str | None]
) -> None:
    found = BundledPrices().find(provider, ["no-such-model-1", model], TODAY)
    assert found is not None
    amounts = (found.input_mtok, found.output_mtok, found.cache_read_mtok, found.cache_write_mtok)
    assert amounts == tuple(None if one is None else Decimal(one) for one in expected)
    assert found.version == f"genai-prices {version('genai-prices')} {provider}/{model}"


def test_a_price_of_the_table_that_changes_with_the_hour_has_each_of_them() -> None:
    found = BundledPrices().find("deepseek", ["deepseek-chat"], TODAY)
    assert found is not None
    (dear,) = found.variants
    assert (dear.begins, dear.ends) == (30 * 60, 16 * 3600 + 30 * 60)
    assert (found.input_mtok, dear.rates.input_mtok) == (Decimal("0.135"), Decimal("0.27"))


def test_hours_of_another_zone_are_told_in_utc_and_have_their_own_tiers() -> None:
    zone = timezone(timedelta(hours=8))
    tiered = TieredPrices(base=Decimal(2), tiers=[Tier(start=200_000, price=Decimal(4))])
    prices = [
        ConditionalPrice(prices=ModelPrice(input_mtok=TieredPrices(Decimal(1), [Tier(100, Decimal(3))]))),
        ConditionalPrice(
            TimeOfDateConstraint(time(4, tzinfo=zone), time(10, tzinfo=zone)), prices=ModelPrice(input_mtok=tiered)
        ),
    ]
    found = _list_price("x", prices, TODAY)
    told: list[object] = [(one.rates.input_mtok, one.above, one.begins, one.ends) for one in found.variants]
    assert found.input_mtok == Decimal(1)
    assert told == [
        (3, 100, None, 0),
        (2, -1, 20 * 3600, 2 * 3600),
        (4, 200_000, 20 * 3600, 2 * 3600),
    ]


def test_a_list_price_is_the_one_in_force_at_the_time() -> None:
    prices = [
        ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(3))),
        ConditionalPrice(StartDateConstraint(date(2026, 11, 22)), prices=ModelPrice(input_mtok=Decimal(2))),
        ConditionalPrice(StartDateConstraint(date(2027, 1, 1)), prices=ModelPrice(input_mtok=Decimal(1))),
    ]
    amounts = {
        day: _list_price("x", prices, datetime(*day, tzinfo=UTC)).input_mtok
        for day in ((2026, 11, 21), (2026, 11, 22), (2026, 12, 31), (2027, 1, 1))
    }
    assert list(amounts.values()) == [3, 2, 2, 1]
    assert _list_price("x", prices, TODAY).until == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_price_holds_until_the_next_one_begins_or_the_next_exchange_rate() -> None:
    coming = ExchangeRate(currency="USD", rate=Decimal(1), since=datetime(2026, 12, 1, tzinfo=UTC))
    assert price(estate(RATE)).until == 0
    assert price(estate(RATE, coming)).until == as_nanos(datetime(2026, 12, 1, tzinfo=UTC))
    own = Price(input_mtok=Decimal(1), output_mtok=Decimal(1), currency="USD")
    assert price(estate(RATE, coming, price=own)).until == as_nanos(datetime(2026, 12, 1, tzinfo=UTC))
    assert price(estate(RATE, coming, price=msgspec.structs.replace(own, currency="EUR"))).until == 0


def test_the_bundled_table_says_nothing_of_what_it_does_not_hold() -> None:
    assert BundledPrices().find("nobody", ["gpt-4.1-mini"], TODAY) is None
    assert BundledPrices().find("openai", ["no-such-model-1"], TODAY) is None


def test_the_bundled_table_is_not_loaded_before_a_price_is_looked_up() -> None:
    program = "import sys, trunkline.metering.prices; sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

"""What stands above a call, and what of it is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from tests.metering.test_hold import ASKED, CALLER, DECISION, ENDPOINT

from trunkline.clock import SystemClock
from trunkline.errors import OverBudget
from trunkline.estate.stages import Attempt, Permitted
from trunkline.estate.unit_prices import Stated, UnitPrice
from trunkline.ids import mint_journal_id
from trunkline.messages import Asked, Usage
from trunkline.metering.budgets import Budgets, Stands
from trunkline.metering.cashier import Cashier
from trunkline.metering.journal import Journal
from trunkline.metering.leases import Ask, LeaseId
from trunkline.metering.periods import FOREVER, Period
from trunkline.metering.purse import LASTS, Account
from trunkline.metering.purses import Purses
from trunkline.money import Nano
from trunkline.store.open import Store, open_store

ALWAYS = Period(0, FOREVER)
FREE_BUT_STATED = UnitPrice(version="usage.cost as stated", known=False, stated=Stated(("usage", "cost"), Decimal(1)))


def stands(kind: str, node: str, *, hard: bool) -> Stands:
    account = Account(f"{kind}:{node}/month/EUR", 10_000, hard, 1, lambda _: ALWAYS)
    return Stands(account, kind, node, "month", "UTC", "EUR")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "trunkline.db") as opened:
        yield opened


@pytest.fixture
def cashier(tmp_path: Path, store: Store) -> Callable[..., Cashier]:
    def make(*several: Stands) -> Cashier:
        purses = Purses(store, Journal.open(tmp_path, mint_journal_id()), SystemClock())
        budgets = Budgets({(one.kind, one.node): (one,) for one in several}, {"finance": ("finance",)})
        return Cashier(purses, budgets, SystemClock())

    return make


def attempt(asked: Asked = ASKED, *, hold: int = 100, price: UnitPrice = ENDPOINT.price) -> Attempt:
    endpoint = msgspec.structs.replace(ENDPOINT, price=price)
    permitted = Permitted(CALLER, asked, DECISION)
    return Attempt(permitted, endpoint, 1, Usage(input=1), Nano(hold), "tier 1", endpoint.times)


async def test_what_may_be_billed_as_stated_is_counted_though_nothing_could_be_held(
    cashier: Callable[..., Cashier],
) -> None:
    pledge = await cashier(stands("unit", "finance", hard=False)).pledge(attempt(hold=0, price=FREE_BUT_STATED))
    assert pledge is not None
    assert len(pledge.leases) == 1


async def test_what_costs_nothing_passes_by_every_budget(cashier: Callable[..., Cashier]) -> None:
    assert await cashier(stands("unit", "finance", hard=False)).pledge(attempt(hold=0)) is None


async def test_the_names_that_callers_give_their_customers_are_not_remembered_unless_budgets_are_on_them(
    cashier: Callable[..., Cashier],
) -> None:
    one = cashier(stands("unit", "finance", hard=False), stands("end_customer", "globex", hard=False))
    names = ["x" * 10_000 + str(number) for number in range(50)]
    for name in (*names, "globex"):
        pledge = await one.pledge(attempt(msgspec.structs.replace(ASKED, end_customer=name)))
        assert pledge is not None
        assert len(pledge.leases) == (2 if name == "globex" else 1)
    assert len(one._above) == 2


@pytest.mark.parametrize(
    ("lasts", "amount", "final", "again", "said"),
    [
        (LASTS, 9_950, False, 1, "0.00000995 EUR of it by other workers and exchanges: try again in a moment."),
        (-1, 9_950, False, 30, "0.00000995 EUR of it come back once the journal is read of a worker that is gone."),
        (LASTS, 100, True, None, "has too little left for this call"),
    ],
    ids=["held elsewhere", "frozen", "too dear for all of it"],
)
async def test_a_refusal_says_whether_what_is_held_may_come_back(
    tmp_path: Path, store: Store, lasts: int, amount: int, final: bool, again: int | None, said: str
) -> None:
    one = stands("unit", "finance", hard=True)
    other = Ask(
        lease=LeaseId("other"), version=1, allowance=one.account.name, period=ALWAYS, limit=10_000, hard=True,
        declared_at=1, journal=mint_journal_id(), amount=amount, due=amount, need=amount, lasts=lasts,
    )  # fmt: skip
    store.ask([other])
    purses = Purses(store, Journal.open(tmp_path, mint_journal_id()), SystemClock(), patience=2)
    cashier = Cashier(purses, Budgets({("unit", "finance"): (one,)}, {"finance": ("finance",)}), SystemClock())
    following = asyncio.create_task(purses.follow())
    with pytest.raises(OverBudget) as refused:
        await cashier.pledge(attempt(hold=10_001 if final else 100))
    following.cancel()
    assert (refused.value.final, refused.value.retry_after) == (final, again)
    assert said in refused.value.message

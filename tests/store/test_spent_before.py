"""A budget that is declared in the middle of its period counts what was spent in it before, once, on both databases."""

from __future__ import annotations

import msgspec
import pytest
from tests.metering.made import intent, settlement

from trunkline.ids import JournalId
from trunkline.metering.leases import Answer, Ask, Covers, LeaseId
from trunkline.metering.periods import Period
from trunkline.metering.records import Entry
from trunkline.store.open import Store

HOUR = 3_600_000_000_000
MONTH = Period(100 * HOUR + HOUR // 2, 800 * HOUR)
DECLARED = 400 * HOUR + HOUR // 3
OF_FINANCE = Covers("unit", ("finance", "audit"), "EUR")


def ask(store: Store, lease: str = "first", covers: Covers | None = OF_FINANCE, **more: object) -> Answer:
    plain = Ask(
        lease=LeaseId(lease),
        version=1,
        allowance=f"{covers}/month",
        period=MONTH,
        limit=10_000,
        hard=False,
        declared_at=DECLARED,
        journal=JournalId("here"),
        amount=0,
        due=0,
        need=0,
        lasts=HOUR,
        covers=covers,
    )
    (answer,) = store.ask([msgspec.structs.replace(plain, **more)])
    return answer


def spend(store: Store, number: int, at: int, cost: int | None, **more: object) -> None:
    """Book an attempt; without a cost it is open, at its hold of 1,000."""
    begun = msgspec.structs.replace(intent(2 * number, f"req_{number}"), at=at, **more)
    ended = [] if cost is None else [Entry(JournalId("here"), settlement(2 * number + 1, f"req_{number}", cost=cost))]
    store.book([Entry(JournalId("here"), begun), *ended])


def spend_around(store: Store) -> None:
    moments = {
        MONTH.starts - 1: 1,
        MONTH.starts: 2,
        150 * HOUR: 4,
        400 * HOUR - 1: 8,
        400 * HOUR: 16,
        DECLARED - 1: 32,
        DECLARED: 64,
    }
    for number, (at, cost) in enumerate(moments.items()):
        spend(store, number, at, cost)


def test_what_was_spent_from_the_beginning_of_the_period_until_its_declaration_counts(store: Store) -> None:
    spend_around(store)
    assert ask(store).settled == 2 + 4 + 8 + 16 + 32
    assert store.verify().differences == ()


def test_it_counts_once_however_often_and_by_whomever_it_is_declared(store: Store) -> None:
    spend_around(store)
    ask(store)
    spend(store, 50, 200 * HOUR, 128)
    assert ask(store, "second", declared_at=DECLARED + HOUR).settled == 62
    assert store.sweep(100) == 0
    assert store.verify().differences == ()


def test_calls_under_way_at_the_declaration_count_at_their_hold(store: Store) -> None:
    spend(store, 1, 200 * HOUR, None)
    assert ask(store).settled == 1_000


def test_a_hard_budget_grants_only_what_is_left_of_it(store: Store) -> None:
    spend_around(store)
    answer = ask(store, hard=True, limit=63, amount=5, need=1, due=5, declared_at=DECLARED)
    assert (answer.settled, answer.amount) == (62, 0)  # its period is long over for the store's clock
    assert answer.limit - answer.settled == 1


@pytest.mark.parametrize(
    ("covers", "spent"),
    [
        (Covers("unit", ("finance", "audit"), "EUR"), 30),
        (Covers("unit", ("finance",), "EUR"), 10),
        (Covers("use_case", ("reports",), "EUR"), 30),
        (Covers("deployment", ("one",), "EUR"), 20),
        (Covers("boundary", ("there",), "EUR"), 10),
        (Covers("key", ("key_1",), "EUR"), 30),
        (Covers("unit", ("finance",), "USD"), 40),
        (Covers("unit", ("nobody",), "EUR"), 0),
        (Covers("end_customer", ("shop-17",), "EUR"), 20),
        (Covers("end_customer", ("nobody",), "EUR"), 0),
        (Covers("person", ("ada",), "EUR"), 20),
        (Covers("person", ("nobody",), "EUR"), 0),
        (None, 0),
    ],
)
@pytest.mark.parametrize("at", [200 * HOUR, DECLARED - 1])
def test_whatever_it_is_on_only_that_is_counted(store: Store, covers: Covers | None, spent: int, at: int) -> None:
    spend(store, 1, at, 10)
    spend(store, 2, at, 20, unit="audit", boundary="here", end_customer="shop-17", person="ada")
    spend(
        store,
        3,
        at,
        40,
        currency="USD",
        use_case="other",
        deployment="two",
        key="key_2",
        boundary="far",
        end_customer="shop-17",
        person="ada",
    )
    if covers is not None and covers.kind == "boundary":
        spend(store, 4, at, 10, boundary="there")
    if covers is not None and covers.kind == "deployment":
        spend(store, 5, at, 10, deployment="two")
        spent += 10
    assert ask(store, covers=covers).settled == spent
